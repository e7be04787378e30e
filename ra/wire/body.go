package wire

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"ciscora/internal/p7b"
	"ciscora/internal/printable"
	"ciscora/internal/x501"
	"ciscora/msca"
	"ciscora/msca/ntlm"
)

// Body is what a message carries. It is read when it is looked at, and not before.
type Body struct {
	Length int // bytes that went over the wire
	kind   string
	header http.Header // of an answer of the CA; for its code page
	raw    []byte      // what is kept of it
}

// View is a body for people.
type View struct {
	Title        string        `json:"title,omitempty"`
	Fields       []ntlm.Field  `json:"fields,omitempty"`
	Certificates []Certificate `json:"certificates,omitempty"`
	// Before, Mark and After are a text; Mark is what of it decided.
	Before string `json:"text,omitempty"`
	Mark   string `json:"decided_by,omitempty"`
	After  string `json:"text_after,omitempty"`
}

// MarshalJSON writes what people see.
func (b Body) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Length int `json:"length"`
		View
	}{b.Length, b.View()})
}

const typeForm = "application/x-www-form-urlencoded"

// View reads the body.
func (b Body) View() View {
	switch {
	case b.Length == 0:
		return View{}
	case len(b.raw) == 0:
		return View{Title: fmt.Sprintf("%d bytes of %s, not kept", b.Length, b.named())}
	}
	der := fromText(b.raw)
	if bytes.HasPrefix(b.raw, []byte("-----BEGIN CERTIFICATE-----")) {
		return b.certificates(der) // IIS has no kind for it
	}
	switch b.kind {
	case "application/pkcs10":
		return b.csr(der)
	case typeForm:
		return b.form()
	case "application/pkcs7-mime", "application/x-pkcs7-certificates", "application/x-x509-ca-cert", "application/pkix-cert":
		return b.certificates(der)
	case "text/html":
		return b.page()
	}
	if text := string(b.raw); utf8.ValidString(text) && strings.HasPrefix(b.kind, "text/") {
		return View{Title: b.title(b.kind), Before: many(text)}
	}
	return View{Title: fmt.Sprintf("%d bytes of %s, not shown", b.Length, b.named())}
}

func (b Body) named() string {
	if b.kind == "" {
		return "no kind that is told"
	}
	return line(b.kind)
}

func (b Body) title(what string) string {
	if b.Length > len(b.raw) {
		return fmt.Sprintf("%s, the first %d of %d bytes", what, len(b.raw), b.Length)
	}
	return fmt.Sprintf("%s, %d bytes", what, b.Length)
}

// many keeps line ends and makes all else fit to be shown.
func many(s string) string {
	const most = 1000
	lines := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i, l := range lines[:min(len(lines), most)] {
		lines[i] = printable.Line(l, maxKept)
	}
	return strings.Join(lines[:min(len(lines), most)], "\n")
}

// fromText is the DER in PEM, in base64, or bare.
func fromText(b []byte) []byte {
	if block, _ := pem.Decode(b); block != nil {
		return block.Bytes
	}
	plain := bytes.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == ' ' || r == '\t' {
			return -1
		}
		return r
	}, b)
	if der, err := base64.StdEncoding.DecodeString(string(plain)); err == nil {
		return der
	}
	return b
}

func (b Body) certificates(der []byte) View {
	v := View{Title: b.title("certificates")}
	var all []*x509.Certificate
	if p7, err := p7b.Parse(der); err == nil {
		all = p7.Certificates
	} else if one, err := x509.ParseCertificate(der); err == nil {
		all = []*x509.Certificate{one}
	} else {
		v.Title += ", which cannot be read"
	}
	v.Certificates = tree(all[:min(len(all), 2*maxPeer)], func(*x509.Certificate) []string { return nil })
	return v
}

var attributeNames = map[string]string{
	"1.2.840.113549.1.9.7": "challengePassword", "1.2.840.113549.1.9.14": "extensionRequest", "1.3.6.1.4.1.311.20.2": "enrollCertType",
	"1.3.6.1.4.1.311.21.7": "certificateTemplate", "2.5.29.17": "subjectAltName", "2.5.29.15": "keyUsage", "2.5.29.37": "extKeyUsage",
	"2.5.29.19": "basicConstraints",
}

func (b Body) csr(der []byte) View {
	v := View{Title: b.title("a CSR (PKCS #10)")}
	v.Fields = csrFields(der)
	return v
}

// csrFields shows a CSR; of its attributes, of which one is a password by its name, the
// kinds alone.
func csrFields(der []byte) (fields []ntlm.Field) {
	add := func(name, value string) {
		fields = append(fields, ntlm.Field{Name: name, Value: line(value)})
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		add("not readable", err.Error())
		return fields
	}
	add("subject", x501.Text(csr.RawSubject))
	add("key", keyOf(csr.PublicKey))
	add("signature", csr.SignatureAlgorithm.String())
	const most = 20
	for _, n := range csr.DNSNames[:min(len(csr.DNSNames), most)] {
		add("DNS name", n)
	}
	for _, e := range csr.Extensions[:min(len(csr.Extensions), most)] {
		add("extension", named(e.Id))
	}
	for _, a := range attributesOf(csr.RawTBSCertificateRequest) {
		add("attribute", named(a.Type)+fmt.Sprintf(", %d bytes, not shown", len(a.Values.FullBytes)))
	}
	return fields
}

type attribute struct {
	Type   asn1.ObjectIdentifier
	Values asn1.RawValue
}

func attributesOf(tbs []byte) []attribute {
	var info struct {
		Raw        asn1.RawContent
		Version    int
		Subject    asn1.RawValue
		PublicKey  asn1.RawValue
		Attributes []attribute `asn1:"tag:0,set"`
	}
	if _, err := asn1.Unmarshal(tbs, &info); err != nil {
		return nil
	}
	const most = 20
	return info.Attributes[:min(len(info.Attributes), most)]
}

func named(oid asn1.ObjectIdentifier) string {
	if name, ok := attributeNames[oid.String()]; ok {
		return name
	}
	return oid.String()
}

// form is what is posted to certfnsh.asp.
func (b Body) form() View {
	v := View{Title: b.title("a form")}
	values, err := url.ParseQuery(string(b.raw))
	if err != nil {
		v.Title += ", which cannot be read"
		return v
	}
	for _, name := range []string{"Mode", "CertAttrib", "FriendlyType", "ThumbPrint", "TargetStoreFlags", "SaveCert"} {
		if values.Has(name) {
			value := strings.ReplaceAll(strings.TrimSpace(values.Get(name)), "\r\n", "; ")
			v.Fields = append(v.Fields, ntlm.Field{Name: name, Value: line(value)})
		}
	}
	for _, f := range csrFields(fromText([]byte(values.Get("CertRequest")))) {
		v.Fields = append(v.Fields, ntlm.Field{Name: "CertRequest " + f.Name, Value: f.Value})
	}
	return v
}

// page is one of certsrv, as its source.
func (b Body) page() View {
	v := View{Title: b.title("a page"), Before: many(string(b.raw))}
	mark := line(msca.DecidingMark(b.header, b.raw))
	if before, after, ok := strings.Cut(v.Before, mark); ok && mark != "" {
		v.Before, v.Mark, v.After = before, mark, after
	} else if mark != "" { // behind the lines that are shown, or in another code page
		v.Title += ", decided by " + mark
	}
	return v
}

func kindOf(h http.Header) string {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return kind
}
