package ra

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"ciscora/msca"
	"ciscora/ra/ledger"
)

const (
	ledgerTimeout = 5 * time.Second // one look into the ledger, a locked database included

	// How often a request that another replica works on is looked at.
	firstLook = 50 * time.Millisecond
	lastLook  = time.Second

	// lostWait is how long a client waits for the search before it is told to come
	// back: below the ten seconds after which libest's clients give up.
	lostWait = 5 * time.Second
)

// lostError says that a POST for this request ended without an answer, and that it
// is being found out what came of it. Until then nothing is submitted a second time.
type lostError struct {
	row  int64
	wait time.Duration // after which it is worth asking again
}

func (e *lostError) Error() string {
	return fmt.Sprintf("the CA's answer to ledger row %d was lost, and it is being found out what came of it", e.row)
}

// claim returns the row that stands for the request: ours to work on, or one that
// somebody decided. While somebody else works on it, here or in another replica,
// claim waits; a claim of a dead replica ends by itself. The error is a
// [*lostError], the client's end or the ledger's.
func (r *RA) claim(ctx context.Context, request ledger.Request) (ledger.Claim, error) {
	if !r.mannerOf(request.Label).joins() {
		return r.claimAnew(ctx, request)
	}
	var lostSince time.Time
	for wait := firstLook; ; wait = min(2*wait, lastLook) {
		// Asked for before the look, so that no change is missed.
		changed, forget := r.watchers.of(request.Key())
		claim, err := r.claimOnce(ctx, request)
		if err != nil {
			forget()
			return claim, err
		}
		switch {
		case isLost(claim.Row) && (claim.Mine || !claim.Row.Held):
			// Nobody works on it: to find out what came of its POST is the search's.
			if claim.Mine {
				r.release(ctx, claim)
			}
			r.searchSoon()
			if lostSince.IsZero() {
				lostSince = time.Now()
			}
			if left := lostWait - time.Since(lostSince); left <= 0 {
				forget()
				return claim, &lostError{row: claim.Row.ID, wait: r.search.Wait(claim.Row)}
			}
			wait = lastLook
		case claim.Mine && r.over(claim.Row):
			err := r.closeRow(ctx, claim)
			forget()
			if err != nil {
				return claim, err
			}
			continue
		case claim.Mine || (isDecided(claim.Row) && !r.over(claim.Row)):
			forget()
			if !claim.Fresh {
				r.report(ctx, Joined{Row: claim.Row.ID, ReqID: claim.Row.ReqID, State: string(claim.Row.State)})
			}
			return claim, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			forget()
			return claim, ctx.Err()
		}
		timer.Stop()
		forget()
	}
}

// claimAnew makes a row of its own for each request: CES remembers nothing and
// asks the CA anew (docs/reference/ces.md, "Timers"). Only what waits for a manager is found
// again.
func (r *RA) claimAnew(ctx context.Context, request ledger.Request) (ledger.Claim, error) {
	claim, err := r.claimOnce(ctx, request)
	if err != nil {
		return claim, err
	}
	switch row := claim.Row; {
	case claim.Fresh:
		return claim, r.updateOnce(ctx, &claim, func(row *ledger.Row) { row.Open = false })
	case isPending(row), row.State == ledger.StateIssued && !r.over(row), row.State == ledger.StateDenied:
		return claim, nil
	case claim.Mine:
		if err := r.closeRow(ctx, claim); err != nil {
			return claim, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	return r.Ledger.New(ctx, request)
}

func (r *RA) claimOnce(ctx context.Context, request ledger.Request) (ledger.Claim, error) {
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	return r.Ledger.Claim(ctx, request)
}

func (r *RA) updateOnce(ctx context.Context, claim *ledger.Claim, change func(*ledger.Row)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ledgerTimeout)
	defer cancel()
	return r.Ledger.Update(ctx, claim, change)
}

// closeRow ends a row's joining, and gives it back.
func (r *RA) closeRow(ctx context.Context, claim ledger.Claim) error {
	err := r.updateOnce(ctx, &claim, func(row *ledger.Row) { row.Open = false })
	if errors.Is(err, ledger.ErrLost) {
		return nil // somebody else is about to do the same
	}
	r.giveBack(ctx, claim)
	return err
}

// giveBack ends a claim, and tells those who wait for the row.
func (r *RA) giveBack(ctx context.Context, claim ledger.Claim) {
	r.release(ctx, claim)
	r.watchers.changed(claim.Row.Key())
}

// release ends a claim on a row that is as it was.
func (r *RA) release(ctx context.Context, claim ledger.Claim) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ledgerTimeout)
	defer cancel()
	// A claim that cannot be given back ends by itself.
	_ = r.Ledger.Release(ctx, claim)
}

// over tells whether a row is no longer joined: delivered long ago (counted from the
// first delivery, or who asks often would never get a new certificate), expired, or
// failed.
func (r *RA) over(row ledger.Row) bool {
	switch row.State {
	case ledger.StateDelivered:
		return r.Now().Sub(row.Delivered) >= r.Join || r.expired(row)
	case ledger.StateIssued:
		return r.expired(row)
	case ledger.StateFailed:
		return true
	}
	return false
}

// expired tells whether a row's certificate is of no use any more.
func (r *RA) expired(row ledger.Row) bool {
	certificate, err := certificateOf(row)
	return err != nil || !r.Now().Before(certificate.NotAfter)
}

// isLost tells whether the CA may have the request under a number that is not known.
// While somebody works on such a row its POST is under way.
func isLost(row ledger.Row) bool { return row.State == ledger.StateSubmitted && row.ReqID == 0 }

// isDecided tells whether a client can be answered from the row alone.
func isDecided(row ledger.Row) bool {
	switch row.State {
	case ledger.StateIssued, ledger.StateDelivered, ledger.StateDenied:
		return true
	}
	return isPending(row)
}

func isPending(row ledger.Row) bool { return row.State == ledger.StatePending }

// decided answers from the row alone where that is possible: a certificate, a
// refusal, or "pending" when somebody else is asking the CA.
func (r *RA) decided(ctx context.Context, claim ledger.Claim) (_ *x509.Certificate, reqID int, err error, ok bool) { //nolint:revive // ok belongs last, as everywhere
	row := claim.Row
	switch row.State {
	case ledger.StateIssued, ledger.StateDelivered:
		certificate, err := certificateOf(row)
		if claim.Mine {
			r.giveBack(ctx, claim)
		}
		return certificate, row.ReqID, err, true
	case ledger.StateDenied:
		// Told once; the next request asks the CA again, whose rules may have
		// changed.
		if claim.Mine {
			if err := r.closeRow(ctx, claim); err != nil {
				r.report(ctx, LedgerFailed{Row: row.ID, What: "close a denied request", Err: err})
			}
		}
		return nil, row.ReqID, &msca.Error{
			Phase: msca.PhaseFetch, Kind: msca.KindDenied, ReqID: row.ReqID, Disposition: row.Disposition,
			HRESULT: row.HRESULT, Symbol: msca.HRESULTSymbol(row.HRESULT), Message: row.Error,
		}, true
	case ledger.StatePending:
		if claim.Mine {
			return nil, 0, nil, false // the CA may have decided: ask it
		}
		return nil, row.ReqID, &msca.Error{Phase: msca.PhaseFetch, Kind: msca.KindPending, ReqID: row.ReqID, Disposition: 5, Message: row.Error}, true
	}
	return nil, 0, nil, false
}
