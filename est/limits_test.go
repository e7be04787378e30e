package est_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"ciscora/est"
)

// pipes is a listener of net.Pipe connections, for tests in virtual time.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes {
	return &pipes{accept: make(chan net.Conn), closed: make(chan struct{})}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8084} }

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.accept <- theirs
	return ours
}

// serve runs a server on l. The function it returns ends it, and returns what Serve
// returned.
func serve(s *est.Server, l net.Listener) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- s.Serve(ctx, l, &tls.Config{Certificates: []tls.Certificate{lab().server}, SessionTicketsDisabled: true})
	}()
	return func() error {
		cancel()
		return <-done
	}
}

// virtual runs a server on pipes in virtual time. The function it hands to test
// ends the server and returns what Serve returned.
func virtual(t *testing.T, change func(*est.Options), test func(t *testing.T, p *pipes, stop func() error)) {
	lab() // keys are made outside the bubble
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, change)
		p := newPipes()
		end := serve(s, p)
		var stopped bool
		stop := func() error {
			stopped = true
			return end()
		}
		test(t, p, stop)
		if !stopped {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	})
}

// secure makes the TLS handshake over a pipe.
func secure(t *testing.T, c net.Conn) *tls.Conn {
	t.Helper()
	tc := tls.Client(c, &tls.Config{RootCAs: roots(), ServerName: "localhost", MaxVersion: tls.VersionTLS12})
	if err := tc.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return tc
}

func limits(l est.Limits) func(*est.Options) { return func(o *est.Options) { o.Limits = l } }

func TestAStalledHandshakeEnds(t *testing.T) {
	virtual(t, limits(est.Limits{HeaderTimeout: 10 * time.Second}), func(t *testing.T, p *pipes, _ func() error) {
		start := time.Now()
		c := p.dial()
		defer c.Close()
		if _, err := io.ReadAll(c); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("a connection without a handshake was closed after %v, want 10 s", took)
		}
	})
}

func TestAStalledHeaderEnds(t *testing.T) {
	virtual(t, limits(est.Limits{HeaderTimeout: 10 * time.Second}), func(t *testing.T, p *pipes, _ func() error) {
		c := secure(t, p.dial())
		defer c.Close()
		start := time.Now()
		if _, err := io.WriteString(c, "GET /.well-known/est/cac"); err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(c) // ends when the server closes; net/http may say 408
		if took := time.Since(start); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("a connection with half a header was closed after %v, want 10 s", took)
		}
	})
}

func TestAnIdleConnectionEnds(t *testing.T) {
	virtual(t, limits(est.Limits{HeaderTimeout: 10 * time.Second}), func(t *testing.T, p *pipes, _ func() error) {
		c := secure(t, p.dial())
		defer c.Close()
		if _, err := io.WriteString(c, get(cacertsPath)); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(c)
		if got, err := readWire(r, false); err != nil || got.status() != 200 {
			t.Fatal(got, err)
		}
		start := time.Now()
		if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		if took := time.Since(start); took < 9*time.Second || took > 12*time.Second {
			t.Errorf("an idle connection was closed after %v, want 10 s", took)
		}
	})
}

func TestAStalledBodyIsAnswered(t *testing.T) { // docs/reference/libest.md, "Timeouts seen": half a body is processed after the time-out
	for d, want := range map[est.Dialect]string{
		est.DialectRFC8951: "HTTP/1.1 408 Request Timeout",
		est.DialectLibest:  "HTTP/1.1 400 Bad Request",
	} {
		virtual(t, func(o *est.Options) { o.Dialect, o.Limits.BodyTimeout = d, 30*time.Second }, func(t *testing.T, p *pipes, _ func() error) {
			c := secure(t, p.dial())
			defer c.Close()
			start := time.Now()
			if _, err := io.WriteString(c, strings.TrimSuffix(post(enrollPath, strings.Repeat("A", 800), credentials), "AAAA")); err != nil {
				t.Fatal(err)
			}
			got, err := readWire(bufio.NewReader(c), false)
			if err != nil || got.line != want {
				t.Errorf("%v: %q, %v, want %q", d, got.line, err, want)
			}
			if took := time.Since(start); took < 30*time.Second || took > 31*time.Second {
				t.Errorf("%v: answered after %v, want 30 s", d, took)
			}
			if got.get("Connection") != "close" {
				t.Errorf("%v: the connection stays open with half a body in it: %q", d, got.header)
			}
		})
	}
}

func TestABodyThatNobodyReadsEndsToo(t *testing.T) {
	// The answer is 401 before the body is read; what net/http does then with a body
	// that does not come must end as well.
	virtual(t, func(o *est.Options) { o.Limits.BodyTimeout = 30 * time.Second }, func(t *testing.T, p *pipes, _ func() error) {
		c := secure(t, p.dial())
		defer c.Close()
		start := time.Now()
		if _, err := io.WriteString(c, strings.TrimSuffix(post(enrollPath, strings.Repeat("A", 800)), "AAAA")); err != nil {
			t.Fatal(err)
		}
		got, err := readWire(bufio.NewReader(c), false)
		if err != nil || got.status() != 401 {
			t.Errorf("%q, %v", got.line, err)
		}
		if took := time.Since(start); took > 31*time.Second {
			t.Errorf("answered after %v, want 30 s at most", took)
		}
	})
}

func TestASlowAuthenticatorDoesNotEatTheBodysTime(t *testing.T) {
	csr, _ := phone(t, "SEP001122334455")
	slow := est.AuthenticatorFunc(func(r *http.Request) (context.Context, error) {
		time.Sleep(2 * time.Minute) // virtual
		return r.Context(), nil
	})
	virtual(t, func(o *est.Options) {
		o.Authenticator = slow
		o.CA = &ca{enroll: func(ctx context.Context, csr *x509.CertificateRequest) (*x509.Certificate, error) {
			time.Sleep(5 * time.Minute) // virtual
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return issue(csr)
		}}
	}, func(t *testing.T, p *pipes, _ func() error) {
		c := secure(t, p.dial())
		defer c.Close()
		if _, err := io.WriteString(c, post(enrollPath, lines(csr), credentials)); err != nil {
			t.Fatal(err)
		}
		if got, err := readWire(bufio.NewReader(c), false); err != nil || got.status() != 200 {
			t.Errorf("%q %q, %v", got.line, got.body, err)
		}
	})
}

func TestAClientThatGoesAwayEndsTheRequestsContext(t *testing.T) {
	csr, _ := phone(t, "SEP001122334455")
	ended := make(chan struct{})
	on := listen(t, newServer(t, func(o *est.Options) {
		o.CA = &ca{enroll: func(ctx context.Context, _ *x509.CertificateRequest) (*x509.Certificate, error) {
			<-ctx.Done()
			close(ended)
			return nil, ctx.Err()
		}}
	}))
	c := on.dial(t)
	if _, err := io.WriteString(c, post(enrollPath, lines(csr), credentials)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	<-ended
}

func TestServeFinishesWhatIsInFlight(t *testing.T) {
	csr, _ := phone(t, "SEP001122334455")
	virtual(t, func(o *est.Options) {
		o.DrainTimeout = time.Minute
		o.CA = &ca{enroll: func(_ context.Context, csr *x509.CertificateRequest) (*x509.Certificate, error) {
			time.Sleep(40 * time.Second) // virtual
			return issue(csr)
		}}
	}, func(t *testing.T, p *pipes, stop func() error) {
		c := secure(t, p.dial())
		defer c.Close()
		if _, err := io.WriteString(c, post(enrollPath, lines(csr), credentials)); err != nil {
			t.Fatal(err)
		}
		answered := make(chan wire, 1)
		go func() {
			got, _ := readWire(bufio.NewReader(c), false)
			answered <- got
		}()
		synctest.Wait() // the enrollment is with the CA
		if err := stop(); err != nil {
			t.Error(err)
		}
		if got := <-answered; got.status() != 200 || got.get("Connection") != "close" {
			t.Errorf("%q %q", got.line, got.header)
		}
	})
}

func TestServeWaitsNoLongerThanDrainTimeout(t *testing.T) {
	csr, _ := phone(t, "SEP001122334455")
	virtual(t, func(o *est.Options) {
		o.DrainTimeout = time.Minute
		o.CA = &ca{enroll: func(ctx context.Context, _ *x509.CertificateRequest) (*x509.Certificate, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
	}, func(t *testing.T, p *pipes, stop func() error) {
		c := secure(t, p.dial())
		defer c.Close()
		if _, err := io.WriteString(c, post(enrollPath, lines(csr), credentials)); err != nil {
			t.Fatal(err)
		}
		gone := make(chan struct{})
		go func() { // a pipe has no buffer: the server's last words need a reader
			_, _ = io.Copy(io.Discard, c)
			close(gone)
		}()
		synctest.Wait() // the enrollment is with the CA
		start := time.Now()
		if err := stop(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Serve returned %v", err)
		}
		if took := time.Since(start); took < time.Minute || took > 61*time.Second {
			t.Errorf("Serve returned after %v, want a minute", took)
		}
		<-gone
	})
}

func TestEnrollmentsOverTheLimitAreTurnedAwayAndCACertsIsNot(t *testing.T) {
	csr, _ := phone(t, "SEP001122334455")
	for _, d := range bothDialects {
		entered, leave := make(chan struct{}), make(chan struct{})
		on := listen(t, newServer(t, dialect(d), limits(est.Limits{InFlight: 2}), func(o *est.Options) {
			o.CA = &ca{enroll: func(_ context.Context, csr *x509.CertificateRequest) (*x509.Certificate, error) {
				entered <- struct{}{}
				<-leave
				return issue(csr)
			}}
		}))
		answers := make(chan string, 2)
		for range 2 {
			go func() {
				got, err := on.exchange(t, post(enrollPath, lines(csr), credentials))
				answers <- fmt.Sprint(got.status(), err)
			}()
			<-entered
		}
		if got := on.ask(t, post(enrollPath, lines(csr), credentials)); got.status() != 503 || got.get("Retry-After") != "30" {
			t.Errorf("%v: the third enrollment got %q %q", d, got.line, got.header)
		}
		if got := on.ask(t, get(cacertsPath)); got.status() != 200 {
			t.Errorf("%v: /cacerts got %q while enrollments wait", d, got.line)
		}
		close(leave)
		for range 2 {
			if got := <-answers; got != "200 <nil>" {
				t.Errorf("%v: an enrollment within the limit got %s", d, got)
			}
		}
	}
}

func TestABodyThatEndsEarlyIsToldSo(t *testing.T) {
	on := listen(t, newServer(t))
	c := on.dial(t)
	if _, err := io.WriteString(c, strings.TrimSuffix(post(enrollPath, strings.Repeat("A", 800), credentials), "AAAA")); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := readWire(bufio.NewReader(c), false)
	if err != nil || got.status() != 400 || !strings.Contains(got.body, "ended early, after 796 bytes") {
		t.Errorf("%q %q, %v", got.line, got.body, err)
	}
}

func TestAClientMayHaveSoManyConnectionsAndNoMore(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	on := listen(t, newServer(t, func(o *est.Options) { o.Limits.PerClient, o.Logger = 2, zap.New(core) }))
	first := on.dial(t)
	on.dial(t)
	d := tls.Dialer{Config: &tls.Config{RootCAs: roots(), ServerName: "localhost"}}
	for range 5 {
		if c, err := d.DialContext(t.Context(), "tcp", on.addr); err == nil {
			c.Close()
			t.Fatal("a third connection was taken")
		}
	}
	if told := logs.FilterMessageSnippet("too many connections").Len(); told != 1 {
		t.Errorf("%d lines of the log for 5 connections over the limit, want one", told)
	}
	first.Close()
	for { // the server hears of the end a moment later
		c, err := d.DialContext(t.Context(), "tcp", on.addr)
		if err == nil {
			c.Close()
			return
		}
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}
