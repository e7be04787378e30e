package ra

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"

	"ciscora/ra/policy"
)

const defaultKeyBits = 2048

// ServerKeyGen makes a key of the kind of the CSR's and enrolls it under the CSR's
// names and extensions (RFC 7030 §4.4). It returns the certificate, and the key in
// PKCS #8, which is kept nowhere: a client that loses the answer asks for another
// key. So a request that waits for a manager's approval is refused: by the time it is
// approved its key is gone, and each retry would be another request.
func (r *RA) ServerKeyGen(ctx context.Context, csr *x509.CertificateRequest, label string, _ *http.Request) (*x509.Certificate, []byte, error) {
	if !r.ServerKeygen {
		return nil, nil, notImplemented("serverkeygen")
	}
	view, refusal := policy.Read(csr)
	if refusal != nil {
		return nil, nil, r.mannerOf(label).refusedCSR(refusal)
	}
	kind := kindLike(csr.PublicKey)
	// Before a key is made, which may take a second of a processor.
	if err := r.refusesKind(ctx, view, kind); err != nil {
		return nil, nil, err
	}
	key, err := r.makeKey(ctx, kind)
	if err != nil {
		return nil, nil, &Error{Status: http.StatusInternalServerError, Text: "the key could not be made", Cause: err}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{RawSubject: view.SubjectDER, ExtraExtensions: carriedOver(view)}, key)
	if err != nil {
		return nil, nil, &Error{Status: http.StatusBadRequest, Text: "the CSR's names and extensions cannot be certified", Cause: err}
	}
	own, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, nil, &Error{Status: http.StatusBadRequest, Text: "the CSR's names and extensions cannot be certified", Cause: err}
	}
	certificate, err := r.enroll(ctx, own, false)
	if answer, ok := errors.AsType[*Error](err); ok && answer.Status == http.StatusAccepted {
		return nil, nil, r.mannerOf(label).keyGone(err)
	}
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode the key: %w", err)
	}
	return certificate, pkcs8, nil
}

// refusesKind is the refusal of a CSR by its label's policy, with a key of the kind that
// will be enrolled in the place of its own.
func (r *RA) refusesKind(ctx context.Context, view *policy.CSR, kind keyKind) error {
	who, ok := ctx.Value(askingKey{}).(*asking)
	if !ok {
		return noCredentials()
	}
	judged := *view
	judged.Key, judged.Extensions = kind.example(), carriedOver(view)
	refusal := r.policyOf(who.Label).Check(&judged, askerOf(who.Identity))
	if refusal == nil {
		return nil
	}
	answer := r.mannerOf(who.Label).refusedCSR(refusal)
	r.report(ctx, Enrolling{Template: who.Template, Subject: view.Subject.String(), CN: view.CN()})
	r.report(ctx, NotIssued{Err: refusal, Status: answer.Status})
	return answer
}

// makeKey makes a key where one of few that are made at a time has ended, for as long as
// the client waits.
func (r *RA) makeKey(ctx context.Context, kind keyKind) (crypto.Signer, error) {
	select {
	case r.keys <- struct{}{}:
		defer func() { <-r.keys }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return kind.generate()
}

// keyKind is a kind of key that is made: on a curve, or else RSA with so many bits.
type keyKind struct {
	curve elliptic.Curve
	bits  int
}

// kindLike is the kind and size of a public key; RSA with 2048 bits where that is of no
// use.
func kindLike(public crypto.PublicKey) keyKind {
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		switch p.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return keyKind{curve: p.Curve}
		}
	case *rsa.PublicKey:
		switch bits := p.N.BitLen(); bits {
		case 3072, 4096: // others would cost more than they give
			return keyKind{bits: bits}
		}
	}
	return keyKind{bits: defaultKeyBits}
}

func (k keyKind) generate() (crypto.Signer, error) {
	if k.curve != nil {
		return ecdsa.GenerateKey(k.curve, rand.Reader)
	}
	return rsa.GenerateKey(rand.Reader, k.bits)
}

// example stands for a key of this kind before there is one: it has its type and size, and
// nobody can use it.
func (k keyKind) example() crypto.PublicKey {
	if k.curve != nil {
		return &ecdsa.PublicKey{Curve: k.curve}
	}
	return &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), uint(k.bits-1))}
}

// carriedOver returns the extensions that the CSR asks for, but for the one that
// speaks of its key, which is not certified. They meet the label's policy as any
// CSR's do (RFC 7030 §4.4.1: the server SHOULD treat the CSR as any).
func carriedOver(view *policy.CSR) []pkix.Extension {
	subjectKeyIdentifier := asn1.ObjectIdentifier{2, 5, 29, 14}
	return slices.DeleteFunc(slices.Clone(view.Extensions), func(e pkix.Extension) bool { return e.Id.Equal(subjectKeyIdentifier) })
}
