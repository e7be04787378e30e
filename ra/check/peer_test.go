package check_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ciscora/config"
	"ciscora/internal/peertest"
	"ciscora/ra/check"
)

// openssl runs `openssl s_server` with a certificate for localhost and these arguments,
// and returns its address and what it is verified by.
func openssl(t *testing.T, args ...string) (address string, trust []*x509.Certificate) {
	t.Helper()
	path := peertest.Program(t, "openssl")
	dir := t.TempDir()
	certificate, key := filepath.Join(dir, "localhost.pem"), filepath.Join(dir, "localhost.key")
	if out, err := exec.CommandContext(t.Context(), path, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost",
		"-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	data, err := os.ReadFile(certificate)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, append([]string{"s_server", "-accept", "127.0.0.1:0", "-www", "-cert", certificate, "-key", key}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if at, ok := strings.CutPrefix(lines.Text(), "ACCEPT 127.0.0.1:"); ok {
			return "localhost:" + at, []*x509.Certificate{root}
		}
	}
	t.Fatal("openssl s_server does not listen")
	return "", nil
}

// A CA and an EST server with one version of TLS each, by a TLS that is not Go's.
func TestEachVersionOfOpenSSLIsToldOfACAAndOfAnESTServer(t *testing.T) {
	for flag, want := range map[string]struct {
		version string
		mine    check.State // by the profile modern
		ces     string      // which takes TLS 1.0 to 1.2, and then meets a page that asks for no log-in
	}{
		"-tls1":   {"TLS 1.0", check.Fail, "see ca.pages"},
		"-tls1_1": {"TLS 1.1", check.Fail, "see ca.pages"},
		"-tls1_2": {"TLS 1.2", check.OK, "see ca.pages"},
		"-tls1_3": {"TLS 1.3", check.OK, "CES of CUCM 12.5 fails here: CA handshake: tls-handshake"},
	} {
		t.Run(want.version, func(t *testing.T) {
			address, trust := openssl(t, flag, "-cipher", "ALL:@SECLEVEL=0")
			o := check.CAOptions{CA: config.Default(config.ProfileModern).CA, Trust: trust}
			o.CA.URL, o.Resolve = "https://"+address+"/certsrv", resolveLocally
			r := runCA(t, o)
			wantFinding(t, r, "ca.tls.versions", want.mine, want.version)
			wantFinding(t, r, "ca.ces", check.Warn, want.ces)

			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r = check.Report{Added: func(f check.Finding) {
				if f.Name == "est.tls.validity" {
					cancel() // s_server answers no POST
				}
			}}
			if err := check.EST(ctx, check.ESTOptions{Options: check.Options{Resolve: resolveLocally}, URL: "https://" + address, Trust: trust}, &r); err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			wantFinding(t, r, "est.tls.versions", want.mine, want.version)
		})
	}
}
