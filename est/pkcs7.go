package est

import (
	"bytes"
	"crypto/x509"
	"fmt"

	"github.com/smallstep/pkcs7"
)

// certsOnly returns certs as a certs-only CMC Simple PKI Response, which is a
// degenerate PKCS #7 SignedData in DER (RFC 7030 §4.1.3, §4.2.3).
func certsOnly(certs []*x509.Certificate) ([]byte, error) {
	var all []byte
	for _, c := range certs {
		all = append(all, c.Raw...)
	}
	der, err := pkcs7.DegenerateCertificate(all)
	if err != nil {
		return nil, fmt.Errorf("encode %d certificates as PKCS #7: %w", len(certs), err)
	}
	return der, nil
}

// selfContained returns the certificates that the others, and in the end a
// self-signed one among them, vouch for; all of them if none is self-signed. A
// libest client refuses a /cacerts answer with more in it than that
// (docs/reference/libest.md L12).
func selfContained(certs []*x509.Certificate) []*x509.Certificate {
	kept := make([]bool, len(certs))
	for grown := true; grown; {
		grown = false
		for i, c := range certs {
			if !kept[i] && vouchedFor(c, certs, kept) {
				kept[i], grown = true, true
			}
		}
	}
	var out []*x509.Certificate
	for i, c := range certs {
		if kept[i] {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return certs
	}
	return out
}

// vouchedFor tells whether c is self-signed or issued by one that is kept.
func vouchedFor(c *x509.Certificate, certs []*x509.Certificate, kept []bool) bool {
	if bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignatureFrom(c) == nil {
		return true
	}
	for i, issuer := range certs {
		if kept[i] && bytes.Equal(c.RawIssuer, issuer.RawSubject) && c.CheckSignatureFrom(issuer) == nil {
			return true
		}
	}
	return false
}
