package endpoint

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxDepth bounds a chain.
const maxDepth = 12

// A walk is the way from a certificate up to its root.
type walk struct {
	links   []link
	missing *x509.Certificate // whose issuer is nowhere; nil = the root was reached
}

// A link is an issuer on the way, and where it was found.
type link struct {
	certificate *x509.Certificate
	trusted     bool // it is in the trust store
}

// up looks for the issuers of a certificate in the trust store, and then in what came
// with it.
func up(leaf *x509.Certificate, came, trust []*x509.Certificate) walk {
	var w walk
	at := leaf
	for range maxDepth {
		if slices.ContainsFunc(trust, at.Equal) && at == leaf {
			w.links = append(w.links, link{at, true})
		}
		if selfIssued(at) {
			if at == leaf && len(w.links) == 0 {
				w.links = append(w.links, link{at, false})
			}
			return w
		}
		parent, trusted := issuerOf(at, trust), true
		if parent == nil {
			parent, trusted = issuerOf(at, came), false
		}
		if parent == nil {
			w.missing = at
			return w
		}
		w.links = append(w.links, link{parent, trusted})
		at = parent
	}
	w.missing = at // a circle
	return w
}

// issuerOf finds who signed a certificate, by the signature, as names and identifiers
// repeat themselves. Of SHA-1, too: CAs that sign with it are still about.
func issuerOf(c *x509.Certificate, among []*x509.Certificate) *x509.Certificate {
	for _, candidate := range among {
		if string(candidate.RawSubject) == string(c.RawIssuer) && !candidate.Equal(c) &&
			candidate.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil {
			return candidate
		}
	}
	return nil
}

// namesake tells whether a CA is there that is called as the issuer and is not it.
func namesake(c *x509.Certificate, among []*x509.Certificate) bool {
	return slices.ContainsFunc(among, func(other *x509.Certificate) bool { return string(other.RawSubject) == string(c.RawIssuer) })
}

// notTrusted are the issuers on the way that are not in the trust store.
func (w walk) notTrusted() (list []*x509.Certificate) {
	for _, l := range w.links {
		if !l.trusted {
			list = append(list, l.certificate)
		}
	}
	return list
}

// anchored tells whether the root is in the trust store.
func (w walk) anchored() bool {
	return w.missing == nil && len(w.links) > 0 && w.links[len(w.links)-1].trusted
}

// wanted names the issuer that is missing, and how to fetch it.
func wanted(c *x509.Certificate) (who, fetch string) {
	who = issuer(c)
	if len(c.AuthorityKeyId) > 0 {
		who += ", key identifier " + colons(c.AuthorityKeyId)
	}
	for _, url := range c.IssuingCertificateURL {
		if strings.HasPrefix(url, "http://") || strings.HasPrefix(url, "https://") {
			// It is the certificate's, and goes into a shell: without what a shell reads.
			clean := strings.Map(func(r rune) rune {
				if r <= ' ' || r > '~' || r == '\'' {
					return -1
				}
				return r
			}, shown(url))
			return who, fmt.Sprintf("curl -o issuer.cer '%s' fetches it (from the certificate's AIA), openssl x509 -inform DER -in issuer.cer -out issuer.pem makes PEM of it", clean)
		}
	}
	return who, "ask the CA for it: the certificate does not say where it is"
}

// colons is hexadecimal as certificate viewers show it.
func colons(b []byte) string {
	var parts []string
	for _, x := range b {
		parts = append(parts, strings.ToUpper(hex.EncodeToString([]byte{x})))
	}
	return strings.Join(parts, ":")
}

// leafOf is the certificate of a file that is no CA's, or the first.
func leafOf(all []*x509.Certificate) *x509.Certificate {
	for _, c := range all {
		if !c.IsCA {
			return c
		}
	}
	return all[0]
}

// subjects lists certificates by their subjects.
func subjects(list []*x509.Certificate) string {
	parts := make([]string, len(list))
	for i, c := range list {
		parts[i] = subject(c) + " (until " + c.NotAfter.UTC().Format(time.DateOnly) + ")"
	}
	return strings.Join(parts, "; ")
}
