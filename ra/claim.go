package ra

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"ciscora/msca"
	"ciscora/ra/ledger"
)

const (
	ledgerTimeout = 5 * time.Second // one look into the ledger, a locked database included

	// How often a request that another replica works on is looked at.
	firstLook = 50 * time.Millisecond
	lastLook  = time.Second
)

func fingerprintOf(der []byte) [sha256.Size]byte { return sha256.Sum256(der) }

// claim returns the row that stands for the request: ours to work on, or one that
// somebody decided. While somebody else works on it, here or in another replica,
// claim waits; a claim of a dead replica ends by itself. The error is the
// client's end or the ledger's.
func (r *RA) claim(ctx context.Context, request ledger.Request) (ledger.Claim, error) {
	if r.asCES(request.Label) {
		return r.claimAsCES(ctx, request)
	}
	for wait := firstLook; ; wait = min(2*wait, lastLook) {
		// Asked for before the look, so that no change is missed.
		changed, forget := r.watchers.of(request.Key())
		claim, err := r.claimOnce(ctx, request)
		if err != nil {
			forget()
			return claim, err
		}
		if claim.Mine && r.over(claim.Row) {
			err := r.closeRow(ctx, claim)
			forget()
			if err != nil {
				return claim, err
			}
			continue
		}
		if claim.Mine || (isDecided(claim.Row) && !r.over(claim.Row)) {
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

// claimAsCES makes a row of its own for each request: CES remembers nothing and
// asks the CA anew (ces.md, "Timers"). Only what waits for a manager is found
// again.
func (r *RA) claimAsCES(ctx context.Context, request ledger.Request) (ledger.Claim, error) {
	claim, err := r.claimOnce(ctx, request)
	if err != nil {
		return claim, err
	}
	switch row := claim.Row; {
	case claim.Fresh:
		return claim, r.updateOnce(ctx, &claim, func(row *ledger.Row) { row.Open = false })
	case isPending(row), row.State == ledger.StateIssued, row.State == ledger.StateDenied:
		return claim, nil
	case claim.Mine:
		if err := r.closeRow(ctx, claim); err != nil {
			return claim, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	return r.ledger.New(ctx, request)
}

func (r *RA) claimOnce(ctx context.Context, request ledger.Request) (ledger.Claim, error) {
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	return r.ledger.Claim(ctx, request)
}

func (r *RA) updateOnce(ctx context.Context, claim *ledger.Claim, change func(*ledger.Row)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ledgerTimeout)
	defer cancel()
	return r.ledger.Update(ctx, claim, change)
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

func (r *RA) giveBack(ctx context.Context, claim ledger.Claim) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ledgerTimeout)
	defer cancel()
	// A claim that cannot be given back ends by itself.
	_ = r.ledger.Release(ctx, claim)
	r.watchers.changed(claim.Row.Key())
}

// over tells whether a row is no longer joined: delivered long ago, or failed.
func (r *RA) over(row ledger.Row) bool {
	switch row.State {
	case ledger.StateDelivered:
		return r.now().Sub(row.Updated) >= r.join
	case ledger.StateFailed:
		return true
	}
	return false
}

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

// held is a claim that this process works on; what could not be written is written
// later.
type held struct {
	ra     *RA
	ctx    context.Context // for the values only
	claim  ledger.Claim
	legs   *legs
	change []func(*ledger.Row) // not written yet
	lost   bool
	last   bool // the next write gives the claim back
	given  bool // it has
}

// hold works on a claim until letGo.
func (r *RA) hold(ctx context.Context, claim ledger.Claim) *held {
	return &held{ra: r, ctx: context.WithoutCancel(ctx), claim: claim, legs: legsOf(ctx)}
}

func (h *held) state() ledger.State { return h.claim.Row.State }
func (h *held) reqID() int          { return h.claim.Row.ReqID }

// record writes a change of the row. Where the ledger is away the change is kept,
// and goes with the next one, or later.
func (h *held) record(change func(*ledger.Row)) error {
	h.change = append(h.change, change)
	err := h.flush()
	if err != nil {
		// The walk goes on with what it knows.
		change(&h.claim.Row)
	}
	return err
}

func (h *held) flush() error {
	if h.lost {
		return ledger.ErrLost
	}
	change := func(row *ledger.Row) {
		for _, change := range h.change {
			change(row)
		}
		row.Legs = append(row.Legs, h.legs.take()...)
	}
	ctx, cancel := context.WithTimeout(h.ctx, ledgerTimeout)
	defer cancel()
	write := h.ra.ledger.Update
	if h.last {
		write = h.ra.ledger.Finish
	}
	err := write(ctx, &h.claim, change)
	switch {
	case err == nil:
		h.change, h.given = nil, h.last
		h.ra.watchers.changed(h.claim.Row.Key())
	case errors.Is(err, ledger.ErrLost):
		h.lost = true
	}
	return err
}

// recordLoudly is record where the walk goes on all the same.
func (h *held) recordLoudly(what string, change func(*ledger.Row)) {
	if err := h.record(change); err != nil {
		h.ra.report(h.ctx, LedgerFailed{Row: h.claim.Row.ID, ReqID: h.claim.Row.ReqID, What: what, Err: err})
	}
}

// letGo gives the claim back. What is not written yet is written in the
// background, for as long as the RA lives.
func (h *held) letGo() {
	if len(h.change) == 0 || h.lost {
		h.end()
		return
	}
	h.ra.own.Go(func() {
		defer h.end()
		for wait := firstLook; ; wait = min(2*wait, lastRetryOfLedger) {
			if !sleep(h.ra.base, wait) {
				_ = h.flush() // a last try; what is lost now, recovery finds out
				return
			}
			if err := h.flush(); err == nil || errors.Is(err, ledger.ErrLost) {
				return
			}
		}
	})
}

func (h *held) end() {
	if !h.given {
		h.ra.giveBack(h.ctx, h.claim)
	}
}

const lastRetryOfLedger = 10 * time.Second

// notSent says that the CSR did not get to the CA in this try.
func (h *held) notSent(_ context.Context, reason error) {
	if h.state() != ledger.StateReceived {
		return // it is at the CA from an earlier try
	}
	h.recordLoudly("record the failure", func(row *ledger.Row) {
		row.State, row.Open, row.Error = ledger.StateFailed, false, reason.Error()
	})
}

// aboutToSubmit marks the row before the POST: from then on it may be at the CA.
func (h *held) aboutToSubmit(context.Context) error {
	now := h.ra.now()
	return h.record(func(row *ledger.Row) {
		row.State, row.Submitted, row.NextPoll = ledger.StateSubmitted, now, now.Add(postGrace)
	})
}

func (h *held) submitted(_ context.Context, reqID int) {
	h.recordLoudly("record the ReqID", func(row *ledger.Row) {
		row.ReqID, row.Uncertain, row.Error, row.NextPoll = reqID, false, "", h.ra.now().Add(firstPoll)
	})
}

func (h *held) issued(_ context.Context, certificate *x509.Certificate) {
	h.last = true
	h.recordLoudly("record the certificate", func(row *ledger.Row) {
		row.State, row.Certificate, row.Issued = ledger.StateIssued, certificate.Raw, h.ra.now()
		row.Disposition, row.HRESULT, row.Error, row.NextPoll, row.Uncertain = 3, 0, "", time.Time{}, false
	})
}

// notIssued records how a submit or a fetch failed, and whether and when it is
// worth another look.
func (h *held) notIssued(_ context.Context, reqID int, reason error) {
	now := h.ra.now()
	ces := h.ra.asCES(h.claim.Row.Label)
	var ca *msca.Error
	errors.As(reason, &ca)
	h.recordLoudly("record the failure", func(row *ledger.Row) {
		row.ReqID, row.Error = reqID, reason.Error()
		if ca != nil {
			row.Disposition, row.HRESULT = ca.Disposition, ca.HRESULT
			if ca.Message != "" {
				row.Error = ca.Message
			}
		}
		switch {
		case ca != nil && ca.Kind == msca.KindPending:
			row.State, row.Open, row.Error = ledger.StatePending, true, ca.Message
			row.Polls++
			row.NextPoll = now.Add(pollWait(row.Polls))
		case ca != nil && (ca.Kind == msca.KindDenied || ca.Kind == msca.KindBadCSR):
			row.State, row.Open = ledger.StateDenied, false // the client is told now
		case ca != nil && (ca.Kind == msca.KindRevoked || ca.Kind == msca.KindUnknownRequest || ca.Kind == msca.KindWrongCertificate):
			row.State, row.Open = ledger.StateFailed, false
		case reqID != 0:
			row.State = ledger.StateSubmitted
			row.Polls++
			row.NextPoll = now.Add(pollWait(row.Polls))
		case mayHaveReached(ca):
			row.State, row.Uncertain, row.NextPoll = ledger.StateSubmitted, true, now
			if mayStillCome(ca) {
				row.NextPoll = now.Add(postGrace)
			}
		default:
			row.State, row.Open = ledger.StateFailed, false
		}
		if ces && row.State != ledger.StatePending {
			row.Open = false // and nobody collects it
		}
	})
}

// mayHaveReached tells whether the CA may have a request although the POST ended
// without a ReqID. nil: something else than the CA ended it.
func mayHaveReached(e *msca.Error) bool {
	return e == nil || mayStillCome(e) || e.Kind == msca.KindHTTP || e.Kind == msca.KindParse
}

// mayStillCome tells whether the CA may even still be at work on it.
func mayStillCome(e *msca.Error) bool {
	return e == nil || e.Kind == msca.KindTimeout || e.Kind == msca.KindClosed || e.Kind == msca.KindCanceled
}

// startOver closes a row whose POST was lost and cannot be found, and makes a new
// one for the same request. The old one stays in the ledger as a possible orphan.
func (h *held) startOver(ctx context.Context, r *RA) error {
	old := h.claim.Row
	if err := h.record(func(row *ledger.Row) {
		row.State, row.Open, row.Uncertain, row.NextPoll = ledger.StateFailed, false, true, time.Time{}
		row.Error = "the POST ended without an answer and the CA's newest requests do not show its certificate"
	}); err != nil {
		return err
	}
	r.report(ctx, PossibleOrphan{Row: old.ID, Submitted: old.Submitted})
	r.giveBack(ctx, h.claim)
	claim, err := r.claimOnce(ctx, old.Request)
	if err == nil && !claim.Mine {
		err = fmt.Errorf("ledger row %d: %w", claim.Row.ID, errElsewhere)
	}
	if err != nil {
		h.lost = true // nothing is left to give back
		return err
	}
	h.claim = claim
	return nil
}

var errElsewhere = errors.New("the same request is being worked on elsewhere")

// watchers wake those who wait for a row that this process works on; rows of
// other replicas are looked at now and then.
type watchers struct {
	mu    sync.Mutex // guards byKey
	byKey map[[sha256.Size]byte]*watcher
}

type watcher struct {
	changed chan struct{}
	waiting int
}

// of returns a channel that is closed at the next change of the row with this
// key, and a function to call when nobody waits for it any more.
func (w *watchers) of(key [sha256.Size]byte) (<-chan struct{}, func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	x := w.byKey[key]
	if x == nil {
		x = &watcher{changed: make(chan struct{})}
		w.byKey[key] = x
	}
	x.waiting++
	return x.changed, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if x.waiting--; x.waiting == 0 && w.byKey[key] == x {
			delete(w.byKey, key)
		}
	}
}

func (w *watchers) changed(key [sha256.Size]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x := w.byKey[key]; x != nil {
		close(x.changed)
		delete(w.byKey, key)
	}
}
