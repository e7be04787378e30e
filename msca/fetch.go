package msca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"ciscora/internal/x501"
)

// Fetch gets the certificate that the CA issued for request reqID (certnew.cer) and
// checks that its key is the CSR's. It only reads: a pending request may be fetched
// again and again. Errors are those of [Session.Look], and KindWrongCertificate.
func (s *Session) Fetch(ctx context.Context, reqID int, csr *x509.CertificateRequest) (*x509.Certificate, error) {
	if csr == nil {
		return nil, &Error{Phase: PhaseFetch, Kind: KindInput, URL: s.fetchPage(reqID), Err: errors.New("the CSR is needed")}
	}
	return s.look(ctx, reqID, func(certs []*x509.Certificate) (*x509.Certificate, error) {
		i := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return sameKey(c, csr) })
		if i < 0 {
			return nil, fmt.Errorf("the certificate of %q has not the CSR's key", x501.Text(leafOf(certs).RawSubject))
		}
		return certs[i], nil
	})
}

// Look gets the certificate that the CA issued for request reqID (certnew.cer),
// whoever's key it has. Errors are *Error: KindPending, KindDenied, KindRevoked,
// KindUnknownRequest as the CA tells, KindForbidden where the account may not see the
// request; KindParse when there is anything but a certificate or a page of the CA's.
func (s *Session) Look(ctx context.Context, reqID int) (*x509.Certificate, error) {
	return s.look(ctx, reqID, func(certs []*x509.Certificate) (*x509.Certificate, error) { return leafOf(certs), nil })
}

func (s *Session) fetchPage(reqID int) string {
	return fmt.Sprintf("%s/certnew.cer?ReqID=%d&ENC=b64", s.client.base, reqID)
}

func (s *Session) look(ctx context.Context, reqID int, choose func([]*x509.Certificate) (*x509.Certificate, error)) (cert *x509.Certificate, err error) {
	page := s.fetchPage(reqID)
	if reqID <= 0 {
		return nil, &Error{Phase: PhaseFetch, Kind: KindInput, URL: page, Err: errors.New("a ReqID above 0 is needed")}
	}
	err = s.page(ctx, PhaseFetch, page, func(ctx context.Context, v *visit) error {
		v.leg.ReqID = reqID
		a, err := v.get(ctx, page)
		if err != nil {
			return err
		}
		certs, err := parseCertificates(a.body)
		if err != nil {
			return certificateExpected(a, err)
		}
		if cert, err = choose(certs); err != nil {
			return &Error{Kind: KindWrongCertificate, Status: a.status, Err: err}
		}
		return nil
	})
	if err != nil {
		return nil, withReqID(err, reqID)
	}
	return cert, nil
}

// leafOf is the certificate of a chain, in whatever order it came, that issued none
// of the others.
func leafOf(certs []*x509.Certificate) *x509.Certificate { return sortByIssuer(certs)[0] }

// sameKey compares the bytes first: there are keys that x509 does not read, such as
// RSA's under the OID of RSASSA-PSS (RFC 4055 §1.2).
func sameKey(c *x509.Certificate, csr *x509.CertificateRequest) bool {
	if len(csr.RawSubjectPublicKeyInfo) > 0 && bytes.Equal(c.RawSubjectPublicKeyInfo, csr.RawSubjectPublicKeyInfo) {
		return true
	}
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
