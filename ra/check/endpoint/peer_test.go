package endpoint_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ciscora/internal/peertest"
	"ciscora/ra/check"
	"ciscora/ra/check/endpoint"
	"ciscora/ra/check/hello"
)

// until ends a program with the test.
func until(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
}

// openssl runs `openssl s_server` and returns where it listens.
func openssl(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), peertest.Program(t, "openssl"), append([]string{"s_server", "-accept", "127.0.0.1:0", "-www"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var failed strings.Builder
	cmd.Stderr = &failed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, cmd)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if at, ok := strings.CutPrefix(lines.Text(), "ACCEPT "); ok {
			return at
		}
	}
	t.Fatalf("openssl %v: %s", args, failed.String())
	return ""
}

// keyFiles writes a certificate and its key.
func keyFiles(t testing.TB, name string, m *made) (certificate, key string) {
	t.Helper()
	return write(t, name+".pem", pemOf(m)), write(t, name+".key", keyOf(t, m))
}

func TestEachVersionOfOpenSSLIsFound(t *testing.T) {
	certificate, key := keyFiles(t, "rsa", order{cn: "openssl", rsa: true}.make(t))
	for flag, version := range map[string]hello.Version{"-tls1": hello.TLS10, "-tls1_1": hello.TLS11, "-tls1_2": hello.TLS12, "-tls1_3": hello.TLS13} {
		t.Run(version.String(), func(t *testing.T) {
			address := openssl(t, "-cert", certificate, "-key", key, flag, "-cipher", "ALL:@SECLEVEL=0")
			r := checkTLS(t, address, "")
			for _, v := range hello.Versions() {
				name := strings.ReplaceAll(strings.ToLower(v.String()), " ", "")
				want := v.String() + " is not taken"
				if v == version {
					want = v.String() + " is taken"
				}
				wantFindings(t, r, "tls.version."+name+" ok: "+want)
			}
			wantFindings(t, r, "tls.leaf ok: CN=openssl")
			if got, want := states(r)["tls.client.tms"], map[bool]string{true: "ok", false: "warn"}[version == hello.TLS10]; got != want {
				t.Errorf("tms: %s, want %s", got, want)
			}
		})
	}
}

// Ciphers that Go does not speak are found as well as those that it does.
func TestEachCipherOfOpenSSLIsFound(t *testing.T) {
	certificate, key := keyFiles(t, "rsa", order{cn: "openssl", rsa: true}.make(t))
	ecCertificate, ecKey := keyFiles(t, "ec", order{cn: "openssl ec"}.make(t))
	for _, cipher := range []string{
		"AES128-SHA", "AES256-SHA", "CAMELLIA128-SHA", "AES128-CCM8", "ARIA256-GCM-SHA384", "NULL-SHA", "AES256-GCM-SHA384",
		"DHE-RSA-AES256-SHA", "DHE-RSA-CHACHA20-POLY1305", "DHE-RSA-CAMELLIA256-SHA256", "ADH-AES128-SHA", "AECDH-AES256-SHA",
		"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-NULL-SHA", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-CCM",
	} {
		t.Run(cipher, func(t *testing.T) {
			address := openssl(t, "-cert", certificate, "-key", key, "-dcert", ecCertificate, "-dkey", ecKey, "-tls1_2", "-cipher", cipher+":@SECLEVEL=0")
			r := checkTLS(t, address, "")
			found := ""
			for _, f := range r.Findings {
				if f.Name == "tls.ciphers.tls1.2" {
					found = f.Seen
				}
			}
			if found != "TLS 1.2: "+cipher {
				t.Errorf("found %q", found)
			}
			suite, _ := hello.SuiteByName(cipher)
			if got := states(r)["tls.weak"]; (got == "warn") != (suite.Weak() != "") {
				t.Errorf("weak: %q", got)
			}
		})
	}
}

func TestTheTwoCertificatesOfOpenSSLAreFound(t *testing.T) {
	ca := order{cn: "CA", ca: true}.make(t)
	certificate, key := keyFiles(t, "rsa", order{cn: "asa", rsa: true, by: ca}.make(t))
	ecCertificate, ecKey := keyFiles(t, "ec", order{cn: "asa self"}.make(t))
	address := openssl(t, "-cert", certificate, "-key", key, "-dcert", ecCertificate, "-dkey", ecKey, "-cipher", "ALL:@SECLEVEL=0")
	wantFindings(t, checkTLS(t, address, ""), "tls.leaves FAIL: CN=asa with RSA's ciphers, CN=asa self with ECDSA's")
}

func TestCAPFAndAPhonesGatewayPlayedByOpenSSL(t *testing.T) {
	capf := order{cn: "CAPF-c5d37298", rsa: true}.make(t)
	certificate, key := keyFiles(t, "capf", capf)
	address := openssl(t, "-cert", certificate, "-key", key, "-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0")
	var r check.Report
	endpoint.CAPF(t.Context(), endpoint.CAPFOptions{Outside: outside(), Address: address}, &r)
	wantFindings(t, r, "capf.cipher ok: TLS 1.2", "capf.certificate ok", "capf.dates ok")
	if r.Failed() {
		t.Errorf("%+v", r)
	}
	// The 7962G and the ASA of the document.
	address = openssl(t, "-cert", certificate, "-key", key, "-tls1", "-cipher", "AES256-SHA:@SECLEVEL=0")
	wantFindings(t, checkTLS(t, address, "7962g"), "tls.client.7962g ok: gets TLS 1.0 with AES256-SHA")
	address = openssl(t, "-cert", certificate, "-key", key, "-tls1", "-cipher", "CAMELLIA128-SHA:@SECLEVEL=0")
	wantFindings(t, checkTLS(t, address, "7962g"), "tls.client.7962g FAIL: alert 40, handshake failure | no shared cipher")
}

// nginx runs NGINX with these lines in its server, on loopback, and returns where.
func nginx(t testing.TB, lines ...string) string {
	t.Helper()
	path, dir := peertest.Program(t, "nginx"), t.TempDir()
	l := loopback(t) // it cannot be given a listener
	address := l.Addr().String()
	l.Close()
	temporary := ""
	for _, of := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temporary += fmt.Sprintf("  %s_temp_path %s/%s;\n", of, dir, of)
	}
	config := fmt.Sprintf(`daemon off;
master_process off;
pid %[1]s/pid;
error_log %[1]s/error.log;
events {}
http {
  access_log off;
%[2]s  server {
    listen %[3]s ssl;
    %[4]s
  }
}
`, dir, temporary, address, strings.Join(lines, "\n    "))
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", filepath.Join(dir, "error.log"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, cmd)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		if conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address); err == nil {
			conn.Close()
			return address
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			said, _ := os.ReadFile(filepath.Join(dir, "error.log"))
			t.Fatalf("nginx does not listen: %s", said)
		}
	}
}

func TestNGINXInEachVersionAndWithTheirCiphers(t *testing.T) {
	certificate, key := keyFiles(t, "rsa", order{cn: "nginx", rsa: true}.make(t))
	ecCertificate, ecKey := keyFiles(t, "ec", order{cn: "nginx"}.make(t))
	pair := []string{"ssl_certificate " + certificate + ";", "ssl_certificate_key " + key + ";"}
	for name, test := range map[string]struct {
		lines []string
		want  []string
	}{
		"TLS 1.0": {
			[]string{"ssl_protocols TLSv1;", "ssl_ciphers AES128-SHA:AES256-SHA:@SECLEVEL=0;", "ssl_prefer_server_ciphers on;"},
			[]string{
				"tls.version.tls1.0 ok: is taken", "tls.version.tls1.1 ok: not taken", "tls.version.tls1.2 ok: not taken", "tls.version.tls1.3 ok: not taken", "tls.current warn",
				"tls.ciphers.tls1.0 ok: TLS 1.0: AES128-SHA, AES256-SHA", "tls.client.tms ok", "tls.client.7962g ok", "tls.client.ces ok",
			},
		},
		"TLS 1.1 and 1.2": {
			[]string{"ssl_protocols TLSv1.1 TLSv1.2;", "ssl_ciphers DHE-RSA-CAMELLIA128-SHA:ECDHE-RSA-AES128-GCM-SHA256:AES256-SHA:@SECLEVEL=0;"},
			[]string{
				"tls.version.tls1.0 ok: not taken: alert 70, protocol version", "tls.version.tls1.1 ok: is taken", "tls.version.tls1.2 ok: is taken",
				"tls.ciphers.tls1.1 ok: TLS 1.1: AES256-SHA", "tls.ciphers.tls1.2 ok: ECDHE-RSA-AES128-GCM-SHA256", "tls.client.tms warn: no HTTPS response", "tls.client.ces ok: TLS 1.2",
			},
		},
		"TLS 1.3": {
			[]string{"ssl_protocols TLSv1.3;"},
			[]string{"tls.version.tls1.3 ok: is taken", "tls.version.tls1.2 ok: not taken", "tls.leaf ok: CN=nginx", "tls.client.ces warn: return code 35"},
		},
		"two certificates": {
			[]string{"ssl_certificate " + ecCertificate + ";", "ssl_certificate_key " + ecKey + ";", "ssl_protocols TLSv1.2;"},
			[]string{"tls.leaves warn: two certificates"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			wantFindings(t, checkTLS(t, nginx(t, append(pair, test.lines...)...), ""), test.want...)
		})
	}
}

// A balancer of VPN gateways, played by two NGINX.
func TestNGINXRedirectsAPhone(t *testing.T) {
	one, two := order{cn: "asa1", rsa: true}.make(t), order{cn: "asa2", rsa: true}.make(t)
	certificate, key := keyFiles(t, "one", one)
	otherCertificate, otherKey := keyFiles(t, "two", two)
	second := nginx(t, "ssl_certificate "+otherCertificate+";", "ssl_certificate_key "+otherKey+";")
	first := nginx(t, "ssl_certificate "+certificate+";", "ssl_certificate_key "+key+";", "return 302 https://"+second+"/+webvpn+/index.html;")
	url := "https://" + first + "/VPNPhone"
	wantFindings(t, checkVPN(t, url, phoneConfig(t, url, false, one)),
		"vpn.redirect FAIL: 302 Moved Temporarily, to another host: https://"+second+"/+webvpn+/index.html; another certificate is there: CN=asa2", "vpn.hash ok")
}

// Who connects: OpenSSL as TMS, and curl.
func TestTheHellosOfOpenSSLAndCurlAreTold(t *testing.T) {
	programs := [][]string{
		{peertest.Program(t, "openssl"), "s_client", "-tls1", "-cipher", "ALL:@SECLEVEL=0", "-servername", "endpoint.example.com", "-connect"},
		{peertest.Program(t, "curl"), "-sk", "--http1.1", "--tls-max", "1.2"},
	}
	l := loopback(t)
	var r check.Report
	ended := make(chan error, 1)
	go func() {
		ended <- endpoint.Listen(t.Context(), endpoint.ListenOptions{Listener: l, Timeout: 20 * time.Second, Most: len(programs)}, &r)
	}()
	for i, program := range programs {
		target := l.Addr().String()
		if i == 1 {
			target = "https://" + target
		}
		if out, err := exec.CommandContext(t.Context(), program[0], append(program[1:], target)...).CombinedOutput(); err == nil {
			t.Errorf("%v got through: %s", program, out)
		}
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	wantFindings(t, r, "listen.hello FAIL: offers TLS 1.0 at the most, asks for endpoint.example.com | AES128-SHA | no HTTPS response",
		"listen.hello ok: TLS 1.2 | speaks http/1.1 | ECDHE-RSA-AES128-GCM-SHA256")
}
