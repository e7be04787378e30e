package msca

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"

	"ciscora/internal/printable"
)

// x509 takes no certificate that is signed with SHA-1. OpenSSL 1.0.2 does, and so CES
// gets along with an IIS whose certificate is that old. What follows is for such chains
// alone, and stricter than x509 where that is shorter: no issuer with name constraints,
// none without basicConstraints, and the path's length counts self-issued ones too.

const (
	maxSHA1Chain  = 6
	maxSHA1Sent   = 8
	maxSHA1Checks = 50 // of signatures
)

var oidNameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}

// sha1Chain builds a chain from the server's certificate, which is the first, to an
// anchor, whatever the date; nil where there is none, or where nothing in it is signed
// with SHA-1.
func sha1Chain(certs, anchors []*x509.Certificate) []*x509.Certificate {
	if !slices.ContainsFunc(certs, signedWithSHA1) || len(certs[0].UnhandledCriticalExtensions) > 0 {
		return nil
	}
	b := &sha1Builder{anchors: anchors, sent: certs[1:min(len(certs), maxSHA1Sent)], checks: maxSHA1Checks}
	return b.extend(certs[:1:1])
}

type sha1Builder struct {
	anchors, sent []*x509.Certificate
	checks        int // that may still be made
}

func (b *sha1Builder) extend(chain []*x509.Certificate) []*x509.Certificate {
	last := chain[len(chain)-1]
	if slices.ContainsFunc(b.anchors, last.Equal) {
		return chain
	}
	if len(chain) == maxSHA1Chain {
		return nil
	}
	for _, issuer := range slices.Concat(b.anchors, b.sent) {
		if slices.ContainsFunc(chain, issuer.Equal) || !mayIssue(issuer, len(chain)-1) || !Issued(issuer, last) {
			continue
		}
		if b.checks--; b.checks < 0 {
			return nil
		}
		// CheckSignature takes SHA-1, which CheckSignatureFrom and Verify do not; of
		// MD5 it takes none either.
		if issuer.CheckSignature(last.SignatureAlgorithm, last.RawTBSCertificate, last.Signature) != nil {
			continue
		}
		if whole := b.extend(append(slices.Clip(chain), issuer)); whole != nil {
			return whole
		}
	}
	return nil
}

// mayIssue tells whether c may sign certificates with so many CAs between it and the
// server's (RFC 5280 §6.1.4).
func mayIssue(c *x509.Certificate, below int) bool {
	switch {
	case !c.BasicConstraintsValid || !c.IsCA || !MaySign(c) || len(c.UnhandledCriticalExtensions) > 0:
		return false
	case (c.MaxPathLen > 0 || c.MaxPathLenZero) && below > c.MaxPathLen:
		return false
	}
	return extensionOf(c, oidNameConstraints) == nil
}

func extensionOf(c *x509.Certificate, id asn1.ObjectIdentifier) []byte {
	for _, e := range c.Extensions {
		if e.Id.Equal(id) {
			return e.Value
		}
	}
	return nil
}

// serverPurpose demands serverAuth of all below the anchor that restrict their purpose.
func serverPurpose(chain []*x509.Certificate) error {
	for _, c := range chain[:max(1, len(chain)-1)] {
		restricted := len(c.ExtKeyUsage) > 0 || len(c.UnknownExtKeyUsage) > 0
		if restricted && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) {
			return x509.CertificateInvalidError{Cert: c, Reason: x509.IncompatibleUsage}
		}
	}
	return nil
}

// signedWithSHA1 is not true of a root, whose signature nobody looks at.
func signedWithSHA1(c *x509.Certificate) bool {
	return !selfIssued(c) && (c.SignatureAlgorithm == x509.SHA1WithRSA || c.SignatureAlgorithm == x509.ECDSAWithSHA1)
}

// sha1Refused says that a chain was refused for its signatures, in the words of an
// OpenSSL that refuses them too; nil where they are not the reason.
func sha1Refused(err error, certs []*x509.Certificate) *certificateError {
	i := slices.IndexFunc(certs, signedWithSHA1)
	if i < 0 {
		return nil
	}
	return &certificateError{
		KindTLSUntrusted, 60, "SSL certificate problem: CA signature digest algorithm too weak",
		fmt.Errorf("the certificate of %s is signed with SHA-1, which is taken in the profile cucm-12.5 alone: have it issued anew, with SHA-256 (%w)", printable.Line(certs[i].Subject.String(), 200), err),
	}
}
