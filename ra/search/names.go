package search

import (
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// attributeTypeAndValue keeps the value as it stands: encoding/asn1 drops string
// types that it does not know.
type attributeTypeAndValue struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

type relativeNameSET []attributeTypeAndValue

// attributesOf returns the attributes of a name in DER, in order, as "type=value".
// The string type is left out: a CA writes names in its own.
func attributesOf(der []byte) ([]string, error) {
	var name []relativeNameSET
	if rest, err := asn1.Unmarshal(der, &name); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("the name cannot be read: %w", orTrailing(err))
	}
	var attributes []string
	for _, set := range name {
		for _, a := range set {
			attributes = append(attributes, a.Type.String()+"="+valueOf(a.Value))
		}
	}
	slices.Sort(attributes)
	return attributes, nil
}

func orTrailing(err error) error {
	if err == nil {
		return asn1.StructuralError{Msg: "bytes follow it"}
	}
	return err
}

// valueOf is a string of any ASN.1 string type, without the differences that a CA
// makes (blanks at the ends); of another type, its bytes in hexadecimal.
func valueOf(v asn1.RawValue) string {
	const universalString, visibleString = 28, 26
	switch v.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, asn1.TagNumericString, visibleString:
		return strings.TrimSpace(string(v.Bytes))
	case asn1.TagT61String: // in practice ISO 8859-1
		runes := make([]rune, len(v.Bytes))
		for i, b := range v.Bytes {
			runes[i] = rune(b)
		}
		return strings.TrimSpace(string(runes))
	case asn1.TagBMPString:
		units := make([]uint16, len(v.Bytes)/2)
		for i := range units {
			units[i] = uint16(v.Bytes[2*i])<<8 | uint16(v.Bytes[2*i+1])
		}
		return strings.TrimSpace(string(utf16.Decode(units)))
	case universalString:
		runes := make([]rune, len(v.Bytes)/4)
		for i := range runes {
			b := v.Bytes[4*i:]
			runes[i] = rune(b[0])<<24 | rune(b[1])<<16 | rune(b[2])<<8 | rune(b[3])
		}
		return strings.TrimSpace(string(runes))
	}
	return "#" + hex.EncodeToString(v.FullBytes)
}

// alternativeNames returns the names of a subjectAltName extension's value, in DER
// each, sorted; none for an absent one.
func alternativeNames(der []byte) ([]string, error) {
	if len(der) == 0 {
		return nil, nil
	}
	var list []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &list); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("the alternative names cannot be read: %w", orTrailing(err))
	}
	names := make([]string, len(list))
	for i, n := range list {
		names[i] = string(n.FullBytes)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// sameNames tells whether a certificate's names are those that were asked for. A CA
// may leave out attributes of the subject that its SubjectTemplate does not list,
// never a common name, and adds none.
func sameNames(askedSubject, gotSubject, askedAlternative, gotAlternative []byte) bool {
	asked, err := attributesOf(askedSubject)
	if err != nil {
		return false
	}
	got, err := attributesOf(gotSubject)
	if err != nil {
		return false
	}
	const commonName = "2.5.4.3="
	for _, a := range asked {
		if strings.HasPrefix(a, commonName) && !slices.ContainsFunc(got, func(g string) bool { return strings.EqualFold(a, g) }) {
			return false
		}
	}
	for _, g := range got {
		if !slices.ContainsFunc(asked, func(a string) bool { return strings.EqualFold(a, g) }) {
			return false
		}
	}
	if (len(asked) == 0) != (len(got) == 0) {
		return false
	}
	askedNames, err := alternativeNames(askedAlternative)
	if err != nil {
		return false
	}
	gotNames, err := alternativeNames(gotAlternative)
	return err == nil && slices.Equal(askedNames, gotNames)
}
