package est_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/est"
)

// slowCA issues after a while.
type slowCA struct {
	ca
	after time.Duration
}

func (c *slowCA) Enroll(ctx context.Context, csr *x509.CertificateRequest, label string, r *http.Request) (*x509.Certificate, error) {
	time.Sleep(c.after) // virtual
	return c.ca.Enroll(ctx, csr, label, r)
}

// read is one piece of what a client was sent, and when.
type read struct {
	at   time.Duration
	text string
}

// enrollSlowly enrolls at a CA that takes a while, and returns what came when.
func enrollSlowly(t *testing.T, after, patience time.Duration, request string) (reads []read, whole string) {
	t.Helper()
	p := newPipes()
	s := newServer(t, func(o *est.Options) {
		o.CA, o.Patience = &slowCA{after: after}, patience
	})
	certificate, key := certify("127.0.0.1", func(c *x509.Certificate) {
		c.DNSNames, c.NotBefore, c.NotAfter = []string{"est"}, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}, nil, nil)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- s.Serve(ctx, p, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}}})
	}()
	client := p.dial()
	trusted := x509.NewCertPool()
	trusted.AddCert(certificate)
	conn := tls.Client(client, &tls.Config{RootCAs: trusted, ServerName: "est", MaxVersion: tls.VersionTLS12})
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	buffer := make([]byte, 64<<10)
	for {
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second)) // libest's
		n, err := conn.Read(buffer)
		if n > 0 {
			reads = append(reads, read{time.Since(began), string(buffer[:n])})
			whole += string(buffer[:n])
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("after %s: %v", time.Since(began), err)
			}
			break
		}
	}
	conn.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return reads, whole
}

func TestPatienceKeepsAClientWaitingWhoseTimeOutCountsPerRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		csr, _ := phone(t, "phone")
		reads, whole := enrollSlowly(t, 25*time.Second, time.Minute, post(enrollPath, lines(csr), credentials, "Connection: close\r\n"))
		for i, want := range []read{{8 * time.Second, "H"}, {16 * time.Second, "T"}, {24 * time.Second, "T"}} {
			if len(reads) <= i || reads[i] != want {
				t.Fatalf("read %d: %+v, want %+v", i, reads, want)
			}
		}
		if !strings.HasPrefix(whole, "HTTP/1.1 200 OK\r\n") || !strings.Contains(whole, "Connection: close\r\n") || !strings.Contains(whole, "Content-Length: ") {
			t.Errorf("the answer: %.300q", whole)
		}
		_, body, _ := strings.Cut(whole, "\r\n\r\n")
		if len(certificates(t, body)) != 1 {
			t.Error("no certificate")
		}
	})
}

func TestAnAnswerThatIsKnownInTimeIsAPerfectlyNormalOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		csr, _ := phone(t, "phone")
		request := post(enrollPath, lines(csr), credentials, "Connection: close\r\n")
		_, without := enrollSlowly(t, 7*time.Second, 0, request)
		reads, with := enrollSlowly(t, 7*time.Second, time.Minute, request)
		head := func(s string) string { h, _, _ := strings.Cut(s, "\r\n\r\n"); return dateless(h) }
		if head(with) != head(without) || reads[0].at != 7*time.Second {
			t.Errorf("with patience    %q at %s\nwithout patience %q", head(with), reads[0].at, head(without))
		}
	})
}

// dateless is a head without what differs from answer to answer.
func dateless(head string) string {
	var kept []string
	for line := range strings.SplitSeq(head, "\r\n") {
		if !strings.HasPrefix(line, "Date:") && !strings.HasPrefix(line, "Content-Length:") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

func patient(o *est.Options) { o.Patience = time.Minute }

// A body that does not come ends as without patience, and with a whole answer: the
// start of a status line is not sent while the client is the one who is late.
func TestAStalledBodyEndsUnderPatienceToo(t *testing.T) {
	virtual(t, func(o *est.Options) { patient(o); o.Limits.BodyTimeout = 30 * time.Second }, func(t *testing.T, p *pipes, _ func() error) {
		c := secure(t, p.dial())
		defer c.Close()
		start := time.Now()
		if _, err := io.WriteString(c, strings.TrimSuffix(post(enrollPath, strings.Repeat("A", 800), credentials), "AAAA")); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(start.Add(time.Hour))
		got, err := readWire(bufio.NewReader(c), false)
		if err != nil || got.status() != 408 {
			t.Errorf("%q, %v, want 408", got.line, err)
		}
		if took := time.Since(start); took < 30*time.Second || took > 31*time.Second {
			t.Errorf("answered after %v, want 30 s", took)
		}
	})
}

// A CA that is slow at its log-in is asked before the body is: the client waits there,
// too, and its CSR arrives whole.
func TestPatienceCoversTheAuthentication(t *testing.T) {
	csr, key := phone(t, "phone")
	virtual(t, func(o *est.Options) {
		patient(o)
		o.Authenticator = est.AuthenticatorFunc(func(r *http.Request) (context.Context, error) {
			time.Sleep(25 * time.Second) // virtual
			return basic(r)
		})
	}, func(t *testing.T, p *pipes, _ func() error) {
		c := secure(t, p.dial())
		defer c.Close()
		if _, err := io.WriteString(c, post(enrollPath, lines(csr), credentials)); err != nil {
			t.Fatal(err)
		}
		got, err := readWire(bufio.NewReader(c), false)
		if err != nil || got.status() != 200 {
			t.Fatalf("%q, %v", got.line, err)
		}
		if certs := certificates(t, got.body); len(certs) != 1 || !key.PublicKey.Equal(certs[0].PublicKey) {
			t.Error("not the certificate for this CSR")
		}
	})
}

// The end of the server waits for a client that is kept waiting as for any other.
func TestServeFinishesWhatIsKeptWaiting(t *testing.T) {
	csr, _ := phone(t, "phone")
	virtual(t, func(o *est.Options) {
		patient(o)
		o.DrainTimeout = time.Minute
		o.CA = &ca{enroll: func(ctx context.Context, csr *x509.CertificateRequest) (*x509.Certificate, error) {
			select {
			case <-time.After(40 * time.Second): // virtual
				return issue(csr)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}}
	}, func(t *testing.T, p *pipes, stop func() error) {
		c := secure(t, p.dial())
		defer c.Close()
		if _, err := io.WriteString(c, post(enrollPath, lines(csr), credentials)); err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 1)
		if _, err := io.ReadFull(c, first); err != nil {
			t.Fatal(err)
		}
		answered := make(chan wire, 1)
		go func() {
			got, _ := readWire(bufio.NewReader(io.MultiReader(bytes.NewReader(first), c)), false)
			answered <- got
		}()
		start := time.Now()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took < 30*time.Second {
			t.Errorf("Serve returned after %v, with a request in flight", took)
		}
		if got := <-answered; got.status() != 200 {
			t.Errorf("%q", got.line)
		}
	})
}

// Who is told of an answer may have to write that it was delivered, and Serve's caller
// closes what it would be written to.
func TestServeEndsBehindWhatIsToldOfAClientThatWasKeptWaiting(t *testing.T) {
	csr, _ := phone(t, "phone")
	for name, after := range map[string]func(*x509.CertificateRequest) (*x509.Certificate, error){
		"an answer":           issue,
		"an end in the midst": func(*x509.CertificateRequest) (*x509.Certificate, error) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			var told atomic.Bool
			virtual(t, func(o *est.Options) {
				patient(o)
				o.Events = func(_ context.Context, e est.Event) {
					if _, ok := e.(est.Answered); ok {
						time.Sleep(3 * time.Second) // virtual
						told.Store(true)
					}
				}
				o.CA = &ca{enroll: func(_ context.Context, csr *x509.CertificateRequest) (*x509.Certificate, error) {
					time.Sleep(13 * time.Second) // virtual
					return after(csr)
				}}
			}, func(t *testing.T, p *pipes, stop func() error) {
				c := secure(t, p.dial())
				defer c.Close()
				if _, err := io.WriteString(c, post(enrollPath, lines(csr), credentials)); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Error(err)
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
				if took := time.Since(start); !told.Load() || took > 20*time.Second {
					t.Errorf("Serve returned after %v, told: %v", took, told.Load())
				}
			})
		})
	}
}

// It waits for such a client no longer than for any other.
func TestServeAbandonsWhatIsKeptWaitingAfterDrainTimeout(t *testing.T) {
	csr, _ := phone(t, "phone")
	virtual(t, func(o *est.Options) {
		patient(o)
		o.DrainTimeout = 20 * time.Second
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
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		gone := make(chan struct{})
		go func() {
			_, _ = io.Copy(io.Discard, c)
			close(gone)
		}()
		start := time.Now()
		if err := stop(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Serve returned %v", err)
		}
		if took := time.Since(start); took < 20*time.Second || took > 21*time.Second {
			t.Errorf("Serve returned after %v, want 20 s", took)
		}
		<-gone
	})
}

// RFC 9110 §6.6.1: an answer has a Date, and nothing of one that net/http would have
// written is missing because the client had to wait for it.
func TestAnAnswerAfterPatienceHasTheHeadersOfAnyOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		csr, _ := phone(t, "phone")
		request := post(enrollPath, lines(csr), credentials, "Connection: close\r\n")
		_, without := enrollSlowly(t, time.Second, 0, request)
		_, with := enrollSlowly(t, 25*time.Second, time.Minute, request)
		names := func(whole string) []string {
			head, _, _ := strings.Cut(whole, "\r\n\r\n")
			var all []string
			for _, line := range strings.Split(head, "\r\n")[1:] {
				name, _, _ := strings.Cut(line, ":")
				all = append(all, name)
			}
			slices.Sort(all)
			return all
		}
		if got, want := names(with), names(without); !slices.Equal(got, want) {
			t.Errorf("headers %q, want %q", got, want)
		}
	})
}
