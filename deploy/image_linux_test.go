package deploy_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ciscora/internal/peertest"
)

// image is what the Dockerfile makes, without Docker: the static binary in an empty root,
// with the image's folders, user and working directory, in a network of its own.
type image struct {
	t       *testing.T
	root    string
	command []string
	user    uint32
	network chan func() // run on the thread that is in the network
}

// address is that of the container: one that is not loopback's.
const address = "192.0.2.9"

func needsRoot(t *testing.T, what string, err error) {
	t.Helper()
	peertest.Missing(t, "%s (root can): %v", what, err)
}

func newImage(t *testing.T) *image {
	t.Helper()
	text, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	line := func(instruction string) string {
		m := regexp.MustCompile(`(?m)^`+instruction+` (.*)$`).FindAllStringSubmatch(string(text), -1)
		if len(m) == 0 {
			t.Fatalf("the Dockerfile has no %s", instruction)
		}
		return m[len(m)-1][1] // the last stage's
	}
	i := &image{t: t, root: t.TempDir(), network: make(chan func())}
	user, group, _ := strings.Cut(line("USER"), ":")
	id, err := strconv.ParseUint(user, 10, 32)
	if err != nil || user != group {
		t.Fatalf("USER %s:%s: %v", user, group, err)
	}
	i.user = uint32(id)
	if err := json.Unmarshal([]byte(line("CMD")), &i.command); err != nil {
		t.Fatal(err)
	}
	if line("ENTRYPOINT") != `["/ra"]` || line("WORKDIR") != "/data" {
		t.Fatal("the Dockerfile is another one than this test knows")
	}
	if err := syscall.Mount("tmpfs", i.root, "tmpfs", 0, "mode=0755"); err != nil {
		needsRoot(t, "a file system cannot be mounted", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(i.root, 0); err != nil {
			t.Error(err)
		}
	})
	putBinary(t, i.root)
	for name, mode := range map[string]os.FileMode{"tmp": 0o777 | os.ModeSticky, "data": 0o700} {
		path := filepath.Join(i.root, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(filepath.Join(i.root, "data"), int(i.user), int(i.user)); err != nil {
		t.Fatal(err)
	}
	i.enterNetwork()
	return i
}

// enterNetwork makes a thread that is in a network of its own, for what is started and
// what connects.
func (i *image) enterNetwork() {
	i.t.Helper()
	entered := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		entered <- syscall.Unshare(syscall.CLONE_NEWNET)
		for f := range i.network {
			f()
		}
	}()
	if err := <-entered; err != nil {
		close(i.network)
		needsRoot(i.t, "there is no network of its own", err)
	}
	i.t.Cleanup(func() { close(i.network) })
	for _, args := range [][]string{{"link", "set", "lo", "up"}, {"address", "add", address + "/32", "dev", "lo"}} {
		i.within(func() {
			if out, err := exec.CommandContext(i.t.Context(), "ip", args...).CombinedOutput(); err != nil {
				i.t.Errorf("ip: %v: %s", err, out)
			}
		})
	}
}

func (i *image) within(f func()) {
	done := make(chan struct{})
	i.network <- func() { defer close(done); f() }
	<-done
}

// run starts the image's binary as Docker does.
func (i *image) run(env []string, args ...string) (cmd *exec.Cmd, said *bytes.Buffer) {
	i.t.Helper()
	said = &bytes.Buffer{}
	cmd = exec.CommandContext(i.t.Context(), "/ra", args...)
	cmd.Path, cmd.Err = "/ra", nil
	cmd.Env, cmd.Dir = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/"}, env...), "/data"
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: i.root, Credential: &syscall.Credential{Uid: i.user, Gid: i.user}}
	var err error
	i.within(func() { err = cmd.Start() })
	if err != nil {
		i.t.Fatal(err)
	}
	return cmd, said
}

// client reaches the container by whatever name.
func (i *image) client(roots *x509.CertPool) *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, at string) (conn net.Conn, err error) {
			_, port, _ := net.SplitHostPort(at)
			i.within(func() { conn, err = (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(address, port)) })
			return conn, err
		},
	}}
}

func (i *image) do(c *http.Client, method, url, body string, header http.Header) (int, []byte) {
	i.t.Helper()
	r, err := http.NewRequestWithContext(i.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		i.t.Fatal(err)
	}
	r.Header = header
	resp, err := c.Do(r)
	if err != nil {
		return 0, []byte(err.Error())
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, []byte(err.Error())
	}
	return resp.StatusCode, text
}

func TestTheImageIsTheTargetOfAClientsTests(t *testing.T) {
	peertest.Long(t, "TheImage")
	i := newImage(t)
	ra, said := i.run([]string{"RA_LAB_USER=tester", "RA_LAB_PASSWORD=s3cret"}, i.command...)
	ended := make(chan error, 1)
	go func() { ended <- ra.Wait() }()
	defer func() {
		_ = ra.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			t.Errorf("docker stop: %v", err)
		}
		if t.Failed() {
			t.Log(said.String())
		}
	}()

	plain := i.client(nil)
	for began := time.Now(); ; <-time.After(50 * time.Millisecond) {
		status, text := i.do(plain, http.MethodGet, "http://ra:8085/readyz", "", nil)
		if status == http.StatusOK {
			break
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("it is not ready: %d %s", status, text)
		}
	}
	if check, out := i.run(nil, "check", "--self"); check.Wait() != nil {
		t.Errorf("the health check: %s", out)
	}
	_, text := i.do(plain, http.MethodGet, "http://ra:8085/info", "", nil)
	var info struct {
		EST     struct{ URL string }
		Account struct{ User, Password string }
	}
	if err := json.Unmarshal(text, &info); err != nil || info.EST.URL != "https://ra:8084/.well-known/est" || info.Account.User != "tester" || info.Account.Password != "s3cret" {
		t.Errorf("%v: %s", err, text)
	}
	_, anchor := i.do(plain, http.MethodGet, "http://ra:8085/roots", "", nil)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(anchor) {
		t.Fatalf("no roots: %s", anchor)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "device"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{"Content-Type": {"application/pkcs10"}, "Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("tester:s3cret"))}}
	for _, host := range []string{"ra", "localhost", "est.example.com"} { // whatever its user calls it
		status, text := i.do(i.client(roots), http.MethodPost, "https://"+host+":8084/.well-known/est/simpleenroll", base64.StdEncoding.EncodeToString(csr), header)
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", host, status, text)
		}
	}
	if status, text := i.do(plain, http.MethodPost, "http://ra:8085/reset?ca&ledger", "", nil); status != http.StatusOK {
		t.Errorf("reset: %d %s", status, text)
	}
}
