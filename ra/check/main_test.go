package check_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ciscora/config"
	"ciscora/msca"
	"ciscora/ra/check"
	"ciscora/ra/fault"
	"ciscora/ra/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	user     = `LAB\ciscora`
	password = "correct horse 9"
)

// ca is a built-in CA that listens, with faults and IIS's log.
type ca struct {
	network lab.Network // nil: TCP

	url    string
	faults *fault.Registry
	roots  []*x509.Certificate
	logs   string
}

// startCA starts a CA for localhost. It ends with the test.
func startCA(t *testing.T, change ...func(*config.Certsrv)) *ca {
	t.Helper()
	return startCAOn(t, nil, change...)
}

// startCAOn is startCA on a network: in memory, it lives in virtual time.
func startCAOn(t *testing.T, network lab.Network, change ...func(*config.Certsrv)) *ca {
	t.Helper()
	cfg := config.DefaultCertsrv()
	cfg.Dir, cfg.Log = "", t.TempDir()
	cfg.Hosts = []string{"localhost", "127.0.0.1"}
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Users = []config.User{{Name: user, PasswordFile: secret}}
	for _, f := range change {
		f(&cfg)
	}
	faults := fault.NewRegistry(fault.Options{})
	built, err := lab.OpenCA(&cfg, lab.CAOptions{Faults: faults, NewKey: newKey})
	if err != nil {
		t.Fatal(err)
	}
	listen := func(ctx context.Context, address string) (net.Listener, error) {
		return (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	}
	if network != nil {
		listen = network.Listen
	}
	l, err := listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- built.Serve(ctx, l) }()
	t.Cleanup(func() {
		faults.Clear()
		stop()
		if err := errors.Join(<-ended, built.Close()); err != nil {
			t.Error(err)
		}
	})
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return &ca{network: network, url: "https://localhost:" + port + "/certsrv", faults: faults, roots: []*x509.Certificate{built.Root()}, logs: cfg.Log}
}

func newKey() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// options are those of the profile, for the CA.
func (c *ca) options(profile config.Profile) check.CAOptions {
	o := check.CAOptions{CA: config.Default(profile).CA, Profile: profile, Trust: c.roots}
	o.CA.URL, o.CA.Template = c.url, "CiscoRA"
	o.Credentials = msca.Credentials{User: user, Password: password}
	o.Timeout = 20 * time.Second // on a machine that is busy with others
	o.Resolve = resolveLocally
	if c.network != nil {
		o.Timeout, o.Dial = 10*time.Second, c.network.DialContext
	}
	return o
}

func runCA(t *testing.T, o check.CAOptions) check.Report {
	t.Helper()
	var r check.Report
	if err := check.CA(t.Context(), o, &r); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, r)
	return r
}

// wellFormed wants of whatever is wrong how it shows, why, and what helps.
func wellFormed(t *testing.T, r check.Report) {
	t.Helper()
	for _, f := range r.Findings {
		switch {
		case f.Name == "", f.Seen == "":
			t.Errorf("%+v: a finding without a name or what was seen", f)
		case (f.State == check.Fail || f.State == check.Warn) && (f.Symptom == "" || f.Reason == "" || f.Fix == ""):
			t.Errorf("%s %s: without a symptom, a reason or a fix: %+v", f.State, f.Name, f)
		}
		if text := fmt.Sprint(f); strings.Contains(text, password) || strings.Contains(text, "TlRMTVNTUA") || strings.ContainsAny(text, "\n\x1b") {
			t.Errorf("%s: a secret or a control character in it: %s", f.Name, text)
		}
	}
}

// states are the states of the findings of a name.
func states(r check.Report, name string) (all []check.State) {
	for _, f := range r.Findings {
		if f.Name == name {
			all = append(all, f.State)
		}
	}
	return all
}

// iisLogs are IIS's logs, by the names of their files.
func (c *ca) iisLogs(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(c.logs, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	logs := map[string][]byte{}
	for _, file := range files {
		if logs[filepath.Base(file)], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return logs
}

// loggedLines counts the lines of IIS's log that have a text.
func (c *ca) loggedLines(t *testing.T, text string) (n int) {
	t.Helper()
	for _, data := range c.iisLogs(t) {
		for line := range strings.Lines(string(data)) {
			if !strings.HasPrefix(line, "#") && strings.Contains(line, text) {
				n++
			}
		}
	}
	return n
}

// wrong lists what is not as it should be.
func wrong(r check.Report) (all []string) {
	for _, f := range r.Findings {
		if f.State == check.Fail || f.State == check.Warn {
			all = append(all, fmt.Sprintf("%s %s: %s", f.State, f.Name, f.Seen))
		}
	}
	return all
}
