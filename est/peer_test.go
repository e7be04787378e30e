package est_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	globalest "github.com/globalsign/est"

	"ciscora/est"
	"ciscora/internal/peertest"
)

// Programs that nobody here wrote, against both dialects on one listener each
// (docs/reference/libest.md, "Other clients of an EST server").

func run(t *testing.T, stdin []byte, program string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, out.Bytes(), log.Bytes())
	}
	return out.Bytes()
}

func writeFile(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func rootFile(t *testing.T) string {
	t.Helper()
	return writeFile(t, "root.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: lab().root.Raw}))
}

func inBothDialects(t *testing.T, test func(t *testing.T, on *listening)) {
	t.Helper()
	inBothDialectsWith(t, func(*est.Options) {}, test)
}

func inBothDialectsWith(t *testing.T, change func(*est.Options), test func(t *testing.T, on *listening)) {
	t.Helper()
	for _, d := range bothDialects {
		t.Run(fmt.Sprint(d), func(t *testing.T) {
			test(t, listen(t, newServer(t, dialect(d), change, func(o *est.Options) {
				o.Label = func(label string) bool { return label == "wifi" }
			})))
		})
	}
}

func TestStrongSwanEnrolls(t *testing.T) {
	peertest.Program(t, "pki")
	csr, key := phone(t, "SEP001122334455")
	inBothDialects(t, func(t *testing.T, on *listening) {
		url := "https://" + on.addr
		out := filepath.Join(t.TempDir(), "ca.pem")
		run(t, nil, "pki", "--estca", "--url", url, "--cacert", rootFile(t), "--caout", out, "--outform", "pem")
		files, err := filepath.Glob(filepath.Join(filepath.Dir(out), "*.pem"))
		if err != nil || len(files) != 2 {
			t.Errorf("pki wrote %q, %v, want the issuing CA and the root", files, err)
		}
		issuing := writeFile(t, "issuing.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: lab().issuing.Raw}))
		der := run(t, nil, "pki", "--est", "--url", url, "--cacert", rootFile(t), "--cacert", issuing,
			"--userpass", "estuser:estpwd", "--in", writeFile(t, "phone.der", csr))
		cert, err := x509.ParseCertificate(der)
		if err != nil || !key.PublicKey.Equal(cert.PublicKey) {
			t.Errorf("not the phone's certificate: %v", err)
		}
	})
}

func TestStrongSwanTakesALongChain(t *testing.T) {
	peertest.Program(t, "pki")
	chain := longChain(12)
	for _, d := range bothDialects {
		on := listen(t, newServer(t, dialect(d), func(o *est.Options) {
			o.CA = &ca{chain: func() ([]*x509.Certificate, error) { return chain, nil }}
		}))
		out := filepath.Join(t.TempDir(), "ca.pem")
		run(t, nil, "pki", "--estca", "--url", "https://"+on.addr, "--cacert", rootFile(t), "--caout", out, "--outform", "pem")
		if files, err := filepath.Glob(filepath.Join(filepath.Dir(out), "*.pem")); err != nil || len(files) != len(chain) {
			t.Errorf("%v: pki wrote %d files, %v, want %d", d, len(files), err, len(chain))
		}
	}
}

func TestCurlAndOpenSSLEnroll(t *testing.T) {
	peertest.Program(t, "curl")
	peertest.Program(t, "openssl")
	inBothDialects(t, func(t *testing.T, on *listening) {
		dir := t.TempDir()
		base64 := run(t, run(t, nil, "openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-sha256", "-subj", "/CN=SEP001122334455",
			"-keyout", filepath.Join(dir, "key.pem"), "-outform", "DER"), "openssl", "base64")
		curl := func(body []byte, args ...string) []byte {
			return run(t, body, "curl", append([]string{"--silent", "--show-error", "--fail-with-body", "--cacert", rootFile(t)}, args...)...)
		}
		// --anyauth: the first request is anonymous, as a phone's.
		answer := curl(base64, "--anyauth", "--user", "estuser:estpwd", "--data-binary", "@-", "-H", "Content-Type: application/pkcs10",
			"https://"+on.addr+"/.well-known/est/wifi/simpleenroll")
		text := run(t, run(t, answer, "openssl", "base64", "-d"), "openssl", "pkcs7", "-inform", "DER", "-print_certs", "-noout")
		if strings.Count(string(text), "subject=") != 1 || !strings.Contains(string(text), "SEP001122334455") {
			t.Errorf("openssl sees %s", text)
		}
		chain := run(t, run(t, curl(nil, "https://"+on.addr+cacertsPath), "openssl", "base64", "-d"), "openssl", "pkcs7", "-inform", "DER", "-print_certs", "-noout")
		if strings.Count(string(chain), "subject=") != 2 {
			t.Errorf("openssl sees %s", chain)
		}
	})
}

func TestGlobalSignsClientEnrolls(t *testing.T) {
	der, key := phone(t, "SEP001122334455")
	csr := must(x509.ParseCertificateRequest(der))
	inBothDialects(t, func(t *testing.T, on *listening) {
		client := &globalest.Client{
			Host: on.addr, ExplicitAnchor: roots(), Username: "estuser", Password: "estpwd", AdditionalPathSegment: "wifi",
			DisableKeepAlives: true,
		}
		chain, err := client.CACerts(t.Context())
		if err != nil || len(chain) != 2 {
			t.Errorf("%d CA certificates, %v", len(chain), err)
		}
		if attributes, err := client.CSRAttrs(t.Context()); err != nil || len(attributes.OIDs) > 0 {
			t.Errorf("%+v, %v", attributes, err)
		}
		for name, enroll := range map[string]func() (*x509.Certificate, error){
			"enroll":   func() (*x509.Certificate, error) { return client.Enroll(t.Context(), csr) },
			"reenroll": func() (*x509.Certificate, error) { return client.Reenroll(t.Context(), csr) },
		} {
			if cert, err := enroll(); err != nil || !key.PublicKey.Equal(cert.PublicKey) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// A client that a patient server keeps waiting with bytes gets the same certificate.
func TestPeersThatAPatientServerKeepsWaiting(t *testing.T) {
	slow := func(o *est.Options) {
		patient(o)
		o.CA = &slowCA{after: 300 * time.Millisecond}
	}
	start := func(t *testing.T) *listening {
		s := newServer(t, slow)
		s.SetPatienceStep(50 * time.Millisecond)
		return listen(t, s)
	}
	csr, key := phone(t, "SEP001122334455")
	t.Run("curl", func(t *testing.T) {
		peertest.Program(t, "curl")
		answer := run(t, []byte(lines(csr)), "curl", "--silent", "--show-error", "--fail-with-body", "--cacert", rootFile(t), "--anyauth",
			"--user", "estuser:estpwd", "--data-binary", "@-", "-H", "Content-Type: application/pkcs10", "https://"+start(t).addr+enrollPath)
		if certs := certificates(t, string(answer)); len(certs) != 1 || !key.PublicKey.Equal(certs[0].PublicKey) {
			t.Error("not the phone's certificate")
		}
	})
	t.Run("strongSwan", func(t *testing.T) {
		peertest.Program(t, "pki")
		issuing := writeFile(t, "issuing.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: lab().issuing.Raw}))
		der := run(t, nil, "pki", "--est", "--url", "https://"+start(t).addr, "--cacert", rootFile(t), "--cacert", issuing,
			"--userpass", "estuser:estpwd", "--in", writeFile(t, "phone.der", csr))
		if cert, err := x509.ParseCertificate(der); err != nil || !key.PublicKey.Equal(cert.PublicKey) {
			t.Errorf("not the phone's certificate: %v", err)
		}
	})
	t.Run("net/http", func(t *testing.T) {
		client := &globalest.Client{Host: start(t).addr, ExplicitAnchor: roots(), Username: "estuser", Password: "estpwd", DisableKeepAlives: true}
		cert, err := client.Enroll(t.Context(), must(x509.ParseCertificateRequest(csr)))
		if err != nil || !key.PublicKey.Equal(cert.PublicKey) {
			t.Errorf("not the phone's certificate: %v", err)
		}
	})
}
