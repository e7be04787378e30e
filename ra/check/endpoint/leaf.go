package endpoint

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"ciscora/internal/printable"
	"ciscora/internal/x501"
	"ciscora/ra/check"
)

// longest is how much of a foreign name is shown.
const longest = 200

func shown(s string) string { return printable.Line(s, longest) }

func subject(c *x509.Certificate) string { return shown(x501.Text(c.RawSubject)) }
func issuer(c *x509.Certificate) string  { return shown(x501.Text(c.RawIssuer)) }

// keyOf names a certificate's key.
func keyOf(c *x509.Certificate) string {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return c.PublicKeyAlgorithm.String()
}

func selfIssued(c *x509.Certificate) bool { return string(c.RawSubject) == string(c.RawIssuer) }

// described is a certificate in one line.
func described(c *x509.Certificate) string {
	from := "issued by " + issuer(c)
	if selfIssued(c) {
		from = "self-signed"
	}
	return fmt.Sprintf("%s, %s, %s, until %s", subject(c), from, keyOf(c), c.NotAfter.UTC().Format(time.DateOnly))
}

// allNames are the names in a certificate: SANs, and then the CN.
func allNames(c *x509.Certificate) string {
	const most = 20
	var all []string
	all = append(all, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "no SAN, CN " + shown(c.Subject.CommonName)
	}
	more := ""
	if len(all) > most {
		all, more = all[:most], fmt.Sprintf(" and %d more", len(all)-most)
	}
	for i := range all {
		all[i] = shown(all[i])
	}
	return strings.Join(all, ", ") + more
}

// amongNames is what a name that is not there was looked for in.
func amongNames(c *x509.Certificate) string {
	if len(c.DNSNames) == 0 && len(c.IPAddresses) == 0 {
		return "its names: it has no SAN, and its CN is " + shown(c.Subject.CommonName)
	}
	return "its SANs " + allNames(c)
}

// validity judges the dates of a certificate. fix is for one that is still valid, late for
// one that has expired; "" = the same.
func validity(name string, c *x509.Certificate, o Outside, symptom, fix, late string) check.Finding {
	now := o.Now()
	f := check.Finding{Name: name, State: check.OK, Seen: fmt.Sprintf("%s: from %s to %s", subject(c), day(c.NotBefore), day(c.NotAfter))}
	switch {
	case now.Before(c.NotBefore):
		f.State, f.Reason = check.Fail, fmt.Sprintf("it is not valid yet: here it is %s", day(now))
		f.Symptom, f.Fix = symptom, "Look at the clock of both sides first; else wait, or have it issued anew"
	case now.After(c.NotAfter):
		f.State, f.Symptom, f.Reason, f.Fix = check.Fail, symptom, "it has expired", cmp.Or(late, fix)
	case o.Exactly && c.NotAfter.Sub(now) < o.Soon, !o.Exactly && check.EndsSoon(c, now, o.Soon):
		left := int(c.NotAfter.Sub(now) / (24 * time.Hour))
		f.State, f.Symptom, f.Reason, f.Fix = check.Warn, "from that day on: "+symptom, fmt.Sprintf("it expires in %d days", left), fix
	}
	return f
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
