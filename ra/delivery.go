package ra

import (
	"context"
	"errors"

	"ciscora/ra/ledger"
)

// Delivered tells that the last byte of the answer with the certificate of this
// request went into the client's socket without an error: that is all that can be
// known, since a client may lose what its kernel has got. ctx is the one that Enroll
// was called with. Without this call a certificate counts as not collected, and the
// ledger shows it as an orphan. Where the ledger is away, it is told once it is back.
func (r *RA) Delivered(ctx context.Context) {
	who, ok := ctx.Value(askingKey{}).(*asking)
	if !ok || who.row.Load() == 0 {
		return
	}
	row, at := who.row.Load(), r.Now() // recorded later it counts from now all the same
	ctx = context.WithoutCancel(ctx)
	write := func() error {
		ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
		defer cancel()
		return r.Ledger.Delivered(ctx, row, at)
	}
	err := write()
	if err == nil {
		return
	}
	r.report(ctx, LedgerFailed{Row: row, What: "record the delivery", Err: err})
	if !errors.Is(err, ledger.ErrNotFound) {
		r.background.Go(func() { r.writeLater(write) })
	}
}
