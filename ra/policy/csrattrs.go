package policy

import (
	"encoding/asn1"
	"math/big"

	globalest "github.com/globalsign/est"
)

// Form is the form in which clients are told what their CSR should have.
type Form int

const (
	// FormNone tells nothing: 204.
	FormNone Form = iota
	// FormClassic is the form of RFC 7030 §4.5.2.
	FormClassic
	// FormTemplate is the certificationRequestInfoTemplate of RFC 9908, besides which a
	// client that knows it reads nothing.
	FormTemplate
)

// Template is what a certificate template asks of a CSR.
type Template struct {
	MinKeySize         int  // of an RSA key, in bits; 0 where the CA's list does not say
	SubjectFromRequest bool // the subject is the CSR's, not the directory's
}

var (
	oidRSA                 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidSHA256WithRSA       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	oidEC                  = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidEd25519             = asn1.ObjectIdentifier{1, 3, 101, 112}
	oidRequestInfoTemplate = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 61}
	oidCommonName          = asn1.ObjectIdentifier{2, 5, 4, 3}
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

// CSRAttrs tells, in that form, what a CSR for the template should have (RFC 7030
// §4.5.2, RFC 9908): the kind of its key. Nothing is told where policy and template
// take no key in common.
func (p Policy) CSRAttrs(form Form, template Template) (globalest.CSRAttrs, error) {
	key, ok := p.keyFor(template.MinKeySize)
	switch {
	case form == FormNone || !ok:
		return globalest.CSRAttrs{}, nil
	case form == FormTemplate:
		return requestInfoTemplate(key, template.SubjectFromRequest)
	}
	return key.classic(), nil
}

// keyFor is the first of the policy's kinds that the template takes, so that a client
// that does as it is told is taken by both; without a policy of keys it is RSA of the
// template's size.
func (p Policy) keyFor(bits int) (key, bool) {
	if len(p.Keys) == 0 {
		return key{algorithm: oidRSA, bits: bits, signature: oidSHA256WithRSA}, bits > 0
	}
	for _, kind := range p.Keys {
		if k, ok := keys[kind]; ok && (k.bits == 0 || k.bits >= bits) {
			return k, true
		}
	}
	return key{}, false
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
