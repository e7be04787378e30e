package certsrv_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ciscora/msca/certsrv"
	"ciscora/msca/ntlm"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a CA for one test.
func start(t *testing.T, opts ...func(*certsrv.Options)) *certsrv.TestServer {
	t.Helper()
	srv := certsrv.NewTestServer(opts...)
	t.Cleanup(srv.Close)
	return srv
}

// browser is the least of an HTTP client that can log in: one connection.
type browser struct {
	t         *testing.T
	srv       *certsrv.TestServer
	transport *http.Transport
	userAgent string
	leaf      *x509.Certificate // of the server, once connected
}

func newBrowser(t *testing.T, srv *certsrv.TestServer) *browser {
	t.Helper()
	b := &browser{t: t, srv: srv, userAgent: "CiscoRA 1.0"}
	b.transport = &http.Transport{
		MaxConnsPerHost: 1,
		TLSClientConfig: &tls.Config{RootCAs: srv.Roots, MinVersion: tls.VersionTLS12, VerifyConnection: func(cs tls.ConnectionState) error {
			b.leaf = cs.PeerCertificates[0]
			return nil
		}},
	}
	t.Cleanup(b.transport.CloseIdleConnections)
	return b
}

// loggedIn is a browser whose connection belongs to the server's user.
func loggedIn(t *testing.T, srv *certsrv.TestServer) *browser {
	t.Helper()
	b := newBrowser(t, srv)
	if got := b.logIn(srv.User, srv.Password, nil); got.status != http.StatusMovedPermanently {
		t.Fatalf("log-in: %d, want 301", got.status)
	}
	return b
}

// soon is what comes on a channel: where nothing does the test fails, and does not hang.
func soon[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came in 10 s")
	}
	return v
}

type reply struct {
	status int
	header http.Header
	body   string
	closes bool // the connection, with it
}

// do sends one request and reads the whole answer. path is behind /certsrv.
func (b *browser) do(method, path, body string, header ...string) reply {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.srv.URL+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("User-Agent", b.userAgent)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := b.transport.RoundTrip(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(data), resp.Close}
}

func (b *browser) get(path string) reply { b.t.Helper(); return b.do(http.MethodGet, path, "") }

// logIn is both legs on /certsrv, as libcurl sends them; it returns the second answer.
func (b *browser) logIn(user, password string, binding func(*x509.Certificate) []byte) reply {
	b.t.Helper()
	return b.logInAs("NTLM", user, password, binding)
}

func (b *browser) logInAs(scheme, user, password string, binding func(*x509.Certificate) []byte) reply {
	b.t.Helper()
	first := b.do(http.MethodGet, "", "", "Authorization", scheme+" "+base64.StdEncoding.EncodeToString(ntlm.NegotiateMessage()))
	text, ok := strings.CutPrefix(first.header.Get("WWW-Authenticate"), scheme+" ")
	if first.status != http.StatusUnauthorized || !ok {
		b.t.Fatalf("type 1: %d %q, want a challenge", first.status, first.header.Values("WWW-Authenticate"))
	}
	challenge, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		b.t.Fatal(err)
	}
	var token []byte
	if binding != nil {
		token = binding(b.leaf)
	}
	message, err := ntlm.AuthenticateMessage(challenge, user, password, token)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(http.MethodGet, "", "", "Authorization", scheme+" "+base64.StdEncoding.EncodeToString(message))
}

// submit posts a CSR as the RA does.
func (b *browser) submit(csr, attribs string) reply {
	b.t.Helper()
	form := url.Values{
		"Mode": {"newreq"}, "CertRequest": {csr}, "CertAttrib": {attribs},
		"TargetStoreFlags": {"0"}, "SaveCert": {"yes"},
	}
	return b.do(http.MethodPost, "/certfnsh.asp", form.Encode(), "Referer", b.srv.URL+"/certrqxt.asp")
}

const ciscoRA = "CertificateTemplate:CiscoRA\r\n"

var phoneKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

// newCSR makes the DER of a request for a phone of this name.
func newCSR(t *testing.T, key crypto.Signer, change ...func(*x509.CertificateRequest)) []byte {
	t.Helper()
	request := &x509.CertificateRequest{Subject: pkix.Name{CommonName: "SEP001122334455"}}
	for _, f := range change {
		f(request)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, request, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func pemCSR(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func phoneCSR(t *testing.T) string { t.Helper(); return pemCSR(newCSR(t, phoneKey())) }

// accessLog collects entries.
type accessLog struct {
	mu      sync.Mutex
	entries []certsrv.AccessEntry
}

func (l *accessLog) option(o *certsrv.Options) {
	o.AccessLog = func(e certsrv.AccessEntry) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.entries = append(l.entries, e)
	}
}

func (l *accessLog) all() []certsrv.AccessEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

func (l *accessLog) last(t *testing.T) certsrv.AccessEntry {
	t.Helper()
	all := l.all()
	if len(all) == 0 {
		t.Fatal("no entry in the access log")
	}
	return all[len(all)-1]
}
