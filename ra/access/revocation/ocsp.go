package revocation

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

// askOCSP asks one responder (RFC 6960).
func (c *Checker) askOCSP(ctx context.Context, address string, cert, issuer *x509.Certificate) error {
	request, err := ocsp.CreateRequest(cert, issuer, nil)
	if err != nil {
		return err
	}
	data, err := c.fetch(ctx, address, "application/ocsp-request", request, maxOCSP)
	if err != nil {
		return err
	}
	answer, err := ocsp.ParseResponseForCert(data, cert, issuer) // and its signature
	if err != nil {
		return fmt.Errorf("its answer: %w", err)
	}
	now := c.now()
	if err := signsOCSP(answer.Certificate, issuer, now); err != nil {
		return err
	}
	switch {
	case now.Add(clockSkew).Before(answer.ThisUpdate):
		return fmt.Errorf("its answer begins only at %s", answer.ThisUpdate.Format(time.RFC3339))
	case !answer.NextUpdate.IsZero() && now.After(answer.NextUpdate),
		answer.NextUpdate.IsZero() && now.After(answer.ThisUpdate.Add(verdictLife+clockSkew)):
		return errors.New("its answer is an old one")
	}
	switch answer.Status {
	case ocsp.Good:
		return nil
	case ocsp.Revoked:
		return &RevokedError{Certificate: cert, At: answer.RevokedAt}
	}
	return errors.New("it does not know the certificate")
}

// signsOCSP tells whether a certificate in an answer, which the issuer has signed, may
// sign answers for it (RFC 6960 §4.2.2.2).
func signsOCSP(signer, issuer *x509.Certificate, now time.Time) error {
	if signer == nil || signer.Equal(issuer) {
		return nil
	}
	switch {
	case !slices.Contains(signer.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return errors.New("the certificate that signed its answer is not for OCSP")
	case now.Before(signer.NotBefore), now.After(signer.NotAfter):
		return errors.New("the certificate that signed its answer is not valid now")
	}
	return nil
}
