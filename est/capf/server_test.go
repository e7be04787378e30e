package capf_test

import (
	"bufio"
	"bytes"
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
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ciscora/est/capf"

	"github.com/smallstep/pkcs7"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// authority is a root that signs for these tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// from and to surround both the wall clock and synctest's, which starts in 2000.
func validity() (from, to time.Time) {
	return time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC)
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return &authority{cert: sign(t, template, template, key.Public(), key), key: key}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, template, parent *x509.Certificate, public any, key any) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = serial
	template.NotBefore, template.NotAfter = validity()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// issue signs a certificate for a CSR.
func (a *authority) issue(t testing.TB, csrDER []byte) *x509.Certificate {
	t.Helper()
	csr, err := x509.ParseCertificateRequest(csrDER)
	if err != nil {
		t.Fatal(err)
	}
	return sign(t, &x509.Certificate{Subject: csr.Subject}, a.cert, csr.PublicKey, a.key)
}

// server makes a TLS server's certificate.
func (a *authority) server(t testing.TB, commonName string, dnsNames []string, ips ...net.IP) tls.Certificate {
	t.Helper()
	key := newKey(t)
	cert := sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: commonName}, DNSNames: dnsNames, IPAddresses: ips,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, key.Public(), a.key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// world is an authority, a server's certificate for 127.0.0.1 and est.example,
// and a phone with the certificate that it should get.
type world struct {
	*authority
	tls   *tls.Config
	phone *capf.Phone
	cert  *x509.Certificate
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{authority: newAuthority(t, "Test Root")}
	w.tls = &tls.Config{
		Certificates: []tls.Certificate{w.server(t, "est.example", []string{"est.example"}, net.IPv4(127, 0, 0, 1))},
		Time:         func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) },
	}
	phone, err := capf.NewPhone(nil, "SEP74A02FC0A675", "ec256")
	if err != nil {
		t.Fatal(err)
	}
	w.phone, w.cert = phone, w.issue(t, phone.CSR)
	return w
}

// request is one that came to a scripted server.
type request struct {
	head  string // with the empty line
	body  string
	state tls.ConnectionState
}

// script answers the n-th connection, from 0; the connection closes when it
// returns.
type script func(n int, r request, conn *tls.Conn)

// say writes the same answer to every request.
func say(answer string) script {
	return func(_ int, _ request, conn *tls.Conn) { _, _ = io.WriteString(conn, answer) }
}

// inTurn answers each connection with the next of the answers.
func inTurn(answers ...string) script {
	return func(n int, _ request, conn *tls.Conn) {
		if n < len(answers) {
			_, _ = io.WriteString(conn, answers[n])
		}
	}
}

// serve runs a scripted server on loopback until the test ends and gives its
// URL and what came to it.
func serve(t testing.TB, config *tls.Config, s script) (url string, got func() []request) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var requests []request
	var all sync.WaitGroup
	all.Go(func() {
		for n := 0; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				server := tls.Server(conn, config)
				defer server.Close()
				r, err := readRequest(server)
				if err != nil {
					return
				}
				mu.Lock()
				requests = append(requests, r)
				mu.Unlock()
				s(n, r, server)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		all.Wait()
	})
	return "https://" + listener.Addr().String(), func() []request {
		mu.Lock()
		defer mu.Unlock()
		return append([]request(nil), requests...)
	}
}

func readRequest(conn *tls.Conn) (request, error) {
	reader := bufio.NewReader(conn)
	var r request
	length := 0
	for !strings.HasSuffix(r.head, "\r\n\r\n") {
		line, err := reader.ReadString('\n')
		if err != nil {
			return r, err
		}
		r.head += line
		if value, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			length, _ = strconv.Atoi(strings.TrimSpace(value))
		}
	}
	body := make([]byte, length)
	_, err := io.ReadFull(reader, body)
	r.body, r.state = string(body), conn.ConnectionState()
	return r, err
}

// client is one of w's, for the server at url.
func (w *world) client(t testing.TB, url string, change ...func(*capf.Options)) *capf.Client {
	t.Helper()
	opts := capf.Options{
		URL: url, Roots: w.pool(), User: `LAB\ciscora`, Password: "correct horse",
		Now: func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) },
	}
	for _, c := range change {
		c(&opts)
	}
	client, err := capf.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

const (
	enrollType    = "application/pkcs7-mime; smime-type=certs-only"
	basic         = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"estrealm\"\r\nContent-Length: 0\r\n\r\n"
	noCredentials = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 72\r\nConnection: close\r\n\r\n" +
		"Error 401: Unauthorized\nThe server was unable to authorize the request.\n"
)

// ok is a 200 in libest's form.
func ok(contentType, body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nStatus: 200 OK\r\nContent-Type: %s\r\nContent-Transfer-Encoding: base64\r\nContent-Length: %d\r\n\r\n%s",
		contentType, len(body), body)
}

// certsOnly is a degenerate PKCS#7 in base64, wrapped at width, 0 being one
// line without an end.
func certsOnly(t testing.TB, width int, end string, certs ...*x509.Certificate) string {
	t.Helper()
	var raw []byte
	for _, cert := range certs {
		raw = append(raw, cert.Raw...)
	}
	der, err := pkcs7.DegenerateCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(der)
	if width == 0 {
		return text
	}
	var b bytes.Buffer
	for len(text) > width {
		b.WriteString(text[:width] + end)
		text = text[width:]
	}
	return b.String() + text + end
}

// rvOf is the return value in an error.
func rvOf(err error) capf.Status {
	var failed *capf.Error
	if errors.As(err, &failed) {
		return failed.RV
	}
	return capf.StatusNone
}
