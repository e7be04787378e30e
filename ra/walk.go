package ra

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	"ciscora/msca"
	"ciscora/ra/access"
	"ciscora/ra/ledger"
)

// walk is the way of one CSR, top to bottom. What a process killed between two
// steps leaves, and what repairs it, stands between them. ReqID is 0 as long as
// the CA gave none.
func (r *RA) walk(ctx context.Context, who *asking, what askedFor, renewal bool) (certificate *x509.Certificate, reqID int, err error) {
	// Claim the request, or join who works on it.
	h, certificate, reqID, err := r.begin(ctx, who, what, renewal)
	if h == nil {
		return certificate, reqID, err
	}
	defer h.letGo()

	// A kill here leaves a row that says "received" and a claim that ends with the
	// process: the CA has not seen the CSR, and the retry starts over.

	// The template was checked in the authentication step, on this account's
	// own list.
	session, err := r.access.Session(ctx, who.Identity)
	if err != nil {
		if refused := (*access.TurnedAway)(nil); errors.As(err, &refused) && h.claim.Fresh {
			h.discard() // the CA is busy or down: nothing has happened that is worth a row
		}
		h.notSent(err)
		return nil, h.reqID(), err
	}
	defer session.Release()

	// From here on a client that gives up ends nothing: what the CA issues must
	// not be lost, and only the end of this walk tells under which ReqID it is.
	ctx, done := r.outlive(ctx, who.Label)
	defer done()

	if h.reqID() == 0 {
		// What a lab does to one enrollment must not hold up the others, which wait for
		// who looks first; what is lost of it is sought by time.
		if r.mannerOf(who.Label).collects() && !r.Isolate(ctx) {
			// What comes of a POST is sought above the highest number known before it.
			if err := r.search.Establish(ctx, session); err != nil {
				h.notSent(err)
				return nil, 0, err
			}
		}
		// Without this mark nobody would look for what the CA may issue.
		if err := h.aboutToSubmit(ctx); err != nil {
			return nil, 0, err
		}

		// A kill from here to the next record leaves "submitted" without a
		// ReqID: the search finds out what came of it, and until it has, nobody
		// sends the CSR again.

		reqID, err := session.Submit(ctx, what.csr, who.Template, h.fence)
		if reqID == 0 {
			reqID = reqIDOf(err)
		}
		if err != nil {
			h.notSubmitted(reqID, err)
			return nil, reqID, err
		}
		h.submitted(reqID)
		r.report(ctx, Submitted{ReqID: reqID})
	}

	// A kill here leaves the ReqID: the retry, or the poll, fetches.

	certificate, err = session.Fetch(ctx, h.reqID(), what.csr)
	if err == nil {
		err = r.isOf(ctx, h.claim.Row, certificate)
	}
	if err != nil {
		h.notFetched(h.reqID(), err)
		return nil, h.reqID(), err
	}
	h.issued(certificate)
	if r.mannerOf(who.Label).joins() && !r.Now().Before(certificate.NotAfter) {
		return nil, h.reqID(), errExpired // the next try begins anew
	}

	// A kill from here on, or a client that has given up, leaves "issued" and the
	// certificate itself: the retry gets it from the ledger. [RA.Delivered]
	// records that the answer was written; a kill before that record delivers
	// the same certificate once more.
	return certificate, h.reqID(), nil
}

// begin claims the request. Without a claim the rest is the answer: what somebody has
// decided, or why there is none. What is needed here alone is not on the stack of the
// thousands that wait for the CA afterwards.
func (r *RA) begin(ctx context.Context, who *asking, what askedFor, renewal bool) (h *held, certificate *x509.Certificate, reqID int, err error) {
	claim, err := r.claim(ctx, r.requestOf(ctx, who, what, renewal))
	if err != nil {
		return nil, nil, 0, err
	}
	who.row.Store(claim.Row.ID)
	if certificate, reqID, err, decided := r.decided(ctx, claim); decided {
		return nil, certificate, reqID, err
	}
	return r.hold(ctx, claim), nil, 0, nil
}

// outlive returns a context that does not end with the client's request, only
// with the RA itself; the time-outs of each leg still bound it. CES gives up with
// its client.
func (r *RA) outlive(ctx context.Context, label string) (context.Context, context.CancelFunc) {
	if r.mannerOf(label).outlives() {
		return r.background.Detach(ctx)
	}
	return ctx, func() {}
}

// errExpired says that the CA's certificate had ended before it could be fetched.
var errExpired = errors.New("the certificate expired before it could be fetched from the CA")

func isKind(err error, kind msca.Kind) bool {
	var ca *msca.Error
	return errors.As(err, &ca) && ca.Kind == kind
}

func reqIDOf(err error) int {
	var ca *msca.Error
	if errors.As(err, &ca) {
		return ca.ReqID
	}
	return 0
}

// certificateOf reads the certificate that a row holds.
func certificateOf(row ledger.Row) (*x509.Certificate, error) {
	certificate, err := x509.ParseCertificate(row.Certificate)
	if err != nil {
		return nil, fmt.Errorf("the certificate of ledger row %d cannot be read: %w", row.ID, err)
	}
	return certificate, nil
}
