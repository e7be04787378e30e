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
	// postGrace is how long a POST that ended without an answer may still be at
	// work inside the CA.
	postGrace = 30 * time.Second
	// findPause lies between two looks for its certificate.
	findPause = 2 * time.Second

	// The search goes upward from the highest ReqID that was known before the
	// POST. It ends at maxUnknown numbers in a row that the CA has not given yet
	// (it may skip some), or after maxProbes.
	maxProbes  = 64
	maxUnknown = 3

	// clockSkew is how far the clocks of replicas may lie apart.
	clockSkew = 5 * time.Second
)

// findOut looks for the certificate of a POST that ended without an answer: the
// CA counts its requests, so it is among those that follow the highest ReqID
// known then. It looks for as long as the CA may still be at work, and returns
// the certificate, or nil when it is not there, or why it could not look.
//
// A request that waits for a manager, or that was denied, shows no key, so it
// cannot be told whose it is.
func (r *RA) findOut(ctx context.Context, h *held, session *msca.Session, csr *x509.CertificateRequest) (*x509.Certificate, error) {
	for {
		reqID, certificate, err := r.search(ctx, h.claim.Row, session, csr)
		switch {
		case err != nil:
			return nil, err
		case certificate != nil:
			h.recordLoudly("record the ReqID", func(row *ledger.Row) { row.ReqID, row.Uncertain = reqID, false })
			h.issued(ctx, certificate)
			r.report(ctx, Found{Row: h.claim.Row.ID, ReqID: reqID})
			return certificate, nil
		}
		left := h.claim.Row.NextPoll.Sub(r.Now())
		if left <= 0 {
			return nil, nil //nolint:nilnil // looked, and it is not there
		}
		if !sleep(ctx, min(left, findPause)) {
			return nil, ctx.Err()
		}
	}
}

// search looks once.
func (r *RA) search(ctx context.Context, lost ledger.Row, session *msca.Session, csr *x509.CertificateRequest) (int, *x509.Certificate, error) {
	last, known, err := r.knownReqIDs(ctx, lost)
	if err != nil {
		return 0, nil, err
	}
	unknown := 0
	for reqID, probes := last+1, 0; probes < maxProbes && unknown < maxUnknown; reqID++ {
		if known[reqID] {
			unknown = 0
			continue
		}
		probes++
		certificate, err := session.Fetch(ctx, reqID, csr)
		var ca *msca.Error
		switch {
		case err == nil:
			return reqID, certificate, nil
		case !errors.As(err, &ca):
			return 0, nil, err
		case ca.Kind == msca.KindUnknownRequest:
			unknown++
		case ca.Kind == msca.KindWrongCertificate, ca.Kind == msca.KindDenied, ca.Kind == msca.KindPending, ca.Kind == msca.KindRevoked:
			unknown = 0 // another's
		default:
			return 0, nil, err
		}
	}
	return 0, nil, nil
}

// knownReqIDs returns the highest ReqID that the ledger knew when the lost POST
// began, and those that it learned since.
func (r *RA) knownReqIDs(ctx context.Context, lost ledger.Row) (last int, known map[int]bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	const looked = 1000
	rows, err := r.Ledger.List(ctx, ledger.Filter{Limit: looked})
	if err != nil {
		return 0, nil, fmt.Errorf("read the known request ids: %w", err)
	}
	known = map[int]bool{}
	for _, row := range rows {
		switch {
		case row.ReqID == 0:
		case !row.Issued.IsZero() && row.Issued.Before(lost.Submitted.Add(-clockSkew)):
			last = max(last, row.ReqID)
		default:
			// POSTs overtake each other: a request that was sent earlier may have a
			// higher number than the lost one.
			known[row.ReqID] = true
		}
	}
	return last, known, nil
}
