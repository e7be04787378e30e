package access

import (
	"context"
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

// Own is the RA itself, with its own account at the CA. The error says why the
// credentials cannot be read.
func (a *Access) Own(context.Context) (*Identity, error) {
	creds, err := a.ownCredentials()
	if err != nil {
		return nil, err
	}
	return &Identity{Account: creds.User, creds: creds, key: a.accounts.key(creds), pooled: a.Pooled}, nil
}

func (a *Access) ownCredentials() (msca.Credentials, error) {
	creds, err := a.Credentials()
	if err != nil {
		return creds, fmt.Errorf("read the RA's credentials for the CA: %w", err)
	}
	return creds, nil
}

// ownTemplates keeps the template list that the RA's own account is shown. Whoever
// asks for /csrattrs may be anybody (RFC 7030 §4.5), so no number of them may
// become a number of log-ins: the CA is asked once per refresh, after a failure once
// a minute, and after a refusal only with other credentials, or anybody could lock
// the RA's account (design, section 4).
type ownTemplates struct {
	mu   sync.Mutex // guards all below; never held while the network is waited for
	list msca.TemplateList
	err  error
	at   time.Time  // of the last try; zero: none so far
	used accountKey // the credentials of that
}

// known returns what the last try came to, if that still counts.
func (o *ownTemplates) known(used accountKey, now time.Time, refresh time.Duration) (list msca.TemplateList, err error, ok bool) { //nolint:revive // ok belongs last, as everywhere
	o.mu.Lock()
	defer o.mu.Unlock()
	age := now.Sub(o.at)
	switch {
	case o.at.IsZero() || used != o.used:
		return nil, nil, false
	case Refused(o.err):
		return nil, o.err, true
	case o.err != nil:
		return nil, o.err, age < awayFor
	}
	return o.list, nil, age < refresh
}

func (o *ownTemplates) keep(list msca.TemplateList, err error, used accountKey, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list, o.err, o.at, o.used = list, err, now, used
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
	if list, err, ok := a.own.known(who.key, a.Now(), refresh); ok {
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
			if list, err, ok := a.own.known(who.key, a.Now(), refresh); ok {
				return list, err
			}
			list, err := a.readTemplates(detached, who)
			if a.background.Context().Err() == nil {
				a.own.keep(list, err, who.key, a.Now())
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
