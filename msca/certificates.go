package msca

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"ciscora/internal/p7b"
)

// maxCertificates bounds what one answer may hold.
const maxCertificates = 64

var errHTML = errors.New("a page of HTML came where a certificate should be")

// parseCertificates reads one certificate or more, whatever they are wrapped in:
// DER or base64 or PEM of an X.509 certificate or a PKCS#7. Labels and content
// types are not looked at: certsrv labels a PKCS#7 CERTIFICATE and serves PEM as
// text/html (docs/reference/certsrv.md 0, 2).
func parseCertificates(body []byte) ([]*x509.Certificate, error) {
	// As it came first: the last byte of a DER signature may look like a blank.
	if certs, err := parseDER(body); err == nil {
		return certs, nil
	}
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if len(body) == 0 {
		return nil, errors.New("an empty answer came where a certificate should be")
	}
	if certs, err := parsePEM(body); len(certs) > 0 || err != nil {
		return certs, err
	}
	if der, err := base64.StdEncoding.DecodeString(string(body)); err == nil {
		return parseDER(der)
	}
	if bytes.IndexByte(body, '<') >= 0 && body[0] != 0x30 {
		return nil, errHTML
	}
	_, err := parseDER(body)
	return nil, err
}

func parsePEM(body []byte) (certs []*x509.Certificate, err error) {
	for len(certs) < maxCertificates {
		var block *pem.Block
		if block, body = pem.Decode(body); block == nil {
			return certs, nil
		}
		switch block.Type {
		case "CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE", "PKCS7", "PKCS #7 SIGNED DATA", "CMS":
		default:
			continue
		}
		more, err := parseDER(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, more...)
	}
	return certs[:maxCertificates], nil
}

func parseDER(der []byte) ([]*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if err == nil {
		return []*x509.Certificate{cert}, nil
	}
	p7, p7err := p7b.Parse(der)
	switch {
	case p7err != nil:
		return nil, fmt.Errorf("what came is neither a certificate (%w) nor a PKCS#7", err)
	case len(p7.Certificates) == 0:
		return nil, errors.New("the PKCS#7 holds no certificate")
	case len(p7.Certificates) > maxCertificates:
		return nil, fmt.Errorf("the PKCS#7 holds %d certificates, at most %d are taken", len(p7.Certificates), maxCertificates)
	}
	return p7.Certificates, nil
}
