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
	oidEC                  = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidEd25519             = asn1.ObjectIdentifier{1, 3, 101, 112}
	oidRequestInfoTemplate = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 61}
	oidCommonName          = asn1.ObjectIdentifier{2, 5, 4, 3}
)

const (
	minKeySizeField            = 3  // of the page's list (certsrv.md 3)
	minKeySizeShift            = 16 // the size stands in the upper half of the field
	smallestSize, greatestSize = 1024, 16384
)

// key is what a CSR's key should be.
type key struct {
	algorithm asn1.ObjectIdentifier
	bits      int                   // of RSA
	curve     asn1.ObjectIdentifier // of EC
	signature asn1.ObjectIdentifier // what to sign the CSR with
}

// keys are those that a policy names, see [Policy.Keys].
var keys = map[string]key{
	"rsa2048": {algorithm: oidRSA, bits: 2048, signature: oidSHA256WithRSA},
	"rsa3072": {algorithm: oidRSA, bits: 3072, signature: oidSHA256WithRSA},
	"rsa4096": {algorithm: oidRSA, bits: 4096, signature: oidSHA256WithRSA},
	"ec256":   {algorithm: oidEC, curve: asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}, signature: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}},
	"ec384":   {algorithm: oidEC, curve: asn1.ObjectIdentifier{1, 3, 132, 0, 34}, signature: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}},
	"ec521":   {algorithm: oidEC, curve: asn1.ObjectIdentifier{1, 3, 132, 0, 35}, signature: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}},
	"ed25519": {algorithm: oidEd25519},
}

// keyFor is the first of the label's policy that the template takes, so that a client
// that does as it is told is taken by both; without a policy of keys it is RSA of the
// template's size. A size of 0 is one that the CA's list does not say.
func (r *RA) keyFor(label string, bits int) (key, bool) {
	kinds := r.policyOf(label).Keys
	if len(kinds) == 0 {
		return key{algorithm: oidRSA, bits: bits, signature: oidSHA256WithRSA}, bits > 0
	}
	for _, kind := range kinds {
		if k, ok := keys[kind]; ok && (k.bits == 0 || k.bits >= bits) {
			return k, true
		}
	}
	return key{}, false
}

// CSRAttrs tells what a CSR for the template behind the label should have (RFC 7030
// §4.5.2, RFC 9908): the kind of its key. That comes from the label's policy and from
// the CA's list, read with the RA's own account; where the CA cannot be asked, nothing
// is told, since a client enrolls well without.
func (r *RA) CSRAttrs(ctx context.Context, label string, _ *http.Request) (globalest.CSRAttrs, error) {
	form := r.csrAttributes(label)
	if form == CSRAttributesNone {
		return globalest.CSRAttrs{}, nil
	}
	template, ok := r.templateNamed(ctx, r.templateOf(label))
	if !ok {
		return globalest.CSRAttrs{}, nil
	}
	key, ok := r.keyFor(label, minKeySize(template))
	if !ok {
		return globalest.CSRAttrs{}, nil
	}
	if form == CSRAttributesTemplate {
		return requestInfoTemplate(key, template.SubjectFromRequest)
	}
	return key.classic(), nil
}

// classic says it as RFC 7030 §4.5.2 does in its example: an attribute of the key's
// type, whose value is the size or the curve, and the signature's algorithm.
func (k key) classic() (attrs globalest.CSRAttrs) {
	switch {
	case k.bits != 0:
		attrs.Attributes = []globalest.Attribute{{Type: k.algorithm, Values: globalest.AttributeValueSET{k.bits}}}
	case k.curve != nil:
		attrs.Attributes = []globalest.Attribute{{Type: k.algorithm, Values: globalest.AttributeValueSET{k.curve}}}
	default:
		attrs.OIDs = append(attrs.OIDs, k.algorithm) // which is the signature's, too
	}
	if k.signature != nil {
		attrs.OIDs = append(attrs.OIDs, k.signature)
	}
	return attrs
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
func requestInfoTemplate(k key, named bool) (globalest.CSRAttrs, error) {
	type algorithm struct {
		Type       asn1.ObjectIdentifier
		Parameters asn1.RawValue `asn1:"optional"`
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
	}{Key: keyTemplate{Algorithm: algorithm{Type: k.algorithm}}}
	switch {
	case k.bits != 0:
		info.Key.Algorithm.Parameters = asn1.NullRawValue
		info.Key.Key = exampleKey(k.bits)
	case k.curve != nil: // the curve says the size
		curve, err := asn1.Marshal(k.curve)
		if err != nil {
			return globalest.CSRAttrs{}, err
		}
		info.Key.Algorithm.Parameters = asn1.RawValue{FullBytes: curve}
	}
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
