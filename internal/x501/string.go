package x501

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// StringType is the ASN.1 string type of a value: its universal tag (X.680 §8.6).
type StringType uint8

// The string types that names are written in.
const (
	UTF8String      = StringType(cryptobyte_asn1.UTF8String)
	NumericString   = StringType(18)
	PrintableString = StringType(cryptobyte_asn1.PrintableString)
	T61String       = StringType(cryptobyte_asn1.T61String)
	IA5String       = StringType(cryptobyte_asn1.IA5String)
	VisibleString   = StringType(26)
	UniversalString = StringType(28)
	BMPString       = StringType(30)
)

var typeNames = map[StringType]string{
	UTF8String: "UTF8String", NumericString: "NumericString", PrintableString: "PrintableString", T61String: "T61String",
	IA5String: "IA5String", VisibleString: "VisibleString", UniversalString: "UniversalString", BMPString: "BMPString",
}

func (t StringType) String() string {
	if name, ok := typeNames[t]; ok {
		return name
	}
	return fmt.Sprintf("tag %d", uint8(t))
}

// Decode returns the text of a value. A character that its type has not, but for the
// looseness that is common (a * or @ in a PrintableString), is an error: what reads it
// another way would see another name.
func (t StringType) Decode(value []byte) (string, error) {
	switch t {
	case UTF8String:
		if !utf8.Valid(value) {
			return "", errors.New("is a UTF8String that is not UTF-8")
		}
		return string(value), nil
	case PrintableString, IA5String, VisibleString, NumericString:
		for _, c := range value {
			if c > 0x7e && (t != IA5String || c > 0x7f) || t == NumericString && (c < '0' || c > '9') && c != ' ' {
				return "", fmt.Errorf("has a byte 0x%02x, which a %s has not", c, t)
			}
		}
		return string(value), nil
	case T61String: // in practice ISO 8859-1 (RFC 5280 §4.1.2.4 leaves it to practice)
		return Latin1(string(value)), nil
	case BMPString:
		return fromBMP(value)
	case UniversalString:
		return fromUniversal(value)
	}
	return "", fmt.Errorf("is no string: its value has the %s", t)
}

// Latin1 decodes ISO 8859-1.
func Latin1(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

// fromBMP also joins surrogates, which Windows writes.
func fromBMP(value []byte) (string, error) {
	if len(value)%2 != 0 {
		return "", errors.New("is a BMPString of half a character")
	}
	units := make([]uint16, len(value)/2)
	for i := range units {
		units[i] = binary.BigEndian.Uint16(value[2*i:])
	}
	for i := 0; i < len(units); i++ {
		if utf16.IsSurrogate(rune(units[i])) {
			if i+1 == len(units) || utf16.DecodeRune(rune(units[i]), rune(units[i+1])) == utf8.RuneError {
				return "", errors.New("is a BMPString with half a surrogate pair")
			}
			i++
		}
	}
	return string(utf16.Decode(units)), nil
}

func fromUniversal(value []byte) (string, error) {
	if len(value)%4 != 0 {
		return "", errors.New("is a UniversalString with a part of a character")
	}
	var b strings.Builder
	for i := 0; i < len(value); i += 4 {
		c := binary.BigEndian.Uint32(value[i:])
		if c > utf8.MaxRune || !utf8.ValidRune(rune(c)) {
			return "", fmt.Errorf("has the code point 0x%x, which there is not", c)
		}
		b.WriteRune(rune(c))
	}
	return b.String(), nil
}
