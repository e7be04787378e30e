package msca

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"ciscora/internal/printable"
	"ciscora/internal/x501"
)

// What OpenSSL 1.0.2 makes of a server's certificates when curl 7.61 asks it
// (X509_verify_cert with X509_V_FLAG_TRUSTED_FIRST): it builds one path by names and key
// identifiers, whatever the dates and the signatures, and stops at the first thing that
// is wrong with it. So the order in which things are looked at decides the words.

// The words of X509_verify_cert_error_string.
const (
	wordsIssuerMissing = "unable to get issuer certificate"
	wordsLocalMissing  = "unable to get local issuer certificate"
	wordsSelfSigned    = "self signed certificate"
	wordsSelfSignedTop = "self signed certificate in certificate chain"
	wordsCritical      = "unhandled critical extension"
	wordsNoCA          = "invalid CA certificate"
	wordsPurpose       = "unsupported certificate purpose"
	wordsPathLength    = "path length constraint exceeded"
	wordsSubtree       = "permitted subtree violation"
	wordsNotYet        = "certificate is not yet valid"
	wordsExpired       = "certificate has expired"
)

// opensslDepth bounds a path, as X509_VERIFY_PARAM does by itself.
const opensslDepth = 100

// opensslVerify judges certs, of which the server's own is the first, under anchors. A
// nil error is no leave to go on: x509 has to find them good, too.
func opensslVerify(certs, anchors []*x509.Certificate, now time.Time) *certificateError {
	path, words := opensslPath(certs, anchors)
	if words == "" {
		words = opensslExtensions(path)
	}
	if words != "" {
		return untrusted(fmt.Errorf("OpenSSL 1.0.2 finds: %s", words), words)
	}
	return opensslSignatures(path, now)
}

// opensslPath builds the path from the server's certificate to an anchor, or says what
// it misses. An anchor is a self-signed certificate: one below it in the trust store is
// but a step on the way.
func opensslPath(certs, anchors []*x509.Certificate) (path []*x509.Certificate, words string) {
	path = certs[:1:1]
	last := func() *x509.Certificate { return path[len(path)-1] }
	sent := slices.Clone(certs[1:])
	for len(path) < opensslDepth && !selfSigned(last()) && findIssuer(anchors, last()) < 0 {
		i := findIssuer(sent, last())
		if i < 0 {
			break
		}
		path = append(path, sent[i])
		sent = slices.Delete(sent, i, i+1)
	}
	var top *x509.Certificate // a self-signed one that came with the others
	switch {
	case !selfSigned(last()):
	case len(path) > 1:
		top = last()
		path = path[:len(path)-1]
	case slices.ContainsFunc(anchors, last().Equal):
		return path, ""
	default:
		return path, wordsSelfSigned
	}
	fromStore := len(path)
	for len(path) < opensslDepth && !selfSigned(last()) {
		i := findIssuer(anchors, last())
		if i < 0 {
			break
		}
		path = append(path, anchors[i])
	}
	switch {
	case len(path) > fromStore && selfSigned(last()):
		return path, ""
	case top != nil && mayHaveIssued(top, last()):
		return path, wordsSelfSignedTop
	case len(path) > fromStore:
		return path, wordsIssuerMissing
	}
	return path, wordsLocalMissing
}

// opensslExtensions is check_chain_extensions: from the server's certificate upwards.
func opensslExtensions(path []*x509.Certificate) string {
	below := 0 // certificates that count for the path's length
	for i, c := range path {
		limited := c.MaxPathLen > 0 || c.MaxPathLenZero
		switch {
		case len(c.UnhandledCriticalExtensions) > 0:
			return wordsCritical
		case i > 0 && !opensslCA(c):
			return wordsNoCA
		case !forServers(c) || i == 0 && c.KeyUsage != 0 && c.KeyUsage&keyUsagesOfServers == 0:
			return wordsPurpose
		case i > 1 && !selfIssued(c) && limited && below > c.MaxPathLen+1:
			return wordsPathLength
		}
		if !selfIssued(c) {
			below++
		}
	}
	return ""
}

// opensslSignatures is internal_verify: from the anchor downwards, of each certificate
// first the signature and then the dates. The anchor's own signature is not looked at.
func opensslSignatures(path []*x509.Certificate, now time.Time) *certificateError {
	for i, c := range slices.Backward(path) {
		if i < len(path)-1 {
			if err := path[i+1].CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
				// What the verification of a signature leaves in OpenSSL's queue of
				// errors comes before "certificate signature failure", and curl
				// prints the first.
				words := "error:0D0C5006:asn1 encoding routines:ASN1_item_verify:EVP lib"
				if path[i+1].PublicKeyAlgorithm == x509.RSA {
					words = "error:0407006A:rsa routines:RSA_padding_check_PKCS1_type_1:block type is not 01"
				}
				err = fmt.Errorf("the signature of %s: %w", printable.Line(x501.Text(c.RawSubject), 200), err)
				return &certificateError{KindTLSUntrusted, 35, words, err}
			}
		}
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return invalidAt(now, c, x509.CertificateInvalidError{Cert: c, Reason: x509.Expired, Detail: validity(c, now)})
		}
	}
	return nil
}

const keyUsagesOfServers = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement

// forServers tells whether c restricts its purpose to others than TLS servers. That it
// is good for any (anyExtendedKeyUsage) does not count for OpenSSL.
func forServers(c *x509.Certificate) bool {
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 || slices.ContainsFunc(c.ExtKeyUsage, func(u x509.ExtKeyUsage) bool {
		return u == x509.ExtKeyUsageServerAuth || u == x509.ExtKeyUsageMicrosoftServerGatedCrypto || u == x509.ExtKeyUsageNetscapeServerGatedCrypto
	})
}

// opensslCA is X509_check_ca: without basicConstraints a self-signed certificate of
// version 1 is a CA, and one that may sign certificates by its key usage.
func opensslCA(c *x509.Certificate) bool {
	switch {
	case !MaySign(c):
		return false
	case c.BasicConstraintsValid:
		return c.IsCA
	}
	return c.Version == 1 && selfSigned(c) || c.KeyUsage != 0
}

// findIssuer is the place of the first certificate that may have issued c, -1 without.
func findIssuer(from []*x509.Certificate, c *x509.Certificate) int {
	return slices.IndexFunc(from, func(issuer *x509.Certificate) bool { return mayHaveIssued(issuer, c) })
}

// mayHaveIssued is X509_check_issued: names, key identifiers and the issuer's key usage.
func mayHaveIssued(issuer, c *x509.Certificate) bool { return Issued(issuer, c) && MaySign(issuer) }

// selfSigned is OpenSSL's EXFLAG_SS, which IIS's own self-signed certificates lack: they
// may not sign certificates.
func selfSigned(c *x509.Certificate) bool { return mayHaveIssued(c, c) }

func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) }

// MaySign tells whether a certificate's key usage lets it sign others, as one that does not
// restrict its key's usage does. OpenSSL 1.0.2 calls no other one self-signed.
func MaySign(c *x509.Certificate) bool {
	return c.KeyUsage == 0 || c.KeyUsage&x509.KeyUsageCertSign != 0
}

func untrusted(err error, words string) *certificateError {
	return &certificateError{KindTLSUntrusted, 60, "SSL certificate problem: " + words, err}
}

// validity are the dates of a certificate that is not valid now.
func validity(c *x509.Certificate, now time.Time) string {
	side := "after"
	if now.Before(c.NotBefore) {
		side = "before"
	}
	return x501.Text(c.RawSubject) + " is valid from " + c.NotBefore.UTC().Format(time.RFC3339) + " to " + c.NotAfter.UTC().Format(time.RFC3339) +
		", it is now " + now.UTC().Format(time.RFC3339) + ", which is " + side + " that"
}

func invalidAt(now time.Time, c *x509.Certificate, err error) *certificateError {
	words := wordsExpired
	if now.Before(c.NotBefore) {
		words = wordsNotYet
	}
	return &certificateError{KindTLSValidity, 60, "SSL certificate problem: " + words, err}
}

// wordsOf are OpenSSL's for what x509 says is wrong with a chain.
func wordsOf(err error) string {
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) {
		return ""
	}
	switch invalid.Reason {
	case x509.IncompatibleUsage:
		return wordsPurpose
	case x509.NotAuthorizedToSign:
		return wordsNoCA
	case x509.TooManyIntermediates:
		return wordsPathLength
	case x509.CANotAuthorizedForThisName:
		return wordsSubtree
	}
	return ""
}
