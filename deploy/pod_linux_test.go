package deploy_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
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
	"sync"
	"syscall"
	"testing"
	"time"

	"ciscora/config"
	"ciscora/internal/peertest"
	"ciscora/msca/certsrv"
	"ciscora/ra/ledger/ledgertest"
)

// pod is the RA as kubernetes.yaml runs it, with deploy/ra/ra.yaml: on a root that nobody
// can write, as its user and group, without capabilities, with the secret's modes.
type pod struct {
	t     *testing.T
	root  string
	ca    *certsrv.TestServer
	est   string
	admin string
	args  []string
	ids   *syscall.Credential
	env   []string
}

func newPod(t *testing.T, mode os.FileMode) *pod {
	t.Helper()
	deployment := kind(t, "Deployment")
	number := func(path string) uint32 {
		n, ok := at(deployment, path).(int)
		if !ok {
			t.Fatalf("kubernetes.yaml: %s is no number", path)
		}
		return uint32(n)
	}
	const spec = "spec.template.spec."
	group := number(spec + "securityContext.fsGroup")
	p := &pod{t: t, ca: certsrv.NewTestServer(), ids: &syscall.Credential{
		Uid: number(spec + "securityContext.runAsUser"), Gid: number(spec + "securityContext.runAsGroup"), Groups: []uint32{group},
	}}
	t.Cleanup(p.ca.Close)
	args, _ := at(deployment, spec+"containers.0.args").([]any)
	for _, a := range args {
		p.args = append(p.args, fmt.Sprint(a))
	}
	p.env = []string{fmt.Sprintf("%v=%v", at(deployment, spec+"containers.0.env.0.name"), at(deployment, spec+"containers.0.env.0.value"))}

	p.root = t.TempDir()
	if err := syscall.Mount("tmpfs", p.root, "tmpfs", 0, "mode=0755"); err != nil {
		needsRoot(t, "a file system cannot be mounted", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(p.root, 0); err != nil {
			t.Error(err)
		}
	})
	putBinary(t, p.root)
	folder, _ := at(deployment, spec+"containers.0.volumeMounts.0.mountPath").(string)
	secret := filepath.Join(p.root, folder)
	if err := os.MkdirAll(secret, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range p.secret() {
		path := filepath.Join(secret, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, 0, int(group)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mount("", p.root, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	return p
}

// secret is what kubectl makes of the files that kubernetes.yaml's first lines name.
func (p *pod) secret() map[string][]byte {
	p.t.Helper()
	text, err := os.ReadFile("ra/ra.yaml")
	if err != nil {
		p.t.Fatal(err)
	}
	replace := func(old, with string) {
		p.t.Helper()
		if !bytes.Contains(text, []byte(old)) {
			p.t.Fatalf("ra.yaml has no %q", old)
		}
		text = bytes.ReplaceAll(text, []byte(old), []byte(with))
	}
	// Addresses of its own: other tests run on this machine.
	host := fmt.Sprintf("127.%d.%d.77", 100+os.Getpid()%100, os.Getpid()/100%250)
	p.est, p.admin = net.JoinHostPort(host, "8084"), net.JoinHostPort(host, "8085")
	replace("0.0.0.0:8084", p.est)
	replace("0.0.0.0:8085", p.admin)
	replace("https://ca.example.com:443/certsrv", p.ca.URL)
	relay := ledgertest.StartPostgres(p.t).Relay(p.t)
	replace("postgres://ra@postgres:5432/ra?sslmode=disable", relay.DSN)

	cert, err := p.ca.Server.IssueServerCertificate([]string{host})
	if err != nil {
		p.t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		p.t.Fatal(err)
	}
	var chain []byte
	for _, der := range cert.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	credentials := filepath.Join(p.t.TempDir(), "credentials.yaml")
	if err := config.WriteCredentials(credentials, p.ca.User, p.ca.Password); err != nil {
		p.t.Fatal(err)
	}
	written, err := os.ReadFile(credentials)
	if err != nil {
		p.t.Fatal(err)
	}
	return map[string][]byte{
		"ra.yaml": text, "est.pem": chain, "est.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		"credentials.yaml": written, "root.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.ca.Server.Root().Raw}),
		"admin.token": []byte(strings.Repeat("5a", 32) + "\n"), "pgpass": []byte("*:*:*:*:unused\n"),
	}
}

// start starts the container's process; end is SIGTERM, and returns what it said.
func (p *pod) start() (end func() string) {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), "/ra", p.args...)
	cmd.Env, cmd.Dir = p.env, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: p.root, Credential: p.ids}
	cmd.Path, cmd.Err = "/ra", nil
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	end = sync.OnceValue(func() string {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		return said.String()
	})
	p.t.Cleanup(func() {
		if text := end(); p.t.Failed() {
			p.t.Log(text)
		}
	})
	return end
}

func TestThePodOfTheManifestEnrollsOnAReadOnlyRoot(t *testing.T) {
	peertest.Long(t, "ThePod") // it compiles all as the Dockerfile does
	mode, _ := at(kind(t, "Deployment"), "spec.template.spec.volumes.0.secret.defaultMode").(int)
	p := newPod(t, os.FileMode(mode))
	end := p.start()
	for began := time.Now(); p.status("http://"+p.admin+"/readyz") != http.StatusOK; <-time.After(50 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("it is not ready: %s", end())
		}
	}
	for _, probe := range []string{"/healthz", "/servingz"} {
		if status := p.status("http://" + p.admin + probe); status != http.StatusOK {
			t.Errorf("%s: %d", probe, status)
		}
	}
	if status := p.status("http://" + p.admin + "/enrollments"); status != http.StatusUnauthorized {
		t.Errorf("/enrollments without the token: %d", status)
	}
	if status, body := p.enroll(); status != http.StatusOK {
		t.Errorf("an enrollment: %d %s", status, body)
	}
	if text := end(); !strings.Contains(text, `"stopped"`) {
		t.Errorf("it did not end well: %s", text)
	}
}

func TestThePodRefusesSecretsThatAllCanRead(t *testing.T) {
	peertest.Long(t, "ThePod")
	p := newPod(t, 0o444)
	cmd := exec.CommandContext(t.Context(), "/ra", p.args...)
	cmd.Path, cmd.Err = "/ra", nil
	cmd.Env, cmd.Dir = p.env, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: p.root, Credential: p.ids}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "defaultMode 0440") {
		t.Errorf("%v: %s", err, out)
	}
}

func (p *pod) do(req *http.Request) (int, string) {
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: p.ca.Roots, MinVersion: tls.VersionTLS12}}
	resp, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

func (p *pod) status(url string) int {
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	status, _ := p.do(req)
	return status
}

func (p *pod) enroll() (int, string) {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "phone"}}, key)
	if err != nil {
		p.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, "https://"+p.est+"/.well-known/est/simpleenroll", strings.NewReader(base64.StdEncoding.EncodeToString(csr)))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/pkcs10")
	req.SetBasicAuth(p.ca.User, p.ca.Password)
	return p.do(req)
}
