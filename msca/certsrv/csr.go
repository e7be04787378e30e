package certsrv

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"regexp"
	"strings"

	"ciscora/internal/printable"
)

// pemBorder is a line of a PEM file that is not base64: BEGIN or END of a
// [NEW] CERTIFICATE REQUEST, in a form whose line ends may be lost.
var pemBorder = regexp.MustCompile(`-----(?:BEGIN|END) [A-Z0-9 #]{1,40}-----`)

// parseCSR reads the CertRequest field: PKCS#10 as PEM, as PEM without its line
// ends, or as bare base64 with any white space in it (docs/reference/certsrv.md 4).
// The HRESULT says what is wrong, 0 when nothing is; the signature is verified.
func parseCSR(text string) (*x509.CertificateRequest, uint32) {
	text = pemBorder.ReplaceAllString(text, "")
	text = strings.Join(strings.Fields(text), "")
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		if der, err = base64.RawStdEncoding.DecodeString(text); err != nil {
			return nil, hrInvalidData
		}
	}
	var outer asn1.RawValue
	rest, err := asn1.Unmarshal(der, &outer)
	switch {
	case len(der) > 0 && der[0] != 0x30:
		return nil, hrASN1BadTag
	case err != nil:
		return nil, hrASN1EndOfData
	case len(rest) > 0:
		return nil, hrASN1BadTag
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, hrASN1BadTag
	}
	return csr, 0
}

// verifyCSR checks the proof of possession. A key too short to be verified is left
// to the template, which refuses it for that; one that is too long to be verified
// in bearable time, or of an algorithm this CA does not know, is refused here.
func verifyCSR(csr *x509.CertificateRequest) uint32 {
	switch key := csr.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minKeySize {
			return 0
		} else if bits > maxKeySize {
			return hrBadAlgorithm
		}
	case *ecdsa.PublicKey:
	default:
		return hrBadAlgorithm
	}
	if csr.CheckSignature() != nil {
		return hrBadSignature
	}
	return 0
}

// attributes are the lines of the CertAttrib field, Name:Value each; names are
// compared without regard to case and the first of a name counts.
type attributes map[string]string

func parseAttributes(text string) attributes {
	a := attributes{}
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\r", "\n"), "\n") {
		name, value, ok := strings.Cut(line, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		if _, taken := a[name]; ok && name != "" && !taken {
			a[name] = strings.TrimSpace(value)
		}
	}
	return a
}

// maxEcho bounds what a page or the journal repeats of a request.
const maxEcho = 256

// template returns the name of the template asked for, "" for none. Of all other
// attributes none is honoured: SAN among them only counts with
// EDITF_ATTRIBUTESUBJECTALTNAME2, which no CA should have set (docs/reference/certsrv.md 8).
func (a attributes) template() string { return echo(a["certificatetemplate"]) }

// echo is what is shown of foreign text.
func echo(s string) string { return printable.Line(printable.Cut(s, maxEcho), 0) }
