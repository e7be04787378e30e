package capf

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
)

// EnrollProving is [Client.Enroll] with proof of possession, as libest's client does
// it with -z (docs/reference/libest.md, "The client, as a server sees it"): the CSR's
// challengePassword is the tls-unique of the connection that it is sent on
// (RFC 7030 §3.5), so it is made anew, and signed with the phone's key, for each of
// the two connections.
func (c *Client) EnrollProving(ctx context.Context, phone *Phone) Result {
	return c.enroll(ctx, simpleEnroll, phone.Name, phone.CSR, proving(phone))
}

// ReenrollProving is [Client.Reenroll] with proof of possession.
func (c *Client) ReenrollProving(ctx context.Context, phone *Phone) Result {
	return c.enroll(ctx, simpleReenroll, phone.Name, phone.CSR, proving(phone))
}

// payload makes the body for one connection.
type payload func(tls.ConnectionState) ([]byte, error)

// same is the same body for every connection.
func same(body []byte) payload {
	return func(tls.ConnectionState) ([]byte, error) { return body, nil }
}

func proving(phone *Phone) payload {
	return func(state tls.ConnectionState) ([]byte, error) {
		if len(state.TLSUnique) == 0 {
			return nil, errors.New("the TLS connection has no tls-unique to prove possession with (RFC 7627: it was resumed without the extended master secret)")
		}
		csr, err := withChallengePassword(phone.CSR, phone.Key, base64.StdEncoding.EncodeToString(state.TLSUnique))
		if err != nil {
			return nil, err
		}
		return wrapBase64(csr), nil
	}
}

// withChallengePassword returns a CSR in DER with one attribute more, a
// challengePassword (RFC 2985 §5.4.1) as PrintableString, signed anew. crypto/x509
// writes no attribute but extensionRequest.
func withChallengePassword(der []byte, key crypto.Signer, password string) ([]byte, error) {
	parsed, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("the phone's CSR: %w", err)
	}
	hash, ok := hashOf(parsed.SignatureAlgorithm)
	if !ok {
		return nil, fmt.Errorf("the phone's CSR is signed with %v: cannot sign it anew", parsed.SignatureAlgorithm)
	}
	var csr struct {
		Info      asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &csr); err != nil {
		return nil, fmt.Errorf("the phone's CSR: %w", err)
	}
	var info struct {
		Version            int
		Subject, PublicKey asn1.RawValue
		Attributes         []asn1.RawValue `asn1:"tag:0,set"`
	}
	if _, err := asn1.Unmarshal(csr.Info.FullBytes, &info); err != nil {
		return nil, fmt.Errorf("the phone's CSR: %w", err)
	}
	attribute, err := asn1.Marshal(struct {
		Type   asn1.ObjectIdentifier
		Values []asn1.RawValue `asn1:"set"`
	}{
		asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7},
		[]asn1.RawValue{{Tag: asn1.TagPrintableString, Bytes: []byte(password)}},
	})
	if err != nil {
		return nil, fmt.Errorf("encode the challengePassword: %w", err)
	}
	info.Attributes = append(info.Attributes, asn1.RawValue{FullBytes: attribute})
	// DER sorts a SET OF (X.690 11.6).
	slices.SortFunc(info.Attributes, func(a, b asn1.RawValue) int { return bytes.Compare(a.FullBytes, b.FullBytes) })
	csr.Info.FullBytes, err = asn1.Marshal(info)
	if err != nil {
		return nil, fmt.Errorf("encode the CSR: %w", err)
	}
	digest := hash.New()
	digest.Write(csr.Info.FullBytes)
	signature, err := key.Sign(rand.Reader, digest.Sum(nil), hash)
	if err != nil {
		return nil, fmt.Errorf("sign the CSR: %w", err)
	}
	csr.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	return asn1.Marshal(csr)
}

// hashOf is what [NewPhone]'s CSRs are signed over.
func hashOf(algorithm x509.SignatureAlgorithm) (crypto.Hash, bool) {
	switch algorithm {
	case x509.SHA256WithRSA, x509.ECDSAWithSHA256:
		return crypto.SHA256, true
	case x509.ECDSAWithSHA384:
		return crypto.SHA384, true
	case x509.ECDSAWithSHA512:
		return crypto.SHA512, true
	}
	return 0, false
}
