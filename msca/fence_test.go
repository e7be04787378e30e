package msca_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"

	"ciscora/msca"
)

func TestTheFenceIsAskedBeforeEachPost(t *testing.T) {
	errNotOurs := errors.New("the claim is somebody else's")
	for _, test := range []struct {
		name     string
		refusals int // 401s of the first posts
		fence    []error
		want     msca.Kind
		asked    int
		posts    int
	}{
		{"it allows", 0, []error{nil}, "", 1, 1},
		{"it forbids: nothing is sent", 0, []error{errNotOurs}, msca.KindFenced, 1, 0},
		{"it is asked again after a 401", 1, []error{nil, nil}, "", 2, 2},
		{"it forbids the second time: the first one was not taken", 1, []error{nil, errNotOurs}, msca.KindFenced, 2, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPKI(t)
			posts, refusals := 0, test.refusals
			o := p.options(t, disturbed(p, func(w io.Writer, r *http.Request, body []byte) bool {
				if r.Method != http.MethodPost || len(body) == 0 {
					return false
				}
				posts++
				if refusals--; refusals < 0 {
					return false
				}
				fmt.Fprint(w, "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n")
				return true
			}))
			s, err := newClient(t, o).Login(t.Context(), account)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			asked := 0
			_, err = s.Submit(t.Context(), p.csr, "CiscoRA", func(context.Context) error {
				asked++
				return test.fence[asked-1]
			})
			if test.want == "" && err != nil {
				t.Fatal(err)
			}
			if test.want != "" {
				if e := asError(t, err, test.want); !errors.Is(err, errNotOurs) || e.MayHaveIssued() || e.MayStillWork() || s.Alive() {
					t.Errorf("%v, may have issued %v, alive %v", e, e.MayHaveIssued(), s.Alive())
				}
			}
			if asked != test.asked || posts != test.posts {
				t.Errorf("asked %d times and posted %d, want %d and %d", asked, posts, test.asked, test.posts)
			}
		})
	}
}

// A form of which the connection took no byte cannot have reached the CA.
func TestWhereNothingOfAPostLeftNothingCanHaveBeenIssued(t *testing.T) {
	for _, test := range []struct {
		name          string
		took          int // bytes of the form's record that the connection takes
		issued, works bool
	}{
		{"no byte left", 0, false, false},
		{"one byte left", 1, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPKI(t)
			o := p.options(t, stalling(p, ""))
			dial := o.Dial
			var conn *brokenConn
			o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if conn != nil {
					return nil, errors.New("there is no other way to the CA")
				}
				c, err := dial(ctx, network, addr)
				conn = &brokenConn{Conn: c, took: test.took}
				return conn, err
			}
			s, err := newClient(t, o).Login(t.Context(), account)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			_, err = s.Submit(t.Context(), p.csr, "CiscoRA", func(context.Context) error {
				conn.broken = true
				return nil
			})
			var e *msca.Error
			if !errors.As(err, &e) || e.MayHaveIssued() != test.issued || e.MayStillWork() != test.works {
				t.Errorf("may have issued %v, may still work %v: %v", e.MayHaveIssued(), e.MayStillWork(), err)
			}
			if s.Alive() {
				t.Error("the session is alive")
			}
		})
	}
}

// brokenConn takes some bytes of the next write once it is broken.
type brokenConn struct {
	net.Conn
	took   int
	broken bool
}

func (c *brokenConn) Write(b []byte) (int, error) {
	if !c.broken {
		return c.Conn.Write(b)
	}
	return c.took, &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}
}

// Whoever has hung up before the form is on its way has nothing at the CA.
func TestNothingIsSentOnceItsContextHasEnded(t *testing.T) {
	p := newPKI(t)
	for range 20 { // a part of it might leave before that is seen
		s, err := newClient(t, p.options(t, disturbed(p, func(io.Writer, *http.Request, []byte) bool { return false }))).Login(t.Context(), account)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err = s.Submit(ctx, p.csr, "CiscoRA", func(context.Context) error {
			cancel()
			return nil
		})
		if e := asError(t, err, msca.KindCanceled); e.Sent || e.MayHaveIssued() || s.Alive() {
			t.Fatalf("%v, sent %v, alive %v", e, e.Sent, s.Alive())
		}
		s.Close()
	}
}
