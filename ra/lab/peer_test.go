package lab_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	globalest "github.com/globalsign/est"

	"ciscora/config"
	"ciscora/internal/peertest"
	"ciscora/ra/lab"
)

// peer runs outside programs in a folder of their own.
type peer struct {
	t   *testing.T
	dir string
}

// run returns the program's standard output; a failure fails the test.
func (p peer) run(stdin []byte, name string, args ...string) []byte {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), peertest.Program(p.t, name), args...)
	cmd.Dir = p.dir
	cmd.Stdin = bytes.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		p.t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes()
}

// inBothProfiles runs a peer against a lab in each profile: both must serve all
// peers on one listener.
func inBothProfiles(t *testing.T, test func(*testing.T, *lab.Lab, peer)) {
	t.Helper()
	for _, profile := range []config.Profile{config.ProfileCUCM, config.ProfileModern} {
		t.Run(string(profile), func(t *testing.T) {
			t.Parallel()
			test(t, start(t, lab.Options{Profile: profile}), peer{t, t.TempDir()})
		})
	}
}

// checkIssued verifies a certificate, as openssl prints it in PEM, with openssl.
func checkIssued(t *testing.T, l *lab.Lab, p peer, pem []byte, cn string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, "issued.pem"), pem, 0o600); err != nil {
		t.Fatal(err)
	}
	p.run(nil, "openssl", "verify", "-CAfile", l.Path("trust.pem"), "-untrusted", l.Path("ca", "issuing.pem"), "issued.pem")
	if subject := string(p.run(pem, "openssl", "x509", "-noout", "-subject")); !strings.Contains(subject, cn) {
		t.Errorf("issued for %q, want %s", subject, cn)
	}
}

func TestCurlAndOpensslEnroll(t *testing.T) {
	peertest.Program(t, "curl")
	peertest.Program(t, "openssl")
	inBothProfiles(t, func(t *testing.T, l *lab.Lab, p peer) {
		// The commands that `ra lab` prints.
		cacerts := p.run(nil, "curl", "--silent", "--show-error", "--fail", "--cacert", l.Path("trust.pem"), l.ESTURL+"/.well-known/est/cacerts")
		chain := string(p.run(p.run(cacerts, "openssl", "base64", "-d"), "openssl", "pkcs7", "-inform", "DER", "-print_certs", "-noout"))
		if !strings.Contains(chain, "LAB Root CA") || !strings.Contains(chain, "LAB Issuing CA") {
			t.Errorf("chain: %s", chain)
		}
		csr := p.run(nil, "openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "my.key", "-subj", "/CN=curl-client", "-outform", "DER")
		body := p.run(csr, "openssl", "base64")
		answer := p.run(body, "curl", "--silent", "--show-error", "--fail", "-K", l.Path("curl.conf"),
			"-H", "Content-Type: application/pkcs10", "--data-binary", "@-", l.ESTURL+"/.well-known/est/simpleenroll")
		issued := p.run(p.run(answer, "openssl", "base64", "-d"), "openssl", "pkcs7", "-inform", "DER", "-print_certs")
		checkIssued(t, l, p, issued, "curl-client")

		again := p.run(body, "curl", "--silent", "--show-error", "--fail", "--cacert", l.Path("trust.pem"), "--cert", "issued.pem", "--key", "my.key",
			"-H", "Content-Type: application/pkcs10", "--data-binary", "@-", l.ESTURL+"/.well-known/est/simplereenroll")
		renewed := p.run(p.run(again, "openssl", "base64", "-d"), "openssl", "pkcs7", "-inform", "DER", "-print_certs")
		checkIssued(t, l, p, renewed, "curl-client")
		if bytes.Equal(renewed, issued) {
			t.Error("re-enrolled, and got the same certificate")
		}

		attributes := p.run(nil, "curl", "--silent", "--show-error", "--fail", "--cacert", l.Path("trust.pem"), "--write-out", " %{http_code}", l.ESTURL+"/.well-known/est/csrattrs")
		text, status, _ := strings.Cut(string(attributes), " ")
		if l.Profile == config.ProfileCUCM {
			if text != "" || status != "204" {
				t.Errorf("csrattrs: %s %q, want 204 and nothing", status, text)
			}
			return
		}
		told := string(p.run(p.run([]byte(text), "openssl", "base64", "-d"), "openssl", "asn1parse", "-inform", "DER"))
		if !strings.Contains(told, "rsaEncryption") || !strings.Contains(told, ":0800") || status != "200" {
			t.Errorf("csrattrs: %s %s, want an RSA key of 2048 bits", status, told)
		}
	})
}

func TestCurlWithAWrongPasswordIsRefused(t *testing.T) {
	peertest.Program(t, "curl")
	inBothProfiles(t, func(t *testing.T, l *lab.Lab, p peer) {
		status := p.run([]byte("x"), "curl", "--silent", "--output", "out", "--write-out", "%{http_code}", "--cacert", l.Path("trust.pem"),
			"--user", `LAB\ciscora:wrong`, "-H", "Content-Type: application/pkcs10", "--data-binary", "@-", l.ESTURL+"/.well-known/est/simpleenroll")
		if string(status) != "401" {
			t.Errorf("status %s, want 401", status)
		}
	})
}

func TestStrongSwanEnrolls(t *testing.T) {
	peertest.Program(t, "pki")
	peertest.Program(t, "openssl")
	inBothProfiles(t, func(t *testing.T, l *lab.Lab, p peer) {
		p.run(nil, "pki", "--estca", "--url", l.ESTURL, "--cacert", l.Path("trust.pem"), "--caout", "ca.der")
		key := p.run(nil, "pki", "--gen", "--type", "rsa", "--size", "2048", "--outform", "pem")
		if err := os.WriteFile(filepath.Join(p.dir, "key.pem"), key, 0o600); err != nil {
			t.Fatal(err)
		}
		csr := p.run(nil, "pki", "--req", "--in", "key.pem", "--type", "rsa", "--dn", "CN=swan-client")
		if err := os.WriteFile(filepath.Join(p.dir, "req.der"), csr, 0o600); err != nil {
			t.Fatal(err)
		}
		creds, err := config.LoadCredentials(l.Path("credentials.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		issued := p.run(nil, "pki", "--est", "--url", l.ESTURL, "--in", "req.der", "--cacert", l.Path("trust.pem"), "--cacert", "ca-1.der",
			"--userpass", creds.User+":"+string(creds.Password), "--outform", "pem")
		checkIssued(t, l, p, issued, "swan-client")

		// strongSwan knows no /csrattrs. Its renewal is a rekey: another key, the same name.
		fresh := p.run(nil, "pki", "--gen", "--type", "rsa", "--size", "2048", "--outform", "pem")
		if err := os.WriteFile(filepath.Join(p.dir, "fresh.pem"), fresh, 0o600); err != nil {
			t.Fatal(err)
		}
		again := p.run(nil, "pki", "--req", "--in", "fresh.pem", "--type", "rsa", "--dn", "CN=swan-client")
		if err := os.WriteFile(filepath.Join(p.dir, "again.der"), again, 0o600); err != nil {
			t.Fatal(err)
		}
		renewed := p.run(nil, "pki", "--est", "--url", l.ESTURL, "--in", "again.der", "--cacert", l.Path("trust.pem"), "--cacert", "ca-1.der",
			"--cert", "issued.pem", "--key", "key.pem", "--outform", "pem")
		checkIssued(t, l, p, renewed, "swan-client")
		if bytes.Equal(renewed, issued) {
			t.Error("re-enrolled, and got the same certificate")
		}
	})
}

func TestGlobalsignsClientEnrollsAndReenrolls(t *testing.T) {
	for _, profile := range []config.Profile{config.ProfileCUCM, config.ProfileModern} {
		t.Run(string(profile), func(t *testing.T) {
			t.Parallel()
			l := start(t, lab.Options{Profile: profile})
			creds, err := config.LoadCredentials(l.Path("credentials.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			client := &globalest.Client{
				Host: strings.TrimPrefix(l.ESTURL, "https://"), ExplicitAnchor: l.Roots,
				Username: creds.User, Password: string(creds.Password), DisableKeepAlives: true,
			}
			chain, err := client.CACerts(t.Context())
			if err != nil || len(chain) != 2 {
				t.Fatalf("CACerts: %d certificates, %v", len(chain), err)
			}
			attributes, err := client.CSRAttrs(t.Context())
			if told := len(attributes.OIDs) + len(attributes.Attributes); err != nil || (told == 0) != (profile == config.ProfileCUCM) {
				t.Errorf("CSRAttrs: %+v, %v", attributes, err)
			}
			key, csr := newCSR(t, "globalsign-client")
			cert, err := client.Enroll(t.Context(), csr)
			if err != nil {
				t.Fatal(err)
			}
			renewing := &globalest.Client{
				Host: client.Host, ExplicitAnchor: l.Roots, DisableKeepAlives: true,
				Certificates: []*x509.Certificate{cert}, PrivateKey: key,
			}
			again, err := renewing.Reenroll(t.Context(), csr)
			if err != nil {
				t.Fatal(err)
			}
			if again.SerialNumber.Cmp(cert.SerialNumber) == 0 || again.Subject.CommonName != "globalsign-client" {
				t.Errorf("the renewed certificate: %v, serial %x", again.Subject, again.SerialNumber)
			}
		})
	}
}

func newCSR(t *testing.T, cn string) (*ecdsa.PrivateKey, *x509.CertificateRequest) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: cn}}, key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, csr
}

// bouncyCastle are the jars of Debian's libbcpkix-java.
var bouncyCastle = []string{"/usr/share/java/bcpkix.jar", "/usr/share/java/bcprov.jar", "/usr/share/java/bcutil.jar"}

// Bouncy Castle's EST client: the chain, the CSR attributes, an enrollment, its
// renewal and, in cucm-12.5, where that is enough, a re-enrollment with the password.
func TestBouncyCastleEnrolls(t *testing.T) {
	peertest.Long(t, "Bouncy")
	peertest.Program(t, "java")
	peertest.Files(t, bouncyCastle...)
	for _, test := range []struct {
		profile config.Profile
		want    []string
	}{
		{config.ProfileCUCM, []string{"cacerts 2", "csrattrs 0", "enrolled CN=SEP001122334455 true", "renewed CN=SEP001122334455 true", "reenrolled 1"}},
		{config.ProfileModern, []string{"cacerts 2", "csrattrs 2", "enrolled CN=SEP001122334455 true", "renewed CN=SEP001122334455 true"}},
	} {
		t.Run(string(test.profile), func(t *testing.T) {
			l := start(t, lab.Options{Profile: test.profile})
			creds, err := config.LoadCredentials(l.Path("credentials.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			account := filepath.Join(t.TempDir(), "account")
			if err := os.WriteFile(account, []byte(creds.User+"\n"+string(creds.Password)+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			server := strings.Replace(strings.TrimPrefix(l.ESTURL, "https://"), "127.0.0.1", "localhost", 1)
			out, err := exec.CommandContext(t.Context(), "java", "-cp", strings.Join(bouncyCastle, ":"), "testdata/bouncycastle/Enroll.java",
				server, l.Path("trust.pem"), account, "SEP001122334455").CombinedOutput()
			for _, line := range test.want {
				if !strings.Contains(string(out), line+"\n") {
					t.Errorf("no line %q, %v:\n%s", line, err, out)
				}
			}
			if again := strings.Contains(string(out), "reenrolled"); again != (test.profile == config.ProfileCUCM) {
				t.Errorf("re-enrolled with a password: %v", again)
			}
		})
	}
}
