package ra

import (
	"context"
	"encoding/asn1"
	"math/big"
	"net/http"
	"strconv"

	globalest "github.com/globalsign/est"

	"ciscora/msca"
)

// CSRAttributes is the form in which clients are told what their CSR should have.
type CSRAttributes int

const (
	// CSRAttributesNone tells nothing: 204.
	CSRAttributesNone CSRAttributes = iota
	// CSRAttributesClassic is the form of RFC 7030 §4.5.2.
	CSRAttributesClassic
	// CSRAttributesTemplate is the certificationRequestInfoTemplate of RFC 9908,
	// besides which a client that knows it reads nothing.
	CSRAttributesTemplate
)

var (
	oidRSA                 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidSHA256WithRSA       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	oidRequestInfoTemplate = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 61}
	oidCommonName          = asn1.ObjectIdentifier{2, 5, 4, 3}
)

const (
	minKeySizeField            = 3  // of the page's list (certsrv.md 3)
	minKeySizeShift            = 16 // the size stands in the upper half of the field
	smallestSize, greatestSize = 1024, 16384
)

// CSRAttrs tells what a CSR for the template behind the label should have (RFC 7030
// §4.5.2, RFC 9908): an RSA key of at least its size. It is read from the CA's list
// with the RA's own account; where the CA cannot be asked, nothing is told, since a
// client enrolls well without.
func (r *RA) CSRAttrs(ctx context.Context, label string, _ *http.Request) (globalest.CSRAttrs, error) {
	form := r.csrAttributes(label)
	if form == CSRAttributesNone {
		return globalest.CSRAttrs{}, nil
	}
	template, ok := r.templateNamed(ctx, r.templateOf(label))
	if !ok {
		return globalest.CSRAttrs{}, nil
	}
	bits := minKeySize(template)
	if bits == 0 {
		return globalest.CSRAttrs{}, nil
	}
	if form == CSRAttributesTemplate {
		return requestInfoTemplate(bits, template.SubjectFromRequest)
	}
	return globalest.CSRAttrs{
		OIDs:       []asn1.ObjectIdentifier{oidSHA256WithRSA},
		Attributes: []globalest.Attribute{{Type: oidRSA, Values: globalest.AttributeValueSET{bits}}},
	}, nil
}

// minKeySize reads the smallest RSA key of a template, in bits; 0 where the list
// does not say.
func minKeySize(t msca.Template) int {
	if len(t.Fields) <= minKeySizeField {
		return 0
	}
	flags, err := strconv.ParseInt(t.Fields[minKeySizeField], 10, 64)
	if err != nil {
		return 0
	}
	bits := int(uint32(flags) >> minKeySizeShift)
	if bits < smallestSize || bits > greatestSize {
		return 0
	}
	return bits
}

// requestInfoTemplate says it as a certification request with blanks, which the
// client fills in (RFC 9908; its module is recalled):
//
//	CertificationRequestInfoTemplate ::= SEQUENCE {
//	  version INTEGER, subject NameTemplate OPTIONAL,
//	  subjectPKInfo [0] SubjectPublicKeyInfoTemplate OPTIONAL, attributes [1] Attributes }
//
// A common name without a value is the client's to choose. The size of an RSA key
// is told by a subjectPublicKey of that size without meaning: its modulus is all
// ones but for its lowest bits.
func requestInfoTemplate(bits int, named bool) (globalest.CSRAttrs, error) {
	type algorithm struct {
		Type       asn1.ObjectIdentifier
		Parameters asn1.RawValue
	}
	type keyTemplate struct {
		Algorithm algorithm
		Key       asn1.BitString `asn1:"optional"`
	}
	type typeAlone struct{ Type asn1.ObjectIdentifier }
	type typesSET []typeAlone
	info := struct {
		Version    int
		Subject    []typesSET      `asn1:"optional,omitempty"`
		Key        keyTemplate     `asn1:"tag:0"`
		Attributes []asn1.RawValue `asn1:"tag:1,set"`
	}{Key: keyTemplate{Algorithm: algorithm{Type: oidRSA, Parameters: asn1.NullRawValue}, Key: exampleKey(bits)}}
	if named {
		info.Subject = []typesSET{{{oidCommonName}}}
	}
	der, err := asn1.Marshal(info)
	if err != nil {
		return globalest.CSRAttrs{}, err
	}
	return globalest.CSRAttrs{Attributes: []globalest.Attribute{{
		Type: oidRequestInfoTemplate, Values: globalest.AttributeValueSET{asn1.RawValue{FullBytes: der}},
	}}}, nil
}

// exampleKey is an RSAPublicKey of a size, for the template to show it.
func exampleKey(bits int) asn1.BitString {
	modulus := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(bits)), big.NewInt(1))
	der, err := asn1.Marshal(struct{ N, E *big.Int }{modulus, big.NewInt(65537)})
	if err != nil {
		return asn1.BitString{}
	}
	return asn1.BitString{Bytes: der, BitLength: 8 * len(der)}
}
