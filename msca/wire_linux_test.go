package msca_test

import (
	"context"
	"net"
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
