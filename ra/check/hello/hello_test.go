package hello_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"ciscora/ra/check/hello"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func marshal(t testing.TB, c hello.Client) []byte {
	t.Helper()
	data, err := c.Marshal(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What is written can be read, and is the same.
func TestAHelloIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SampledFrom(hello.Versions()).Draw(t, "version")
		suites := rapid.SliceOfNDistinct(rapid.SampledFrom(hello.SuitesOf(v)), 1, -1, func(s hello.Suite) uint16 { return s.ID }).Draw(t, "suites")
		name := rapid.StringMatching(`([a-z]{1,20}\.){0,3}[a-z]{2,10}`).Draw(t, "name")
		c := hello.Offer(v, suites, name)
		c.Fallback = rapid.Bool().Draw(t, "fallback")
		if v > hello.SSL30 {
			c.ALPN = rapid.SliceOfN(rapid.StringMatching(`[a-z0-9/.]{1,12}`), 0, 4).Draw(t, "alpn")
		} else {
			c.Name = "" // it has no extensions
		}
		data, err := c.Marshal(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		got, err := hello.ReadClient(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if len(c.ALPN) == 0 {
			c.ALPN = nil
		}
		if diff := cmp.Diff(c, got); diff != "" {
			t.Error(diff)
		}
	})
}

// What Go's own client says is read right: versions, name, protocols, ciphers.
func TestTheHelloOfGosClientIsUnderstood(t *testing.T) {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close() })
	failed := make(chan error, 1)
	go func() {
		failed <- tls.Client(theirs, &tls.Config{
			ServerName: "ca.example.com", NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS12,
			CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_256_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA},
		}).Handshake()
	}()
	c, err := hello.ReadClient(ours)
	if err != nil {
		t.Fatal(err)
	}
	ours.Close()
	if err := <-failed; err == nil {
		t.Error("the handshake did not fail")
	}
	slices.Sort(c.Suites)
	want := hello.Client{
		Record: hello.TLS10, Version: hello.TLS12, Versions: []hello.Version{hello.TLS12, hello.TLS11}, Suites: []uint16{0x2f, 0x35},
		Name: "ca.example.com", ALPN: []string{"h2", "http/1.1"}, Groups: c.Groups, Schemes: c.Schemes,
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	if len(c.Groups) == 0 || len(c.Schemes) == 0 || c.Highest() != hello.TLS12 {
		t.Errorf("%+v", c)
	}
}

// leaf makes a certificate of its own for a key.
func leaf(t testing.TB, cn string, ec bool) tls.Certificate {
	t.Helper()
	var key crypto.Signer
	var err error
	if ec {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serve runs a server until the test ends.
func serve(t testing.TB, with func(ctx context.Context, l net.Listener)) hello.Prober {
	t.Helper()
	l := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		with(ctx, l)
	}()
	t.Cleanup(func() {
		cancel()
		l.Close()
		<-ended
	})
	return hello.Prober{Address: l.Addr().String(), Timeout: 20 * time.Second}
}

// goServer shakes hands as Go does, so far as it gets.
func goServer(config *tls.Config) func(context.Context, net.Listener) {
	return func(ctx context.Context, l net.Listener) {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = tls.Server(conn, config).HandshakeContext(ctx) // it never ends well
			conn.Close()
		}
	}
}

func TestAnAnswerOfGosServerIsUnderstood(t *testing.T) {
	rsaLeaf, ecLeaf := leaf(t, "rsa", false), leaf(t, "ec", true)
	p := serve(t, goServer(&tls.Config{
		MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS13, Certificates: []tls.Certificate{ecLeaf, rsaLeaf}, ClientAuth: tls.RequestClientCert,
		CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA},
	}))
	for _, test := range []struct {
		version hello.Version
		keys    []hello.Key
		suite   string
		leaf    []byte
	}{
		{hello.TLS10, []hello.Key{hello.RSA}, "AES128-SHA", rsaLeaf.Certificate[0]},
		{hello.TLS11, []hello.Key{hello.ECDHERSA}, "ECDHE-RSA-AES256-SHA", rsaLeaf.Certificate[0]},
		{hello.TLS12, []hello.Key{hello.ECDHEECDSA}, "ECDHE-ECDSA-AES128-GCM-SHA256", ecLeaf.Certificate[0]},
		{hello.TLS13, nil, "TLS_AES_128_GCM_SHA256", nil},
	} {
		t.Run(test.version.String(), func(t *testing.T) {
			a, err := p.Ask(t.Context(), hello.Offer(test.version, hello.SuitesOf(test.version, test.keys...), ""))
			if err != nil {
				t.Fatal(err)
			}
			if a.Version != test.version || hello.SuiteByID(a.Suite).Name != test.suite {
				t.Errorf("%s, %s", a.Version, hello.SuiteByID(a.Suite).Name)
			}
			if test.leaf == nil {
				return // it is encrypted
			}
			if len(a.Certificates) != 1 || !bytes.Equal(a.Certificates[0], test.leaf) || !a.Asks {
				t.Errorf("%d certificates, asks %v", len(a.Certificates), a.Asks)
			}
		})
	}
	var alert hello.Alert
	if _, err := p.Ask(t.Context(), hello.Offer(hello.SSL30, hello.SuitesOf(hello.SSL30), "")); !errors.As(err, &alert) || alert.Code != 70 {
		t.Errorf("SSL 3.0: %v", err)
	}
}

func TestAResponderAnswersWithinItsLimits(t *testing.T) {
	rsaLeaf, ecLeaf := leaf(t, "rsa", false), leaf(t, "ec", true)
	id := func(name string) uint16 {
		s, ok := hello.SuiteByName(name)
		if !ok {
			t.Fatal(name)
		}
		return s.ID
	}
	r := hello.Responder{
		Versions: []hello.Version{hello.SSL30, hello.TLS11},
		Suites:   []uint16{id("CAMELLIA128-SHA"), id("ECDHE-ECDSA-AES128-SHA"), id("RC4-SHA")},
		RSA:      rsaLeaf.Certificate, EC: ecLeaf.Certificate,
	}
	run := func(r hello.Responder) hello.Prober {
		return serve(t, func(ctx context.Context, l net.Listener) {
			if err := r.Serve(ctx, l); err != nil {
				t.Error(err)
			}
		})
	}
	p := run(r)
	for _, test := range []struct {
		version hello.Version
		suites  []string
		want    string
		leaf    []byte
	}{
		{hello.SSL30, []string{"AES128-SHA", "RC4-SHA"}, "SSL 3.0 RC4-SHA", rsaLeaf.Certificate[0]},
		{hello.TLS11, []string{"RC4-SHA", "CAMELLIA128-SHA"}, "TLS 1.1 CAMELLIA128-SHA", rsaLeaf.Certificate[0]},
		{hello.TLS12, []string{"ECDHE-ECDSA-AES128-SHA"}, "TLS 1.1 ECDHE-ECDSA-AES128-SHA", ecLeaf.Certificate[0]},
		{hello.TLS11, []string{"AES128-SHA"}, "alert 40, handshake failure", nil},
	} {
		c := hello.Offer(test.version, nil, "")
		for _, name := range test.suites {
			c.Suites = append(c.Suites, id(name))
		}
		a, err := p.Ask(t.Context(), c)
		got := a.Version.String() + " " + hello.SuiteByID(a.Suite).Name
		if err != nil {
			got = err.Error()
		}
		if got != test.want || test.leaf != nil && !bytes.Equal(a.Certificates[0], test.leaf) {
			t.Errorf("%s %v: %s, want %s", test.version, test.suites, got, test.want)
		}
	}
	for how, want := range map[hello.Refusal]error{hello.WithClose: hello.ErrClosed, hello.WithReset: hello.ErrReset} {
		r.Refuse, r.Versions = how, []hello.Version{hello.TLS12}
		if _, err := run(r).Ask(t.Context(), hello.Offer(hello.TLS10, hello.SuitesOf(hello.TLS10), "")); !errors.Is(err, want) {
			t.Errorf("%s: %v", how, err)
		}
	}
}

func TestSilenceEndsWithTheTimeOfAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		go func() { _, _ = hello.ReadClient(theirs) }() // and no answer
		began := time.Now()
		p := hello.Prober{Timeout: 5 * time.Second, Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil }}
		_, err := p.Ask(t.Context(), hello.Offer(hello.TLS12, hello.SuitesOf(hello.TLS12), ""))
		if took := time.Since(began); !errors.Is(err, hello.ErrSilent) || took != 5*time.Second {
			t.Errorf("%v after %s", err, took)
		}
	})
}

func TestWhatIsNoTLSIsToldAsWhatItIs(t *testing.T) {
	http := serve(t, func(_ context.Context, l net.Listener) {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			conn.Close()
		}
	})
	var other *hello.NotTLS
	if _, err := http.Ask(t.Context(), hello.Offer(hello.TLS12, hello.SuitesOf(hello.TLS12), "")); !errors.As(err, &other) || string(other.Begins) != "HTTP/" {
		t.Errorf("a server: %v", err)
	}
	other = nil
	if _, err := hello.ReadClient(strings.NewReader("GET /tcs/systemunit.xml HTTP/1.1\r\n")); !errors.As(err, &other) || !strings.HasPrefix(string(other.Begins), "GET /tcs/") {
		t.Errorf("a client: %v", err)
	}
	l := listen(t)
	l.Close()
	var connect *hello.ConnectError
	if _, err := (hello.Prober{Address: l.Addr().String(), Timeout: time.Second}).Ask(t.Context(), hello.Offer(hello.TLS12, nil, "")); !errors.As(err, &connect) {
		t.Errorf("nobody listens: %v", err)
	}
}

// Windows of TMS's days puts its hello into the form of SSL 2.0 (RFC 5246 appendix E.2).
func TestAHelloInTheFormOfSSL2IsUnderstood(t *testing.T) {
	body := []byte{1, 3, 1, 0, 9, 0, 0, 0, 16, 0, 0, 0x2f, 7, 0, 0xc0, 0, 0, 0x35}
	body = append(body, make([]byte, 16)...)
	c, err := hello.ReadClient(bytes.NewReader(append([]byte{0x80, byte(len(body))}, body...)))
	if err != nil {
		t.Fatal(err)
	}
	if want := (hello.Client{Version: hello.TLS10, Suites: []uint16{0x2f, 0x35}, SSL2: true}); !cmp.Equal(want, c) {
		t.Error(cmp.Diff(want, c))
	}
}

// A warning before the hello, as of a name that is not known, is none of its end.
func TestAWarningIsPassedOver(t *testing.T) {
	serverHello := append(append([]byte{2, 0, 0, 38, 3, 3}, make([]byte, 32)...), 0, 0, 0x2f, 0)
	data := append([]byte{21, 3, 3, 0, 2, 1, 112, 22, 3, 3, 0, byte(len(serverHello))}, serverHello...)
	a, err := hello.ReadAnswer(bytes.NewReader(data))
	if err != nil || a.Version != hello.TLS12 || a.Suite != 0x2f {
		t.Errorf("%+v, %v", a, err)
	}
}

// endless repeats itself.
type endless struct {
	data []byte
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.data)
	e.data = append(e.data[n:], e.data[:n]...)
	e.read += n
	return n, nil
}

func TestWhatDoesNotEndIsNotReadToItsEnd(t *testing.T) {
	for name, record := range map[string][]byte{
		"empty records": {22, 3, 1, 0, 0},
		"warnings":      {21, 3, 1, 0, 2, 1, 112},
		"a long hello":  append([]byte{22, 3, 1, 0, 4, 2, 3, 0xff, 0xff}, []byte{22, 3, 1, 0, 1, 9}...),
		"messages":      {22, 3, 1, 0, 4, 14, 0, 0, 0},
	} {
		from := &endless{data: bytes.Clone(record)}
		if _, err := hello.ReadAnswer(from); err == nil {
			t.Errorf("%s: no error", name)
		}
		if from.read > 1<<20 {
			t.Errorf("%s: %d bytes were read", name, from.read)
		}
		client := &endless{data: bytes.Clone(record)}
		if _, err := hello.ReadClient(client); err == nil || client.read > 1<<20 {
			t.Errorf("%s, as a client: %d bytes, %v", name, client.read, err)
		}
	}
}

func FuzzReadClient(f *testing.F) {
	for _, v := range hello.Versions() {
		f.Add(marshal(f, hello.Offer(v, hello.SuitesOf(v), "a.example.com")))
	}
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte{0x80, 28, 1, 3, 1, 0, 3, 0, 0, 0, 16, 0, 0, 0x2f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := hello.ReadClient(bytes.NewReader(data))
		if err == nil && len(c.Suites)+len(c.Groups)+len(c.Schemes)+len(c.Versions) > len(data) {
			t.Errorf("more than there was: %+v", c)
		}
	})
}

func FuzzReadAnswer(f *testing.F) {
	serverHello := append(append([]byte{2, 0, 0, 38, 3, 3}, make([]byte, 32)...), 0, 0, 0x2f, 0)
	f.Add(append([]byte{22, 3, 3, 0, byte(len(serverHello))}, serverHello...))
	f.Add([]byte{21, 3, 1, 0, 2, 2, 40})
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := hello.ReadAnswer(bytes.NewReader(data))
		if err == nil && len(a.Certificates) > 16 {
			t.Errorf("%d certificates", len(a.Certificates))
		}
	})
}
