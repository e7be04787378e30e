package ra

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"ciscora/msca"
	"ciscora/ra/ledger"
)

// notSent says that the CSR did not get to the CA in this try.
func (h *held) notSent(reason error) {
	if h.state() != ledger.StateReceived {
		return // it is at the CA from an earlier try
	}
	h.recordLoudly("record the failure", neverSent(reason))
}

// neverSent closes a row whose CSR the CA has not seen.
func neverSent(reason error) func(*ledger.Row) {
	return func(row *ledger.Row) {
		row.State, row.Open, row.Uncertain, row.NextPoll = ledger.StateFailed, false, false, time.Time{}
		row.Submitted, row.Error = time.Time{}, reason.Error()
	}
}

// aboutToSubmit marks the row before the POST: from then on it may be at the CA, under
// a number above the highest that is known now. Where the mark cannot be written
// nothing may be sent; whether it was written all the same nobody knows, so that
// nothing was sent is written once the ledger is back.
func (h *held) aboutToSubmit(ctx context.Context) error {
	floor, err := h.ra.floor(ctx)
	if err == nil {
		now := h.ra.Now()
		err = h.record(func(row *ledger.Row) {
			row.State, row.Submitted, row.Floor, row.Lost, row.NextPoll = ledger.StateSubmitted, now, floor, time.Time{}, time.Time{}
		})
	}
	if err != nil {
		h.change = []func(*ledger.Row){neverSent(err)}
		h.claim.Row.State = ledger.StateReceived
	}
	return err
}

// floor is the highest number that the CA is known to have given.
func (r *RA) floor(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ledgerTimeout)
	defer cancel()
	return r.Ledger.HighestReqID(ctx)
}

func (h *held) submitted(reqID int) {
	h.recordLoudly("record the ReqID", func(row *ledger.Row) {
		row.ReqID, row.Uncertain, row.Error, row.NextPoll = reqID, false, "", h.ra.Now().Add(firstPoll)
	})
	h.leaveEvidence(ledger.Seen{ReqID: reqID, What: ledger.SeenPending}) // from long ago: it is worth asking for
}

func (h *held) issued(certificate *x509.Certificate) {
	h.last = true
	h.ra.lookForIssuer(certificate)
	h.recordLoudly("record the certificate", func(row *ledger.Row) { setIssued(row, certificate, h.ra.Now()) })
	h.leaveEvidence(ledger.Seen{ReqID: h.reqID(), What: ledger.SeenCertificate, Certificate: certificate.Raw, At: h.ra.Now()})
}

func setIssued(row *ledger.Row, certificate *x509.Certificate, now time.Time) {
	row.State, row.Certificate, row.Issued = ledger.StateIssued, certificate.Raw, now
	row.Disposition, row.HRESULT, row.Error, row.NextPoll = dispositionIssued, 0, "", time.Time{}
	row.Uncertain, row.Candidates, row.Lost = false, nil, time.Time{}
}

const dispositionIssued = 3 // CR_DISP_ISSUED

// notSubmitted records how a submit ended that told no ReqID of an issued
// certificate.
func (h *held) notSubmitted(reqID int, reason error) {
	var ca *msca.Error
	switch {
	case !errors.As(reason, &ca):
		h.lose(reason, false)
	case reqID != 0:
		h.notFetched(reqID, reason)
	case ca.MayHaveIssued():
		h.lose(reason, !ca.MayStillWork())
	case ca.Kind == msca.KindDenied || ca.Kind == msca.KindBadCSR:
		h.denied(0, ca)
	default:
		h.recordLoudly("record the failure", neverSent(reason))
	}
}

// lose says that the POST ended and nobody knows what came of it; done, that the CA
// is not at work on it any more. What does not collect tells it at once, and leaves
// it at that.
func (h *held) lose(reason error, done bool) {
	now := h.ra.Now()
	collects := h.ra.mannerOf(h.claim.Row.Label).collects()
	h.recordLoudly("record that the answer was lost", func(row *ledger.Row) {
		row.State, row.Error, row.Uncertain = ledger.StateSubmitted, reason.Error(), true
		if done {
			row.Lost = now
		}
		if !collects {
			uncertainForGood(row)
		}
	})
	if collects {
		h.ra.searchSoon()
	} else {
		h.ra.report(h.ctx, PossibleOrphan{Row: h.claim.Row.ID, Submitted: h.claim.Row.Submitted})
	}
}

func uncertainForGood(row *ledger.Row) {
	row.State, row.Open, row.Uncertain, row.NextPoll = ledger.StateFailed, false, true, time.Time{}
	row.Error = "the POST ended without an answer: the CA may have issued a certificate that nobody collects"
}

// denied closes a row: the client is told now.
func (h *held) denied(reqID int, ca *msca.Error) {
	h.recordLoudly("record the refusal", func(row *ledger.Row) {
		setDenied(row, reqID, ca)
		row.Open = false
	})
	if reqID != 0 {
		h.leaveEvidence(ledger.Seen{ReqID: reqID, What: ledger.SeenDenied, At: h.ra.Now()})
	}
}

func setDenied(row *ledger.Row, reqID int, ca *msca.Error) {
	row.State, row.ReqID, row.Uncertain, row.NextPoll = ledger.StateDenied, reqID, false, time.Time{}
	row.Candidates = nil
	row.Disposition, row.HRESULT, row.Error = ca.Disposition, ca.HRESULT, ca.Message
	if row.Error == "" {
		row.Error = ca.Error()
	}
}

// notFetched records why there is no certificate under a number yet, or never will
// be, and when it is worth another look. What failed says nothing of the request is
// no change of its state: what waits for a manager goes on waiting.
func (h *held) notFetched(reqID int, reason error) {
	now := h.ra.Now()
	joins := h.ra.mannerOf(h.claim.Row.Label).joins()
	var ca *msca.Error
	errors.As(reason, &ca)
	if ca != nil && (ca.Kind == msca.KindDenied || ca.Kind == msca.KindBadCSR) {
		h.denied(reqID, ca)
		return
	}
	if h.claim.Row.ByHand() && ca != nil && (ca.Kind == msca.KindUnknownRequest || ca.Kind == msca.KindWrongCertificate) {
		h.unbind(reqID, reason)
		return
	}
	h.recordLoudly("record the failure", func(row *ledger.Row) {
		row.ReqID, row.Uncertain, row.Error = reqID, false, reason.Error()
		switch {
		case ca != nil && ca.Kind == msca.KindPending:
			row.State, row.Error = ledger.StatePending, ca.Message
			// One that was given up and is bound by hand stays closed: its client may
			// have another by now.
			row.Open = row.Open || !row.ByHand()
			row.Disposition, row.HRESULT = ca.Disposition, ca.HRESULT
		case ca != nil && (ca.Kind == msca.KindRevoked || ca.Kind == msca.KindUnknownRequest || ca.Kind == msca.KindWrongCertificate):
			row.State, row.Open, row.NextPoll, row.Candidates = ledger.StateFailed, false, time.Time{}, nil
			row.Disposition, row.HRESULT = ca.Disposition, ca.HRESULT
			return
		case row.State != ledger.StatePending:
			row.State = ledger.StateSubmitted
		}
		row.Polls++
		row.NextPoll = now.Add(pollWait(row.Polls))
		if !joins && row.State != ledger.StatePending {
			row.Open = false // and nobody collects it
		}
	})
	if ca != nil && ca.Kind == msca.KindPending {
		h.leaveEvidence(ledger.Seen{ReqID: reqID, What: ledger.SeenPending, At: now})
	}
}

// unbind takes back a number that was bound by hand and is not the row's. What the
// search had given up is told again; of what it had not, it goes on to find out.
func (h *held) unbind(reqID int, reason error) {
	h.recordLoudly("take the ReqID back", func(row *ledger.Row) {
		others := slices.DeleteFunc(slices.Clone(row.Candidates), func(n int) bool { return n == reqID })
		row.State, row.ReqID, row.Candidates, row.Uncertain, row.NextPoll = ledger.StateSubmitted, 0, others, true, time.Time{}
		row.Error = fmt.Sprintf("ReqID %d, which was bound by hand, is not its own: %v", reqID, reason)
		if !row.Open {
			row.State = ledger.StateFailed
		}
	})
	row := h.claim.Row
	if row.Open {
		h.ra.searchSoon()
		return
	}
	h.ra.report(h.ctx, PossibleOrphan{Row: row.ID, Submitted: row.Submitted, Candidates: row.Candidates})
}

// later leaves a row for another look.
func (h *held) later(wait time.Duration, reason error) {
	h.recordLoudly("record the next look", func(row *ledger.Row) {
		row.Polls++
		row.NextPoll, row.Error = h.ra.Now().Add(wait), reason.Error()
	})
}

// postpone leaves a row, of which nothing was asked, for another look.
func (h *held) postpone(wait time.Duration) {
	h.recordLoudly("record the next look", func(row *ledger.Row) { row.NextPoll = h.ra.Now().Add(wait) })
}

// bind gives a lost row its number and its certificate.
func (h *held) bind(reqID int, certificate *x509.Certificate) {
	h.last = true
	h.ra.lookForIssuer(certificate)
	h.recordLoudly("record the certificate that was found", func(row *ledger.Row) {
		row.ReqID = reqID
		setIssued(row, certificate, h.ra.Now())
	})
}

// giveUp closes a row whose POST was lost and cannot be found. Where candidates may
// be its own, or may not, it is a possible orphan; where there is none the CA never
// had it.
func (h *held) giveUp(_ context.Context, candidates []int) {
	h.last = true
	h.recordLoudly("give the request up", func(row *ledger.Row) {
		row.State, row.Open, row.NextPoll = ledger.StateFailed, false, time.Time{}
		row.Uncertain, row.Candidates = len(candidates) > 0, candidates
		row.Error = "the POST ended without an answer and never became a request: each number that the CA has given since is another's"
		if len(candidates) > 0 {
			row.Error = "the POST ended without an answer, and the numbers that may be its own show no key: look them up at the CA, then `ra ledger resolve`"
		}
	})
}
