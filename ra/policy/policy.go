// Package policy says what may be asked: which CSRs the CA gets to see, and what
// clients are told that a CSR should have.
package policy

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/asn1"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ciscora/internal/pattern"
	"ciscora/internal/printable"
)

// Policy is what a CSR must be before the CA sees it. Its zero value lets through
// all but what is always refused: names and extensions by which a certificate would
// log in to Windows as somebody else (docs/reference/certsrv.md 8), and CSRs that say two things.
type Policy struct {
	// Keys are the kinds that are taken: rsa2048 is RSA with exactly so many bits,
	// ec256 the curve P-256; none = all.
	Keys []string
	// Identity, where it is set, matches the common name of the client's certificate; its
	// groups are the words {1} and so on of the patterns below.
	Identity *regexp.Regexp
	// Subject are patterns, one of which the whole subject (RFC 4514) matches;
	// none = all.
	Subject []*pattern.Pattern
	// SAN are patterns, one of which each subject alternative name matches, as
	// dns:NAME, ip:ADDRESS, email:ADDRESS, uri:URI, dir:SUBJECT, oid:1.2.3, upn:NAME or
	// other:TYPE=#HEX; none = all.
	SAN []*pattern.Pattern
	// Ambiguous takes a CSR that says two things: a subject with several common names,
	// an extension that is there twice.
	Ambiguous bool
	// Forbid are extensions that a CSR must not ask for; Allow are those that are
	// taken although they are always refused otherwise.
	Forbid, Allow []asn1.ObjectIdentifier
}

// What is refused unless a policy allows it.
var (
	oidSID                 = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 25, 2}  // szOID_NTDS_CA_SECURITY_EXT
	oidApplicationPolicies = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 21, 10} // szOID_APPLICATION_CERT_POLICIES
)

const maxReason = 300 // bytes of a refusal, which quotes the CSR

// Refusal says why a policy refuses a CSR, on one line that its client may see.
type Refusal struct {
	// Malformed: the client should make another CSR; else it may not have what it asks
	// for.
	Malformed bool
	Text      string
}

func (r *Refusal) Error() string { return r.Text }

func malformed(format string, args ...any) *Refusal {
	return &Refusal{Malformed: true, Text: "the CSR's " + printable.Line(fmt.Sprintf(format, args...), maxReason)}
}

func notAllowed(format string, args ...any) *Refusal {
	return &Refusal{Text: "the CSR is not allowed here: " + printable.Line(fmt.Sprintf(format, args...), maxReason)}
}

// Check returns why the policy refuses a CSR, or nil.
func (p Policy) Check(csr *CSR, who Asker) *Refusal {
	if kind := keyKind(csr.Key); len(p.Keys) > 0 && !slices.Contains(p.Keys, kind) {
		return malformed("key is %s: take one of %s", kind, strings.Join(p.Keys, ", "))
	}
	if csr.ambiguous != "" && !p.Ambiguous {
		return notAllowed("%s, and one is taken", csr.ambiguous)
	}
	patterns, refusal := p.matcherFor(who, csr.Subject)
	if refusal != nil {
		return refusal
	}
	if subject := csr.Subject.String(); !matchesOne(patterns.subject, subject) {
		return notAllowed("its subject %q is not one for this service", subject)
	}
	for _, e := range csr.Extensions {
		switch {
		case slices.ContainsFunc(p.Forbid, e.Id.Equal):
			return notAllowed("it asks for the extension %s", e.Id)
		case e.Id.Equal(oidSID) && !p.allows(oidSID):
			return notAllowed("it asks for the extension %s, the security identifier of a Windows account", e.Id)
		case e.Id.Equal(oidApplicationPolicies) && !p.allows(oidApplicationPolicies):
			return notAllowed("it asks for the extension %s, application policies, which Windows takes for what the certificate is good for", e.Id)
		}
	}
	for _, name := range csr.Names {
		switch {
		case name.Kind == "upn" && !p.allows(oidUPN):
			return notAllowed("it has a user principal name (otherName %s), by which a Windows account logs in", oidUPN)
		case name.isSID() && !p.allows(oidSID):
			return notAllowed("its subject alternative name %q is the security identifier of a Windows account", name)
		case !matchesOne(patterns.forName(name), name.String()):
			return notAllowed("its subject alternative name %q is not one for this service", name)
		}
	}
	return nil
}

func (p Policy) allows(oid asn1.ObjectIdentifier) bool {
	return slices.ContainsFunc(p.Allow, oid.Equal)
}

// matchesOne passes over a pattern that is none for this asker.
func matchesOne(patterns []*regexp.Regexp, name string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return p != nil && p.MatchString(name) })
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
