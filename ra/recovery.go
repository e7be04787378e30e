package ra

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"ciscora/msca"
	"ciscora/ra/access"
	"ciscora/ra/ledger"
)

const (
	recoveryPause = 2 * time.Second // between two looks at what is due
	recoveryBatch = 50              // rows a look

	firstPoll   = 5 * time.Second // of a certificate that was not fetched
	lastPoll    = 10 * time.Minute
	refusedPoll = time.Hour // the CA does not show it to the RA's account: its owner must ask

	// openLife is how long a request stays worth asking for: the pages tell a
	// user to come back within ten days (certsrv.md 5.2).
	openLife = 10 * 24 * time.Hour

	// Retry-After of a pending request lies between these.
	shortestPending = 10 * time.Second
	longestPending  = time.Hour
	fewestWaited    = 3 // below that many the median says nothing

	pruneEvery = time.Hour
)

// pollWait is the time to the next poll after n polls.
func pollWait(n int) time.Duration {
	return min(firstPoll<<min(max(n, 1)-1, 10), lastPoll)
}

// retryPending is the Retry-After of a pending request: what such requests took
// lately.
func (r *RA) retryPending(ctx context.Context, template string) time.Duration {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ledgerTimeout)
	defer cancel()
	median, n, err := r.Ledger.Waited(ctx, template)
	if err != nil || n < fewestWaited {
		return retryPending
	}
	return min(max(median, shortestPending), longestPending)
}

// recover collects what the CA has issued and no client waits for, until ctx
// ends. It uses the RA's own account, since a relayed password is never kept
// (design, section 4).
func (r *RA) recover(ctx context.Context) {
	pruned := r.Now()
	for sleep(ctx, recoveryPause) {
		r.watchLedger(ctx)
		ids, err := r.due(ctx)
		if err != nil {
			continue // watchLedger has told it
		}
		for _, id := range ids {
			if ctx.Err() != nil {
				return
			}
			r.recoverOne(ctx, id)
		}
		if r.Retention > 0 && r.Now().Sub(pruned) >= pruneEvery {
			pruned = r.Now()
			if n, err := r.Ledger.Prune(ctx, pruned.Add(-r.Retention)); err != nil {
				r.Logger.Warn("old rows of the ledger stay", zap.Error(err))
			} else if n > 0 {
				r.Logger.Info("old rows of the ledger removed", zap.Int("rows", n))
			}
		}
	}
}

func (r *RA) due(ctx context.Context) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	return r.Ledger.Due(ctx, r.Now(), recoveryBatch)
}

// watchLedger tells when the ledger goes away and when it is back.
func (r *RA) watchLedger(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	err := r.Ledger.Ready(ctx)
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	before := r.ledgerErr.Swap(&ledgerState{err: err})
	switch {
	case err != nil && (before == nil || before.err == nil):
		r.report(ctx, LedgerFailed{What: "reach the ledger", Err: err})
	case err == nil && before != nil && before.err != nil:
		r.report(ctx, LedgerBack{})
	}
}

type ledgerState struct{ err error }

// ledgerAway says why the ledger cannot be used; nil when it can.
func (r *RA) ledgerAway() error {
	if s := r.ledgerErr.Load(); s != nil {
		return s.err
	}
	return nil
}

func (r *RA) recoverOne(ctx context.Context, id int64) {
	claim, err := r.take(ctx, id)
	if err != nil || !claim.Mine {
		return // next time, or another replica has it
	}
	h := r.hold(withLegs(ctx), claim)
	defer h.letGo()
	row := claim.Row
	switch {
	case row.State == ledger.StateReceived:
		h.notSent(ctx, errors.New("the RA ended before the CSR was sent"))
		return
	case r.Now().Sub(row.Received) >= openLife:
		h.recordLoudly("give up", func(row *ledger.Row) {
			row.State, row.Open, row.NextPoll, row.Error = ledger.StateFailed, false, time.Time{}, "given up after ten days: "+row.Error
		})
		return
	case !r.mannerOf(row.Label).collects() && row.ReqID == 0:
		h.recordLoudly("mark as uncertain", uncertainForGood)
		return
	case !r.mannerOf(row.Label).collects():
		// CES collects nothing that its client does not ask for.
		h.recordLoudly("let rest", func(row *ledger.Row) { row.NextPoll = time.Time{}; row.Open = isPending(*row) })
		return
	}
	if err := r.collect(ctx, h); err != nil {
		r.report(ctx, RecoveryFailed{Row: row.ID, ReqID: row.ReqID, Err: err})
	}
}

func (r *RA) take(ctx context.Context, id int64) (ledger.Claim, error) {
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	return r.Ledger.Take(ctx, id)
}

func uncertainForGood(row *ledger.Row) {
	row.State, row.Open, row.Uncertain, row.NextPoll = ledger.StateFailed, false, true, time.Time{}
	row.Error = "the POST ended without an answer: the CA may have issued a certificate that nobody collects"
}

// collect asks the CA for the certificate of a row.
func (r *RA) collect(ctx context.Context, h *held) error {
	key, err := x509.ParsePKIXPublicKey(h.claim.Row.PublicKey)
	if err != nil {
		h.notSent(ctx, err)
		return fmt.Errorf("the public key in ledger row %d cannot be read: %w", h.claim.Row.ID, err)
	}
	csr := &x509.CertificateRequest{PublicKey: key}
	who, err := r.access.Own(ctx)
	if err != nil {
		h.later(pollWait(h.claim.Row.Polls+1), err)
		return err
	}
	session, err := r.access.Session(ctx, who)
	if err != nil {
		if access.Refused(err) {
			h.later(refusedPoll, err)
		} else {
			h.later(pollWait(h.claim.Row.Polls+1), err)
		}
		return err
	}
	defer session.Release()

	if h.reqID() == 0 {
		certificate, err := r.findOut(ctx, h, session.Session, csr)
		switch {
		case err != nil:
			h.later(pollWait(h.claim.Row.Polls+1), err)
			return err
		case certificate == nil:
			h.recordLoudly("mark as uncertain", uncertainForGood)
			r.report(ctx, PossibleOrphan{Row: h.claim.Row.ID, Submitted: h.claim.Row.Submitted})
			return nil
		}
		r.report(ctx, Recovered{Row: h.claim.Row.ID, ReqID: h.reqID(), Certificate: certificate})
		return nil
	}
	certificate, err := session.Fetch(ctx, h.reqID(), csr)
	switch {
	case err == nil:
		h.issued(ctx, certificate)
		r.report(ctx, Recovered{Row: h.claim.Row.ID, ReqID: h.reqID(), Certificate: certificate})
		return nil
	case isKind(err, msca.KindForbidden):
		h.later(refusedPoll, err)
		return err
	case isKind(err, msca.KindDenied):
		// Open: its client is told at its next request.
		var ca *msca.Error
		errors.As(err, &ca)
		h.recordLoudly("record the refusal", func(row *ledger.Row) {
			row.State, row.NextPoll = ledger.StateDenied, time.Time{}
			row.Disposition, row.HRESULT, row.Error = ca.Disposition, ca.HRESULT, ca.Message
		})
		return nil
	}
	h.notIssued(ctx, h.reqID(), err)
	if isKind(err, msca.KindPending) {
		return nil
	}
	return err
}

// later leaves a row for another look.
func (h *held) later(wait time.Duration, reason error) {
	h.recordLoudly("record the next look", func(row *ledger.Row) {
		row.Polls++
		row.NextPoll, row.Error = h.ra.Now().Add(wait), reason.Error()
	})
}
