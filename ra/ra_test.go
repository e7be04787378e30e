package ra_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ciscora/msca"
	"ciscora/msca/certsrv"
	"ciscora/ra"
	"ciscora/ra/access"
)

func TestMain(m *testing.M) {
	if os.Getenv(peersVariable) != "" {
		if err := peersMain(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// fixture is an RA in front of a built-in CA.
type fixture struct {
	*ra.RA
	ca     *certsrv.TestServer
	events *recorder
	access *accessLog
}

// profile changes options as the profile does.
type profile func(*ra.Options)

func modern(*ra.Options) {}

// listing is modern with the check of certrqxt.asp.
func listing(o *ra.Options) { o.Access.CheckTemplate = true }

func cucm(o *ra.Options) {
	o.Sessions = ra.SessionsPerEnrollment
	o.Answers = ra.AnswersCES
	o.CA.UserAgent = "CiscoRA 1.0"
	o.Access.CheckTemplate = true
	o.CA.Renewal = 0
	o.CA.ChannelBinding = false
	o.CA.TLS.MaxVersion = tls.VersionTLS12
}

// newFixture starts a CA; caOptions change it.
func newFixture(t testing.TB, p profile, caOptions ...func(*certsrv.Options)) *fixture {
	t.Helper()
	f := &fixture{events: &recorder{}, access: &accessLog{}}
	f.ca = certsrv.NewTestServer(append(caOptions, func(o *certsrv.Options) { o.AccessLog = f.access.add })...)
	t.Cleanup(f.ca.Close)
	f.RA = newRA(t, f.ca.URL, f.ca.Roots, f.ca.User, f.ca.Password, f.events, p)
	return f
}

func newRA(t testing.TB, url string, roots *x509.CertPool, user, password string, events *recorder, p profile) *ra.RA {
	t.Helper()
	o := ra.Options{
		CA: msca.Options{
			URL: url, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			UserAgent: "ra", Renewal: msca.RenewalNewest, ChannelBinding: true,
		},
		Access: access.Options{
			Credentials: func() (msca.Credentials, error) {
				return msca.Credentials{User: user, Password: password}, nil
			},
			Methods: []access.Method{access.MethodRelay, access.MethodCertificate},
			Lockout: access.Lockout{Failures: 3, For: 15 * time.Minute},
		},
		Template: "CiscoRA",
		Labels:   map[string]ra.Label{"supervised": {Template: "Supervised"}, "typo": {Template: "CiscoRAA"}},
		Events:   events.add,
	}
	p(&o)
	r, err := ra.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// enroll is one client's request, as the front end passes it on.
func (f *fixture) enroll(ctx context.Context, user, password, label string, csr *x509.CertificateRequest) (*x509.Certificate, error) {
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/.well-known/est/simpleenroll", nil)
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	ctx, err := f.Authenticate(req, label)
	if err != nil {
		return nil, err
	}
	return f.Enroll(ctx, csr, label, req)
}

// enrollOne enrolls a new phone with the CA's first account.
func (f *fixture) enrollOne(t testing.TB) *x509.Certificate {
	t.Helper()
	csr := newCSR(t, "SEP001122334455")
	cert, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "", csr)
	if err != nil {
		t.Fatal(err)
	}
	if !publicKeysEqual(cert.PublicKey, csr.PublicKey) {
		t.Error("the certificate does not carry the CSR's key")
	}
	return cert
}

func publicKeysEqual(a, b any) bool {
	return a.(interface{ Equal(crypto.PublicKey) bool }).Equal(b)
}

func newCSR(t testing.TB, cn string) *x509.CertificateRequest {
	t.Helper()
	csr, err := x509.ParseCertificateRequest(makeCSR(cn))
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

// makeCSR makes a CSR with a key of its own, in DER.
func makeCSR(cn string) []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: cn}}, key)
	if err != nil {
		panic(err)
	}
	return der
}

// status is what an EST client is answered with.
func status(err error) int {
	var answer *ra.Error
	if errors.As(err, &answer) {
		return answer.Status
	}
	return 0
}

// recorder keeps the events.
type recorder struct {
	mu  sync.Mutex
	all []ra.Event
}

func (r *recorder) add(_ context.Context, e ra.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, e)
}

// eventsOf returns the events of one type, in their order.
func eventsOf[E ra.Event](r *recorder) []E {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []E
	for _, e := range r.all {
		if x, ok := e.(E); ok {
			out = append(out, x)
		}
	}
	return out
}

// accessLog keeps IIS's log.
type accessLog struct {
	mu      sync.Mutex
	entries []certsrv.AccessEntry
}

func (l *accessLog) add(e certsrv.AccessEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, e)
}

// take returns "METHOD /path STATUS SUBSTATUS user" lines and forgets them.
func (l *accessLog) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []string
	for _, e := range l.entries {
		line := e.Method + " " + e.URIStem
		switch e.Status {
		case http.StatusUnauthorized:
			line += " 401"
		case http.StatusMovedPermanently:
			line += " 301"
		}
		lines = append(lines, line)
	}
	l.entries = nil
	return lines
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("the CA saw\n\t%q, want\n\t%q", got, want)
	}
}

func httpRequest(t *testing.T, user, password string) *http.Request {
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/.well-known/est/simplereenroll", nil)
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	return req
}

// requestWithCertificate is a request on a connection whose client certificate
// the listener has verified.
func requestWithCertificate(t *testing.T, cert *x509.Certificate) *http.Request {
	req := httpRequest(t, "", "")
	req.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}, VerifiedChains: [][]*x509.Certificate{{cert}}}
	return req
}
