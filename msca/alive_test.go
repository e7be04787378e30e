package msca_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/msca"
)

// unasked is what a CA may send on a connection that rests.
var unasked = map[string]struct {
	send  func(conn *tls.Conn)
	alive bool
}{
	"nothing":                     {func(*tls.Conn) {}, true},
	"an answer to no request":     {func(c *tls.Conn) { fmt.Fprint(c, "HTTP/1.1 408 Request Timeout\r\n\r\n") }, false},
	"a farewell of TLS":           {func(c *tls.Conn) { _ = c.CloseWrite() }, false},
	"a record that is none":       {func(c *tls.Conn) { _, _ = c.NetConn().Write([]byte{23, 3, 3, 0, 5, 1, 2, 3, 4, 5}) }, false},
	"the end, without a farewell": {func(c *tls.Conn) { _ = c.NetConn().Close() }, false},
}

// resting is a CA that logs in by Basic, sends what nobody asked for when told to, and
// tells when its client has left.
func resting(p *pki, send func(*tls.Conn), tell <-chan struct{}, left chan<- struct{}) func(net.Conn) {
	return func(conn net.Conn) {
		defer close(left)
		t := tls.Server(conn, p.serverTLS())
		in := bufio.NewReader(t)
		for proved := false; !proved; {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			answer := "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"lab-dc\""
			if proved = r.Header.Get("Authorization") != ""; proved {
				answer = "301 Moved\r\nLocation: /certsrv/"
			}
			fmt.Fprintf(t, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", answer)
		}
		<-tell
		send(t)
		_, _ = io.Copy(io.Discard, conn) // whatever TLS has to say
	}
}

// A session is handed out again only where nothing came on its connection since the
// last answer: what comes unasked would be taken for the answer of the next request.
func TestASessionIsAliveWhileTheCAKeepsStill(t *testing.T) {
	p := newPKI(t)
	for name, c := range unasked {
		t.Run(name+", where it cannot be looked at", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tell, left := make(chan struct{}), make(chan struct{})
				o := p.options(t, resting(p, c.send, tell, left))
				s := restingSession(t, o)
				close(tell)
				<-time.After(2 * time.Second) // on the bubble's clock; a farewell is given up after 5
				if s.Alive() != c.alive {
					t.Errorf("alive %v, want %v", !c.alive, c.alive)
				}
				if !c.alive {
					<-left
				}
				s.Close()
			})
		})
		t.Run(name+", on a socket", func(t *testing.T) {
			tell, left := make(chan struct{}), make(chan struct{})
			o := p.options(t, nil)
			overTCP(t, &o, resting(p, c.send, tell, left))
			s := restingSession(t, o)
			close(tell)
			ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
			defer stop()
			alive := s.Alive()
			for alive && !c.alive && ctx.Err() == nil { // what was sent is on its way
				alive = s.Alive()
			}
			if alive != c.alive {
				t.Errorf("alive %v, want %v", alive, c.alive)
			}
			if !c.alive {
				select {
				case <-left:
				case <-ctx.Done():
					t.Error("the connection is left open")
				}
			}
			s.Close()
		})
	}
}

func restingSession(t *testing.T, o msca.Options) *msca.Session {
	t.Helper()
	o.Authentication = "basic"
	s, err := newClient(t, o).Login(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
