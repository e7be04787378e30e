package ra

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"

	"go.uber.org/zap"

	"ciscora/internal/x501"
	"ciscora/msca"
	"ciscora/ra/access"
	"ciscora/ra/ledger"
)

const (
	recoveryPause = 2 * time.Second // between two looks at what is due, where there was little
	recoveryBatch = 500             // rows a look
	// pollers ask the CA for what is due at a time, each on a connection of its own
	// that it keeps for the whole batch.
	pollers = 8

	firstPoll   = 5 * time.Second // of a certificate that was not fetched
	lastPoll    = 10 * time.Minute
	hiddenPoll  = time.Hour   // the CA does not show it to the RA's account: its owner must ask
	refusedPoll = time.Minute // of the RA's account, which costs nothing at the CA

	// openLife is how long a request stays worth asking for: the pages tell a
	// user to come back within ten days (docs/reference/certsrv.md 5.2).
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
// ends. It uses the RA's own account, since a relayed password is never kept.
func (r *RA) recover(ctx context.Context) {
	pruned := r.Now()
	r.watchLedger(ctx) // at once: who asks /readyz need not wait for it
	for pause := recoveryPause; sleep(ctx, pause); {
		pause = recoveryPause
		r.watchLedger(ctx)
		ids, err := r.due(ctx)
		if err != nil {
			continue // watchLedger has told it
		}
		r.recoverAll(ctx, ids)
		if len(ids) == recoveryBatch {
			pause = firstLook // there is more
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

// maxReasons bounds the reasons that are told of one time that the ledger is away.
const maxReasons = 16

// watchLedger tells when the ledger goes away, each reason once as they change, and when
// it is back. Only the goroutine of recover calls it.
func (r *RA) watchLedger(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	err := r.Ledger.Ready(ctx)
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	before := r.ledgerErr.Load()
	if err == nil {
		r.ledgerErr.Store(&ledgerState{})
		if before != nil && before.err != nil {
			r.report(ctx, LedgerBack{})
		}
		return
	}
	state := &ledgerState{err: err, told: map[string]bool{}}
	if before != nil && before.err != nil {
		state.told = before.told
	}
	r.ledgerErr.Store(state)
	// Without what differs each time: ports, times.
	reason := strings.Map(func(c rune) rune {
		if unicode.IsDigit(c) {
			return -1
		}
		return c
	}, err.Error())
	if !state.told[reason] && len(state.told) < maxReasons {
		state.told[reason] = true
		r.report(ctx, LedgerFailed{What: "reach the ledger", Err: err})
	}
}

type ledgerState struct {
	err  error           // nil: it can be used
	told map[string]bool // of watchLedger alone
}

// ledgerAway says why the ledger cannot be used; nil when it can.
func (r *RA) ledgerAway() error {
	if s := r.ledgerErr.Load(); s != nil {
		return s.err
	}
	return nil
}

// recoverAll works on rows that are due, several at a time.
func (r *RA) recoverAll(ctx context.Context, ids []int64) {
	next := make(chan int64)
	var all sync.WaitGroup
	for range min(pollers, len(ids)) {
		all.Go(func() {
			own := &ownSession{ra: r}
			defer own.release()
			for id := range next {
				r.recoverOne(ctx, own, id)
			}
		})
	}
	for _, id := range ids {
		if ctx.Err() != nil {
			break
		}
		next <- id
	}
	close(next)
	all.Wait()
}

func (r *RA) recoverOne(ctx context.Context, own *ownSession, id int64) {
	claim, err := r.take(ctx, id)
	if err != nil || !claim.Mine {
		return // next time, or another replica has it
	}
	h := r.hold(withLegs(ctx), claim)
	defer h.letGo()
	row := claim.Row
	collects := r.mannerOf(row.Label).collects()
	switch {
	case !r.isDue(row):
		// Since the list was made another replica, or its client, has seen to it.
	case row.State == ledger.StateReceived:
		h.notSent(errors.New("the RA ended before the CSR was sent"))
	case isLost(row):
		// The search's, or where nothing is collected nobody's.
		if !collects {
			h.recordLoudly("mark as uncertain", uncertainForGood)
			r.report(ctx, PossibleOrphan{Row: row.ID, Submitted: row.Submitted})
		}
	case r.Now().Sub(row.Received) >= openLife && (row.Polls > 0 || !row.ByHand()):
		h.recordLoudly("give up", func(row *ledger.Row) {
			row.State, row.Open, row.NextPoll, row.Error = ledger.StateFailed, false, time.Time{}, "given up after ten days: "+row.Error
		})
	case !collects && !row.ByHand():
		// CES collects nothing that its client does not ask for.
		h.recordLoudly("let rest", func(row *ledger.Row) { row.NextPoll = time.Time{}; row.Open = isPending(*row) })
	default:
		if err := r.collect(ctx, own, h); err != nil {
			r.report(ctx, RecoveryFailed{Row: row.ID, ReqID: row.ReqID, Err: err})
		}
	}
}

// isDue tells whether a row wants work, as [ledger.Ledger.Due] has it.
func (r *RA) isDue(row ledger.Row) bool {
	switch row.State {
	case ledger.StateReceived:
		return true
	case ledger.StateSubmitted, ledger.StatePending:
		return !row.NextPoll.IsZero() && !row.NextPoll.After(r.Now())
	}
	return false
}

func (r *RA) take(ctx context.Context, id int64) (ledger.Claim, error) {
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	return r.Ledger.Take(ctx, id)
}

// collect asks the CA for the certificate of a row whose number is known.
func (r *RA) collect(ctx context.Context, own *ownSession, h *held) error {
	row := h.claim.Row
	certificate, err := own.Look(ctx, row.ReqID)
	if err == nil {
		err = r.isOf(ctx, row, certificate)
	}
	var ca *msca.Error
	errors.As(err, &ca)
	switch {
	case err == nil:
		h.issued(certificate)
		r.report(ctx, Recovered{Row: row.ID, ReqID: row.ReqID, Certificate: certificate})
		return nil
	case access.Refused(err):
		h.postpone(refusedPoll)
		return nil // it is told once, for all
	case isKind(err, msca.KindForbidden):
		h.later(hiddenPoll, err)
		return err
	case ca != nil && ca.Kind == msca.KindDenied:
		// Open: its client is told at its next request.
		h.recordLoudly("record the refusal", func(r *ledger.Row) { setDenied(r, row.ReqID, ca) })
		return nil
	}
	h.notFetched(row.ReqID, err)
	if isKind(err, msca.KindPending) {
		return nil
	}
	return err
}

// isOf tells whether a certificate that the CA shows under a row's number is what the
// row asked for. A number that the CA itself told needs no look at the names; one that
// was bound by hand (`ra ledger resolve`) does.
func (r *RA) isOf(ctx context.Context, row ledger.Row, certificate *x509.Certificate) error {
	switch {
	case string(certificate.RawSubjectPublicKeyInfo) != string(row.PublicKey):
		return &msca.Error{
			Phase: msca.PhaseFetch, Kind: msca.KindWrongCertificate, ReqID: row.ReqID,
			Err: fmt.Errorf("the certificate of %q has not the CSR's key", x501.Text(certificate.RawSubject)),
		}
	case row.ByHand() && !r.search.Fits(ctx, row, certificate):
		return &msca.Error{
			Phase: msca.PhaseFetch, Kind: msca.KindWrongCertificate, ReqID: row.ReqID,
			Err: fmt.Errorf("the certificate of %q has other names than the CSR, whose subject is %q", x501.Text(certificate.RawSubject), row.Subject),
		}
	}
	return nil
}
