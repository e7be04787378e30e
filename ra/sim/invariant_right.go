package sim

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"
)

// rightCertificate: what a client gets is the answer to its own request: its key,
// its names, its template, and a ReqID that the RA got for it, or one under which
// others got the same for the same key: that cannot be told apart (docs/scale.md).
func rightCertificate(h *History) []string {
	var bad []string
	for wish, asks := range h.Asks {
		for _, ask := range asks {
			if ask.Certificate == nil {
				continue
			}
			id := h.reqIDOf(ask.Certificate)
			if why := h.wrong(wish, id, ask.Certificate); why != "" {
				bad = append(bad, fmt.Sprintf("%s at %s: ReqID %d %s", wishName(wish), ask.Ended, id, why))
			}
		}
	}
	return bad
}

func (h *History) wrong(wish, reqID int, c *x509.Certificate) string {
	w := h.Plan.Wishes[wish]
	cn, dns, usage := wishName(wish), wishName(wish)+".sim.test", []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	switch w.Label {
	case Supervised:
		usage = usage[:1]
	case Directory:
		usage = usage[1:]
		cn, dns = "ciscora", "" // the account's
		if h.Plan.Accounts {
			cn = wishName(wish)
		}
	}
	if !w.DNS {
		dns = ""
	}
	switch owner, ours := h.Owner[reqID]; {
	case reqID == 0:
		return "is not the CA's"
	case !ours && !slices.Contains(h.twins(wish), reqID):
		return fmt.Sprintf("(%s) is another's", c.Subject)
	case ours && owner != wish:
		return "is that of " + wishName(owner)
	case c.Subject.CommonName != cn:
		return fmt.Sprintf("has the name %s", c.Subject)
	case dns == "" && len(c.DNSNames) > 0, dns != "" && !slices.Equal(c.DNSNames, []string{dns}):
		return fmt.Sprintf("has the names %q", c.DNSNames)
	case !slices.Equal(c.ExtKeyUsage, usage):
		return "is of another template"
	}
	public, ok := h.publicKey[wish].(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(c.PublicKey) {
		return "has another key"
	}
	if bytes.Equal(c.RawSubject, c.RawIssuer) {
		return "has signed itself"
	}
	return ""
}
