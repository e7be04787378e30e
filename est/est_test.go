package est_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	globalest "github.com/globalsign/est"
	"github.com/smallstep/pkcs7"
	"go.uber.org/goleak"

	"ciscora/est"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var bothDialects = []est.Dialect{est.DialectRFC8951, est.DialectLibest}

// pki is the lab of the tests: root, issuing CA and server certificate, made once.
type pki struct {
	root, issuing *x509.Certificate
	issuingKey    *ecdsa.PrivateKey
	server        tls.Certificate
}

var lab = sync.OnceValue(func() *pki {
	p := &pki{}
	var rootKey *ecdsa.PrivateKey
	p.root, rootKey = certify("EST Test Root", nil, nil, nil)
	p.issuing, p.issuingKey = certify("EST Test Issuing", nil, p.root, rootKey)
	leaf, key := certify("127.0.0.1", func(c *x509.Certificate) {
		c.IsCA = false
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		c.DNSNames = []string{"localhost"}
		c.KeyUsage = x509.KeyUsageDigitalSignature
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}, p.issuing, p.issuingKey)
	p.server = tls.Certificate{Certificate: [][]byte{leaf.Raw, p.issuing.Raw}, PrivateKey: key, Leaf: leaf}
	return p
})

// certify makes a certificate with a new P-256 key, signed by parent or by itself.
// It lives from before the virtual time of synctest (2000) to long after now.
func certify(cn string, change func(*x509.Certificate), parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber:          must(rand.Int(rand.Reader, big.NewInt(1<<62))),
		Subject:               pkix.Name{CommonName: cn},
		NotBefore:             time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2049, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if change != nil {
		change(template)
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	der := must(x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey))
	return must(x509.ParseCertificate(der)), key
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// phone makes a CSR.
func phone(tb testing.TB, cn string, dns ...string) ([]byte, *ecdsa.PrivateKey) {
	tb.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: cn}, DNSNames: dns,
	}, key)
	if err != nil {
		tb.Fatal(err)
	}
	return der, key
}

// ca is a CA that issues at once, unless a hook says otherwise.
type ca struct {
	globalest.CA // nil: the operations that nobody may call
	chain        func() ([]*x509.Certificate, error)
	enroll       func(ctx context.Context, csr *x509.CertificateRequest) (*x509.Certificate, error)
	attrs        globalest.CSRAttrs

	mu      sync.Mutex
	labels  []string
	renewed []*x509.Certificate
}

func (c *ca) CACerts(_ context.Context, label string, _ *http.Request) ([]*x509.Certificate, error) {
	c.note(label)
	if c.chain != nil {
		return c.chain()
	}
	return []*x509.Certificate{lab().issuing, lab().root}, nil
}

func (c *ca) Enroll(ctx context.Context, csr *x509.CertificateRequest, label string, _ *http.Request) (*x509.Certificate, error) {
	c.note(label)
	if c.enroll != nil {
		return c.enroll(ctx, csr)
	}
	return issue(csr)
}

func (c *ca) Reenroll(ctx context.Context, old *x509.Certificate, csr *x509.CertificateRequest, label string, r *http.Request) (*x509.Certificate, error) {
	c.mu.Lock()
	c.renewed = append(c.renewed, old)
	c.mu.Unlock()
	return c.Enroll(ctx, csr, label, r)
}

func (c *ca) CSRAttrs(context.Context, string, *http.Request) (globalest.CSRAttrs, error) {
	return c.attrs, nil
}

func (c *ca) ServerKeyGen(_ context.Context, csr *x509.CertificateRequest, _ string, _ *http.Request) (*x509.Certificate, []byte, error) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	own := *csr
	own.PublicKey = key.Public()
	certificate, err := issue(&own)
	return certificate, must(x509.MarshalPKCS8PrivateKey(key)), err
}

func (c *ca) note(label string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.labels = append(c.labels, label)
}

func issue(csr *x509.CertificateRequest) (*x509.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: must(rand.Int(rand.Reader, big.NewInt(1<<62))), Subject: csr.Subject, DNSNames: csr.DNSNames,
		NotBefore:   time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:    time.Date(2049, 1, 1, 0, 0, 0, 0, time.UTC),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, lab().issuing, csr.PublicKey, lab().issuingKey)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

type whoKey struct{}

// basic lets estuser:estpwd in, and says nothing of challenges.
var basic = est.AuthenticatorFunc(func(r *http.Request) (context.Context, error) {
	user, password, _ := r.BasicAuth()
	if user != "estuser" || password != "estpwd" {
		return nil, errPlain{401}
	}
	return context.WithValue(r.Context(), whoKey{}, user), nil
})

// errPlain is the least that globalsign's Error interface asks for.
type errPlain struct{ status int }

func (e errPlain) Error() string   { return "the user or the password is wrong" }
func (e errPlain) StatusCode() int { return e.status }
func (e errPlain) RetryAfter() int { return 0 }

func newServer(tb testing.TB, change ...func(*est.Options)) *est.Server {
	tb.Helper()
	o := est.Options{CA: &ca{}, Authenticator: basic}
	for _, f := range change {
		f(&o)
	}
	s, err := est.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func dialect(d est.Dialect) func(*est.Options) { return func(o *est.Options) { o.Dialect = d } }

// listening is a server on loopback.
type listening struct {
	addr string
	stop context.CancelFunc
	done chan error // what Serve returned
}

func listen(tb testing.TB, s *est.Server, change ...func(*tls.Config)) *listening {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{lab().server}, MinVersion: tls.VersionTLS12}
	for _, f := range change {
		f(config)
	}
	ctx, stop := context.WithCancel(context.Background())
	on := &listening{addr: l.Addr().String(), stop: stop, done: make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		on.done <- s.Serve(ctx, l, config)
	}()
	tb.Cleanup(func() {
		stop()
		<-ended
	})
	return on
}

func roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(lab().root)
	return pool
}

// dial opens a TLS 1.2 connection, as libest does.
func (on *listening) dial(tb testing.TB) *tls.Conn {
	tb.Helper()
	d := tls.Dialer{Config: &tls.Config{RootCAs: roots(), ServerName: "localhost", MaxVersion: tls.VersionTLS12}}
	c, err := d.DialContext(tb.Context(), "tcp", on.addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c.(*tls.Conn)
}

// wire is an answer as it came.
type wire struct {
	line   string // status line
	header []string
	body   string
}

func (w wire) status() int {
	n, _ := strconv.Atoi(strings.SplitN(w.line+" 0 ", " ", 3)[1])
	return n
}

// field returns the values of a header field whose name is spelled exactly so.
func (w wire) field(name string) []string {
	var values []string
	for _, line := range w.header {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			values = append(values, value)
		}
	}
	return values
}

// get returns the one value of a field, and "" where there is none or more.
func (w wire) get(name string) string {
	if v := w.field(name); len(v) == 1 {
		return v[0]
	}
	return ""
}

// exchange sends request and reads one answer. Where the request closes the
// connection, or head is set, the body ends there.
func (on *listening) exchange(tb testing.TB, request string) (wire, error) {
	tb.Helper()
	c := on.dial(tb)
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		return wire{}, err
	}
	return readWire(bufio.NewReader(c), strings.HasPrefix(request, "HEAD "))
}

func readWire(r *bufio.Reader, head bool) (wire, error) {
	var w wire
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return w, err
		}
		line = strings.TrimSuffix(line, "\r\n")
		switch {
		case line == "":
			n, _ := strconv.Atoi(w.get("Content-Length"))
			if head {
				return w, nil
			}
			body := make([]byte, n)
			_, err := io.ReadFull(r, body)
			w.body = string(body)
			return w, err
		case w.line == "":
			w.line = line
		default:
			w.header = append(w.header, line)
		}
	}
}

// ask is exchange for requests that have to be answered.
func (on *listening) ask(tb testing.TB, request string) wire {
	tb.Helper()
	w, err := on.exchange(tb, request)
	if err != nil {
		tb.Fatalf("no whole answer to %.60q: %v", request, err)
	}
	return w
}

const credentials = "Authorization: Basic ZXN0dXNlcjplc3Rwd2Q=\r\n" // estuser:estpwd

// post makes an enrollment as libest sends it: no Content-Transfer-Encoding.
func post(path, body string, headers ...string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nUser-Agent: Cisco EST client 1.0\r\nHost: ra\r\nAccept: */*\r\nContent-Type: application/pkcs10\r\nContent-Length: %d\r\n%s\r\n%s",
		path, len(body), strings.Join(headers, ""), body)
}

func get(path string, headers ...string) string {
	return fmt.Sprintf("GET %s HTTP/1.1\r\nUser-Agent: Cisco EST client 1.0\r\nHost: ra\r\n%s\r\n", path, strings.Join(headers, ""))
}

const (
	enrollPath   = "/.well-known/est/simpleenroll"
	reenrollPath = "/.well-known/est/simplereenroll"
	cacertsPath  = "/.well-known/est/cacerts"
)

// lines wraps base64 as libest does.
func lines(der []byte) string {
	text := base64.StdEncoding.EncodeToString(der)
	var b strings.Builder
	for len(text) > 64 {
		b.WriteString(text[:64] + "\n")
		text = text[64:]
	}
	return b.String() + text + "\n"
}

// certificates returns what is in a certs-only answer.
func certificates(tb testing.TB, body string) []*x509.Certificate {
	tb.Helper()
	der, err := base64.StdEncoding.DecodeString(body)
	if err != nil {
		tb.Fatalf("answer is not base64: %v", err)
	}
	p7, err := pkcs7.Parse(der)
	if err != nil {
		tb.Fatalf("answer is not PKCS #7: %v", err)
	}
	if len(p7.Signers) != 0 || len(p7.Content) != 0 { // RFC 5272 §4.1: certs-only
		tb.Errorf("the PKCS #7 has %d signers and %d bytes of content besides its certificates", len(p7.Signers), len(p7.Content))
	}
	return p7.Certificates
}

// recorder collects events.
type recorder struct {
	mu     sync.Mutex
	events []est.Event
	ids    []string
	ended  chan struct{} // receives one element for each Answered
}

func newRecorder() *recorder { return &recorder{ended: make(chan struct{}, 100)} }

func (r *recorder) record(ctx context.Context, e est.Event) {
	r.mu.Lock()
	r.events = append(r.events, e)
	r.ids = append(r.ids, est.RequestID(ctx))
	r.mu.Unlock()
	if _, ok := e.(est.Answered); ok {
		r.ended <- struct{}{}
	}
}

// of returns the events of one type.
func of[T est.Event](r *recorder) []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []T
	for _, e := range r.events {
		if t, ok := e.(T); ok {
			out = append(out, t)
		}
	}
	return out
}

var errSecret = errors.New("password hunter2 was wrong at 10.0.0.1")
