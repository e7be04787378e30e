package endpoint_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ciscora/ra/check"
	"ciscora/ra/check/endpoint"
	"ciscora/ra/check/hello"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// outside is loopback, with time enough for a busy machine.
func outside() endpoint.Outside {
	return endpoint.Outside{Dial: (&net.Dialer{}).DialContext, Timeout: 20 * time.Second, Now: time.Now, Soon: 30 * 24 * time.Hour}
}

// made is a certificate with its key.
type made struct {
	*x509.Certificate
	key crypto.Signer
}

// order says how a certificate is to be.
type order struct {
	cn   string
	by   *made // nil = itself
	ca   bool
	rsa  bool
	dns  []string
	ip   []string
	days int // 0 = 365
	aia  string
	sha1 bool

	change func(*x509.Certificate) // of the template, at last
}

func (o order) make(t testing.TB) *made {
	t.Helper()
	var key crypto.Signer
	var err error
	if o.rsa {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	if o.days == 0 {
		o.days = 365
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: o.cn}, DNSNames: o.dns, BasicConstraintsValid: true, IsCA: o.ca,
		NotBefore: now.Add(-400 * 24 * time.Hour), NotAfter: now.Add(time.Duration(o.days)*24*time.Hour + time.Hour),
	}
	if o.sha1 {
		template.SignatureAlgorithm = x509.SHA1WithRSA
	}
	for _, ip := range o.ip {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(ip))
	}
	if o.aia != "" {
		template.IssuingCertificateURL = []string{o.aia}
	}
	if o.change != nil {
		o.change(template)
	}
	parent, signer := template, key
	if o.by != nil {
		parent, signer = o.by.Certificate, o.by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &made{certificate, key}
}

func pemOf(list ...*made) []byte {
	var out []byte
	for _, m := range list {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.Raw})...)
	}
	return out
}

func keyOf(t testing.TB, m *made) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(m.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func ders(list ...*made) (out [][]byte) {
	for _, m := range list {
		out = append(out, m.Raw)
	}
	return out
}

func ids(t testing.TB, names ...string) (out []uint16) {
	t.Helper()
	for _, name := range names {
		s, ok := hello.SuiteByName(name)
		if !ok {
			t.Fatal(name)
		}
		out = append(out, s.ID)
	}
	return out
}

func loopback(t testing.TB) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// respond runs a responder until the test ends.
func respond(t testing.TB, r hello.Responder) (address string) {
	t.Helper()
	l := loopback(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// states are the findings' by name; several of one name are joined.
func states(r check.Report) map[string]string {
	all := map[string]string{}
	for _, f := range r.Findings {
		if all[f.Name] != "" {
			all[f.Name] += " "
		}
		all[f.Name] += string(f.State)
	}
	return all
}

// wantFindings compares findings with lines "NAME STATE: words | words", all of which must
// stand in it, wherever.
func wantFindings(t testing.TB, r check.Report, want ...string) {
	t.Helper()
	for _, line := range want {
		head, words, _ := strings.Cut(line, ": ")
		name, state, _ := strings.Cut(head, " ")
		found := false
		for _, f := range r.Findings {
			text := strings.Join([]string{f.Seen, f.Symptom, f.Reason, f.Fix}, "\n")
			fits := f.Name == name && string(f.State) == state
			for word := range strings.SplitSeq(words, " | ") {
				fits = fits && strings.Contains(text, word)
			}
			found = found || fits
		}
		if !found {
			t.Errorf("no finding is: %s", line)
		}
	}
	if t.Failed() {
		t.Logf("%+v", r)
	}
	for _, f := range r.Findings {
		if (f.State == check.Fail || f.State == check.Warn) && (f.Symptom == "" || f.Reason == "" || f.Fix == "") {
			t.Errorf("%s lacks its symptom, reason or fix: %+v", f.Name, f)
		}
		if strings.ContainsAny(f.Seen+f.Symptom+f.Reason+f.Fix, "\n\x1b") {
			t.Errorf("%s is not one line: %q", f.Name, f.Seen)
		}
	}
}
