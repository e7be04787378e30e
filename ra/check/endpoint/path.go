package endpoint

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// broken tells why a chain whose signatures and names are right is taken by nobody all the
// same (RFC 5280 §6.1); "" = it is sound. Its dates are judged apart from it.
func (w walk) broken(leaf *x509.Certificate) string {
	path := []*x509.Certificate{leaf}
	for _, l := range w.links {
		if !l.certificate.Equal(leaf) {
			path = append(path, l.certificate)
		}
	}
	below := 0 // CAs under the one that is looked at, which count
	for i, c := range path {
		if len(c.UnhandledCriticalExtensions) > 0 {
			return fmt.Sprintf("%s has a critical extension that nobody knows, %s", subject(c), c.UnhandledCriticalExtensions[0])
		}
		if i == 0 {
			continue
		}
		switch old := c.Version < 3 && selfIssued(c); {
		case !old && (!c.BasicConstraintsValid || !c.IsCA):
			return fmt.Sprintf("%s is no CA by its basic constraints, and has issued %s", subject(c), subject(path[i-1]))
		case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
			return fmt.Sprintf("%s may not sign certificates by its key usage, and has issued %s", subject(c), subject(path[i-1]))
		case (c.MaxPathLen > 0 || c.MaxPathLenZero) && below > c.MaxPathLen:
			return fmt.Sprintf("%s allows %d CAs below it, and there are %d", subject(c), c.MaxPathLen, below)
		}
		if !selfIssued(c) {
			below++
		}
	}
	if len(path) == 1 {
		return ""
	}
	return verified(path)
}

// verified is what Go says besides, of names that are not permitted above all. What it
// says of algorithms that have become weak is not for here: products take them.
func verified(path []*x509.Certificate) string {
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(path[len(path)-1])
	at := time.Time{}
	for i, c := range path {
		if i < len(path)-1 {
			others.AddCert(c)
		}
		if c.NotBefore.After(at) {
			at = c.NotBefore
		}
	}
	_, err := path[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case err == nil, isInvalid && invalid.Reason == x509.Expired:
		return ""
	case !isInvalid && slices.ContainsFunc(path, func(c *x509.Certificate) bool {
		return !selfIssued(c) && slices.Contains([]x509.SignatureAlgorithm{x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.MD5WithRSA, x509.DSAWithSHA1}, c.SignatureAlgorithm)
	}):
		return ""
	}
	return shown(err.Error())
}
