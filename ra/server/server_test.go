package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"ciscora/config"
	"ciscora/msca/certsrv"
	"ciscora/ra/ledger/ledgertest"
	"ciscora/ra/server"
)

// postgres is the server of the tests that leave it alone.
var postgres ledgertest.Server

func TestMain(m *testing.M) {
	for variable, program := range map[string]func() error{replicaConfig: replicaMain, probeURL: probeMain} {
		if os.Getenv(variable) == "" {
			continue
		}
		if err := program(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if err := ledgertest.WaitTogether(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := postgres.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code)
	}))
}

// Nobody need wonder whether a fault, or a CA for the lab, sits in a production
// path (design, section 2).
func TestNoLabAndNoBuiltInCAIsInAProductionPath(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "ciscora/ra/server").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 50 {
		t.Fatalf("only %d dependencies: %q", len(deps), deps)
	}
	for _, dep := range deps {
		switch dep {
		case "ciscora/ra/fault", "ciscora/ra/lab", "ciscora/msca/certsrv":
			t.Errorf("%s is in ra/server", dep)
		}
	}
}

// site is a folder with what ra.yaml names, for a CA.
type site struct {
	caKeys string // more keys of ca
	t      testing.TB
	dir    string
	ca     *certsrv.TestServer
	logs   *observer.ObservedLogs
	log    *zap.Logger
}

func newSite(t testing.TB, options ...func(*certsrv.Options)) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), ca: certsrv.NewTestServer(options...)}
	t.Cleanup(s.ca.Close)
	core, logs := observer.New(zapcore.DebugLevel)
	s.log, s.logs = zap.New(core), logs
	cert, err := s.ca.Server.IssueServerCertificate([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	s.write("est.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	var chain []byte
	for _, der := range cert.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	s.write("est.pem", chain)
	s.write("root.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.ca.Server.Root().Raw}))
	if err := config.WriteCredentials(filepath.Join(s.dir, "credentials.yaml"), s.ca.User, s.ca.Password); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) write(name string, data []byte) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), data, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// load reads ra.yaml with these lines added to it.
func (s *site) load(lines string) *config.RA {
	s.t.Helper()
	s.write("ra.yaml", []byte(`est: {listen: "127.0.0.1:0", certificate: est.pem, key: est.key, drain_delay: 0s}
ca: {url: "`+s.ca.URL+`", template: CiscoRA, credentials: credentials.yaml, trust: [root.pem]`+s.caKeys+`}
`+lines))
	cfg, err := config.LoadRA(filepath.Join(s.dir, "ra.yaml"), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return cfg
}

func (s *site) run(cfg *config.RA) *server.Server {
	s.t.Helper()
	srv, err := server.New(s.t.Context(), cfg, server.Options{Logger: s.log})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
	return srv
}

// get returns status and body.
func (s *site) get(url string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	status, _, body := s.send(req)
	return status, body
}

// post enrolls as a client that sends its credentials at once; it returns status,
// header and body.
func (s *site) post(url string, csr []byte) (int, http.Header, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, url, strings.NewReader(base64.StdEncoding.EncodeToString(csr)))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/pkcs10")
	req.SetBasicAuth(s.ca.User, s.ca.Password)
	return s.send(req)
}

func (s *site) send(req *http.Request) (int, http.Header, string) {
	s.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: s.ca.Roots, MinVersion: tls.VersionTLS12}}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

// settled waits until a start was tried, well or not.
func settled(t testing.TB, srv *server.Server) {
	t.Helper()
	for state := srv.Ready(); !state.Tried; state = srv.Ready() { // its reason may be the ledger's meanwhile
		select {
		case <-state.Changed:
		case <-t.Context().Done():
			return
		}
	}
}

func TestAStartWithTheCAAwayLeavesTheRAUpAndSayingWhy(t *testing.T) {
	s := newSite(t)
	cfg := s.load("profile: modern\nadmin: {listen: \"127.0.0.1:0\"}\n")
	cfg.CA.URL = "https://" + unheard(t) + "/certsrv"
	srv := s.run(cfg)
	settled(t, srv)
	status, body := s.get("https://" + srv.ESTAddr().String() + "/.well-known/est/cacerts")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "no CA chain yet: connecting to the CA: it cannot be reached") {
		t.Errorf("/cacerts: %d %q", status, body)
	}
	admin := "http://" + srv.AdminAddr().String()
	if status, body := s.get(admin + "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "it cannot be reached") {
		t.Errorf("/readyz: %d %s", status, body)
	}
	if status, body := s.get(admin + "/healthz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("/healthz: %d %q", status, body)
	}
	nginx, err := os.ReadFile(cfg.Logs.Files.NGINX)
	if err != nil {
		t.Fatal(err)
	}
	if want := "nginx: [warn] login_to_certsrv_ca: Curl call for MS CA login failed with return code 7 ("; !strings.Contains(string(nginx), want) {
		t.Errorf("no %q in\n%s", want, nginx)
	}
}

func TestEveryLogLineOfAnEnrollmentCarriesItsIDAndNoneThePassword(t *testing.T) {
	s := newSite(t)
	srv := s.run(s.load("admin: {listen: \"\"}\n"))
	settled(t, srv)
	s.logs.TakeAll()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+srv.ESTAddr().String()+"/.well-known/est/simpleenroll", strings.NewReader("garbage"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/pkcs10")
	req.SetBasicAuth(s.ca.User, s.ca.Password)
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: s.ca.Roots, MinVersion: tls.VersionTLS12}}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("garbage: %s", resp.Status)
	}
	ids := map[any]bool{}
	for s.logs.FilterMessage("answered").Len() == 0 { // the line comes just after the answer
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("no line for the answer")
		}
	}
	for _, line := range s.logs.All() {
		ids[line.ContextMap()["enrollment"]] = true
		text, err := zapcore.NewJSONEncoder(zapcore.EncoderConfig{}).EncodeEntry(line.Entry, line.Context)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text.String(), s.ca.Password) {
			t.Errorf("the password is in a line: %s", line.Message)
		}
	}
	if len(ids) != 1 || ids[nil] || ids[""] {
		t.Errorf("ids in the lines: %v, want the one of the enrollment", ids)
	}
}

func TestAPortInUseIsNamedByItsKeyAndPlace(t *testing.T) {
	s := newSite(t)
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := s.load("admin:\n  listen: " + taken.Addr().String() + "\n")
	_, err = server.New(t.Context(), cfg, server.Options{})
	if err == nil || !strings.Contains(err.Error(), "ra.yaml:4:3: admin.listen: "+taken.Addr().String()+" is in use by another program") {
		t.Errorf("New = %v", err)
	}
}

// unheard returns a loopback address at which nobody listens and, while the test
// runs, nobody can: it is the near end of a connection. A port that was merely
// closed may be another test's by now.
func unheard(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().String()
}
