package ra

import (
	"context"
	"crypto/sha256"
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

// ownTemplates keeps the template list that the RA's own account is shown. Whoever
// asks for /csrattrs may be anybody (RFC 7030 §4.5), so no number of them may
// become a number of log-ins: the CA is asked once per refresh, after a failure once
// a minute, and after a refusal only with other credentials, or anybody could lock
// the RA's account (design, section 4).
type ownTemplates struct {
	mu      sync.Mutex // guards all below; never held while the network is waited for
	list    msca.TemplateList
	at      time.Time         // of the last try; zero: none so far
	used    [sha256.Size]byte // the credentials of that
	failed  bool
	refused bool
}

// known returns what the last try came to, if that still counts; list is nil where
// it failed.
func (o *ownTemplates) known(used [sha256.Size]byte, now time.Time, refresh time.Duration) (list msca.TemplateList, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	age := now.Sub(o.at)
	switch {
	case o.at.IsZero() || used != o.used:
		return nil, false
	case o.refused:
		return nil, true
	case o.failed:
		return nil, age < awayFor
	}
	return o.list, age < refresh
}

func (o *ownTemplates) keep(list msca.TemplateList, err error, used [sha256.Size]byte, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list, o.at, o.used, o.failed, o.refused = list, now, used, err != nil, refused(err)
}

// templateNamed returns a template of the list that the RA's own account is shown;
// false where it is not there, or the CA cannot be asked.
func (r *RA) templateNamed(ctx context.Context, name string) (msca.Template, bool) {
	who, err := r.ownIdentity()
	if err != nil {
		return msca.Template{}, false
	}
	if r.isolate(ctx) { // in a lab: what happens to this client is nobody else's
		list, err := r.readTemplates(ctx, who)
		if err != nil {
			return msca.Template{}, false
		}
		return list.Find(name)
	}
	used := fingerprint(who.creds)
	if list, ok := r.ownTemplates.known(used, r.now(), orDefault(r.refresh, ownListFor)); ok {
		return list.Find(name)
	}
	// All wait for one log-in; each may give up on its own.
	result := make(chan msca.TemplateList, 1)
	detached, done := r.detach(ctx)
	r.own.Go(func() {
		defer done()
		list, _, _ := r.logins.Do("own templates", func() (any, error) {
			if list, ok := r.ownTemplates.known(used, r.now(), orDefault(r.refresh, ownListFor)); ok {
				return list, nil
			}
			list, err := r.readTemplates(detached, who)
			if r.base.Err() == nil {
				r.ownTemplates.keep(list, err, used, r.now())
			}
			return list, nil
		})
		result <- list.(msca.TemplateList)
	})
	select {
	case list := <-result:
		return list.Find(name)
	case <-ctx.Done():
		return msca.Template{}, false
	}
}

// readTemplates asks the CA.
func (r *RA) readTemplates(ctx context.Context, who *identity) (msca.TemplateList, error) {
	session, opened, err := r.session(ctx, who)
	if err != nil {
		return nil, err
	}
	defer func() { r.release(ctx, who, session, opened) }()
	return session.Templates(ctx)
}
