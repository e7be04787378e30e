package ra

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"ciscora/ra/access"
	"ciscora/ra/ledger"
	"ciscora/ra/search"
)

const (
	// Between two rounds of the search while something is lost.
	firstRound = time.Second
	lastRound  = 20 * time.Second
	// idleRound is how often it looks whether anything is lost that nobody told it
	// of: what a killed process or another replica left.
	idleRound = 5 * time.Second
)

// ownSession is a connection with the RA's own account, opened at its first use.
type ownSession struct {
	ra      *RA
	session *access.Session
	err     error // why there is none
}

// Look shows what the CA has under a number. A connection that cannot be had is not
// tried again for this owner's lifetime: a refused password would lock the account.
func (o *ownSession) Look(ctx context.Context, reqID int) (*x509.Certificate, error) {
	if o.session == nil && o.err == nil {
		o.open(ctx)
	}
	if o.err != nil {
		return nil, o.err
	}
	return o.session.Look(ctx, reqID)
}

func (o *ownSession) open(ctx context.Context) {
	var who *access.Identity
	if who, o.err = o.ra.access.Own(ctx); o.err == nil {
		o.session, o.err = o.ra.access.Session(ctx, who)
	}
}

func (o *ownSession) release() {
	if o.session != nil {
		o.session.Release()
	}
}

func (r *RA) newSearch(scriptTimeout time.Duration) *search.Search {
	return search.New(search.Options{
		Ledger:        r.Ledger,
		Mine:          func(row ledger.Row) bool { return r.mannerOf(row.Label).collects() },
		Template:      r.searchedTemplate,
		Found:         r.found,
		NotFound:      r.notFound,
		ScriptTimeout: scriptTimeout,
		Now:           r.Now,
		Logger:        r.Logger.Named("search"),
	})
}

// searchSoon wakes the search.
func (r *RA) searchSoon() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// searching looks for lost POSTs until ctx ends.
func (r *RA) searching(ctx context.Context) {
	for pause := idleRound; ; {
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-r.wake:
			timer.Stop()
			if pause != idleRound {
				// Something is lost already: whoever waits does not hurry the CA.
				if !sleep(ctx, min(pause, firstRound)) {
					return
				}
			}
		}
		pause = r.round(ctx, pause)
	}
}

// round looks once, and returns when to look again.
func (r *RA) round(ctx context.Context, before time.Duration) time.Duration {
	own := &ownSession{ra: r}
	defer own.release()
	left, next, err := r.search.Round(withLegs(ctx), own)
	switch {
	case errors.Is(err, search.ErrBusy), ctx.Err() != nil:
		return idleRound
	case err != nil && access.Refused(err):
		return refusedPoll // or when a client lends its connection; it is told once, for all
	case err != nil:
		r.Logger.Warn("the search for lost POSTs goes on later", zap.Int("lost", left), zap.Error(err))
		return min(max(2*before, firstRound), lastRound)
	case left == 0:
		return idleRound
	}
	if before == idleRound {
		before = firstRound / 2
	}
	return min(2*before, lastRound, next)
}

// searchedTemplate is what the CA's list tells of a template.
func (r *RA) searchedTemplate(ctx context.Context, name string) search.Template {
	list, err := r.access.OwnTemplates(ctx)
	if err != nil {
		return search.Template{} // names must then agree
	}
	t, ok := list.Find(name)
	if !ok {
		return search.Template{}
	}
	known := search.Template{FromDirectory: !t.SubjectFromRequest, Name: t.Name}
	const fieldOID = 9
	if len(t.Fields) > fieldOID {
		known.OID = t.Fields[fieldOID]
	}
	return known
}

var errElsewhere = errors.New("the row is being worked on elsewhere")

// takeLost claims a row that is still lost.
func (r *RA) takeLost(ctx context.Context, row ledger.Row) (*held, error) {
	claim, err := r.take(ctx, row.ID)
	switch {
	case err != nil:
		return nil, err
	case !claim.Mine:
		return nil, errElsewhere
	case !isLost(claim.Row):
		r.giveBack(ctx, claim)
		return nil, fmt.Errorf("it is %s by now", claim.Row.State)
	}
	return r.hold(ctx, claim), nil
}

func (r *RA) found(ctx context.Context, row ledger.Row, reqID int, certificate *x509.Certificate) error {
	h, err := r.takeLost(ctx, row)
	if err != nil {
		return err
	}
	defer h.letGo()
	h.bind(reqID, certificate)
	r.report(ctx, Found{Row: row.ID, ReqID: reqID})
	r.report(ctx, Recovered{Row: row.ID, ReqID: reqID, Certificate: certificate})
	return nil
}

func (r *RA) notFound(ctx context.Context, row ledger.Row, candidates []int) error {
	h, err := r.takeLost(ctx, row)
	if err != nil {
		return err
	}
	defer h.letGo()
	h.giveUp(ctx, candidates)
	if len(candidates) > 0 {
		r.report(ctx, PossibleOrphan{Row: row.ID, Submitted: row.Submitted, Candidates: candidates})
	} else {
		r.report(ctx, NeverArrived{Row: row.ID, Submitted: row.Submitted})
	}
	return nil
}
