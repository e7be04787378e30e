package tracelog

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strings"
)

// OneLineSubject is a certificate's subject as OpenSSL's X509_NAME_oneline
// prints it: `/DC=com/DC=michamen/CN=LAB-DC-RTP`, in the encoded order, with
// each byte that is not printable ASCII as \xNN.
func OneLineSubject(cert *x509.Certificate) string { return OneLine(cert.RawSubject) }

// OneLine is [OneLineSubject] for the DER of a name; for what is no name it is
// empty.
func OneLine(name []byte) string {
	var rdns []relativeNameSET
	if rest, err := asn1.Unmarshal(name, &rdns); err != nil || len(rest) > 0 {
		return ""
	}
	var b strings.Builder
	for _, rdn := range rdns {
		for _, a := range rdn {
			b.WriteString("/" + attributeName(a.Type) + "=")
			for _, c := range a.Value.Bytes {
				if c < ' ' || c > '~' {
					fmt.Fprintf(&b, `\x%02X`, c)
				} else {
					b.WriteByte(c)
				}
			}
		}
	}
	return b.String()
}

// pkix.RelativeDistinguishedNameSET decodes the values; OpenSSL prints their
// bytes, whatever string type they are. (encoding/asn1 takes a slice type
// whose name ends in SET as an ASN.1 SET.)
type relativeNameSET []struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// attributeName is OpenSSL's short name of an attribute, or its OID.
func attributeName(oid asn1.ObjectIdentifier) string {
	dotted := oid.String()
	switch dotted {
	case "2.5.4.3":
		return "CN"
	case "2.5.4.4":
		return "SN"
	case "2.5.4.5":
		return "serialNumber"
	case "2.5.4.6":
		return "C"
	case "2.5.4.7":
		return "L"
	case "2.5.4.8":
		return "ST"
	case "2.5.4.9":
		return "street"
	case "2.5.4.10":
		return "O"
	case "2.5.4.11":
		return "OU"
	case "2.5.4.12":
		return "title"
	case "2.5.4.13":
		return "description"
	case "2.5.4.15":
		return "businessCategory"
	case "2.5.4.17":
		return "postalCode"
	case "2.5.4.41":
		return "name"
	case "2.5.4.42":
		return "GN"
	case "2.5.4.43":
		return "initials"
	case "2.5.4.44":
		return "generationQualifier"
	case "2.5.4.46":
		return "dnQualifier"
	case "2.5.4.65":
		return "pseudonym"
	case "0.9.2342.19200300.100.1.1":
		return "UID"
	case "0.9.2342.19200300.100.1.25":
		return "DC"
	case "1.2.840.113549.1.9.1":
		return "emailAddress"
	case "1.2.840.113549.1.9.2":
		return "unstructuredName"
	default:
		return dotted
	}
}
