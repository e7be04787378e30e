package ra

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"ciscora/internal/printable"
	"ciscora/msca"
	"ciscora/ra/access"
	"ciscora/ra/queue"
)

// After a failed start the RA tries again with back-off (design, section 4).
const (
	firstRetry = 5 * time.Second
	lastRetry  = 5 * time.Minute
)

// chainState is what start-up and refresh have come to: a chain, or the reason
// why there is none. A value is never changed once it is published.
type chainState struct {
	chain []*x509.Certificate // issuing CA first
	since time.Time           // when it was read
	err   error               // of the last attempt

	replaced chan struct{} // closed when a newer state is published
}

// publish makes s the RA's state. Only the goroutine of Run publishes.
func (r *RA) publish(s *chainState) {
	s.replaced = make(chan struct{})
	close(r.chain.Swap(s).replaced)
}

// reason says in a client's words why there is no chain, or why the last refresh
// failed; "" when all is well.
func (s *chainState) reason() string {
	var ca *msca.Error
	switch {
	case s.err == nil && len(s.chain) > 0:
		return ""
	case s.err == nil:
		return "the RA has not logged in to the CA so far"
	case errors.As(s.err, &ca):
		return publicText(ca)
	}
	return "the RA's credentials for the CA cannot be read"
}

// maxReason is the length of a reason, in bytes.
const maxReason = 1000

// Readiness tells whether the RA can enroll.
type Readiness struct {
	Ready  bool
	Tried  bool      // it has tried to log in, well or not
	Reason string    // why it is not ready, or why the last refresh failed; "" when all is well
	Since  time.Time // when the chain was read; zero when there is none
	// Changed is closed when this state is no longer the RA's.
	Changed <-chan struct{}
}

// Ready tells whether the RA has logged in and holds the CA's chain.
func (r *RA) Ready() Readiness {
	s := r.chain.Load()
	readiness := Readiness{Ready: len(s.chain) > 0, Tried: len(s.chain) > 0 || s.err != nil, Reason: s.reason(), Since: s.since, Changed: s.replaced}
	if refusal := r.access.OwnRefusal(); refusal != nil {
		// With a chain it is ready: clients with an account of their own enroll.
		readiness.Tried, readiness.Reason = true, ownRefusedText(refusal)
	}
	if err := r.ledgerAway(); err != nil {
		readiness.Ready = false
		readiness.Reason = printable.Line("enrollments are answered 503: "+err.Error(), maxReason)
	}
	return readiness
}

// ownRefusedText says that the RA's own account is of no use now.
func ownRefusedText(refusal *access.OwnRefusal) string {
	return fmt.Sprintf("the CA refused the RA's own account (wrong, expired or locked); it is not tried again before %s, or until ca.credentials changes", refusal.Until.Format(time.RFC3339))
}

// Queue returns how many are under way at the CA, and wait to be.
func (r *RA) Queue() queue.Snapshot { return r.queue.Snapshot() }

// Chain returns the CA's chain, issuing CA first; nil when there is none yet.
func (r *RA) Chain() []*x509.Certificate {
	return r.chain.Load().chain
}

// Run starts the RA (log-in, chain) and keeps its chain current until ctx ends;
// it returns nil then. A failed start leaves the RA up: Run tries again. It also
// collects what the CA has issued for clients that are gone.
func (r *RA) Run(ctx context.Context) error {
	recovery, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(r.background.Context(), end)() // Close ends it, too
	r.background.Go(func() { r.recover(recovery) })
	r.background.Go(func() { r.searching(recovery) })
	wait, missing := firstRetry, &issuers{}
	for attempt := 1; ; attempt++ {
		err := r.start(ctx, attempt, wait)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			wait = firstRetry
			if !r.rest(ctx, r.Refresh, missing) {
				return nil
			}
		case access.Refused(err):
			// Trying the same password again would lock the account.
			if !r.awaitOwn(ctx) {
				return nil
			}
		default:
			if !sleep(ctx, wait) {
				return nil
			}
			wait = min(2*wait, lastRetry)
		}
	}
}

// start logs in and reads the chain once, and publishes what came of it; next is
// when the caller would try again.
func (r *RA) start(ctx context.Context, attempt int, next time.Duration) error {
	ctx = withAttempt(ctx, attempt)
	began := r.Now()
	own, err := r.access.Own(ctx)
	if err != nil {
		r.publishFailure(ctx, StartFailed{Attempt: attempt, Err: err, Next: next})
		return err
	}
	chain, err := r.readChain(ctx, own)
	if err != nil {
		if ctx.Err() == nil {
			r.publishFailure(ctx, StartFailed{Attempt: attempt, Err: err, Next: next, Refused: access.Refused(err)})
		}
		return err
	}
	// The event comes first: who sees the new state finds it told.
	old := r.chain.Load()
	defer r.publish(&chainState{chain: chain, since: r.Now()})
	if len(old.chain) == 0 {
		r.report(ctx, Started{Attempt: attempt, Chain: chain, Took: r.Now().Sub(began)})
	} else {
		changed := !slices.EqualFunc(old.chain, chain, (*x509.Certificate).Equal)
		r.report(ctx, Refreshed{Chain: chain, Changed: changed})
	}
	return nil
}

func (r *RA) readChain(ctx context.Context, who *access.Identity) ([]*x509.Certificate, error) {
	session, err := r.access.Login(ctx, who)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	return session.Chain(ctx)
}

// publishFailure keeps the old chain, if there is one: a client is better served
// by yesterday's chain than by none.
func (r *RA) publishFailure(ctx context.Context, failure StartFailed) {
	old := r.chain.Load()
	if len(old.chain) == 0 {
		r.report(ctx, failure)
	} else {
		r.report(ctx, RefreshFailed{Err: failure.Err})
	}
	r.publish(&chainState{chain: old.chain, since: old.since, err: failure.Err})
}

// awaitOwn returns true once the RA's own credentials may be tried again, and false when
// ctx ended.
func (r *RA) awaitOwn(ctx context.Context) bool {
	for sleep(ctx, firstRetry) {
		if r.access.OwnRefusal() == nil {
			return true
		}
	}
	return false
}

// sleep waits for d and tells whether it did; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

type attemptKey struct{}

func withAttempt(ctx context.Context, n int) context.Context {
	return context.WithValue(ctx, attemptKey{}, n)
}

func attemptOf(ctx context.Context) int {
	n, _ := ctx.Value(attemptKey{}).(int)
	return n
}
