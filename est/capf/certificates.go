package capf

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ciscora/internal/p7b"
)

// maxPKCS7 bounds a PKCS#7 in DER: thirty certificates and more. Decoding takes
// time in the square of the nesting, which the bound holds small.
const maxPKCS7 = 64 << 10

// certificates reads a base64 certs-only PKCS#7 as OpenSSL does for libest.
func certificates(text []byte) ([]*x509.Certificate, error) {
	der, err := decodeBase64(text)
	if err != nil {
		return nil, err
	}
	if len(der) > maxPKCS7 {
		return nil, fmt.Errorf("PKCS#7 of %d bytes; at most %d are read", len(der), maxPKCS7)
	}
	message, err := p7b.Parse(der)
	if err != nil {
		return nil, fmt.Errorf("no PKCS#7: %w", err)
	}
	if len(message.Certificates) == 0 {
		return nil, errors.New("PKCS#7 without a certificate")
	}
	return message.Certificates, nil
}

// decodeBase64 decodes base64 by the rules of OpenSSL's base64 filter: lines of
// less than 1,024 characters, the last of them ended, PEM armour allowed
// around (docs/reference/libest.md L4).
func decodeBase64(text []byte) ([]byte, error) {
	const longest = 1024
	var data strings.Builder
	for len(text) > 0 {
		line, rest, ended := bytes.Cut(text, []byte("\n"))
		text = rest
		line = bytes.TrimRight(line, "\r")
		switch {
		case bytes.HasPrefix(line, []byte("-")):
			if data.Len() > 0 {
				text = nil
			}
			continue
		case len(line) >= longest:
			return nil, fmt.Errorf("base64 line of %d characters; libest reads lines under %d", len(line), longest)
		case !ended && len(line) > 0:
			return nil, errors.New("base64 without a line end; libest does not read the last line")
		}
		data.Write(line)
	}
	if data.Len() == 0 {
		return nil, errors.New("empty answer")
	}
	der, err := base64.StdEncoding.DecodeString(data.String())
	if err != nil {
		return nil, fmt.Errorf("no base64: %w", err)
	}
	return der, nil
}

// deviceCertificates reads the answer to an enrollment, the certificate for the
// CSR's key first.
func deviceCertificates(text []byte, csr *x509.CertificateRequest) ([]*x509.Certificate, error) {
	certs, err := certificates(text)
	if err != nil {
		return nil, err
	}
	key, ok := csr.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return nil, fmt.Errorf("keys of type %T cannot be compared", csr.PublicKey)
	}
	own := slices.IndexFunc(certs, func(cert *x509.Certificate) bool { return key.Equal(cert.PublicKey) })
	if own < 0 {
		return nil, fmt.Errorf("no certificate for the CSR's key among the %d that came", len(certs))
	}
	device := certs[own]
	return slices.Insert(slices.Delete(certs, own, own+1), 0, device), nil
}

// verifyAmongThemselves checks that each certificate leads to a self-signed one
// among them, as libest does with a /cacerts answer (docs/reference/libest.md L12).
func verifyAmongThemselves(certs []*x509.Certificate, now time.Time) error {
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	for _, cert := range certs {
		if bytes.Equal(cert.RawIssuer, cert.RawSubject) && cert.CheckSignatureFrom(cert) == nil {
			roots.AddCert(cert)
		} else {
			others.AddCert(cert)
		}
	}
	for _, cert := range certs {
		_, err := cert.Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: others, CurrentTime: now,
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		})
		if err != nil {
			return fmt.Errorf("%s: %w", cert.Subject, err)
		}
	}
	return nil
}
