package access

import (
	"context"
	"errors"
	"fmt"

	"ciscora/msca"
)

// admit asks the CA whether it takes the credentials and, with CheckTemplate, whether
// it offers the template.
func (a *Access) admit(ctx context.Context, who *Identity) (err error) {
	if a.pools(ctx, who) {
		who.Vouched, err = a.admitPooled(ctx, who)
	} else {
		err = a.admitByLogin(ctx, who)
	}
	if err == nil {
		return nil
	}
	if refused, ok := errors.AsType[*Error](err); ok {
		return refused
	}
	failed := &Error{Reason: ReasonCA, Method: who.Method, Account: who.Account, Cause: err}
	if who.Method != MethodRelay && Refused(err) {
		// It is the RA's own password that is wrong: asking the client for
		// other credentials would mend nothing.
		failed.Reason = ReasonOwnRefused
	}
	return failed
}

// admitByLogin is CES's way: a connection of its own for log-in and template
// list, closed after it.
func (a *Access) admitByLogin(ctx context.Context, who *Identity) error {
	session, err := a.login(ctx, who, a.Enter)
	if err != nil {
		return err
	}
	defer session.Release()
	if !a.CheckTemplate {
		return nil
	}
	list, err := session.Templates(ctx)
	if err != nil {
		return err
	}
	return a.offered(list, who.Template)
}

// admitPooled logs in only where no log-in of the last minute vouches.
func (a *Access) admitPooled(ctx context.Context, who *Identity) (vouched bool, err error) {
	if list, fresh, ok := a.accounts.proven(who.key, a.Refresh); ok && (!a.CheckTemplate || fresh && a.offered(list, who.Template) == nil) {
		if who.Method == MethodRelay && !a.guard.off() {
			return true, a.guard.vouch(a.presentedTo(who))
		}
		return true, nil
	}
	// Several clients with the same credentials wait for one log-in; each may
	// give up on its own, so the log-in must not end with the first one's
	// request.
	result := make(chan error, 1)
	detached, done := a.background.Detach(ctx)
	a.background.Go(func() {
		defer done()
		_, err, _ := a.logins.Do(string(who.key[:]), func() (any, error) { return nil, a.prove(detached, who) })
		result <- err
	})
	select {
	case err = <-result:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if err != nil || !a.CheckTemplate {
		return false, err
	}
	list, _, _ := a.accounts.proven(who.key, a.Refresh)
	return false, a.offered(list, who.Template)
}

// prove logs in with the account's credentials, unless that was done just now,
// and reads its template list where that is looked at; the connection is kept.
func (a *Access) prove(ctx context.Context, who *Identity) error {
	session, err := a.Session(ctx, who)
	if err != nil {
		return err
	}
	defer session.Release()
	if !a.CheckTemplate {
		return nil
	}
	list, err := session.Templates(ctx)
	if err != nil {
		return err
	}
	a.accounts.setTemplates(who.key, list)
	return nil
}

// offered returns nil if the list holds the template, and else the error that
// says so (docs/reference/ces.md F6).
func (a *Access) offered(list msca.TemplateList, template string) error {
	if _, ok := list.Find(template); ok {
		return nil
	}
	return &msca.Error{
		Phase: msca.PhaseTemplate, Kind: msca.KindTemplateNotListed, URL: a.client.URL() + "/certrqxt.asp",
		Message: fmt.Sprintf("template %q is not among the %d that the CA offers to this account", template, len(list)),
	}
}
