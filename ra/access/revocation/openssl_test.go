package revocation_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ciscora/internal/peertest"
	"ciscora/ra/access/revocation"
)

const opensslConfig = `
[ca]
default_ca = phones
[phones]
dir = .
database = index.txt
serial = serial
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
default_md = sha256
default_days = 30
default_crl_days = 7
policy = any
crlnumber = crlnumber
[any]
commonName = supplied
[ca_extensions]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
[phone]
crlDistributionPoints = URI:http://crl.invalid/phones.crl
[plain]
authorityKeyIdentifier = keyid
[users]
issuingDistributionPoint = critical,@users_point
[users_point]
onlyuser = TRUE
fullname = URI:http://crl.invalid/phones.crl
[cas]
issuingDistributionPoint = critical,@cas_point
[cas_point]
onlyCA = TRUE
[elsewhere]
issuingDistributionPoint = critical,@elsewhere_point
[elsewhere_point]
fullname = URI:http://crl.invalid/others.crl
[indirect]
issuingDistributionPoint = critical,@indirect_point
[indirect_point]
indirectCRL = TRUE
[some]
issuingDistributionPoint = critical,@some_point
[some_point]
onlysomereasons = keyCompromise
[delta]
2.5.29.27 = critical,ASN1:INTEGER:1
[strange]
1.2.3.4 = critical,ASN1:NULL
`

// What OpenSSL makes, and what it can say with a CRL.
func TestCRLsOfOpenSSLSayWhatTheyAreAbout(t *testing.T) {
	peertest.Program(t, "openssl")
	dir := t.TempDir()
	openssl := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "openssl", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	for name, text := range map[string]string{"openssl.cnf": opensslConfig, "index.txt": "", "serial": "1000\n", "crlnumber": "01\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) *x509.Certificate {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		if block == nil {
			t.Fatalf("%s: %.100q", name, data)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Phones CA", "-config", "openssl.cnf", "-extensions", "ca_extensions")
	for _, phone := range []string{"good", "bad"} {
		openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", phone+".key", "-out", phone+".csr", "-subj", "/CN="+phone)
		openssl("ca", "-batch", "-notext", "-config", "openssl.cnf", "-extensions", "phone", "-in", phone+".csr", "-out", phone+".pem")
	}
	openssl("ca", "-config", "openssl.cnf", "-revoke", "bad.pem", "-crl_reason", "keyCompromise")
	ca, kept, lost := read("ca.pem"), read("good.pem"), read("bad.pem")
	for _, test := range []struct {
		extensions string
		good, bad  string
		refused    string // at the start
	}{
		{"plain", good, revoked, ""},
		{"users", good, revoked, ""},
		{"cas", unknown, unknown, ""},
		{"elsewhere", unknown, unknown, ""},
		{"indirect", "", "", "is an indirect CRL"},
		{"some", "", "", "is about some reasons"},
		{"delta", "", "", "is a delta CRL"},
		{"strange", "", "", "has a critical extension 1.2.3.4"},
	} {
		t.Run(test.extensions, func(t *testing.T) {
			name := test.extensions + ".crl"
			openssl("ca", "-config", "openssl.cnf", "-gencrl", "-crlexts", test.extensions, "-out", name)
			c, err := revocation.New(revocation.Options{Files: []string{filepath.Join(dir, name)}, Hard: true, Transport: nobody{}})
			if test.refused != "" {
				if err == nil || !strings.Contains(err.Error(), test.refused) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for cert, want := range map[*x509.Certificate]string{kept: test.good, lost: test.bad} {
				if got := verdict(c.Check(t.Context(), [][]*x509.Certificate{{cert, ca}})); got != want {
					t.Errorf("%s: %s, want %s", cert.Subject, got, want)
				}
			}
		})
	}
}

// nobody is a network on which nobody answers.
type nobody struct{}

func (nobody) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("nobody answers")
}

// FuzzCRL reads what a distribution point may say.
func FuzzCRL(f *testing.F) {
	f.Add([]byte("-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"))
	f.Add([]byte{0x30, 0x03, 0x02, 0x01, 0x01})
	path := filepath.Join(f.TempDir(), "fuzz.crl")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := revocation.New(revocation.Options{Files: []string{path}}); err == nil {
			c.Close()
		}
	})
}
