package policy

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"slices"
	"unicode"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"

	"ciscora/internal/x501"
)

// Bounds of what a CSR is read for: many times what an honest one has.
const (
	maxSize       = 256 << 10 // bytes; the front end takes less
	maxAttributes = 20
	maxExtensions = 50
	maxNames      = 100 // subject alternative names
)

// CSR is what a certification request asks for: all of it, read from its DER. What
// decides or records goes by this view and nothing else; crypto/x509 sees less.
type CSR struct {
	Key crypto.PublicKey // nil where it is of no known kind
	// Subject is the name, each attribute of each RDN.
	Subject    x501.Name
	SubjectDER []byte
	// Extensions are those asked for, from wherever they stand: PKCS #9's attribute
	// first, then Microsoft's. What both have alike is there once.
	Extensions []pkix.Extension
	// Names are the subject alternative names, as [Policy.SAN] has them, and NamesDER the
	// value of the extension that they stand in.
	Names    []AlternativeName
	NamesDER []byte
	// What is a digest of all that is asked for: see [CSR.digest].
	What [sha256.Size]byte

	attributes []attribute
	ambiguous  string // what makes the CSR say two things, "" = nothing
}

// attribute is one of a CSR's (RFC 2986 §4.1).
type attribute struct {
	oid    asn1.ObjectIdentifier
	der    []byte
	values []cryptobyte.String
}

// Read reads a CSR. What it cannot read, and what has no place in a CSR, is refused by
// name: what the RA does not see, the CA might.
func Read(csr *x509.CertificateRequest) (*CSR, *Refusal) {
	if len(csr.Raw) > maxSize {
		return nil, malformed("has %d bytes: at most %d are taken", len(csr.Raw), maxSize)
	}
	view := &CSR{Key: csr.PublicKey}
	key, refusal := view.open(csr.Raw)
	if refusal != nil {
		return nil, refusal
	}
	var err error
	if view.Subject, err = x501.Parse(view.SubjectDER); err != nil {
		return nil, malformed("subject cannot be read: %v", err)
	}
	if err := seen(view.Subject); err != nil {
		return nil, malformed("subject %v", err)
	}
	view.What = view.digest(key)
	if names := view.Subject.All(x501.CommonName); len(names) > 1 {
		view.ambiguous = fmt.Sprintf("its subject %q has %d common names", view.Subject, len(names))
	}
	if refusal := view.readExtensions(); refusal != nil {
		return nil, refusal
	}
	return view, view.readNames()
}

// CN is the subject's common name; of several, all.
func (c *CSR) CN() string { return commonName(c.Subject, " + ") }

func commonName(name x501.Name, separator string) string {
	var b bytes.Buffer
	for i, cn := range name.All(x501.CommonName) {
		if i > 0 {
			b.WriteString(separator)
		}
		b.WriteString(cn)
	}
	return b.String()
}

// seen tells which character of a name is none that a name has.
func seen(name x501.Name) error {
	for _, rdn := range name {
		for _, a := range rdn {
			if r, ok := x501.Unseen(a.Text); ok {
				return unseen(r)
			}
		}
	}
	return nil
}

func unseen(r rune) error {
	if unicode.IsControl(r) {
		return fmt.Errorf("has the control character %U", r)
	}
	return fmt.Errorf("has the character %U, which is not seen, or turns what is", r)
}

// open takes the CSR apart, strictly: what stands behind its last field would be seen by
// whoever reads on.
//
//	CertificationRequest ::= SEQUENCE { CertificationRequestInfo, AlgorithmIdentifier, BIT STRING }
//	CertificationRequestInfo ::= SEQUENCE { version, subject, subjectPKInfo, attributes [0] }
func (c *CSR) open(der []byte) (key []byte, _ *Refusal) {
	const sequence, integer = cryptobyte_asn1.SEQUENCE, cryptobyte_asn1.INTEGER
	var request, info, subject, public, attributes cryptobyte.String
	input := cryptobyte.String(der)
	if !input.ReadASN1(&request, sequence) || !input.Empty() ||
		!request.ReadASN1(&info, sequence) || !request.SkipASN1(sequence) || !request.SkipASN1(cryptobyte_asn1.BIT_STRING) || !request.Empty() {
		return nil, malformed("outer form is not that of RFC 2986")
	}
	var there bool
	if !info.SkipASN1(integer) || !info.ReadASN1Element(&subject, sequence) || !info.ReadASN1Element(&public, sequence) ||
		!info.ReadOptionalASN1(&attributes, &there, cryptobyte_asn1.Tag(0).ContextSpecific().Constructed()) || !info.Empty() {
		return nil, malformed("form is not that of RFC 2986: want version, subject, key, attributes, and nothing more")
	}
	c.SubjectDER = subject
	for !attributes.Empty() {
		var a attribute
		var element, pair, set cryptobyte.String
		if len(c.attributes) == maxAttributes {
			return nil, malformed("attributes are more than %d", maxAttributes)
		}
		if !attributes.ReadASN1Element(&element, sequence) {
			return nil, malformed("attribute %d is no SEQUENCE", len(c.attributes)+1)
		}
		a.der = element
		if !element.ReadASN1(&pair, sequence) || !pair.ReadASN1ObjectIdentifier(&a.oid) {
			return nil, malformed("attribute %d has no type", len(c.attributes)+1)
		}
		if !pair.ReadASN1(&set, cryptobyte_asn1.SET) || !pair.Empty() {
			return nil, malformed("attribute %s has no SET of values", a.oid)
		}
		for !set.Empty() {
			var value cryptobyte.String
			var tag cryptobyte_asn1.Tag
			if !set.ReadAnyASN1Element(&value, &tag) || len(a.values) == maxAttributes {
				return nil, malformed("attribute %s has values that cannot be read, or more than %d", a.oid, maxAttributes)
			}
			a.values = append(a.values, value)
		}
		if !knownAttribute(a.oid) {
			return nil, malformed("attribute %s is not taken here: leave it out", a.oid)
		}
		c.attributes = append(c.attributes, a)
	}
	return public, nil
}

// digest is one of what a CSR asks for: key, subject and attributes, the extensions
// among them. The signature is not in it, nor the challengePassword: a client that signs
// anew at each try, on another connection, asks for the same (RFC 7030 §3.5 puts the
// connection's tls-unique there; ECDSA signatures are random).
func (c *CSR) digest(key []byte) [sha256.Size]byte {
	var attributes [][]byte
	for _, a := range c.attributes {
		if !a.oid.Equal(oidChallengePassword) {
			attributes = append(attributes, a.der)
		}
	}
	slices.SortFunc(attributes, bytes.Compare) // a SET has no order
	h := sha256.New()
	for _, part := range append([][]byte{c.SubjectDER, key}, attributes...) {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write(part)
	}
	return [sha256.Size]byte(h.Sum(nil))
}
