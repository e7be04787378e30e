package revocation

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"
)

// said is what a responder said of a certificate: that it is revoked, or nil.
type said struct {
	at  time.Time // since when that is so, as far as the responder knows
	err error
}

// askOCSP asks one responder. That a certificate is revoked counts until something newer
// is said: answers without a nonce, which few responders give, can be sent again by whoever sits
// between (RFC 6960 §5), and an answer can be kept away.
func (c *Checker) askOCSP(ctx context.Context, address string, cert, issuer *x509.Certificate) error {
	key := sha256.Sum256(append(slices.Clone(issuer.RawSubjectPublicKeyInfo), cert.Raw...))
	answer, err := c.fetchOCSP(ctx, address, cert, issuer)
	c.learning.Lock()
	defer c.learning.Unlock()
	before, known := c.answers.Get(key)
	switch {
	case err != nil && known && before.err != nil:
		return before.err
	case err != nil:
		return err
	case known && !answer.at.After(before.at): // of two that differ in age, revoked counts
		return cmp.Or(answer.err, before.err)
	}
	c.answers.Put(key, answer)
	return answer.err
}

// fetchOCSP asks one responder (RFC 6960).
func (c *Checker) fetchOCSP(ctx context.Context, address string, cert, issuer *x509.Certificate) (said, error) {
	request, err := ocsp.CreateRequest(cert, issuer, nil)
	if err != nil {
		return said{}, err
	}
	data, err := c.fetch(ctx, address, "application/ocsp-request", request, maxOCSP)
	if err != nil {
		return said{}, err
	}
	answer, err := ocsp.ParseResponseForCert(data, cert, issuer) // and its signature
	if err != nil {
		return said{}, fmt.Errorf("its answer: %w", err)
	}
	now := c.now()
	if err := signsOCSP(answer.Certificate, issuer, now); err != nil {
		return said{}, err
	}
	if err := isAbout(answer, issuer); err != nil {
		return said{}, err
	}
	switch {
	case now.Add(clockSkew).Before(answer.ThisUpdate):
		return said{}, fmt.Errorf("its answer begins only at %s", answer.ThisUpdate.Format(time.RFC3339))
	case !answer.NextUpdate.IsZero() && now.After(answer.NextUpdate),
		answer.NextUpdate.IsZero() && now.After(answer.ThisUpdate.Add(verdictLife+clockSkew)):
		return said{}, errors.New("its answer is an old one")
	}
	switch answer.Status {
	case ocsp.Good:
		return said{at: answer.ThisUpdate}, nil
	case ocsp.Revoked:
		return said{at: answer.ThisUpdate, err: &RevokedError{Certificate: cert, At: answer.RevokedAt}}, nil
	}
	return said{}, errors.New("it does not know the certificate")
}

// isAbout compares the issuer that an answer names: package ocsp goes by the serial number
// alone, and a responder may answer for several CAs with one key.
func isAbout(answer *ocsp.Response, issuer *x509.Certificate) error {
	name, key, err := issuerOf(answer)
	if err != nil {
		return fmt.Errorf("its answer: %w", err)
	}
	if !answer.IssuerHash.Available() {
		return errors.New("its answer names the issuer by a digest that is not known here")
	}
	var public struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(issuer.RawSubjectPublicKeyInfo, &public); err != nil {
		return fmt.Errorf("the issuer's key: %w", err)
	}
	digest := func(data []byte) []byte {
		h := answer.IssuerHash.New()
		h.Write(data)
		return h.Sum(nil)
	}
	if !bytes.Equal(name, digest(issuer.RawSubject)) || !bytes.Equal(key, digest(public.Key.RightAlign())) {
		return errors.New("its answer is about a certificate of another issuer")
	}
	return nil
}

// issuerOf returns the digests of the issuer's name and key that stand in the first single
// response about the answer's serial number, which is the one that package ocsp takes.
//
//	ResponseData ::= SEQUENCE { version [0] OPTIONAL, responderID, producedAt, SEQUENCE OF SingleResponse, ... }
//	SingleResponse ::= SEQUENCE { CertID, ... }
//	CertID ::= SEQUENCE { hashAlgorithm, issuerNameHash, issuerKeyHash, serialNumber }
func issuerOf(answer *ocsp.Response) (name, key []byte, err error) {
	var data, responses, single, id, nameHash, keyHash cryptobyte.String
	var tag cryptobyte_asn1.Tag
	input := cryptobyte.String(answer.TBSResponseData)
	unreadable := errors.New("its CertID cannot be read")
	if !input.ReadASN1(&data, cryptobyte_asn1.SEQUENCE) || !data.SkipOptionalASN1(cryptobyte_asn1.Tag(0).ContextSpecific().Constructed()) ||
		!data.ReadAnyASN1(new(cryptobyte.String), &tag) || !data.SkipASN1(cryptobyte_asn1.GeneralizedTime) || !data.ReadASN1(&responses, cryptobyte_asn1.SEQUENCE) {
		return nil, nil, unreadable
	}
	for !responses.Empty() {
		serial := new(big.Int)
		if !responses.ReadASN1(&single, cryptobyte_asn1.SEQUENCE) || !single.ReadASN1(&id, cryptobyte_asn1.SEQUENCE) || !id.SkipASN1(cryptobyte_asn1.SEQUENCE) ||
			!id.ReadASN1(&nameHash, cryptobyte_asn1.OCTET_STRING) || !id.ReadASN1(&keyHash, cryptobyte_asn1.OCTET_STRING) || !id.ReadASN1Integer(serial) {
			return nil, nil, unreadable
		}
		if serial.Cmp(answer.SerialNumber) == 0 {
			return nameHash, keyHash, nil
		}
	}
	return nil, nil, unreadable
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
