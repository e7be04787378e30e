package certsrv_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/smallstep/pkcs7"

	"ciscora/msca/certsrv"
)

// constant is a source of randomness that gives one byte for ever.
type constant byte

func (c constant) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(c)
	}
	return len(p), nil
}

// issued hands in a CSR and returns its ReqID and certificate.
func issued(t *testing.T, srv *certsrv.TestServer, b *browser, csr string) (reqID string, cert *x509.Certificate) {
	t.Helper()
	page := b.submit(csr, ciscoRA).body
	id := regexp.MustCompile(`certnew\.cer\?ReqID=(\d+)&`).FindStringSubmatch(page)
	if id == nil {
		t.Fatalf("not issued:\n%s", page)
	}
	requests := srv.Server.Requests()
	cert, err := x509.ParseCertificate(requests[len(requests)-1].Certificate)
	if err != nil {
		t.Fatal(err)
	}
	return id[1], cert
}

// RFC 5280 §4.1.2.2: positive, at most 20 bytes. A first bit that is set would take a
// byte more, and first bytes of zero would give numbers of another length.
func TestSerialNumbersArePositiveAndOfOneLengthWhateverTheRandomness(t *testing.T) {
	for _, random := range []constant{0x00, 0x7f, 0x80, 0xff} {
		srv := start(t, func(o *certsrv.Options) { o.Rand = random })
		b := loggedIn(t, srv)
		_, cert := issued(t, srv, b, phoneCSR(t))
		for _, c := range append(srv.Server.Chain(), cert) {
			serial := c.SerialNumber
			if serial.Sign() <= 0 || len(serial.Bytes()) != 16 || serial.Bytes()[0]&0x80 != 0 {
				t.Errorf("randomness %#x, %s: serial number %x of %d bytes", byte(random), c.Subject, serial, len(serial.Bytes()))
			}
		}
	}
}

func TestTheIssuingCAMayHaveNoCABelowIt(t *testing.T) {
	srv := start(t)
	if err := srv.Server.Renew(1); err != nil {
		t.Fatal(err)
	}
	b := loggedIn(t, srv)
	b.userAgent = "Mozilla/5.0"
	if page := b.get("/certcarc.asp").body; !regexp.MustCompile(`nRenewals\s*=\s*1\b`).MatchString(page) {
		t.Errorf("renewed once, and the page says otherwise:\n%s", page)
	}
	for _, c := range srv.Server.Chain() {
		root := bytes.Equal(c.RawSubject, c.RawIssuer)
		if got := c.MaxPathLen == 0 && c.MaxPathLenZero; got == root {
			t.Errorf("%s: path length %d, zero %v; the issuing CA has 0, the root none", c.Subject, c.MaxPathLen, c.MaxPathLenZero)
		}
	}
}

func TestARenewedCAIsTheSameAfterARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	srv, end := kept(t, dir)
	chains := [][]*x509.Certificate{srv.Server.Chain()}
	for n := 1; n <= 2; n++ {
		if err := srv.Server.Renew(n); err != nil {
			t.Fatal(err)
		}
		chains = append(chains, srv.Server.Chain())
	}
	end()
	for n, name := range []string{"issuing", "issuing-1", "issuing-2"} {
		data, err := os.ReadFile(filepath.Join(dir, name+".pem"))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		if block == nil || !bytes.Equal(block.Bytes, chains[n][0].Raw) {
			t.Errorf("%s.pem is not the certificate of renewal %d", name, n)
		}
		if info, err := os.Stat(filepath.Join(dir, name+".key")); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s.key: %v, %v", name, info, err)
		}
	}
	srv, end = kept(t, dir)
	if err := srv.Server.Renew(2); err != nil { // there is nothing to do
		t.Fatal(err)
	}
	if !srv.Server.Chain()[0].Equal(chains[2][0]) {
		t.Error("another CA certificate")
	}
	end()
	if err := os.Remove(filepath.Join(dir, "root.key")); err != nil {
		t.Fatal(err)
	}
	srv, end = kept(t, dir)
	defer end()
	if err := srv.Server.Renew(3); err == nil || !strings.Contains(err.Error(), "root.key, restore it") {
		t.Errorf("renewed without the root's key: %v", err)
	}
	if err := srv.Server.Renew(100); err == nil || !strings.Contains(err.Error(), "at most 99") {
		t.Errorf("renewed a hundred times: %v", err)
	}
}

// Who fetches an old certificate after a renewal gets the CA certificate that signed
// it, not the newest and not the first.
func TestAChainHasTheCAThatSignedItWhicheverRenewalThatWas(t *testing.T) {
	srv := start(t)
	b := loggedIn(t, srv)
	for n := range 3 {
		if err := srv.Server.Renew(n); err != nil {
			t.Fatal(err)
		}
		reqID, leaf := issued(t, srv, b, phoneCSR(t))
		newest := srv.Server.Chain()[0]
		if err := srv.Server.Renew(n + 1); err != nil {
			t.Fatal(err)
		}
		der, err := base64.StdEncoding.DecodeString(string(regexp.MustCompile(`-----[^-]*-----|\s`).ReplaceAll(
			[]byte(b.get("/certnew.p7b?ReqID="+reqID+"&Enc=b64").body), nil)))
		if err != nil {
			t.Fatal(err)
		}
		p7, err := pkcs7.Parse(der)
		if err != nil {
			t.Fatal(err)
		}
		if len(p7.Certificates) != 3 || !slices.ContainsFunc(p7.Certificates, newest.Equal) || !slices.ContainsFunc(p7.Certificates, leaf.Equal) {
			t.Errorf("after renewal %d: %d certificates, of renewal %d's CA: %v", n+1, len(p7.Certificates), n, slices.ContainsFunc(p7.Certificates, newest.Equal))
		}
	}
}

// RFC 5280 §4.2.1.6: where the subject is empty, the names in the SAN are all there is.
func TestTheSANIsCriticalWhereTheSubjectIsEmpty(t *testing.T) {
	srv := start(t)
	b := loggedIn(t, srv)
	for name, critical := range map[string]bool{"": true, "SEP001122334455": false} {
		csr := pemCSR(newCSR(t, phoneKey(), func(r *x509.CertificateRequest) {
			r.Subject = pkix.Name{CommonName: name}
			r.DNSNames = []string{"sep001122334455.lab.test"}
		}))
		_, cert := issued(t, srv, b, csr)
		at := slices.IndexFunc(cert.Extensions, func(e pkix.Extension) bool { return e.Id.String() == "2.5.29.17" })
		if at < 0 || cert.Extensions[at].Critical != critical {
			t.Errorf("subject %q: SAN at %d, want critical %v", name, at, critical)
		}
	}
}

func TestOfTwoAttributesOfOneNameTheFirstCounts(t *testing.T) {
	for text, want := range map[string]string{
		"CertificateTemplate:CiscoRA\r\nCertificateTemplate:User\r\n": "CiscoRA",
		"certificatetemplate:User\nCERTIFICATETEMPLATE:CiscoRA":       "User",
		"CertificateTemplate:\r\nCertificateTemplate:User":            "",
	} {
		if got := certsrv.TemplateOf(text); got != want {
			t.Errorf("%q asks for %q, want %q", text, got, want)
		}
	}
}
