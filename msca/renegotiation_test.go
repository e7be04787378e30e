package msca_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ciscora/internal/peertest"
	"ciscora/msca"
)

// sServer is openssl's s_server, which asks for a client certificate when it is told to:
// as IIS does once it knows the folder. crypto/tls serves no second handshake.
type sServer struct {
	addr  string
	stdin io.Writer
	said  *bufio.Scanner
}

func newSServer(t *testing.T, p *pki) *sServer {
	t.Helper()
	peertest.Program(t, "openssl")
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(p.iis.key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	cmd := exec.CommandContext(ctx, "openssl", "s_server", "-accept", "127.0.0.1:0", "-tls1_2", "-naccept", "1",
		"-cert", write("iis.pem", "CERTIFICATE", p.iis.cert.Raw), "-key", write("iis.key", "PRIVATE KEY", key),
		"-cert_chain", write("ca.pem", "CERTIFICATE", p.issuing.cert.Raw))
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait() // killed
	})
	s := &sServer{stdin: stdin, said: bufio.NewScanner(stdout)}
	if s.addr, _ = strings.CutPrefix(s.await("ACCEPT "), "ACCEPT "); s.addr == "" {
		t.Fatal("s_server does not listen")
	}
	return s
}

// await reads on until a line begins so, and returns it; "" where the server ended.
func (s *sServer) await(prefix string) string {
	for s.said.Scan() {
		if line := strings.TrimSpace(s.said.Text()); strings.HasPrefix(line, prefix) {
			return line
		}
	}
	return ""
}

// say writes to the client, or is a command where it is one letter on a line. Where the
// server has ended, the client knows.
func (s *sServer) say(text string) { _, _ = io.WriteString(s.stdin, text) }

func TestTheCAMayAskForAClientCertificateInMidConnectionOnce(t *testing.T) {
	const (
		challenge = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"CA\"\r\nContent-Length: 0\r\n\r\n"
		moved     = "HTTP/1.1 301 Moved\r\nLocation: https://lab-dc.lab.example/certsrv/\r\nContent-Length: 0\r\n\r\n"
	)
	for _, c := range []struct {
		name  string
		times int
		kind  msca.Kind // "" = it logs in
	}{{"once", 1, ""}, {"twice", 2, msca.KindClosed}} {
		t.Run(c.name, func(t *testing.T) {
			p := newPKI(t)
			server := newSServer(t, p)
			o := p.options(t, nil)
			o.Authentication = "basic"
			o.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, server.addr)
			}
			served := make(chan struct{})
			go func() {
				defer close(served)
				server.await("GET /certsrv")
				server.say(challenge)
				server.await("Authorization: Basic")
				for range c.times {
					server.say("R\n") // a new handshake, with a client certificate
					server.await("SSL_do_handshake -> 1")
				}
				server.say(moved)
			}()
			session, err := newClient(t, o).Login(t.Context(), account)
			<-served
			if c.kind != "" {
				_ = asError(t, err, c.kind)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := session.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
