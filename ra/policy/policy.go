// Package policy says what may be asked: which CSRs the CA gets to see, and what
// clients are told that a CSR should have.
package policy

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ciscora/internal/printable"
)

// Policy is what a CSR must be before the CA sees it. Its zero value lets through
// all but what is always refused: names and extensions by which a certificate would
// log in to Windows as somebody else (certsrv.md 8).
type Policy struct {
	// Keys are the kinds that are taken: rsa2048 is RSA with exactly so many bits,
	// ec256 the curve P-256; none = all.
	Keys []string
	// Subject are patterns, one of which the whole subject (RFC 2253) matches;
	// none = all.
	Subject []*regexp.Regexp
	// SAN are patterns, one of which each subject alternative name matches, as
	// dns:NAME, ip:ADDRESS, email:ADDRESS or uri:URI; none = all.
	SAN []*regexp.Regexp
	// Forbid are extensions that a CSR must not ask for; Allow are those that are
	// taken although they are always refused otherwise.
	Forbid, Allow []asn1.ObjectIdentifier
}

// What is refused unless a policy allows it.
var (
	oidSID           = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 25, 2}    // szOID_NTDS_CA_SECURITY_EXT
	oidUPN           = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3} // otherName
	oidSubjectAltExt = asn1.ObjectIdentifier{2, 5, 29, 17}
)

const (
	maxNames  = 100 // subject alternative names of one CSR
	maxReason = 300 // bytes of a refusal, which quotes the CSR
)

// Refusal says why a policy refuses a CSR, on one line that its client may see.
type Refusal struct {
	// Malformed: the client should make another CSR; else it may not have what it asks
	// for.
	Malformed bool
	Text      string
}

func (r *Refusal) Error() string { return r.Text }

// Check returns why the policy refuses a CSR, or nil.
func (p Policy) Check(csr *x509.CertificateRequest) *Refusal {
	forbidden := func(format string, args ...any) *Refusal {
		return &Refusal{Text: "the CSR is not allowed here: " + printable.Line(fmt.Sprintf(format, args...), maxReason)}
	}
	if kind := keyKind(csr.PublicKey); len(p.Keys) > 0 && !slices.Contains(p.Keys, kind) {
		return &Refusal{Malformed: true, Text: fmt.Sprintf("the CSR's key is %s: take one of %s", kind, strings.Join(p.Keys, ", "))}
	}
	if subject := csr.Subject.String(); !matchesOne(p.Subject, subject) {
		return forbidden("its subject %q is not one for this service", subject)
	}
	for _, e := range csr.Extensions {
		switch {
		case slices.ContainsFunc(p.Forbid, e.Id.Equal):
			return forbidden("it asks for the extension %s", e.Id)
		case e.Id.Equal(oidSID) && !slices.ContainsFunc(p.Allow, oidSID.Equal):
			return forbidden("it asks for the extension %s, the security identifier of a Windows account", e.Id)
		}
	}
	names, err := alternativeNames(csr)
	switch {
	case err != nil:
		return &Refusal{Malformed: true, Text: "the CSR's subject alternative names cannot be read"}
	case len(names) > maxNames:
		return forbidden("it has %d subject alternative names, and at most %d are taken", len(names), maxNames)
	}
	for _, name := range names {
		if name == "upn" {
			if !slices.ContainsFunc(p.Allow, oidUPN.Equal) {
				return forbidden("it has a user principal name (otherName %s), by which a Windows account logs in", oidUPN)
			}
			continue
		}
		if !matchesOne(p.SAN, name) {
			return forbidden("its subject alternative name %q is not one for this service", name)
		}
	}
	return nil
}

func matchesOne(patterns []*regexp.Regexp, name string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return p.MatchString(name) })
}

func keyKind(public any) string {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("rsa%d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return fmt.Sprintf("ec%d", key.Curve.Params().BitSize)
	case ed25519.PublicKey:
		return "ed25519"
	}
	return "of an unknown kind"
}

// alternativeNames returns the CSR's names, as [Policy.SAN] has them; "upn" stands
// for a user principal name, and other: for a form that has no text.
func alternativeNames(csr *x509.CertificateRequest) ([]string, error) {
	var names []string
	for _, n := range csr.DNSNames {
		names = append(names, "dns:"+n)
	}
	for _, n := range csr.IPAddresses {
		names = append(names, "ip:"+n.String())
	}
	for _, n := range csr.EmailAddresses {
		names = append(names, "email:"+n)
	}
	for _, n := range csr.URIs {
		names = append(names, "uri:"+n.String())
	}
	for _, e := range csr.Extensions {
		if !e.Id.Equal(oidSubjectAltExt) {
			continue
		}
		var all []asn1.RawValue
		if rest, err := asn1.Unmarshal(e.Value, &all); err != nil || len(rest) > 0 {
			return nil, fmt.Errorf("subjectAltName: %w", err)
		}
		for _, raw := range all {
			switch raw.Tag { // RFC 5280 §4.2.1.6
			case 1, 2, 6, 7: // crypto/x509 has them
			case 0:
				var oid asn1.ObjectIdentifier
				if _, err := asn1.Unmarshal(raw.Bytes, &oid); err != nil {
					return nil, fmt.Errorf("otherName: %w", err)
				}
				if oid.Equal(oidUPN) {
					names = append(names, "upn")
				} else {
					names = append(names, "other:"+oid.String())
				}
			default:
				names = append(names, fmt.Sprintf("other:%d", raw.Tag))
			}
		}
	}
	return names, nil
}

// CompilePattern compiles a pattern of a policy: it matches a whole text.
func CompilePattern(pattern string) (*regexp.Regexp, error) {
	// In a group of its own, so that a | in it does not get around the anchors.
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// ParseOID reads an object identifier: 1.3.6.1.4.1.311.25.2.
func ParseOID(dotted string) (asn1.ObjectIdentifier, error) {
	var oid asn1.ObjectIdentifier
	for part := range strings.SplitSeq(dotted, ".") {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("%q is no object identifier, write it as 1.2.3", dotted)
		}
		oid = append(oid, int(n))
	}
	if _, err := asn1.Marshal(oid); err != nil {
		return nil, fmt.Errorf("%q is no object identifier, write it as 1.2.3", dotted)
	}
	return oid, nil
}
