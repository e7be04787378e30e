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
	// Before a key is made, which may take a second of a processor.
	if err := r.refusesAllButKey(ctx, view); err != nil {
		return nil, nil, err
	}
	key, err := r.makeKey(ctx, csr.PublicKey)
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

// refusesAllButKey is the refusal of a CSR by its label's policy, whatever its key is, since
// another will be enrolled.
func (r *RA) refusesAllButKey(ctx context.Context, view *policy.CSR) error {
	who, ok := ctx.Value(askingKey{}).(*asking)
	if !ok {
		return noCredentials()
	}
	rules := r.policyOf(who.Label)
	rules.Keys = nil
	judged := *view
	judged.Extensions = carriedOver(view)
	refusal := rules.Check(&judged, askerOf(who.Identity))
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
func (r *RA) makeKey(ctx context.Context, public crypto.PublicKey) (crypto.Signer, error) {
	select {
	case r.keys <- struct{}{}:
		defer func() { <-r.keys }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return keyLike(public)
}

// keyLike makes a key of the same kind and size as a public key; RSA with 2048 bits
// where that is of no use.
func keyLike(public crypto.PublicKey) (crypto.Signer, error) {
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		switch p.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return ecdsa.GenerateKey(p.Curve, rand.Reader)
		}
	case *rsa.PublicKey:
		switch bits := p.N.BitLen(); bits {
		case 3072, 4096: // others would cost more than they give
			return rsa.GenerateKey(rand.Reader, bits)
		}
	}
	return rsa.GenerateKey(rand.Reader, defaultKeyBits)
}

// carriedOver returns the extensions that the CSR asks for, but for the one that
// speaks of its key, which is not certified. They meet the label's policy as any
// CSR's do (RFC 7030 §4.4.1: the server SHOULD treat the CSR as any).
func carriedOver(view *policy.CSR) []pkix.Extension {
	subjectKeyIdentifier := asn1.ObjectIdentifier{2, 5, 29, 14}
	return slices.DeleteFunc(slices.Clone(view.Extensions), func(e pkix.Extension) bool { return e.Id.Equal(subjectKeyIdentifier) })
}
