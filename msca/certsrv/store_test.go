package certsrv_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ciscora/msca/certsrv"
)

// kept starts a CA on dir, for one user, until the test says end or is over.
func kept(t *testing.T, dir string, change ...func(*certsrv.Options)) (srv *certsrv.TestServer, end func()) {
	t.Helper()
	options := []func(*certsrv.Options){templates, quickKeys, func(o *certsrv.Options) { o.Dir = dir }}
	srv = certsrv.NewTestServer(append(options, change...)...)
	t.Cleanup(srv.Close)
	return srv, srv.Close
}

// quickKeys are for those who do not look at them: RSA's would be most of a test's time.
func quickKeys(o *certsrv.Options) {
	o.NewKey = func(string) (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }
}

// usualKeys are those that a CA with a folder makes itself.
func usualKeys(o *certsrv.Options) { o.NewKey = nil }

func TestTheCAIsTheSameAfterARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	srv, end := kept(t, dir, usualKeys)
	root, issuing := srv.Server.Chain()[1], srv.Server.Chain()[0]
	if key, ok := issuing.PublicKey.(*rsa.PublicKey); !ok || key.N.BitLen() != 2048 {
		t.Errorf("issuing CA's key is %T, want RSA 2048", issuing.PublicKey)
	}
	for want, c := range map[string]*x509.Certificate{"test lab LAB Issuing CA": issuing, "test lab LAB Root CA": root} {
		var got []string
		for _, n := range c.Subject.Names { // DC=test, DC=lab, CN=...
			got = append(got, fmt.Sprint(n.Value))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("name %q, want %s", got, want)
		}
	}
	for _, name := range []string{"root.key", "issuing.key"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o, want 600", name, info.Mode().Perm())
		}
	}
	b := loggedIn(t, srv)
	b.submit(phoneCSR(t), asks("CiscoRA"))
	b.submit(phoneCSR(t), asks("Supervised"))
	b.submit(phoneCSR(t), asks("Unknown"))
	if _, err := certsrv.New(certsrv.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Fatalf("a second CA on the folder: %v", err)
	}
	before := srv.Server.Requests()
	b.transport.CloseIdleConnections()
	end()

	// A crash in the middle of an append leaves a line without an end.
	journal := filepath.Join(dir, "requests.jsonl")
	f, err := os.OpenFile(journal, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"id":4,"requester":"LAB\\cis`); err != nil {
		t.Fatal(err)
	}
	f.Close()

	srv, end = kept(t, dir, usualKeys)
	if !srv.Server.Root().Equal(root) || !srv.Server.Chain()[0].Equal(issuing) {
		t.Error("another CA")
	}
	after := srv.Server.Requests()
	if len(after) != 3 || len(before) != 3 {
		t.Fatalf("%d requests, were %d, want 3", len(after), len(before))
	}
	for i := range after {
		if a, b := after[i], before[i]; a.ID != b.ID || a.Disposition != b.Disposition || a.HRESULT != b.HRESULT || a.Message != b.Message || !bytes.Equal(a.Certificate, b.Certificate) || !a.Submitted.Equal(b.Submitted) {
			t.Errorf("request %+v, was %+v", a, b)
		}
	}
	if err := srv.Server.Approve(2); err != nil {
		t.Errorf("approve after a restart: %v", err)
	}
	b = loggedIn(t, srv)
	if body := b.submit(phoneCSR(t), asks("CiscoRA")).body; !strings.Contains(body, "ReqID=4&amp;") {
		t.Errorf("ReqIDs do not go on at 4:\n%s", body)
	}
	serials := map[string]bool{}
	for _, r := range srv.Server.Requests() {
		if r.Certificate == nil {
			continue
		}
		c, err := x509.ParseCertificate(r.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		serials[c.SerialNumber.String()] = true
	}
	if len(serials) != 3 {
		t.Errorf("%d different serial numbers, want 3", len(serials))
	}
	b.transport.CloseIdleConnections()
	end()
	if data, err := os.ReadFile(journal); err != nil || strings.Count(string(data), "\n") != 5 || strings.Contains(string(data), `LAB\\cis{`) {
		t.Errorf("journal after all (%v):\n%s", err, data)
	}

	// The root may be put away once it has signed.
	if err := os.Remove(filepath.Join(dir, "root.key")); err != nil {
		t.Fatal(err)
	}
	_, end = kept(t, dir, usualKeys)
	end()

	for _, c := range []struct{ damage, want string }{
		{"requests.jsonl", "line 1 is no request"},
		{"issuing.key", "issuing.key"},
		{"root.pem", "no root.pem"},
	} {
		path := filepath.Join(dir, c.damage)
		if c.damage == "requests.jsonl" {
			err = os.WriteFile(path, []byte("{}\n{\"id\":1}\n"), 0o600)
		} else {
			err = os.Remove(path)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err := certsrv.New(certsrv.Options{Dir: dir})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s damaged: %v, want one with %q", c.damage, err, c.want)
		}
		if c.damage == "requests.jsonl" {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestNoCertificateOutlivesTheIssuingCA(t *testing.T) {
	srv := start(t, func(o *certsrv.Options) {
		o.Templates = []certsrv.Template{{Name: "CiscoRA", SubjectFromRequest: true, Validity: 100 * 365 * 24 * time.Hour}}
	})
	loggedIn(t, srv).submit(phoneCSR(t), ciscoRA)
	c, err := x509.ParseCertificate(srv.Server.Requests()[0].Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if end := srv.Server.Chain()[0].NotAfter; !c.NotAfter.Equal(end) {
		t.Errorf("ends %s, the issuing CA %s", c.NotAfter, end)
	}
	if root := srv.Server.Root(); root.NotAfter.Before(srv.Server.Chain()[0].NotAfter) {
		t.Error("the issuing CA outlives the root")
	}
}

func TestServerCertificatesOfTheLab(t *testing.T) {
	srv := start(t)
	got, err := srv.Server.IssueServerCertificate([]string{"ra.lab.test", "192.0.2.7"})
	if err != nil {
		t.Fatal(err)
	}
	issuing := x509.NewCertPool()
	issuing.AddCert(srv.Server.Chain()[0])
	for _, host := range []string{"ra.lab.test", "192.0.2.7"} {
		if _, err := got.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: srv.Roots, Intermediates: issuing}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if len(got.Certificate) != 2 {
		t.Errorf("%d certificates are sent, want the leaf and the issuing CA", len(got.Certificate))
	}
	if _, err := srv.Server.IssueServerCertificate(nil); err == nil {
		t.Error("a certificate for nobody")
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	template := func(t certsrv.Template) certsrv.Options {
		return certsrv.Options{Templates: []certsrv.Template{t}}
	}
	for _, c := range []struct {
		name, want string
		options    certsrv.Options
	}{
		{"a domain that is none", "NetBIOS", certsrv.Options{Domain: `LAB\`}},
		{"TLS versions the wrong way round", "tls", certsrv.Options{TLS: certsrv.TLSVersions{Min: 0x0304, Max: 0x0303}}},
		{"a negative ReqID", "ReqID", certsrv.Options{FirstReqID: -1}},
		{"a user without a name", "has no name", certsrv.Options{Users: []certsrv.User{{Name: `LAB\`}}}},
		{"a user twice", "named twice", certsrv.Options{Users: []certsrv.User{{Name: `LAB\a`}, {Name: "A"}}}},
		{"a template name with a line end", "template name", template(certsrv.Template{Name: "a\r\nSAN:x"})},
		{"a friendly name with a semicolon", "semicolon", template(certsrv.Template{Name: "a", FriendlyName: "a;b"})},
		{"keys that cannot be verified", "512 bits", template(certsrv.Template{Name: "a", MinKeySize: 512})},
		{"a negative validity", "validity", template(certsrv.Template{Name: "a", Validity: -1})},
		{"a template twice", "named twice", certsrv.Options{Templates: []certsrv.Template{{Name: "a"}, {Name: "A"}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := certsrv.New(c.options); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
	if s := certsrv.NewUser(`LAB\ciscora`, "secret"); s.String() != `LAB\ciscora` || s.GoString() != s.String() {
		t.Errorf("user shows as %s", s)
	}
}

func TestServeSaysWhyItCannotGoOn(t *testing.T) {
	s, err := certsrv.New(certsrv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := s.Serve(t.Context(), l); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("serving a closed listener: %v", err)
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(ended, l); err != nil {
		t.Errorf("serving until a context that has ended: %v", err)
	}
}

func TestAKeyThatOthersCanReadIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	_, end := kept(t, dir, usualKeys)
	end()
	for _, name := range []string{"root.key", "issuing.key"} {
		path := filepath.Join(dir, name)
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := certsrv.New(certsrv.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
