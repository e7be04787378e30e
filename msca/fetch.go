package msca

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

// Fetch gets the certificate that the CA issued for request reqID (certnew.cer) and
// checks that its key is the CSR's. It only reads: a pending request may be fetched
// again and again. Errors are *Error: KindPending, KindDenied, KindRevoked,
// KindUnknownRequest as the CA tells; KindWrongCertificate; KindParse when there is
// anything but a certificate or a page of the CA's.
func (s *Session) Fetch(ctx context.Context, reqID int, csr *x509.CertificateRequest) (*x509.Certificate, error) {
	page := fmt.Sprintf("%s/certnew.cer?ReqID=%d&ENC=b64", s.client.base, reqID)
	if reqID <= 0 || csr == nil {
		return nil, &Error{Phase: PhaseFetch, Kind: KindInput, URL: page, Err: errors.New("a ReqID above 0 and the CSR are needed")}
	}
	var cert *x509.Certificate
	err := s.page(ctx, PhaseFetch, page, func(ctx context.Context, leg *Leg) error {
		leg.ReqID = reqID
		a, err := s.get(ctx, leg, page)
		if err != nil {
			return withReqID(err, reqID)
		}
		certs, err := parseCertificates(a.body)
		if err != nil {
			return withReqID(certificateExpected(a, err), reqID)
		}
		i := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return sameKey(c, csr) })
		if i < 0 {
			return &Error{Kind: KindWrongCertificate, Status: a.status, ReqID: reqID, Err: fmt.Errorf("the certificate of %q has not the CSR's key", certs[0].Subject.String())}
		}
		cert = certs[i]
		return nil
	})
	return cert, err
}

func sameKey(c *x509.Certificate, csr *x509.CertificateRequest) bool {
	key, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(csr.PublicKey)
}

func withReqID(err error, reqID int) error {
	var e *Error
	if errors.As(err, &e) && e.ReqID == 0 {
		e.ReqID = reqID
	}
	return err
}

// certificateExpected is the error of an answer that holds no certificate, for the
// reason given: the CA's own page says why, or else that reason.
func certificateExpected(a *answer, reason error) error {
	e := readPage(a).err()
	if e.Kind == KindParse {
		e.Err = reason
	}
	return e
}
