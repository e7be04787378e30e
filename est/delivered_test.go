package est_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/est"
)

// brokenPipes are pipes whose server's ends fail to write once told so, after some
// more writes that go well.
type brokenPipes struct {
	*pipes
	armed atomic.Bool
	good  atomic.Int32
}

func (p *brokenPipes) Accept() (net.Conn, error) {
	c, err := p.pipes.Accept()
	if err != nil {
		return nil, err
	}
	return &brokenConn{c, p}, nil
}

type brokenConn struct {
	net.Conn
	pipes *brokenPipes
}

var errBroken = errors.New("the line is broken")

func (c *brokenConn) Write(b []byte) (int, error) {
	if c.pipes.armed.Load() && c.pipes.good.Add(-1) < 0 {
		return 0, errBroken
	}
	return c.Conn.Write(b)
}

// manyNames makes a certificate larger than what goes out with its header.
func manyNames() (names []string) {
	for i := range 150 {
		names = append(names, fmt.Sprintf("a-rather-long-name-%03d.example.com", i))
	}
	return names
}

func TestDeliveredIsWhatWentIntoTheSocket(t *testing.T) {
	const never = 1 << 20
	for _, c := range []struct {
		name      string
		names     []string
		good      int32 // writes that go well once the CA has issued
		slow      bool  // so that the client is kept waiting
		leaves    bool  // the client, before the answer
		fails     bool  // the CA
		delivered bool
	}{
		{name: "a connection that works", good: never, delivered: true},
		{name: "a long answer on a connection that works", good: never, names: manyNames(), delivered: true},
		{name: "a connection on which every write fails", good: 0},
		{name: "a long answer on a connection on which every write fails", good: 0, names: manyNames()},
		{name: "a connection that breaks after the header", good: 1, names: manyNames()},
		{name: "patience on a connection that works", good: never, slow: true, delivered: true},
		{name: "patience on a connection that breaks at its first byte", good: 0, slow: true},
		{name: "patience on a connection that breaks at the answer", good: 3, slow: true},
		{name: "a client that has gone before", good: never, leaves: true},
		{name: "a CA that refuses", good: never, fails: true},
	} {
		csr, _ := phone(t, "phone", c.names...)
		t.Run(c.name, func(t *testing.T) {
			var events *recorder
			synctest.Test(t, func(t *testing.T) {
				events = newRecorder()
				p := &brokenPipes{pipes: newPipes()}
				p.good.Store(c.good)
				s := newServer(t, func(o *est.Options) {
					patient(o)
					o.Events = events.record
					o.CA = &ca{enroll: func(ctx context.Context, csr *x509.CertificateRequest) (*x509.Certificate, error) {
						p.armed.Store(true)
						if c.slow {
							time.Sleep(25 * time.Second) // virtual
						}
						if c.leaves {
							<-ctx.Done()
						}
						if c.fails {
							return nil, &est.Error{Status: 403, Text: "no"}
						}
						return issue(csr)
					}}
				})
				stop := serve(s, p)
				conn := secure(t, p.dial())
				if _, err := io.WriteString(conn, post(enrollPath, lines(csr), credentials)); err != nil {
					t.Fatal(err)
				}
				if c.leaves {
					synctest.Wait()
					conn.Close()
				} else {
					_, _ = readWire(bufio.NewReader(conn), false)
				}
				<-events.ended
				conn.Close()
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
			a := of[est.Answered](events)[0]
			if a.Delivered != c.delivered {
				t.Errorf("%+v", a)
			}
			if c.good < never && !errors.Is(a.Err, errBroken) {
				t.Errorf("what went wrong is not told: %v", a.Err)
			}
		})
	}
}

func TestEachAnswerOnAKeptConnectionIsDelivered(t *testing.T) {
	events := newRecorder()
	on := listen(t, newServer(t, func(o *est.Options) { o.Events, o.ServerKeygen = events.record, true }))
	conn := on.dial(t)
	r := bufio.NewReader(conn)
	ask := func(request string) {
		t.Helper()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		if got, err := readWire(r, false); err != nil || got.status() != http.StatusOK {
			t.Fatalf("%q, %v", got.line, err)
		}
		<-events.ended
	}
	var bodies []string
	for range 3 {
		csr, _ := phone(t, "phone")
		bodies = append(bodies, lines(csr))
	}
	ask(post(enrollPath, bodies[0], credentials))
	ask(get(cacertsPath))
	ask(post(reenrollPath, bodies[1], credentials))
	ask(post(strings.Replace(enrollPath, "simpleenroll", "serverkeygen", 1), bodies[2], credentials))
	var got []bool
	for _, a := range of[est.Answered](events) {
		got = append(got, a.Delivered)
	}
	if want := []bool{true, false, true, true}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("delivered %v, want %v: nothing is delivered by /cacerts", got, want)
	}
}
