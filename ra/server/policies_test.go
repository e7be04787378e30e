package server_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/smallstep/pkcs7"
	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"

	"ciscora/config"
	"ciscora/ra/ledger"
)

// lying makes a CSR of common names and of extensions in Microsoft's attribute, which
// x509.CreateCertificateRequest cannot.
func lying(t *testing.T, key *ecdsa.PrivateKey, names []string, extensions ...pkix.Extension) []byte {
	t.Helper()
	must := func(v any, params string) []byte {
		t.Helper()
		b, err := asn1.MarshalWithParams(v, params)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var subject pkix.RDNSequence
	for _, name := range names {
		subject = append(subject, []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: name}})
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	var b cryptobyte.Builder
	b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddBytes(must(subject, ""))
		b.AddBytes(public)
		b.AddASN1(cryptobyte_asn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			if len(extensions) == 0 {
				return
			}
			b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 14})
				b.AddASN1(cryptobyte_asn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(must(extensions, "")) })
			})
		})
	})
	info := b.BytesOrPanic()
	digest := sha256.Sum256(info)
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return must(struct {
		Info      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{
		asn1.RawValue{FullBytes: info},
		pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}},
		asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)},
	}, "")
}

func dnsName(t *testing.T, name string) pkix.Extension {
	t.Helper()
	value, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte(name)}})
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// only returns the only certificate of an answer.
func only(t *testing.T, body string) *x509.Certificate {
	t.Helper()
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(body), ""))
	if err != nil {
		t.Fatal(err)
	}
	p7, err := pkcs7.Parse(der)
	if err != nil || len(p7.Certificates) != 1 {
		t.Fatalf("%v, not one certificate", err)
	}
	return p7.Certificates[0]
}

// What crypto/x509 does not see reaches neither the CA nor a certificate: not by
// enrollment, not by re-enrollment, not with a key of the RA's.
func TestNothingGetsPastAPolicyOrARenewalThatTheCAWouldSee(t *testing.T) {
	const phone = "SEP001122334455"
	s := newSite(t)
	s.write("trust.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.ca.Server.Chain()[0].Raw}))
	s.write("ra.yaml", []byte(`est:
  listen: "127.0.0.1:0"
  certificate: est.pem
  key: est.key
  trust: [trust.pem, root.pem]
  authentication: [relay, certificate]
  server_keygen: true
  drain_delay: 0s
  policies: {phones: {subject: ["CN=SEP[0-9A-F]{12}"], san: ["dns:`+phone+`[.]test"]}}
  policy: phones
admin: {listen: ""}
ca: {url: "`+s.ca.URL+`", template: CiscoRA, credentials: credentials.yaml, trust: [root.pem]}
`))
	cfg, err := config.LoadRA(filepath.Join(s.dir, "ra.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	srv := s.run(cfg)
	settled(t, srv)
	base := "https://" + srv.ESTAddr().String() + "/.well-known/est/"

	refused := func(what string, status int, body string, want int, says string) {
		t.Helper()
		if status != want || !strings.Contains(body, says) {
			t.Errorf("%s: %d %s, want %d and %s", what, status, body, want, says)
		}
	}
	key := newKey(t)
	for _, operation := range []string{"simpleenroll", "serverkeygen"} {
		status, _, body := s.post(base+operation, lying(t, key, []string{"Administrator", phone}))
		refused(operation+" with two common names", status, body, http.StatusForbidden, `subject "CN=SEP001122334455,CN=Administrator" has 2 common names`)
		status, _, body = s.post(base+operation, lying(t, key, []string{phone}, dnsName(t, "dc.lab.test")))
		refused(operation+" with a name in Microsoft's attribute", status, body, http.StatusForbidden, `"dns:dc.lab.test" is not one`)
	}
	if n := len(s.ca.Server.Requests()); n != 0 {
		t.Errorf("the CA has seen %d CSRs", n)
	}

	// What the policy takes is recorded as it is.
	status, _, body := s.post(base+"simpleenroll", lying(t, key, []string{phone}, dnsName(t, phone+".test")))
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	certificate := only(t, body)
	if len(certificate.DNSNames) != 1 || certificate.DNSNames[0] != phone+".test" {
		t.Errorf("the CA did not take the name from Microsoft's attribute: %q", certificate.DNSNames)
	}
	book, err := ledger.OpenReadOnly(t.Context(), "sqlite:"+filepath.Join(s.dir, "ra.db"), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	rows, err := book.List(t.Context(), ledger.Filter{})
	if err != nil || len(rows) != 1 || rows[0].Subject != "CN="+phone || len(rows[0].Names) == 0 {
		t.Errorf("%+v %v, want one row with the subject and the alternative names", rows, err)
	}

	// A renewal takes the certificate's names and no others.
	other := newKey(t)
	status, _, body = s.post(base+"simpleenroll", lying(t, other, []string{phone}))
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	nameless := only(t, body)
	shown, private := certificate, key
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		RootCAs: s.ca.Roots, MinVersion: tls.VersionTLS12,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: [][]byte{shown.Raw}, PrivateKey: private}, nil
		},
	}}
	renew := func(csr []byte) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"simplereenroll", strings.NewReader(base64.StdEncoding.EncodeToString(csr)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/pkcs10")
		resp, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	status, body = renew(lying(t, key, []string{phone}, dnsName(t, phone+".test")))
	refused("a renewal of the same", status, body, http.StatusOK, "")
	status, body = renew(lying(t, key, []string{phone}, dnsName(t, "dc.lab.test")))
	refused("a renewal under another name", status, body, http.StatusBadRequest, "alternative names are not those of the certificate being renewed")
	status, body = renew(lying(t, key, []string{phone}))
	refused("a renewal without the name", status, body, http.StatusBadRequest, "alternative names are not those of the certificate being renewed")
	shown, private = nameless, other
	status, body = renew(lying(t, other, []string{phone}, dnsName(t, phone+".test")))
	refused("a renewal with a name more", status, body, http.StatusBadRequest, "alternative names are not those of the certificate being renewed")
}
