package access

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ciscora/msca"
)

// Without [Options.Refresh] the RA's own list is read again after so long, and after
// a failure not sooner than awayFor.
const (
	ownListFor = time.Hour
	awayFor    = time.Minute
)

// ownRefusedFor is how long the RA's own credentials are not tried again once the CA
// has refused them: what waits for them, pending rows, clients without a password, would
// lock the account (design, section 4).
const ownRefusedFor = time.Hour

// ownDoubtedFor is how long where the CA took them within rightFor: IIS refuses right ones
// as well where it reaches no domain controller. They are tried once more.
const ownDoubtedFor = time.Minute

// OwnRefusal says that the CA refused the RA's own credentials, and that they are not
// tried again before Until, or until there are others, or somebody logs in with them.
type OwnRefusal struct {
	Account   string
	At, Until time.Time
	Err       error // the CA's
}

func (e *OwnRefusal) Error() string {
	return fmt.Sprintf("the CA refused the RA's own account %q at %s; it is not tried again before %s, or until its credentials change (ca.credentials): %v",
		e.Account, e.At.Format(time.RFC3339), e.Until.Format(time.RFC3339), e.Err)
}

func (e *OwnRefusal) Unwrap() error { return e.Err }

// own is the RA's own account at the CA: its credentials, whether the CA refuses them,
// the templates that it is offered. Nobody logs in with it but by begin.
type own struct {
	credentials func() (msca.Credentials, error)
	now         func() time.Time
	told        func(OwnRefusal) // of each refusal by the CA
	logins      *turns[accountKey]

	mu       sync.Mutex // guards all below; never held while the network is waited for
	home     *string    // the domain of its name; nil: it has not been read
	proven   accountKey // the last credentials that the CA took
	provenAt time.Time
	refusal  *OwnRefusal
	refused  accountKey // the credentials of that
	list     ownTemplates
}

func newOwn(o Options) *own {
	return &own{credentials: o.Credentials, now: o.Now, told: o.OwnRefused, logins: newTurns[accountKey]()}
}

// read returns the credentials as they stand now.
func (o *own) read() (msca.Credentials, error) {
	creds, err := o.credentials()
	if err != nil {
		return creds, fmt.Errorf("read the RA's credentials for the CA: %w", err)
	}
	domain, _ := splitAccount(creds.User)
	o.mu.Lock()
	o.home = &domain
	o.mu.Unlock()
	return creds, nil
}

// homeDomain is the domain of names that name none; "" while that cannot be known.
func (o *own) homeDomain() string {
	o.mu.Lock()
	home := o.home
	o.mu.Unlock()
	if home == nil {
		if _, err := o.read(); err != nil {
			return ""
		}
		return o.homeDomain()
	}
	return *home
}

// refusalOf is why credentials are not tried; nil: they may be.
func (o *own) refusalOf(k accountKey) *OwnRefusal {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.refusal == nil || o.refused != k || !o.now().Before(o.refusal.Until) {
		return nil
	}
	refusal := *o.refusal
	return &refusal
}

func (o *own) fresh(k accountKey) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.proven == k && o.now().Sub(o.provenAt) < freshFor
}

// begin waits until the own credentials may be tried, which is one at a time unless the
// CA has taken them just now: those who come meanwhile share what it says. alone: others
// wait for it.
func (o *own) begin(ctx context.Context, account string, k accountKey) (end func(context.Context, error), alone bool, err error) {
	record := func(_ context.Context, err error) { o.record(account, k, err) }
	if refusal := o.refusalOf(k); refusal != nil {
		return nil, false, refusal
	}
	if o.fresh(k) {
		return record, false, nil
	}
	release, err := o.logins.take(ctx, k)
	if err != nil {
		return nil, false, err
	}
	if refusal := o.refusalOf(k); refusal != nil {
		release(nil)
		return nil, false, refusal
	}
	if o.fresh(k) {
		release(nil)
		return record, false, nil
	}
	return func(ctx context.Context, err error) {
		record(ctx, err)
		release(shared(verdictOf(err), err))
	}, true, nil
}

// record keeps what a log-in tells.
func (o *own) record(account string, k accountKey, err error) {
	switch verdictOf(err) {
	case wasRight:
		o.vindicate(k)
	case wasWrong:
		now := o.now()
		refusal := OwnRefusal{Account: account, At: now, Until: now.Add(ownRefusedFor), Err: err}
		o.mu.Lock()
		if o.proven == k && !o.provenAt.IsZero() && now.Sub(o.provenAt) < rightFor {
			refusal.Until = now.Add(ownDoubtedFor)
		}
		again := o.refused == k && o.refusal != nil && now.Before(o.refusal.Until)
		o.refusal, o.refused, o.provenAt = &refusal, k, time.Time{}
		o.mu.Unlock()
		if o.told != nil && !again {
			o.told(refusal)
		}
	}
}

// vindicate says that the CA took these credentials, whoever brought them.
func (o *own) vindicate(k accountKey) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.proven, o.provenAt = k, o.now()
	if o.refused == k {
		o.refusal = nil
	}
}

// forgive lets refused credentials be tried again; it tells whether any were.
func (o *own) forgive() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	was := o.refusal != nil
	o.refusal = nil
	return was
}

// Own is the RA itself, with its own account at the CA. The error says why the
// credentials cannot be read.
func (a *Access) Own(context.Context) (*Identity, error) {
	creds, err := a.own.read()
	if err != nil {
		return nil, err
	}
	return &Identity{Account: creds.User, creds: creds, key: a.accounts.key(creds), pooled: a.Pooled}, nil
}

// OwnRefusal says whether, and why, the RA's own credentials are not tried now; nil: they
// may be, as other ones may that have come into the file.
func (a *Access) OwnRefusal() *OwnRefusal {
	if creds, err := a.own.read(); err == nil {
		return a.own.refusalOf(a.written(creds))
	}
	return nil
}

// ownTemplates is the template list that the RA's own account is shown. Whoever
// asks for /csrattrs may be anybody (RFC 7030 §4.5), so no number of them may
// become a number of log-ins: the CA is asked once per refresh, and after a failure once
// a minute. Guarded by own.mu.
type ownTemplates struct {
	list msca.TemplateList
	err  error
	at   time.Time  // of the last try; zero: none so far
	used accountKey // the credentials of that
}

// templates returns what the last try came to, if that still counts.
func (o *own) templates(used accountKey, refresh time.Duration) (list msca.TemplateList, err error, ok bool) { //nolint:revive // ok belongs last, as everywhere
	o.mu.Lock()
	defer o.mu.Unlock()
	age := o.now().Sub(o.list.at)
	switch {
	case o.list.at.IsZero() || used != o.list.used || Refused(o.list.err):
		return nil, nil, false // a refusal is remembered elsewhere
	case o.list.err != nil:
		return nil, o.list.err, age < awayFor
	}
	return o.list.list, nil, age < refresh
}

func (o *own) keepTemplates(list msca.TemplateList, err error, used accountKey) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = ownTemplates{list: list, err: err, at: o.now(), used: used}
}

// OwnTemplates returns the template list that the RA's own account is shown. However
// many ask for it, the CA is asked seldom; meanwhile the list is the last one, or the
// error the last one.
func (a *Access) OwnTemplates(ctx context.Context) (msca.TemplateList, error) {
	who, err := a.Own(ctx)
	if err != nil {
		return nil, err
	}
	if a.Isolate(ctx) { // in a lab: what happens to this client is nobody else's
		return a.readTemplates(ctx, who)
	}
	refresh := a.Refresh
	if refresh == 0 {
		refresh = ownListFor
	}
	if list, err, ok := a.own.templates(who.key, refresh); ok {
		return list, err
	}
	// All wait for one log-in; each may give up on its own.
	type answer struct {
		list msca.TemplateList
		err  error
	}
	result := make(chan answer, 1)
	detached, done := a.background.Detach(ctx)
	a.background.Go(func() {
		defer done()
		list, err, _ := a.logins.Do("own templates", func() (any, error) {
			if list, err, ok := a.own.templates(who.key, refresh); ok {
				return list, err
			}
			list, err := a.readTemplates(detached, who)
			if a.background.Context().Err() == nil {
				a.own.keepTemplates(list, err, who.key)
			}
			return list, err
		})
		result <- answer{list.(msca.TemplateList), err}
	})
	select {
	case x := <-result:
		return x.list, x.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// readTemplates asks the CA.
func (a *Access) readTemplates(ctx context.Context, who *Identity) (msca.TemplateList, error) {
	session, err := a.Session(ctx, who)
	if err != nil {
		return nil, err
	}
	defer session.Release()
	return session.Templates(ctx)
}

// isOwnRefusal tells whether an error is that the RA's own credentials are not tried.
func isOwnRefusal(err error) bool {
	_, ok := errors.AsType[*OwnRefusal](err)
	return ok
}
