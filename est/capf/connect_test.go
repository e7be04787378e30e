package capf_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/est/capf"
)

func TestConnectionsThatFail(t *testing.T) {
	w := newWorld(t)
	answer := say(ok(enrollType, certsOnly(t, 64, "\n", w.cert)))
	at := func(change func(*tls.Config)) string {
		config := w.tls.Clone()
		change(config)
		url, _ := serve(t, config, answer)
		return url
	}
	certificate := func(cn string, names []string, ips ...net.IP) func(*tls.Config) {
		return func(c *tls.Config) { c.Certificates = []tls.Certificate{w.server(t, cn, names, ips...)} }
	}
	reset := func(_ int, _ request, conn *tls.Conn) {
		if tcp, ok := conn.NetConn().(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
			tcp.Close()
		}
	}
	resetURL, _ := serve(t, w.tls, reset)
	loopback := net.IPv4(127, 0, 0, 1)

	for name, test := range map[string]struct {
		url    string
		rv     capf.Status
		change func(*capf.Options)
	}{
		"nobody listens":           {url: "https://" + unheard(t), rv: capf.StatusConnect},
		"the name is unknown":      {url: "https://est.example:8084", rv: capf.StatusAddress, change: dial(&net.DNSError{Err: "no such host", Name: "est.example", IsNotFound: true})},
		"TLS 1.3 alone":            {url: at(func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }), rv: capf.StatusSSLConnect},
		"TLS 1.1 at most":          {url: at(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }), rv: capf.StatusSSLConnect},
		"an unknown root":          {url: at(func(*tls.Config) {}), rv: capf.StatusSSLConnect, change: func(o *capf.Options) { o.Roots = newAuthority(t, "Other Root").pool() }},
		"a certificate expired":    {url: at(func(*tls.Config) {}), rv: capf.StatusSSLConnect, change: func(o *capf.Options) { o.Now = func() time.Time { return time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC) } }},
		"another name":             {url: at(certificate("127.0.0.1", []string{"other.example"})), rv: capf.StatusFQDNMismatch},
		"another common name":      {url: at(certificate("other.example", nil)), rv: capf.StatusFQDNMismatch},
		"another address":          {url: at(certificate("127.0.0.1", nil, net.IPv4(127, 0, 0, 2))), rv: capf.StatusFQDNMismatch},
		"no name at all":           {url: at(certificate("", nil)), rv: capf.StatusFQDNMismatch},
		"the address":              {url: at(certificate("", nil, loopback))},
		"the address as CN":        {url: at(certificate("127.0.0.1", nil))},
		"the name as CN":           {url: at(certificate("EST.example", nil)), change: func(o *capf.Options) { o.ServerName = "est.example" }},
		"a wildcard":               {url: at(certificate("", []string{"*.lab.example"})), change: func(o *capf.Options) { o.ServerName = "est.lab.example" }},
		"a wildcard as CN":         {url: at(certificate("*.lab.example", nil)), change: func(o *capf.Options) { o.ServerName = "est.lab.example" }},
		"a reset in place of it":   {url: resetURL, rv: capf.StatusSSLRead},
		"no session to be resumed": {url: at(func(c *tls.Config) { c.SessionTicketsDisabled = true })},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var changes []func(*capf.Options)
			if test.change != nil {
				changes = append(changes, test.change)
			}
			r := w.client(t, test.url, changes...).Enroll(t.Context(), w.phone.Name, w.phone.CSR)
			if r.RV != test.rv || rvOf(r.Err) != test.rv || (r.Err == nil) != (test.rv == 0) {
				t.Errorf("rv %v, want %v: %v", r.RV, test.rv, r.Err)
			}
		})
	}
}

func dial(err error) func(*capf.Options) {
	return func(o *capf.Options) {
		o.Dial = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
		}
	}
}

// enrollInVirtualTime lets w's phone enroll over net.Pipe with a scripted
// server and gives the result and how long it took.
func enrollInVirtualTime(ctx context.Context, t *testing.T, w *world, s script) (capf.Result, time.Duration) {
	t.Helper()
	n := 0
	client := w.client(t, "https://est.example:8084", func(o *capf.Options) {
		o.Now = nil
		o.Dial = func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			turn := n
			n++
			go func() {
				server := tls.Server(far, w.tls)
				defer far.Close()
				defer server.Close()
				if r, err := readRequest(server); err == nil {
					s(turn, r, server)
				}
			}()
			return near, nil
		}
	})
	start := time.Now()
	r := client.Enroll(ctx, w.phone.Name, w.phone.CSR)
	if took := time.Since(start); took != r.Duration {
		t.Errorf("took %v, says %v", took, r.Duration)
	}
	return r, time.Since(start)
}

// wait is virtual time.
func wait(d time.Duration) { <-time.After(d) }

func TestTheTenSecondsCountForEachRead(t *testing.T) {
	w := newWorld(t)
	good := ok(enrollType, certsOnly(t, 64, "\n", w.cert))
	for name, test := range map[string]struct {
		script script
		rv     capf.Status
		took   time.Duration
	}{
		"a silent server": {
			func(_ int, _ request, _ *tls.Conn) { wait(time.Minute) },
			capf.StatusSSLRead, 10 * time.Second,
		},
		"an answer after 8 s": {
			func(_ int, _ request, conn *tls.Conn) { wait(8 * time.Second); _, _ = io.WriteString(conn, good) },
			capf.StatusNone, 8 * time.Second,
		},
		"an answer after 15 s": {
			func(_ int, _ request, conn *tls.Conn) { wait(15 * time.Second); _, _ = io.WriteString(conn, good) },
			capf.StatusSSLRead, 10 * time.Second,
		},
		"an answer in three parts, 6 s apart": {
			func(_ int, _ request, conn *tls.Conn) {
				for _, part := range []string{good[:20], good[20:100], good[100:]} {
					wait(6 * time.Second)
					_, _ = io.WriteString(conn, part)
				}
			},
			capf.StatusNone, 18 * time.Second,
		},
		"H, T and T at 8 s intervals, and then the rest": {
			func(_ int, _ request, conn *tls.Conn) {
				for _, part := range []string{good[:1], good[1:2], good[2:3] + good[3:]} {
					wait(8 * time.Second)
					_, _ = io.WriteString(conn, part)
				}
			},
			capf.StatusNone, 24 * time.Second,
		},
		"a complete answer on a connection that stays open": {
			func(_ int, _ request, conn *tls.Conn) { _, _ = io.WriteString(conn, good); wait(time.Minute) },
			capf.StatusSSLRead, 10 * time.Second,
		},
		"a challenge at once and silence then": {
			func(n int, _ request, conn *tls.Conn) {
				if n == 0 {
					_, _ = io.WriteString(conn, basic)
					return
				}
				wait(time.Minute)
			},
			capf.StatusSSLRead, 10 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, took := enrollInVirtualTime(t.Context(), t, w, test.script)
				if r.RV != test.rv || took != test.took {
					t.Errorf("rv %v after %v, want %v after %v: %v", r.RV, took, test.rv, test.took, r.Err)
				}
				wait(2 * time.Minute) // for the server's end
			})
		})
	}
}

func TestAHandshakeThatStallsEndsToo(t *testing.T) {
	w := newWorld(t)
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		go func() { _, _ = io.Copy(io.Discard, far) }()
		client := w.client(t, "https://est.example:8084", func(o *capf.Options) {
			o.Dial = func(context.Context, string, string) (net.Conn, error) { return near, nil }
		})
		start := time.Now()
		r := client.Enroll(t.Context(), w.phone.Name, w.phone.CSR)
		if took := time.Since(start); r.RV != capf.StatusSSLConnect || took != 10*time.Second {
			t.Errorf("rv %v after %v: %v", r.RV, took, r.Err)
		}
	})
}

func TestAConnectionThatNobodyTakesEndsToo(t *testing.T) {
	w := newWorld(t)
	synctest.Test(t, func(t *testing.T) {
		client := w.client(t, "https://est.example:8084", func(o *capf.Options) {
			o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		})
		start := time.Now()
		r := client.Enroll(t.Context(), w.phone.Name, w.phone.CSR)
		if took := time.Since(start); r.RV != capf.StatusConnect || took != 10*time.Second {
			t.Errorf("rv %v after %v: %v", r.RV, took, r.Err)
		}
	})
}

func TestACanceledEnrollmentEndsAtOnce(t *testing.T) {
	w := newWorld(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		r, took := enrollInVirtualTime(ctx, t, w, func(int, request, *tls.Conn) { wait(time.Minute) })
		if !errors.Is(r.Err, context.Canceled) || took != 3*time.Second {
			t.Errorf("after %v: %v", took, r.Err)
		}
		if !strings.Contains(r.Err.Error(), "given up") {
			t.Errorf("error %v", r.Err)
		}
		wait(2 * time.Minute)
	})
}

// unheard returns a loopback address at which nobody listens and, while the test
// runs, nobody can: it is the near end of a connection. A port that was merely
// closed may be another test's by now.
func unheard(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().String()
}
