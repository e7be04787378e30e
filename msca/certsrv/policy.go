package certsrv

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"ciscora/msca/ntlm"
)

const (
	maxCommonName = 64 // X.520 ub-common-name, in characters
	minCurveBits  = 256
)

var (
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidTemplate       = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 21, 7}
	oidTemplateName   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2}
)

// policy is the CA's policy module: its templates and who may use them.
type policy struct {
	domain    string
	templates []Template
}

func (p policy) find(name string) (Template, bool) {
	for _, t := range p.templates {
		if strings.EqualFold(t.Name, name) || t.OID != "" && t.OID == name {
			return t, true
		}
	}
	return Template{}, false
}

func (p policy) mayEnroll(t Template, who string) bool {
	return len(t.Enroll) == 0 || slices.ContainsFunc(t.Enroll, func(name string) bool {
		return sameUser(p.domain, name, who)
	})
}

// listed are the templates that certrqxt.asp shows to who.
func (p policy) listed(who *ntlm.Identity) []Template {
	var list []Template
	for _, t := range p.templates {
		if p.mayEnroll(t, who.String()) {
			list = append(list, t)
		}
	}
	return list
}

// check decides on a CSR that verifies. It returns the template, or the HRESULT
// of the refusal and what the disposition message says of it.
func (p policy) check(who, template string, csr *x509.CertificateRequest) (t Template, hr uint32, reason string) {
	if template == "" {
		return t, hrNoCertType, textOf(hrNoCertType).message
	}
	t, ok := p.find(template)
	switch {
	case !ok:
		hr = hrUnsupportedCertType
		reason = "The request was for a certificate template that is not supported by the Active Directory Certificate Services policy: " + template
	case !p.mayEnroll(t, who):
		hr = hrTemplateDenied
	case !longEnough(csr, t.MinKeySize):
		hr = hrKeyLength
	case t.SubjectFromRequest && !subjectAllowed(csr):
		hr = hrBadRequestSubject
	}
	if hr != 0 && reason == "" {
		reason = textOf(hr).message
	}
	return t, hr, reason
}

func longEnough(csr *x509.CertificateRequest, rsaBits int) bool {
	switch key := csr.PublicKey.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= rsaBits
	case *ecdsa.PublicKey:
		return key.Curve.Params().BitSize >= minCurveBits
	}
	return false
}

// subjectAllowed checks the lengths of X.520, and that there is a name at all.
func subjectAllowed(csr *x509.CertificateRequest) bool {
	s := csr.Subject
	if len(s.Names) == 0 {
		_, ok := subjectAltName(csr)
		return ok
	}
	return utf8.RuneCountInString(s.CommonName) <= maxCommonName &&
		!slices.ContainsFunc(s.Country, func(c string) bool { return len(c) != 2 })
}

// subjectAltName is the CSR's, from PKCS #9's attribute or from Microsoft's.
func subjectAltName(csr *x509.CertificateRequest) (pkix.Extension, bool) {
	all := append(slices.Clone(csr.Extensions), microsoftExtensions(csr)...)
	i := slices.IndexFunc(all, func(e pkix.Extension) bool { return e.Id.Equal(oidSubjectAltName) })
	if i < 0 {
		return pkix.Extension{}, false
	}
	return all[i], true
}

// microsoftExtensions are those of the attribute szOID_CERT_EXTENSIONS, which AD CS takes
// as it takes extensionRequest's (MS-WCCE §2.2.2.7.7), and crypto/x509 does not know.
func microsoftExtensions(csr *x509.CertificateRequest) (all []pkix.Extension) {
	oidCertExtensions := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 14}
	var info struct {
		Version            int
		Subject, PublicKey asn1.RawValue
		Attributes         []asn1.RawValue `asn1:"tag:0,set"`
	}
	if _, err := asn1.Unmarshal(csr.RawTBSCertificateRequest, &info); err != nil {
		return nil
	}
	for _, raw := range info.Attributes {
		var attribute struct {
			Type   asn1.ObjectIdentifier
			Values [][]pkix.Extension `asn1:"set"`
		}
		// Others have values of other kinds.
		if _, err := asn1.Unmarshal(raw.FullBytes, &attribute); err != nil || !attribute.Type.Equal(oidCertExtensions) {
			continue
		}
		for _, extensions := range attribute.Values {
			all = append(all, extensions...)
		}
	}
	return all
}

// validOID tells whether a template's OID can be encoded.
func validOID(oid string) bool {
	id, err := x509.ParseOID(oid)
	if err != nil {
		return false
	}
	_, err = id.MarshalBinary()
	return err == nil
}

func oidBytes(id x509.OID) []byte {
	b, _ := id.MarshalBinary() // cannot fail
	return b
}

// The numbers of a template of version 2.
const majorVersion, minorVersion = 100, 0

// nameExtension names the template: as certificates of a template of version 1 do
// (szOID_ENROLL_CERTTYPE_EXTENSION, MS-WCCE 2.2.2.7.7.1) by a BMPString, and of later
// ones by OID and version (szOID_CERTIFICATE_TEMPLATE, 2.2.2.7.7.2).
func (t Template) nameExtension() pkix.Extension {
	if t.OID != "" {
		id, _ := x509.ParseOID(t.OID) // completeTemplates has looked
		value, _ := asn1.Marshal(struct {
			ID           asn1.RawValue
			Major, Minor int
		}{asn1.RawValue{Tag: asn1.TagOID, Bytes: oidBytes(id)}, majorVersion, minorVersion}) // cannot fail
		return pkix.Extension{Id: oidTemplate, Value: value}
	}
	var text []byte
	for _, unit := range utf16.Encode([]rune(t.Name)) {
		text = binary.BigEndian.AppendUint16(text, unit)
	}
	value, _ := asn1.Marshal(asn1.RawValue{Tag: asn1.TagBMPString, Bytes: text}) // cannot fail
	return pkix.Extension{Id: oidTemplateName, Value: value}
}

// content is what the certificate says: subject and subjectAltName of the CSR, or
// the user's name, the template's name and its usages. Nothing else of the CSR gets
// in, basicConstraints least of all.
func (t Template) content(who string, csr *x509.CertificateRequest) *x509.Certificate {
	c := &x509.Certificate{KeyUsage: t.KeyUsage, ExtKeyUsage: t.ExtKeyUsage, ExtraExtensions: []pkix.Extension{t.nameExtension()}}
	if !t.SubjectFromRequest {
		_, c.Subject.CommonName = ntlm.ParseUser(who)
		return c
	}
	c.RawSubject = csr.RawSubject
	if san, ok := subjectAltName(csr); ok {
		san.Critical = len(csr.Subject.Names) == 0 // RFC 5280 §4.2.1.6
		c.ExtraExtensions = append(c.ExtraExtensions, san)
	}
	return c
}
