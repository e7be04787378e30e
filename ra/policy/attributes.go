package policy

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The attributes of a CSR that ask for something.
var (
	oidChallengePassword   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}
	oidExtensionRequest    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 14}
	oidMicrosoftExtensions = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 14} // szOID_CERT_EXTENSIONS, MS-WCCE §2.2.2.7.7
)

// otherAttributes are those that are taken besides, and ask the CA for nothing. A name
// and value pair (1.3.6.1.4.1.311.13.2.1) is not among them: it would be an attribute of
// the request, as CertAttrib has them, "SAN:upn=..." for one.
var otherAttributes = []asn1.ObjectIdentifier{
	{1, 2, 840, 113549, 1, 9, 2},         // unstructuredName: openssl's own configuration asks for it
	{1, 3, 6, 1, 4, 1, 311, 13, 2, 2},    // CSP (MS-WCCE §2.2.2.7.2)
	{1, 3, 6, 1, 4, 1, 311, 13, 2, 3},    // OS version (MS-WCCE §2.2.2.7.1)
	{1, 3, 6, 1, 4, 1, 311, 21, 20},      // client info (MS-WCCE §2.2.2.7.4)
	{1, 2, 840, 113549, 1, 9, 16, 2, 37}, // decryptKeyID (RFC 7030 §4.4.1.1), which the front end answers
	{1, 2, 840, 113549, 1, 9, 16, 2, 54}, // asymmDecryptKeyID (RFC 7030 §4.4.1.2), likewise
	{1, 2, 840, 113549, 1, 9, 15},        // SMIMECapabilities (RFC 7030 §4.4.1), likewise
	{1, 3, 6, 1, 5, 5, 7, 7, 36},         // changeSubjectName (RFC 6402 §2.8), likewise
}

func knownAttribute(oid asn1.ObjectIdentifier) bool {
	return oid.Equal(oidExtensionRequest) || oid.Equal(oidChallengePassword) || oid.Equal(oidMicrosoftExtensions) ||
		slices.ContainsFunc(otherAttributes, oid.Equal) || asked(oid)
}

// asked tells whether /csrattrs asks for it ([Policy.CSRAttrs]): libest's example client
// puts whatever it is told there into its CSR.
func asked(oid asn1.ObjectIdentifier) bool {
	for _, key := range keys {
		if oid.Equal(key.algorithm) || oid.Equal(key.signature) {
			return true
		}
	}
	return false
}

// readExtensions collects the extensions of both attributes.
func (c *CSR) readExtensions() *Refusal {
	for _, home := range []asn1.ObjectIdentifier{oidExtensionRequest, oidMicrosoftExtensions} {
		var here []pkix.Extension
		for _, a := range c.attributes {
			if !a.oid.Equal(home) {
				continue
			}
			if len(a.values) == 0 {
				return malformed("attribute %s has no value", a.oid)
			}
			for _, value := range a.values {
				more, refusal := extensionsOf(a.oid, value)
				if refusal != nil {
					return refusal
				}
				if here = append(here, more...); len(here) > maxExtensions {
					return malformed("extensions are more than %d", maxExtensions)
				}
			}
		}
		for i, e := range here {
			if slices.ContainsFunc(here[:i], func(o pkix.Extension) bool { return o.Id.Equal(e.Id) }) {
				c.saysTwice(fmt.Sprintf("it asks for the extension %s twice", e.Id))
			}
		}
		c.merge(here)
	}
	return nil
}

// merge adds the extensions of an attribute to those of the one before.
func (c *CSR) merge(more []pkix.Extension) {
	before := c.Extensions
	for _, e := range more {
		i := slices.IndexFunc(before, func(o pkix.Extension) bool { return o.Id.Equal(e.Id) })
		switch {
		case i < 0:
			c.Extensions = append(c.Extensions, e)
		case !bytes.Equal(before[i].Value, e.Value) || before[i].Critical != e.Critical:
			c.saysTwice(fmt.Sprintf("its attributes %s and %s ask for different extensions %s", oidExtensionRequest, oidMicrosoftExtensions, e.Id))
			c.Extensions = append(c.Extensions, e)
		}
	}
}

func (c *CSR) saysTwice(why string) {
	if c.ambiguous == "" {
		c.ambiguous = why
	}
}

// extensionsOf reads Extensions (RFC 5280 §4.1).
func extensionsOf(attribute asn1.ObjectIdentifier, value cryptobyte.String) ([]pkix.Extension, *Refusal) {
	var list cryptobyte.String
	if !value.ReadASN1(&list, cryptobyte_asn1.SEQUENCE) {
		return nil, malformed("attribute %s is no SEQUENCE of extensions", attribute)
	}
	var extensions []pkix.Extension
	for !list.Empty() {
		var e pkix.Extension
		var one, octets cryptobyte.String
		if len(extensions) == maxExtensions {
			return nil, malformed("extensions are more than %d", maxExtensions)
		}
		if !list.ReadASN1(&one, cryptobyte_asn1.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&e.Id) {
			return nil, malformed("attribute %s has an extension without a type", attribute)
		}
		if one.PeekASN1Tag(cryptobyte_asn1.BOOLEAN) && !one.ReadASN1Boolean(&e.Critical) {
			return nil, malformed("extension %s cannot be read", e.Id)
		}
		if !one.ReadASN1(&octets, cryptobyte_asn1.OCTET_STRING) || !one.Empty() {
			return nil, malformed("extension %s cannot be read", e.Id)
		}
		e.Value = octets
		extensions = append(extensions, e)
	}
	return extensions, nil
}
