package ra_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"ciscora/ra"
)

func pattern(t *testing.T, text string) *regexp.Regexp {
	t.Helper()
	p, err := ra.CompilePattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func csrOf(t *testing.T, key crypto.Signer, template x509.CertificateRequest) *x509.CertificateRequest {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

// upnExtension is a subjectAltName with a user principal name.
func upnExtension(t *testing.T) pkix.Extension {
	t.Helper()
	type otherName struct {
		Type  asn1.ObjectIdentifier
		Value string `asn1:"utf8,explicit,tag:0"`
	}
	name, err := asn1.MarshalWithParams(otherName{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}, "administrator@lab"}, "tag:0")
	if err != nil {
		t.Fatal(err)
	}
	value, err := asn1.Marshal([]asn1.RawValue{{FullBytes: name}})
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}
}

func TestAPolicyRefusesBeforeTheCASeesTheCSR(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	phone := x509.CertificateRequest{Subject: pkix.Name{CommonName: "SEP001122334455"}}
	with := func(change func(*x509.CertificateRequest)) x509.CertificateRequest {
		c := phone
		change(&c)
		return c
	}
	sid := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 25, 2}
	smime := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 15}
	uri, _ := url.Parse("https://example.com/x")
	strict := ra.Policy{
		Keys: []string{"rsa2048", "ec256"}, Subject: []*regexp.Regexp{pattern(t, "CN=SEP[0-9A-F]{12}|CN=x")},
		SAN: []*regexp.Regexp{pattern(t, "dns:[a-z0-9]+[.]example[.]com"), pattern(t, "ip:192[.]0[.]2[.].*")}, Forbid: []asn1.ObjectIdentifier{smime},
	}
	allowing := ra.Policy{Allow: []asn1.ObjectIdentifier{sid, {1, 3, 6, 1, 4, 1, 311, 20, 2, 3}}}
	for _, test := range []struct {
		name   string
		policy ra.Policy
		key    crypto.Signer
		csr    x509.CertificateRequest
		status int // 0 = taken
		says   string
	}{
		{"a good one", strict, rsa2048, phone, 0, ""},
		{"another good key", strict, p256, phone, 0, ""},
		{"a key of another kind", strict, p384, phone, 400, "the CSR's key is ec384: take one of rsa2048, ec256"},
		{"another subject", strict, p256, with(func(c *x509.CertificateRequest) { c.Subject.CommonName = "administrator" }), 403, `its subject "CN=administrator" is not one`},
		{"a subject that contains a good one", strict, p256, with(func(c *x509.CertificateRequest) { c.Subject.CommonName = "SEP001122334455,evil" }), 403, "its subject"},
		{"more than the pattern's second half", strict, p256, with(func(c *x509.CertificateRequest) { c.Subject.CommonName = "xx" }), 403, "its subject"},
		{"good names", strict, p256, with(func(c *x509.CertificateRequest) {
			c.DNSNames, c.IPAddresses = []string{"a.example.com"}, []net.IP{net.IPv4(192, 0, 2, 7)}
		}), 0, ""},
		{"another DNS name", strict, p256, with(func(c *x509.CertificateRequest) { c.DNSNames = []string{"a.example.com", "dc.lab.test"} }), 403, `"dns:dc.lab.test"`},
		{"another address", strict, p256, with(func(c *x509.CertificateRequest) { c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)} }), 403, `"ip:10.0.0.1"`},
		{"an e-mail address", strict, p256, with(func(c *x509.CertificateRequest) { c.EmailAddresses = []string{"a@example.com"} }), 403, `"email:a@example.com"`},
		{"a URI", strict, p256, with(func(c *x509.CertificateRequest) { c.URIs = []*url.URL{uri} }), 403, `"uri:https`},
		{"a forbidden extension", strict, p256, with(func(c *x509.CertificateRequest) {
			c.ExtraExtensions = []pkix.Extension{{Id: smime, Value: []byte{5, 0}}}
		}), 403, "the extension 1.2.840.113549.1.9.15"},
		{"without a policy all is taken", ra.Policy{}, p384, with(func(c *x509.CertificateRequest) { c.Subject.CommonName, c.DNSNames = "any", []string{"any"} }), 0, ""},
		{"but no security identifier", ra.Policy{}, p256, with(func(c *x509.CertificateRequest) { c.ExtraExtensions = []pkix.Extension{{Id: sid, Value: []byte{5, 0}}} }), 403, "security identifier"},
		{"and no user principal name", ra.Policy{}, p256, with(func(c *x509.CertificateRequest) { c.ExtraExtensions = []pkix.Extension{upnExtension(t)} }), 403, "user principal name"},
		{"unless it is allowed", allowing, p256, with(func(c *x509.CertificateRequest) {
			c.ExtraExtensions = []pkix.Extension{upnExtension(t), {Id: sid, Value: []byte{5, 0}}}
		}), 0, ""},
		{"a thousand names", ra.Policy{}, p256, with(func(c *x509.CertificateRequest) { c.DNSNames = strings.Split(strings.Repeat("a.b ", 1000), " ")[:1000] }), 403, "1000 subject alternative names"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for profileName, p := range map[string]profile{"modern": modern, "cucm-12.5": cucm} {
				f := newFixture(t, func(o *ra.Options) {
					p(o)
					o.Policy = ra.Policy{Subject: []*regexp.Regexp{pattern(t, "nobody")}} // the label's own counts
					o.Labels["strict"] = ra.Label{Policy: &test.policy}
				})
				_, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "strict", csrOf(t, test.key, test.csr))
				want := test.status
				if want != 0 && profileName == "cucm-12.5" {
					want = http.StatusBadRequest
				}
				if status(err) != want || want != 0 && profileName == "modern" && !strings.Contains(err.Error(), test.says) {
					t.Errorf("%s: %v, want %d %s", profileName, err, want, test.says)
				}
				if want != 0 && len(f.ca.Server.Requests()) != 0 {
					t.Errorf("%s: the CA has seen the CSR", profileName)
				}
			}
		})
	}
}

func TestALabelMayHaveAnAuthenticationOfItsOwn(t *testing.T) {
	f := newFixture(t, func(o *ra.Options) {
		o.Labels["machines"] = ra.Label{Methods: []ra.Method{ra.MethodCertificate}}
	})
	if _, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "", newCSR(t, "phone")); err != nil {
		t.Errorf("without a label: %v", err)
	}
	if _, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "machines", newCSR(t, "phone")); status(err) != http.StatusUnauthorized {
		t.Errorf("a password under a label that wants a certificate: %v", err)
	}
}

func TestObjectIdentifiersAndPatternsOfPolicies(t *testing.T) {
	for _, bad := range []string{"", "1", "1.2.x", "3.50", "1..2", "-1.2"} {
		if oid, err := ra.ParseOID(bad); err == nil {
			t.Errorf("%q is %s", bad, oid)
		}
	}
	if oid, err := ra.ParseOID("1.3.6.1.4.1.311.25.2"); err != nil || oid.String() != "1.3.6.1.4.1.311.25.2" {
		t.Errorf("%s %v", oid, err)
	}
	if _, err := ra.CompilePattern("("); err == nil {
		t.Error("a pattern that is none")
	}
}
