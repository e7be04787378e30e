package server_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ciscora/ra/server"
)

// beyond is the address of a port that listens beyond loopback, from this machine.
func beyond(t *testing.T, srv *server.Server) string {
	t.Helper()
	_, port, err := net.SplitHostPort(srv.AdminAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", port)
}

func TestTheTokenOfTheAdminPortIsReadAnewAndABadOneKeepsTheOld(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	path := filepath.Join(s.dir, "admin.token")
	const first, second = "first-token-of-the-admin-port", "second-token-of-the-admin-port"
	s.write("admin.token", []byte(first+"\n"))
	srv := s.run(s.load("admin: {listen: \":0\", token_file: admin.token}\n"))
	takes := func(token string) bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+beyond(t, srv)+"/enrollments", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		status, _, _ := s.send(req)
		return status == http.StatusOK
	}
	if !takes(first) || takes(second) || takes("") {
		t.Fatal("the first token")
	}
	s.write("admin.token", []byte(second+"\n"))
	await(t, func() bool { return takes(second) })
	if takes(first) {
		t.Error("the old token is taken still")
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool {
		takes(second) // it is looked at when it is asked for
		return s.logs.FilterMessageSnippet("admin port is not taken").Len() > 0
	})
	if !takes(second) {
		t.Error("a token that others may read throws out the one before")
	}
	for _, line := range s.logs.All() {
		for _, field := range line.Context {
			if strings.Contains(field.String, second) {
				t.Errorf("the token is in the log: %s", line.Message)
			}
		}
	}
}

func TestTheAdminPortTakesCertificatesUnderItsTrust(t *testing.T) {
	s := newSite(t)
	operator, stranger := newClient(t), newClient(t)
	s.write("ops.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: operator.Certificate[0]}))
	srv := s.run(s.load("admin: {listen: \":0\", tls: {certificate: est.pem, key: est.key, trust: [ops.pem]}}\n"))
	ask := func(path string, certificate *tls.Certificate) int {
		t.Helper()
		client := &tls.Config{RootCAs: s.ca.Roots, MinVersion: tls.VersionTLS12}
		if certificate != nil { // whatever CAs the server names
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
		}
		transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: client}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+beyond(t, srv)+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			return 0
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	for _, test := range []struct {
		path        string
		certificate *tls.Certificate
		want        int
	}{
		{"/enrollments", &operator, http.StatusOK},
		{"/enrollments", nil, http.StatusForbidden},
		{"/healthz", nil, http.StatusOK},
		{"/healthz", &stranger, 0}, // the handshake fails
	} {
		if status := ask(test.path, test.certificate); status != test.want {
			t.Errorf("%s with a certificate (%v): %d, want %d", test.path, test.certificate != nil, status, test.want)
		}
	}
}

// newClient makes a self-signed certificate for a TLS client.
func newClient(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestAnAdminPortWhoseFilesAreNoGoodIsRefusedAtItsKey(t *testing.T) {
	s := newSite(t)
	s.write("short.token", []byte("hunter2\n"))
	s.write("open.token", bytes.Repeat([]byte("x"), 40))
	if err := os.Chmod(filepath.Join(s.dir, "open.token"), 0o640); err != nil {
		t.Fatal(err)
	}
	for lines, want := range map[string]string{
		"{listen: \":0\", token_file: short.token}":                                       "ra.yaml:3:23: admin.token_file: ",
		"{listen: \":0\", token_file: open.token}":                                        "chmod 600 ",
		"{listen: \":0\", token_file: none.token}":                                        "ra.yaml:3:23: admin.token_file: ",
		"{listen: \":0\", tls: {certificate: est.pem, key: root.pem, trust: [root.pem]}}": "admin.tls.key: ",
	} {
		srv, err := server.New(t.Context(), s.load("admin: "+lines+"\n"), server.Options{})
		if err == nil {
			t.Fatalf("%s was taken: %v", lines, srv)
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", lines, err)
		}
	}
}
