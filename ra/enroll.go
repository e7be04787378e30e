package ra

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"

	"ciscora/msca"
	"ciscora/ra/ledger"
)

// Enroll walks a CSR to the CA and returns the certificate (RFC 7030 §4.2). The
// context is the one that [RA.Authenticate] returned. An error is an [*Error].
//
// The same CSR of the same identity, label and template joins what is under way
// or was delivered a short while ago ([Options.Join]); it never becomes a second
// request at the CA. With AnswersCES it does, as with CES.
func (r *RA) Enroll(ctx context.Context, csr *x509.CertificateRequest, _ string, _ *http.Request) (*x509.Certificate, error) {
	return r.enroll(ctx, csr, false)
}

// Reenroll renews or rekeys (RFC 7030 §4.2.2); cert is the client's verified TLS
// certificate, or nil. To the CA it is an enrollment like any other.
func (r *RA) Reenroll(ctx context.Context, cert *x509.Certificate, csr *x509.CertificateRequest, label string, _ *http.Request) (*x509.Certificate, error) {
	if cert == nil && !r.asCES(label) {
		return nil, &Error{Status: http.StatusForbidden, Text: "re-enrollment needs the certificate that it renews as TLS client certificate; use simpleenroll otherwise"}
	}
	return r.enroll(ctx, csr, true)
}

func (r *RA) enroll(ctx context.Context, csr *x509.CertificateRequest, renewal bool) (*x509.Certificate, error) {
	who, ok := ctx.Value(identityKey{}).(*identity)
	if !ok {
		return nil, noCredentials()
	}
	r.report(ctx, Enrolling{Subject: csr.Subject.String(), CN: csr.Subject.CommonName, Template: who.template, Renewal: renewal})
	if refused := r.checkPolicy(who.label, csr); refused != nil {
		r.report(ctx, NotIssued{Err: cause(refused), Status: refused.Status})
		return nil, refused
	}
	certificate, reqID, err := r.walk(ctx, who, csr, renewal)
	if err != nil {
		r.lagAsCES(ctx, who.label, err)
		answer := r.enrollmentError(who.label, err)
		pending := isKind(err, msca.KindPending)
		if pending {
			answer.Retry = r.retryPending(ctx, who.template)
		}
		r.report(ctx, NotIssued{ReqID: reqID, Pending: pending, Err: err, Status: answer.Status})
		return nil, answer
	}
	r.report(ctx, Issued{ReqID: reqID, Certificate: certificate})
	return certificate, nil
}

// walk is the way of one CSR, top to bottom. What a process killed between two
// steps leaves, and what repairs it, stands between them. ReqID is 0 as long as
// the CA gave none.
func (r *RA) walk(ctx context.Context, who *identity, csr *x509.CertificateRequest, renewal bool) (certificate *x509.Certificate, reqID int, err error) {
	// Claim the request, or join who works on it.
	claim, err := r.claim(ctx, r.requestOf(ctx, who, csr, renewal))
	if err != nil {
		return nil, 0, err
	}
	who.row.Store(claim.Row.ID)
	if certificate, reqID, err, decided := r.decided(ctx, claim); decided {
		return certificate, reqID, err
	}
	h := r.hold(ctx, claim)
	defer h.letGo()

	// A kill here leaves a row that says "received" and a claim that ends by
	// itself: the CA has not seen the CSR, and the retry starts over.

	// The template was checked in the authentication step, on this account's
	// own list.
	session, opened, err := r.session(ctx, who)
	if err != nil {
		h.notSent(ctx, err)
		return nil, h.reqID(), err
	}
	defer func() { r.release(ctx, who, session, opened) }()

	// From here on a client that gives up ends nothing: what the CA issues must
	// not be lost, and only the end of this walk tells under which ReqID it is.
	ctx, done := r.outlive(ctx, who.label)
	defer done()

	if h.reqID() == 0 && h.state() == ledger.StateSubmitted {
		// An earlier POST ended without an answer. Look before asking again.
		certificate, err := r.findOut(ctx, h, session, csr)
		if certificate != nil || err != nil {
			return certificate, h.reqID(), err
		}
		if err := h.startOver(ctx, r); err != nil {
			return nil, 0, err
		}
		who.row.Store(h.claim.Row.ID)
	}

	if h.reqID() == 0 {
		// Without this mark nobody would look for what the CA may issue.
		if err := h.aboutToSubmit(ctx); err != nil {
			return nil, 0, err
		}

		// A kill from here to the next record leaves "submitted" without a
		// ReqID: the retry, or the recovery, looks for the certificate among the
		// CA's newest requests (findOut), and what it cannot find it reports as a
		// possible orphan.

		reqID, err := session.Submit(ctx, csr, who.template)
		if reqID == 0 {
			reqID = reqIDOf(err)
		}
		if err != nil {
			h.notIssued(ctx, reqID, err)
			return nil, reqID, err
		}
		h.submitted(ctx, reqID)
		r.report(ctx, Submitted{ReqID: reqID})
	}

	// A kill here leaves the ReqID: the retry, or the recovery, fetches.

	certificate, err = session.Fetch(ctx, h.reqID(), csr)
	if isKind(err, msca.KindClosed) && r.pools(ctx, who) {
		// The kept connection ended between two requests. To fetch is safe to
		// repeat, to submit is not.
		session.Close()
		fresh, freshOpened, loginErr := r.session(ctx, who)
		if loginErr == nil {
			session, opened = fresh, freshOpened
			certificate, err = session.Fetch(ctx, h.reqID(), csr)
		}
	}
	if err != nil {
		h.notIssued(ctx, h.reqID(), err)
		return nil, h.reqID(), err
	}
	h.issued(ctx, certificate)

	// A kill from here on, or a client that has given up, leaves "issued" and the
	// certificate itself: the retry gets it from the ledger. [RA.Delivered]
	// records that the answer was written; a kill before that record delivers
	// the same certificate once more.
	return certificate, h.reqID(), nil
}

// cause is what really happened, where the client is told less.
func cause(e *Error) error {
	if e.Cause != nil {
		return e.Cause
	}
	return e
}

// requestOf is what the ledger knows a request by. The CSR itself is not kept: a
// challengePassword may stand in it.
func (r *RA) requestOf(ctx context.Context, who *identity, csr *x509.CertificateRequest, renewal bool) ledger.Request {
	return ledger.Request{
		What: fingerprintOf(csr.Raw), CSR: fingerprintOf(csr.Raw), PublicKey: csr.RawSubjectPublicKeyInfo, SubjectDER: csr.RawSubject,
		Identity: who.ledgerIdentity(), Label: who.label, Template: who.template,
		Subject: csr.Subject.String(), CN: csr.Subject.CommonName,
		Enrollment: r.enrollmentID(ctx), Renewal: renewal,
	}
}

// outlive returns a context that does not end with the client's request, only
// with the RA itself; the time-outs of each leg still bound it. CES gives up with
// its client.
func (r *RA) outlive(ctx context.Context, label string) (context.Context, context.CancelFunc) {
	if r.asCES(label) {
		return ctx, func() {}
	}
	return r.detach(ctx)
}

// detach returns a context with the values of ctx that ends with the RA itself.
func (r *RA) detach(ctx context.Context) (context.Context, context.CancelFunc) {
	detached, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(r.base, cancel)
	return detached, func() { unhook(); cancel() }
}

func (r *RA) release(ctx context.Context, who *identity, s *msca.Session, opened time.Time) {
	if r.pools(ctx, who) {
		r.accounts.put(who.key, s, opened)
		return
	}
	s.Close()
}

// Delivered tells that the answer with the certificate of this request has been
// written to the client; ctx is the one that Enroll was called with. Without this
// call a certificate counts as not collected, and the ledger shows it as an
// orphan.
func (r *RA) Delivered(ctx context.Context) {
	who, ok := ctx.Value(identityKey{}).(*identity)
	if !ok || who.row.Load() == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ledgerTimeout)
	defer cancel()
	if err := r.ledger.Delivered(ctx, who.row.Load()); err != nil {
		r.report(ctx, LedgerFailed{Row: who.row.Load(), What: "record the delivery", Err: err})
	}
}

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
