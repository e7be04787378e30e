package ra_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/http"
	"net/http/httptest"
	"testing"

	"ciscora/msca/certsrv"
	"ciscora/ra"
	"ciscora/ra/ledger"
)

func large(o *certsrv.Options) {
	o.Templates = append(o.Templates, certsrv.Template{Name: "Supervised", SubjectFromRequest: true, MinKeySize: 4096})
}

// RFC 7030 §4.5.2: what the template behind the label wants.
func TestCSRAttributesComeFromTheTemplateBehindTheLabel(t *testing.T) {
	for name, p := range map[string]profile{"pooled": modern, "two log-ins": cucm} {
		f := newFixture(t, func(o *ra.Options) { p(o); o.CSRAttributes = ra.CSRAttributesClassic }, large)
		for label, bits := range map[string]int{"": 2048, "supervised": 4096} {
			attrs, err := f.CSRAttrs(t.Context(), label, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(attrs.Attributes) != 1 || len(attrs.Attributes[0].Values) != 1 || attrs.Attributes[0].Values[0] != bits {
				t.Errorf("%s, label %q: %+v, want an RSA key of %d bits", name, label, attrs, bits)
			}
		}
		if attrs, err := f.CSRAttrs(t.Context(), "typo", nil); err != nil || len(attrs.Attributes) != 0 {
			t.Errorf("%s: a template that is not listed: %+v, %v", name, attrs, err)
		}
	}
	f := newFixture(t, modern)
	if attrs, err := f.CSRAttrs(t.Context(), "", nil); err != nil || len(attrs.Attributes)+len(attrs.OIDs) != 0 {
		t.Errorf("switched off: %+v, %v", attrs, err)
	}
	f = newFixture(t, func(o *ra.Options) { o.CSRAttributes = ra.CSRAttributesClassic })
	f.ca.Close()
	if attrs, err := f.CSRAttrs(t.Context(), "", nil); err != nil || len(attrs.Attributes) != 0 {
		t.Errorf("a CA that is away: %+v, %v; a client enrolls well without", attrs, err)
	}
}

// RFC 9908: one attribute with one CertificationRequestInfoTemplate.
func TestCSRAttributesAsATemplateOfTheRequest(t *testing.T) {
	f := newFixture(t, func(o *ra.Options) { o.CSRAttributes = ra.CSRAttributesTemplate }, large)
	attrs, err := f.CSRAttrs(t.Context(), "supervised", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(attrs.OIDs) != 0 || len(attrs.Attributes) != 1 || attrs.Attributes[0].Type.String() != "1.2.840.113549.1.9.16.2.61" || len(attrs.Attributes[0].Values) != 1 {
		t.Fatalf("%+v", attrs)
	}
	type typeAlone struct{ Type asn1.ObjectIdentifier }
	type namesSET []typeAlone
	var info struct {
		Version int
		Subject []namesSET
		Key     struct {
			Algorithm pkix.AlgorithmIdentifier
			Key       asn1.BitString
		} `asn1:"tag:0"`
		Attributes asn1.RawValue `asn1:"tag:1"`
	}
	rest, err := asn1.Unmarshal(attrs.Attributes[0].Values[0].(asn1.RawValue).FullBytes, &info)
	if err != nil || len(rest) != 0 {
		t.Fatalf("%v, %d bytes more", err, len(rest))
	}
	if info.Version != 0 || len(info.Subject) != 1 || info.Subject[0][0].Type.String() != "2.5.4.3" {
		t.Errorf("version %d, subject %v", info.Version, info.Subject)
	}
	key, err := x509.ParsePKCS1PublicKey(info.Key.Key.Bytes)
	if err != nil || key.N.BitLen() != 4096 {
		t.Errorf("the key: %v", err)
	}
	der, err := attrs.Marshal()
	if err != nil || len(der) == 0 {
		t.Errorf("marshal: %v", err)
	}
}

// RFC 7030 §4.4: the RA makes the key, of the kind of the CSR's, and keeps it
// nowhere.
func TestServerKeygenEnrollsAKeyOfTheRAs(t *testing.T) {
	ecKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	book, err := ledger.Open(t.Context(), "sqlite::memory:", ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { book.Close() })
	f := newFixture(t, func(o *ra.Options) { o.ServerKeygen, o.Ledger = true, book })
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "phone"}, DNSNames: []string{"phone.example"}}, ecKey)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
	req.SetBasicAuth(f.ca.User, f.ca.Password)
	ctx, err := f.Authenticate(req, "")
	if err != nil {
		t.Fatal(err)
	}
	cert, pkcs8, err := f.ServerKeyGen(ctx, csr, "", req)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		t.Fatal(err)
	}
	key, ok := made.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P384() || !key.PublicKey.Equal(cert.PublicKey) || key.PublicKey.Equal(csr.PublicKey) {
		t.Errorf("the key is %T", made)
	}
	if cert.Subject.CommonName != "phone" || len(cert.DNSNames) != 1 || cert.DNSNames[0] != "phone.example" {
		t.Errorf("the names: %s %v", cert.Subject, cert.DNSNames)
	}
	rows, err := book.List(t.Context(), ledger.Filter{})
	if err != nil || len(rows) != 1 || rows[0].State != ledger.StateIssued {
		t.Errorf("the ledger: %+v, %v", rows, err)
	}
	rsaCSR := newCSR(t, "other")
	rsaCSR.PublicKey = &rsa.PublicKey{}
	if _, _, err := newFixture(t, modern).ServerKeyGen(ctx, rsaCSR, "", req); status(err) != http.StatusNotImplemented {
		t.Errorf("switched off: %v", err)
	}
}
