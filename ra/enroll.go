package ra

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"

	"ciscora/msca"
	"ciscora/ra/policy"
)

// Enroll walks a CSR to the CA and returns the certificate (RFC 7030 §4.2). The
// context is the one that [RA.Authenticate] returned. An error is an [*Error].
//
// A CSR that asks for the same (key, subject, attributes and extensions, however it is
// signed) for the same identity, label and template joins what is under way or was
// delivered a short while ago ([Options.Join]); it does not become a second request at
// the CA. With AnswersCES it does, as with CES. The CSR's signature, and its proof of
// possession where one is demanded, are the front end's to verify before.
func (r *RA) Enroll(ctx context.Context, csr *x509.CertificateRequest, _ string, _ *http.Request) (*x509.Certificate, error) {
	return r.enroll(ctx, csr, false)
}

// Reenroll renews or rekeys (RFC 7030 §4.2.2); cert is the client's verified TLS
// certificate, or nil. To the CA it is an enrollment like any other.
func (r *RA) Reenroll(ctx context.Context, cert *x509.Certificate, csr *x509.CertificateRequest, label string, _ *http.Request) (*x509.Certificate, error) {
	if cert == nil && !r.mannerOf(label).renewsWithoutCertificate() {
		return nil, &Error{Status: http.StatusForbidden, Text: "re-enrollment needs the certificate that it renews as TLS client certificate; use simpleenroll otherwise"}
	}
	return r.enroll(ctx, csr, true)
}

func (r *RA) enroll(ctx context.Context, csr *x509.CertificateRequest, renewal bool) (*x509.Certificate, error) {
	who, ok := ctx.Value(askingKey{}).(*asking)
	if !ok {
		return nil, noCredentials()
	}
	manner := r.mannerOf(who.Label)
	view, refusal := policy.Read(csr)
	enrolling := Enrolling{Template: who.Template, Renewal: renewal}
	if refusal == nil {
		enrolling.Subject, enrolling.CN = view.Subject.String(), view.CN()
		refusal = r.policyOf(who.Label).Check(view, askerOf(who.Identity))
	}
	r.report(ctx, enrolling)
	if refusal != nil {
		answer := manner.refusedCSR(refusal)
		r.report(ctx, NotIssued{Err: refusal, Status: answer.Status})
		return nil, answer
	}
	certificate, reqID, err := r.walk(ctx, who, askedFor{csr, view}, renewal)
	if err != nil {
		manner.lag(ctx, err)
		answer := manner.enrollmentFailure(err)
		lost, isLost := errors.AsType[*lostError](err)
		pending := isKind(err, msca.KindPending)
		switch {
		case isLost:
			pending, answer.Retry = true, lost.wait
		case pending:
			answer.Retry = r.retryPending(ctx, who.Template)
		}
		r.report(ctx, NotIssued{ReqID: reqID, Pending: pending, Err: err, Status: answer.Status})
		return nil, answer
	}
	r.report(ctx, Issued{ReqID: reqID, Certificate: certificate})
	return certificate, nil
}
