package msca

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// UserTimeout is how long bytes that were sent to the CA may stay unacknowledged
// before the kernel drops them and the connection (TCP_USER_TIMEOUT, RFC 5482;
// Linux). Without it TCP keeps on for a quarter of an hour, and a POST that a dead
// link held back would reach the CA long after somebody else has looked whether it
// did, and posted again. Whoever waits before such a look must wait longer than
// this, and than the CA may take. [Timeouts.Unacknowledged] can only shorten it.
const UserTimeout = 20 * time.Second

// wire is a connection to the CA below TLS: it counts what leaves, looks whether
// the CA has hung up, and ends with a reset or in order.
type wire struct {
	net.Conn
	wrote atomic.Int64 // bytes that the connection took

	linger interface{ SetLinger(sec int) error } // nil where there is none
	look   syscall.RawConn                       // nil where it cannot be looked at
}

func newWire(conn net.Conn, unacknowledged time.Duration) *wire {
	w := &wire{Conn: conn}
	w.linger, _ = beneath[interface{ SetLinger(sec int) error }](conn)
	if c, ok := beneath[syscall.Conn](conn); ok {
		if look, err := c.SyscallConn(); err == nil {
			setUserTimeout(look, unacknowledged)
			w.look = look
		}
	}
	return w
}

// beneath finds what can do T: the connection, or one that it wraps.
func beneath[T any](conn net.Conn) (found T, ok bool) {
	for conn != nil {
		if found, ok = conn.(T); ok {
			return found, true
		}
		wrapper, wraps := conn.(interface{ NetConn() net.Conn })
		if !wraps {
			break
		}
		conn = wrapper.NetConn()
	}
	return found, false
}

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.wrote.Add(int64(n))
	return n, err
}

// dropUnsent makes the kernel forget what has not been acknowledged when the
// connection, or the process, ends: it sends a reset then. What a killed process
// had posted into a dead link would else be delivered once the link is back.
func (w *wire) dropUnsent(drop bool) {
	if w.linger == nil {
		return
	}
	sec := -1 // the system's way: go on sending in the background
	if drop {
		sec = 0
	}
	_ = w.linger.SetLinger(sec) // of a connection that has ended there is nothing to drop
}

// sight is what a look at a connection shows.
type sight int

const (
	sightUnknown sight = iota // it cannot be looked at
	sightQuiet                // nothing has come
	sightBytes                // something has, which may be TLS's own
	sightGone                 // the CA has hung up
)
