package policy_test

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
	"net/url"
	"strings"
	"testing"

	"ciscora/internal/pattern"
	"ciscora/ra/policy"
)

func compiled(t testing.TB, text string, groups int) *pattern.Pattern {
	t.Helper()
	p, err := pattern.Compile(text, groups)
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

func TestAPolicyTakesOrRefusesACSR(t *testing.T) {
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
	strict := policy.Policy{
		Keys: []string{"rsa2048", "ec256"}, Subject: []*pattern.Pattern{compiled(t, "CN=SEP[0-9A-F]{12}|CN=x", 0)},
		SAN: []*pattern.Pattern{compiled(t, "dns:[a-z0-9]+[.]example[.]com", 0), compiled(t, "ip:192[.]0[.]2[.].*", 0)}, Forbid: []asn1.ObjectIdentifier{smime},
	}
	allowing := policy.Policy{Allow: []asn1.ObjectIdentifier{sid, {1, 3, 6, 1, 4, 1, 311, 20, 2, 3}}}
	const (
		taken = iota
		malformed
		forbidden
	)
	for _, test := range []struct {
		name   string
		policy policy.Policy
		key    crypto.Signer
		csr    x509.CertificateRequest
		want   int
		says   string
	}{
		{"a good one", strict, rsa2048, phone, taken, ""},
		{"another good key", strict, p256, phone, taken, ""},
		{"a key of another kind", strict, p384, phone, malformed, "the CSR's key is ec384: take one of rsa2048, ec256"},
		{"another subject", strict, p256, with(func(c *x509.CertificateRequest) { c.Subject.CommonName = "administrator" }), forbidden, `its subject "CN=administrator" is not one`},
		{"a subject that contains a good one", strict, p256, with(func(c *x509.CertificateRequest) { c.Subject.CommonName = "SEP001122334455,evil" }), forbidden, "its subject"},
		{"more than the pattern's second half", strict, p256, with(func(c *x509.CertificateRequest) { c.Subject.CommonName = "xx" }), forbidden, "its subject"},
		{"good names", strict, p256, with(func(c *x509.CertificateRequest) {
			c.DNSNames, c.IPAddresses = []string{"a.example.com"}, []net.IP{net.IPv4(192, 0, 2, 7)}
		}), taken, ""},
		{"another DNS name", strict, p256, with(func(c *x509.CertificateRequest) { c.DNSNames = []string{"a.example.com", "dc.lab.test"} }), forbidden, `"dns:dc.lab.test"`},
		{"another address", strict, p256, with(func(c *x509.CertificateRequest) { c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)} }), forbidden, `"ip:10.0.0.1"`},
		{"an e-mail address", strict, p256, with(func(c *x509.CertificateRequest) { c.EmailAddresses = []string{"a@example.com"} }), forbidden, `"email:a@example.com"`},
		{"a URI", strict, p256, with(func(c *x509.CertificateRequest) { c.URIs = []*url.URL{uri} }), forbidden, `"uri:https`},
		{"a forbidden extension", strict, p256, with(func(c *x509.CertificateRequest) {
			c.ExtraExtensions = []pkix.Extension{{Id: smime, Value: []byte{5, 0}}}
		}), forbidden, "the extension 1.2.840.113549.1.9.15"},
		{"without a policy all is taken", policy.Policy{}, p384, with(func(c *x509.CertificateRequest) { c.Subject.CommonName, c.DNSNames = "any", []string{"any"} }), taken, ""},
		{"but no security identifier", policy.Policy{}, p256, with(func(c *x509.CertificateRequest) { c.ExtraExtensions = []pkix.Extension{{Id: sid, Value: []byte{5, 0}}} }), forbidden, "security identifier"},
		{"and no user principal name", policy.Policy{}, p256, with(func(c *x509.CertificateRequest) { c.ExtraExtensions = []pkix.Extension{upnExtension(t)} }), forbidden, "user principal name"},
		{"unless it is allowed", allowing, p256, with(func(c *x509.CertificateRequest) {
			c.ExtraExtensions = []pkix.Extension{upnExtension(t), {Id: sid, Value: []byte{5, 0}}}
		}), taken, ""},
		{"a thousand names", policy.Policy{}, p256, with(func(c *x509.CertificateRequest) { c.DNSNames = strings.Split(strings.Repeat("a.b ", 1000), " ")[:1000] }), forbidden, "1000 subject alternative names"},
	} {
		t.Run(test.name, func(t *testing.T) {
			view, refusal := policy.Read(csrOf(t, test.key, test.csr))
			if refusal == nil {
				refusal = test.policy.Check(view, policy.Asker{})
			}
			switch {
			case refusal == nil:
				if test.want != taken {
					t.Errorf("taken, want %s", test.says)
				}
			case test.want == taken || refusal.Malformed != (test.want == malformed) || !strings.Contains(refusal.Error(), test.says):
				t.Errorf("%+v, want %s", refusal, test.says)
			}
		})
	}
}

func TestObjectIdentifiersOfPolicies(t *testing.T) {
	for _, bad := range []string{"", "1", "1.2.x", "3.50", "1..2", "-1.2"} {
		if oid, err := policy.ParseOID(bad); err == nil {
			t.Errorf("%q is %s", bad, oid)
		}
	}
	if oid, err := policy.ParseOID("1.3.6.1.4.1.311.25.2"); err != nil || oid.String() != "1.3.6.1.4.1.311.25.2" {
		t.Errorf("%s %v", oid, err)
	}
}
