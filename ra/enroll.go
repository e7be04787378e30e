package ra

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"time"

	"ciscora/msca"
)

// Enroll walks a CSR to the CA and returns the certificate (RFC 7030 §4.2). The
// context is the one that [RA.Authenticate] returned. An error is an [*Error].
func (r *RA) Enroll(ctx context.Context, csr *x509.CertificateRequest, _ string, _ *http.Request) (*x509.Certificate, error) {
	return r.enroll(ctx, csr, false)
}

// Reenroll renews or rekeys (RFC 7030 §4.2.2); cert is the client's verified TLS
// certificate, or nil. To the CA it is an enrollment like any other.
func (r *RA) Reenroll(ctx context.Context, cert *x509.Certificate, csr *x509.CertificateRequest, _ string, _ *http.Request) (*x509.Certificate, error) {
	if cert == nil && r.answers == AnswersPlain {
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
	certificate, reqID, err := r.walk(ctx, who, csr)
	if err != nil {
		answer := r.enrollmentError(err)
		r.report(ctx, NotIssued{ReqID: reqID, Pending: isKind(err, msca.KindPending), Err: err, Status: answer.Status})
		return nil, answer
	}
	r.report(ctx, Issued{ReqID: reqID, Certificate: certificate})
	return certificate, nil
}

// walk is the way of one CSR, top to bottom. What a process killed between two
// steps leaves stands between them. ReqID is 0 as long as the CA gave none.
func (r *RA) walk(ctx context.Context, who *identity, csr *x509.CertificateRequest) (certificate *x509.Certificate, reqID int, err error) {
	key := requestKeyOf(who.key, who.template, csr)
	reqID = r.open.claim(key)

	// The template was checked in the authentication step, on this account's
	// own list.
	session, opened, err := r.session(ctx, who)
	if err != nil {
		r.reopen(key, reqID, err)
		return nil, reqID, err
	}
	defer func() { r.release(who, session, opened) }()

	// A kill here leaves nothing: the CA has not seen the CSR. From here on a
	// client that gives up ends nothing: what the CA issues must not be lost,
	// and only the end of this walk tells under which ReqID it is.
	client := ctx
	ctx, done := r.outlive(ctx)
	defer done()

	if reqID == 0 {
		reqID, err = session.Submit(ctx, csr, who.template)
		if reqID == 0 {
			reqID = reqIDOf(err)
		}
		if err != nil {
			r.reopen(key, reqID, err)
			return nil, reqID, err
		}
		r.report(ctx, Submitted{ReqID: reqID})
	}

	// A kill here leaves a certificate at the CA whose ReqID only the log
	// knows: an orphan, and the client's retry makes a second one. A failure
	// here (time-out, client gone) is remembered below, and the retry with the
	// same CSR collects the certificate.

	certificate, err = session.Fetch(ctx, reqID, csr)
	if isKind(err, msca.KindClosed) && r.sessions == SessionsPooled {
		// The kept connection ended between two requests. To fetch is safe to
		// repeat, to submit is not.
		session.Close()
		fresh, freshOpened, loginErr := r.session(ctx, who)
		if loginErr == nil {
			session, opened = fresh, freshOpened
			certificate, err = session.Fetch(ctx, reqID, csr)
		}
	}
	if err != nil {
		r.reopen(key, reqID, err)
		return nil, reqID, err
	}

	// A kill from here on leaves a certificate that its client never saw, and
	// the retry makes a second one. A client that has given up meanwhile finds
	// it by its retry.
	if client.Err() != nil {
		r.reopen(key, reqID, client.Err())
	}
	return certificate, reqID, nil
}

// outlive returns a context that does not end with the client's request, only
// with the RA itself; the time-outs of each leg still bound it. CES gives up with
// its client.
func (r *RA) outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.answers == AnswersCES {
		return ctx, func() {}
	}
	detached, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(r.base, cancel)
	return detached, func() { unhook(); cancel() }
}

// reopen remembers a request that the CA has and that may still give its
// certificate. CES remembers nothing (ces.md, "Timers"), but a pending request.
func (r *RA) reopen(key requestKey, reqID int, err error) {
	if reqID == 0 {
		return
	}
	var ca *msca.Error
	final := errors.As(err, &ca) && (ca.Kind == msca.KindDenied || ca.Kind == msca.KindRevoked ||
		ca.Kind == msca.KindBadCSR || ca.Kind == msca.KindUnknownRequest || ca.Kind == msca.KindWrongCertificate)
	pending := ca != nil && ca.Kind == msca.KindPending
	if final || (r.answers == AnswersCES && !pending) {
		return
	}
	r.open.remember(key, reqID)
}

func (r *RA) release(who *identity, s *msca.Session, opened time.Time) {
	if r.sessions == SessionsPooled {
		r.accounts.put(who.key, s, opened)
		return
	}
	s.Close()
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
