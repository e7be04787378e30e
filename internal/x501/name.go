// Package x501 reads distinguished names from their DER, and leaves nothing out:
// crypto/x509/pkix keeps one common name of two, and drops the values of string types
// that encoding/asn1 does not know.
package x501

import (
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// maxAttributes bounds the attributes of a name; a long one has ten.
const maxAttributes = 100

// CommonName is the attribute's type.
var CommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// Name is a distinguished name (X.501 §9.2), its RDNs in the order of the DER.
type Name []RDN

// RDN is a relative distinguished name: one attribute, or several at once.
type RDN []Attribute

// Attribute is one attribute of a name.
type Attribute struct {
	Type asn1.ObjectIdentifier
	Kind StringType
	Text string // the value, in valid UTF-8
	DER  []byte // the value, with its tag
}

// Parse reads a Name's DER. What is no name, or has a value that is no string, is an
// error that says which.
func Parse(der []byte) (Name, error) {
	input := cryptobyte.String(der)
	var sequence cryptobyte.String
	if !input.ReadASN1(&sequence, cryptobyte_asn1.SEQUENCE) || !input.Empty() {
		return nil, errors.New("it is no SEQUENCE of RDNs (X.501)")
	}
	var name Name
	for count := 0; !sequence.Empty(); {
		var set cryptobyte.String
		if !sequence.ReadASN1(&set, cryptobyte_asn1.SET) || set.Empty() {
			return nil, fmt.Errorf("its RDN %d is no SET of attributes", len(name)+1)
		}
		var rdn RDN
		for !set.Empty() {
			if count++; count > maxAttributes {
				return nil, fmt.Errorf("it has more than %d attributes", maxAttributes)
			}
			a, err := readAttribute(&set)
			if err != nil {
				return nil, err
			}
			rdn = append(rdn, a)
		}
		name = append(name, rdn)
	}
	return name, nil
}

func readAttribute(set *cryptobyte.String) (a Attribute, err error) {
	var pair, value cryptobyte.String
	var tag cryptobyte_asn1.Tag
	if !set.ReadASN1(&pair, cryptobyte_asn1.SEQUENCE) || !pair.ReadASN1ObjectIdentifier(&a.Type) {
		return a, errors.New("an attribute of it is no SEQUENCE of a type and a value")
	}
	if !pair.ReadAnyASN1Element(&value, &tag) || !pair.Empty() {
		return a, fmt.Errorf("its attribute %s is no SEQUENCE of a type and a value", label(a.Type))
	}
	a.DER = value
	if !value.ReadASN1(&value, tag) {
		return a, fmt.Errorf("its attribute %s has no value", label(a.Type))
	}
	a.Kind = StringType(tag)
	if a.Text, err = a.Kind.Decode(value); err != nil {
		return a, fmt.Errorf("its attribute %s %w", label(a.Type), err)
	}
	return a, nil
}

// All returns the texts of all attributes of a type, in order.
func (n Name) All(of asn1.ObjectIdentifier) (texts []string) {
	for _, rdn := range n {
		for _, a := range rdn {
			if a.Type.Equal(of) {
				texts = append(texts, a.Text)
			}
		}
	}
	return texts
}

// Equal tells whether two names have the same attributes in the same RDNs, whatever
// string types their values have: a CA may turn a PrintableString into a UTF8String,
// and a SET's order then turns, too.
func (n Name) Equal(other Name) bool {
	return slices.EqualFunc(n, other, func(a, b RDN) bool { return slices.Equal(a.pairs(), b.pairs()) })
}

func (r RDN) pairs() []string {
	pairs := make([]string, len(r))
	for i, a := range r {
		pairs[i] = a.Type.String() + "=" + a.Text
	}
	slices.Sort(pairs)
	return pairs
}

// labels are the types that have a short name: those of RFC 4514 §3, and two that Go
// has besides.
var labels = map[string]string{
	"2.5.4.3": "CN", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.6": "C", "2.5.4.9": "STREET",
	"0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
	"2.5.4.5": "SERIALNUMBER", "2.5.4.17": "POSTALCODE",
}

func label(oid asn1.ObjectIdentifier) string {
	if short, ok := labels[oid.String()]; ok {
		return short
	}
	return oid.String()
}

// Labels are the short names of attribute types, sorted.
func Labels() []string {
	var all []string
	for _, short := range labels {
		all = append(all, short)
	}
	slices.Sort(all)
	return all
}

// Several tells whether an RDN has several attributes.
func (n Name) Several() bool {
	return slices.ContainsFunc(n, func(r RDN) bool { return len(r) > 1 })
}

// String is the name in the form of RFC 4514 and its forerunner RFC 2253: the last RDN
// first, several attributes of one joined by a plus, and a type without a short name as
// its number, with the value's DER in hexadecimal.
func (n Name) String() string {
	var b strings.Builder
	for i := len(n) - 1; i >= 0; i-- {
		if i < len(n)-1 {
			b.WriteByte(',')
		}
		for j, a := range n[i] {
			if j > 0 {
				b.WriteByte('+')
			}
			b.WriteString(label(a.Type) + "=")
			if _, short := labels[a.Type.String()]; short {
				b.WriteString(Escape(a.Text))
			} else {
				b.WriteString("#" + hex.EncodeToString(a.DER))
			}
		}
	}
	return b.String()
}

// Escape writes a value as it stands in a name's string (RFC 4514 §2.4). What divides
// attributes, and the backslash, are written as numbers: no comma or plus is a value's.
func Escape(value string) string {
	var b strings.Builder
	for i, r := range value {
		switch {
		case strings.ContainsRune(`,+\`, r):
			fmt.Fprintf(&b, `\%02X`, r)
		case strings.ContainsRune(`";<>`, r), i == 0 && (r == '#' || r == ' '), i == len(value)-1 && r == ' ':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == 0:
			b.WriteString(`\00`)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Text is the string of a name in DER, for logs and messages: of one that cannot be
// read it says that, and why.
func Text(der []byte) string {
	name, err := Parse(der)
	if err != nil {
		return "(a name that cannot be read: " + err.Error() + ")"
	}
	return name.String()
}
