package policy

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"

	"ciscora/internal/x501"
)

// AlternativeName is one subject alternative name (RFC 5280 §4.2.1.6).
type AlternativeName struct {
	Kind string // dns, ip, email, uri, dir, oid, upn or other
	Text string

	several   bool // of a dir: one of its RDNs has several attributes
	ambiguous bool // of a dir: it has several common names
}

// String is the name as [Policy.SAN] has it.
func (n AlternativeName) String() string { return n.Kind + ":" + n.Text }

var (
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidOldAltName     = asn1.ObjectIdentifier{2, 5, 29, 7} // X.509 of 1993; Windows reads it still (szOID_SUBJECT_ALT_NAME)
	oidUPN            = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
)

// sidURI is how a security identifier stands in a URI, as the CAs that Intune speaks to
// write it.
const sidURI = "tag:microsoft.com,2022-09-14:sid:"

func (n AlternativeName) isSID() bool {
	return n.Kind == "uri" && len(n.Text) >= len(sidURI) && strings.EqualFold(n.Text[:len(sidURI)], sidURI)
}

// errTooMany says how many names there are.
type errTooMany int

func (e errTooMany) Error() string {
	return fmt.Sprintf("it has %d subject alternative names, and at most %d are taken", int(e), maxNames)
}

// readNames reads the names of each subjectAltName.
func (c *CSR) readNames() *Refusal {
	for _, e := range c.Extensions {
		if e.Id.Equal(oidOldAltName) {
			return malformed("extension %s is an old form of subjectAltName: take %s", oidOldAltName, oidSubjectAltName)
		}
		if !e.Id.Equal(oidSubjectAltName) {
			continue
		}
		names, err := alternativeNames(e.Value)
		if many, ok := errors.AsType[errTooMany](err); ok {
			return notAllowed("%v", many)
		}
		if err != nil {
			return malformed("subject alternative names cannot be read: %v", err)
		}
		if c.Names = append(c.Names, names...); c.NamesDER == nil {
			c.NamesDER = e.Value
		}
	}
	for _, name := range c.Names {
		if name.ambiguous && c.ambiguous == "" {
			c.ambiguous = fmt.Sprintf("its subject alternative name %q has several common names", name)
		}
	}
	if len(c.Names) > maxNames {
		return notAllowed("%v", errTooMany(len(c.Names)))
	}
	return nil
}

// alternativeNames reads GeneralNames. They are counted before any is read.
func alternativeNames(der []byte) ([]AlternativeName, error) {
	var list cryptobyte.String
	input := cryptobyte.String(der)
	if !input.ReadASN1(&list, cryptobyte_asn1.SEQUENCE) || !input.Empty() {
		return nil, errors.New("they are no SEQUENCE of names")
	}
	count := 0
	for rest := list; !rest.Empty(); count++ {
		var one cryptobyte.String
		var tag cryptobyte_asn1.Tag
		if !rest.ReadAnyASN1(&one, &tag) {
			return nil, fmt.Errorf("number %d is cut off", count+1)
		}
	}
	if count > maxNames {
		return nil, errTooMany(count)
	}
	names := make([]AlternativeName, 0, count)
	for !list.Empty() {
		var one cryptobyte.String
		var tag cryptobyte_asn1.Tag
		list.ReadAnyASN1(&one, &tag)
		name, err := generalName(tag, one)
		if err != nil {
			return nil, fmt.Errorf("number %d %w", len(names)+1, err)
		}
		names = append(names, name)
	}
	return names, nil
}

func generalName(tag cryptobyte_asn1.Tag, value cryptobyte.String) (AlternativeName, error) {
	primitive := func(n uint8) cryptobyte_asn1.Tag { return cryptobyte_asn1.Tag(n).ContextSpecific() }
	switch tag {
	case primitive(0).Constructed():
		return otherName(value)
	case primitive(1):
		return ia5("email", value)
	case primitive(2):
		return ia5("dns", value)
	case primitive(6):
		return ia5("uri", value)
	case primitive(4).Constructed():
		name, err := x501.Parse(value)
		if err != nil {
			return AlternativeName{}, fmt.Errorf("is a directory name that cannot be read: %w", err)
		}
		if err := seen(name); err != nil {
			return AlternativeName{}, fmt.Errorf("is a directory name that %w", err)
		}
		return AlternativeName{Kind: "dir", Text: name.String(), several: name.Several(), ambiguous: len(name.All(x501.CommonName)) > 1}, nil
	case primitive(7):
		if address, ok := netip.AddrFromSlice(value); ok {
			return AlternativeName{Kind: "ip", Text: address.String()}, nil
		}
		return AlternativeName{}, fmt.Errorf("is an address of %d bytes", len(value))
	case primitive(8):
		var b cryptobyte.Builder
		b.AddASN1(cryptobyte_asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes(value) })
		der, err := b.Bytes()
		whole := cryptobyte.String(der)
		var oid asn1.ObjectIdentifier
		if err != nil || !whole.ReadASN1ObjectIdentifier(&oid) {
			return AlternativeName{}, errors.New("is an object identifier that cannot be read")
		}
		return AlternativeName{Kind: "oid", Text: oid.String()}, nil
	case primitive(3).Constructed(), primitive(5).Constructed(): // x400Address, ediPartyName
		return AlternativeName{Kind: "other", Text: fmt.Sprintf("[%d]=#%s", uint8(tag)&0x1f, hex.EncodeToString(value))}, nil
	}
	return AlternativeName{}, fmt.Errorf("is of no known kind: it has the tag 0x%02x", uint8(tag))
}

func ia5(kind string, value []byte) (AlternativeName, error) {
	for _, c := range value {
		if c <= ' ' || c > '~' {
			return AlternativeName{}, fmt.Errorf("(%s) has a byte 0x%02x, which no such name has", kind, c)
		}
	}
	return AlternativeName{Kind: kind, Text: string(value)}, nil
}

// otherName reads a type and an explicitly tagged value.
func otherName(pair cryptobyte.String) (AlternativeName, error) {
	var oid asn1.ObjectIdentifier
	var value, element cryptobyte.String
	var tag cryptobyte_asn1.Tag
	if !pair.ReadASN1ObjectIdentifier(&oid) || !pair.ReadASN1(&value, cryptobyte_asn1.Tag(0).ContextSpecific().Constructed()) || !pair.Empty() {
		return AlternativeName{}, errors.New("is an otherName that cannot be read")
	}
	if !oid.Equal(oidUPN) {
		return AlternativeName{Kind: "other", Text: oid.String() + "=#" + hex.EncodeToString(value)}, nil
	}
	if !value.ReadAnyASN1(&element, &tag) || !value.Empty() {
		return AlternativeName{}, errors.New("is a user principal name that cannot be read")
	}
	text, err := x501.StringType(tag).Decode(element)
	if err != nil {
		return AlternativeName{}, fmt.Errorf("is a user principal name that %w", err)
	}
	if r, ok := x501.Unseen(text); ok {
		return AlternativeName{}, fmt.Errorf("is a user principal name that %w", unseen(r))
	}
	return AlternativeName{Kind: "upn", Text: text}, nil
}

// Names returns the names that a CSR asks for, in DER: its subject, and the value of the
// subjectAltName from wherever it stands, nil without one. It is for a re-enrollment's
// comparison, so a CSR that says two things is an error.
func Names(csr *x509.CertificateRequest) (subject, alternative []byte, err error) {
	view, refusal := Read(csr)
	switch {
	case refusal != nil:
		return nil, nil, refusal
	case view.ambiguous != "":
		return nil, nil, notAllowed("%s", view.ambiguous)
	}
	return view.SubjectDER, view.NamesDER, nil
}

// extension returns the value of the only extension of its type.
func extension(all []pkix.Extension, oid asn1.ObjectIdentifier) []byte {
	for _, e := range all {
		if e.Id.Equal(oid) {
			return e.Value
		}
	}
	return nil
}
