package msca_test

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
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"go.uber.org/goleak"

	"ciscora/msca"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	caURL    = "https://lab-dc.lab.example:443/certsrv"
	password = "correct horse"
)

var account = msca.Credentials{User: `LAB\ciscora`, Password: password}

// identity is a certificate and its key.
type identity struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (i identity) tls(chain ...*x509.Certificate) tls.Certificate {
	c := tls.Certificate{Certificate: [][]byte{i.cert.Raw}, PrivateKey: i.key}
	for _, more := range chain {
		c.Certificate = append(c.Certificate, more.Raw)
	}
	return c
}

// issue makes a certificate; issuer nil is a self-signed one. The bubbles of
// synctest begin in the year 2000, so it is valid from before that.
func issue(tb testing.TB, issuer *identity, change func(*x509.Certificate)) identity {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		NotBefore:    time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2049, 1, 1, 0, 0, 0, 0, time.UTC),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	change(template)
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return identity{cert, key}
}

func authority(cn string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: cn}
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
	}
}

// pki is what the tests share: a root, an issuing CA, IIS's certificate, a phone.
type pki struct {
	root, issuing, iis, phone identity
	csr                       *x509.CertificateRequest
	roots                     *x509.CertPool
}

func newPKI(tb testing.TB) *pki {
	tb.Helper()
	p := &pki{roots: x509.NewCertPool()}
	p.root = issue(tb, nil, authority("LAB Root CA"))
	p.issuing = issue(tb, &p.root, authority("LAB Issuing CA"))
	p.iis = issue(tb, &p.issuing, func(c *x509.Certificate) { c.DNSNames = []string{"lab-dc.lab.example"} })
	p.phone = issue(tb, &p.issuing, func(c *x509.Certificate) { c.Subject.CommonName = "SEP001122334455" })
	p.roots.AddCert(p.root.cert)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: p.phone.cert.Subject}, p.phone.key)
	if err != nil {
		tb.Fatal(err)
	}
	if p.csr, err = x509.ParseCertificateRequest(der); err != nil {
		tb.Fatal(err)
	}
	return p
}

func (p *pki) serverTLS() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{p.iis.tls(p.issuing.cert)}}
}

func (p *pki) phonePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.phone.cert.Raw})
}

// certsOnly is a PKCS#7 with the root first, as CryptoAPI may write it.
func certsOnly(p *pki) []byte {
	b, err := pkcs7.DegenerateCertificate(append(append([]byte{}, p.root.cert.Raw...), p.issuing.cert.Raw...))
	if err != nil {
		panic(err)
	}
	return b
}

// options talk to serve over net.Pipe. Every connection is served on a goroutine
// of its own; all have ended when the test has.
func (p *pki) options(tb testing.TB, serve func(net.Conn)) msca.Options {
	tb.Helper()
	var running sync.WaitGroup
	tb.Cleanup(running.Wait)
	return msca.Options{
		URL: caURL,
		TLS: &tls.Config{}, Trust: trust(p.root.cert),
		Resolve: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
		},
		Dial: func(_ context.Context, _, addr string) (net.Conn, error) {
			if addr != "192.0.2.1:443" {
				return nil, errors.New("dialed " + addr)
			}
			client, server := net.Pipe()
			running.Go(func() {
				defer server.Close()
				serve(server)
			})
			return client, nil
		},
	}
}

// trust is a trust store of these certificates.
func trust(anchors ...*x509.Certificate) func() (*x509.CertPool, []*x509.Certificate) {
	pool := x509.NewCertPool()
	for _, c := range anchors {
		pool.AddCert(c)
	}
	return func() (*x509.CertPool, []*x509.Certificate) { return pool, anchors }
}

// overTCP serves each connection on a loopback socket. A pipe has no buffer: two
// sides that write at the same time, as when a certificate is refused in the midst
// of the server's messages, would wait for each other on it.
func overTCP(tb testing.TB, o *msca.Options, serve func(net.Conn)) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(conn)
			conn.Close()
		}
	})
	tb.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	o.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, l.Addr().String())
	}
}

func newClient(tb testing.TB, o msca.Options) *msca.Client {
	tb.Helper()
	c, err := msca.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// serveTLS hands each request and its body to handle until that returns false or
// the client is gone.
func serveTLS(conn net.Conn, cfg *tls.Config, handle func(w io.Writer, r *http.Request, body []byte) bool) {
	t := tls.Server(conn, cfg)
	if t.Handshake() != nil {
		return
	}
	r := bufio.NewReader(t)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		var answer bytes.Buffer
		goOn := handle(&answer, req, body)
		if _, err := t.Write(answer.Bytes()); err != nil || !goOn {
			return
		}
	}
}

// asError returns the error as an *msca.Error of that kind, or fails the test.
func asError(tb testing.TB, err error, kind msca.Kind) *msca.Error {
	tb.Helper()
	var e *msca.Error
	if !errors.As(err, &e) {
		tb.Fatalf("error %v (%T), want an *msca.Error of kind %s", err, err, kind)
	}
	if e.Kind != kind {
		tb.Fatalf("kind %s, want %s: %v", e.Kind, kind, err)
	}
	return e
}
