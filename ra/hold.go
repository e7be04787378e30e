package ra

import (
	"context"
	"errors"
	"time"

	"ciscora/ra/ledger"
)

// held is a claim that this process works on until it is let go; what could not be
// written is written later.
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

// hold keeps a claim until letGo.
func (r *RA) hold(ctx context.Context, claim ledger.Claim) *held {
	return &held{ra: r, ctx: context.WithoutCancel(ctx), claim: claim, legs: legsOf(ctx)}
}

func (h *held) state() ledger.State { return h.claim.Row.State }
func (h *held) reqID() int          { return h.claim.Row.ReqID }

// fence looks, right before the first byte of a POST, whether the request is still
// ours to send: a process that was stopped meanwhile may find that others went on
// without it.
func (h *held) fence(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	err := h.ra.Ledger.Verify(ctx, h.claim)
	if errors.Is(err, ledger.ErrLost) {
		h.lost = true
	}
	return err
}

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
	write := h.ra.Ledger.Update
	if h.last {
		write = h.ra.Ledger.Finish
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

// leaveEvidence writes what the CA has shown for a request whose claim was lost: the
// row is somebody else's to change, and whoever looks for its POST finds this.
func (h *held) leaveEvidence(seen ledger.Seen) {
	if !h.lost {
		return
	}
	ctx, cancel := context.WithTimeout(h.ctx, ledgerTimeout)
	defer cancel()
	if err := h.ra.Ledger.See(ctx, seen); err != nil {
		h.ra.report(h.ctx, LedgerFailed{Row: h.claim.Row.ID, ReqID: seen.ReqID, What: "record what the CA has shown", Err: err})
		return
	}
	h.ra.searchSoon()
}

// letGo gives the claim back. What is not written yet is written in the
// background, for as long as the RA lives.
func (h *held) letGo() {
	if len(h.change) == 0 || h.lost {
		h.end()
		return
	}
	h.ra.background.Go(func() {
		defer h.end()
		h.ra.writeLater(h.flush)
	})
}

func (h *held) end() {
	if !h.given {
		h.ra.giveBack(h.ctx, h.claim)
	}
}

// discard removes the row, with which nothing was done.
func (h *held) discard() {
	ctx, cancel := context.WithTimeout(h.ctx, ledgerTimeout)
	defer cancel()
	if err := h.ra.Ledger.Discard(ctx, h.claim); err == nil {
		h.change, h.given = nil, true
		h.ra.watchers.changed(h.claim.Row.Key())
	}
}

const lastRetryOfLedger = 10 * time.Second

// writeLater tries to write until it is done, there is nothing to write, or the RA
// ends.
func (r *RA) writeLater(write func() error) {
	for wait := firstLook; ; wait = min(2*wait, lastRetryOfLedger) {
		if !sleep(r.background.Context(), wait) {
			_ = write() // a last try; what is lost now, the search or the poll finds out
			return
		}
		if err := write(); err == nil || errors.Is(err, ledger.ErrLost) || errors.Is(err, ledger.ErrNotFound) {
			return
		}
	}
}
