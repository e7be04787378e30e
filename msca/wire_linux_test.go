package msca_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ciscora/msca"
)

// wrapped is a connection that another one stands around, as a fault's does.
type wrapped struct{ net.Conn }

func (w wrapped) NetConn() net.Conn { return w.Conn }

func TestWhatIsOnItsWayToTheCADoesNotOutliveTheSession(t *testing.T) {
	p := newPKI(t)
	for _, test := range []struct {
		name string
		wrap func(net.Conn) net.Conn
	}{
		{"a TCP connection", func(c net.Conn) net.Conn { return c }},
		{"one that is wrapped", func(c net.Conn) net.Conn { return wrapped{c} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := p.options(t, nil)
			overTCP(t, &o, stalling(p, ""))
			var conn *net.TCPConn
			dial := o.Dial
			o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := dial(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				conn = c.(*net.TCPConn)
				return test.wrap(c), nil
			}
			s, err := newClient(t, o).Login(t.Context(), account)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			raw, err := conn.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			var timeout int
			var linger *unix.Linger
			var errTimeout, errLinger error
			if err := raw.Control(func(fd uintptr) {
				timeout, errTimeout = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
				linger, errLinger = unix.GetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER)
			}); err != nil || errTimeout != nil || errLinger != nil {
				t.Fatal(err, errTimeout, errLinger)
			}
			if got := time.Duration(timeout) * time.Millisecond; got != msca.UserTimeout {
				t.Errorf("TCP_USER_TIMEOUT is %s, want %s", got, msca.UserTimeout)
			}
			if linger.Onoff != 1 || linger.Linger != 0 {
				t.Errorf("SO_LINGER is %+v, want a reset at the end", *linger)
			}
		})
	}
}

// The CA hangs up while the connection rests, without a word before: the look just
// before the request sees it, and no POST is lost on it.
func TestAConnectionThatWasClosedWhileItRestedCostsALogIn(t *testing.T) {
	p := newPKI(t)
	o := p.options(t, nil)
	accepted := make(chan net.Conn, 4)
	serve := stalling(p, "")
	overTCP(t, &o, func(conn net.Conn) {
		accepted <- conn
		serve(conn)
	})
	dialed, dial := make(chan *net.TCPConn, 4), o.Dial
	o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err == nil {
			dialed <- conn.(*net.TCPConn)
		}
		return conn, err
	}
	var legs []string
	o.Observe = func(_ context.Context, l msca.Leg) {
		legs = append(legs, fmt.Sprint(l.Phase, " ", l.For, " ", l.Status))
	}
	s, err := newClient(t, o).Login(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 3 {
		legs = nil
		hangUp(t, <-accepted, <-dialed)
		id, err := s.Submit(t.Context(), p.csr, "CiscoRA", nil)
		if err != nil || id != 7 {
			t.Fatalf("ReqID %d, %v", id, err)
		}
		if want := []string{"resolve submit 0", "connect submit 0", "handshake submit 0", "submit  200"}; !slices.Equal(legs, want) {
			t.Errorf("legs %q, want %q", legs, want)
		}
	}
	if !s.Alive() {
		t.Error("the session took no harm, and is not alive")
	}
}

// hangUp closes the CA's end for writing and waits until the client's end knows.
func hangUp(t *testing.T, ca net.Conn, client *net.TCPConn) {
	t.Helper()
	if err := ca.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	raw, err := client.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
		return !errors.Is(err, syscall.EAGAIN)
	}); err != nil {
		t.Fatal(err)
	}
}
