package est

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
)

// oidChangeSubjectName is id-cmc-changeSubjectName (RFC 6402 §2.8).
var oidChangeSubjectName = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 7, 36}

// changeOfNames are the names that a CSR's ChangeSubjectName asks for, in DER; nil
// where it says nothing of them.
type changeOfNames struct{ subject, altNames []byte }

// changeAsked returns what the CSR's ChangeSubjectName asks for; false without one.
//
//	ChangeSubjectName ::= SEQUENCE { subject Name OPTIONAL, subjectAlt SubjectAltName OPTIONAL }
//
// Both are SEQUENCEs: a Name's elements are SETs, those of a SubjectAltName have tags
// of their own.
func changeAsked(csr *x509.CertificateRequest) (change changeOfNames, asked bool, err error) {
	unreadable := errors.New("the CSR's ChangeSubjectName cannot be read: see RFC 6402 section 2.8")
	for _, a := range attributesOf(csr) {
		if !a.Type.Equal(oidChangeSubjectName) {
			continue
		}
		var names []asn1.RawValue
		if asked || len(a.Values) != 1 {
			return change, true, unreadable
		}
		asked = true
		if rest, err := asn1.Unmarshal(a.Values[0].FullBytes, &names); err != nil || len(rest) > 0 || len(names) == 0 || len(names) > 2 {
			return change, true, unreadable
		}
		for i, name := range names {
			var parts []asn1.RawValue
			if _, err := asn1.Unmarshal(name.FullBytes, &parts); err != nil {
				return change, true, unreadable
			}
			isName := len(parts) == 0 || parts[0].Class == asn1.ClassUniversal && parts[0].Tag == asn1.TagSet
			switch {
			case isName && i == 0:
				change.subject = name.FullBytes
			case !isName && change.altNames == nil:
				change.altNames = name.FullBytes
			default:
				return change, true, unreadable
			}
		}
	}
	return change, asked, nil
}
