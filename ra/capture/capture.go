// Package capture keeps the bytes of a lab's connections with the secrets of their TLS,
// and writes those of an enrollment as a .pcapng that Wireshark opens decrypted. It is
// for labs alone: whoever has such a file has what went over the wire, passwords
// included.
package capture

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"ciscora/ra/wire"
)

// Options bound what is kept; what is zero has a default.
type Options struct {
	Connections int // the newest; 300
	Bytes       int // of each connection, in 16,384 pieces at most; 256 KiB
	Now         func() time.Time
}

// Capture keeps connections. A nil one keeps none: listeners and dialers stay as they
// are.
type Capture struct {
	Options

	mu          sync.Mutex // guards all below, and what the connections hold
	connections []*connection
	secrets     map[string][][]byte // lines of SSLKEYLOGFILE by the client's random
	randoms     []string            // the keys of secrets, the oldest first
}

// New makes a capture.
func New(o Options) *Capture {
	if o.Connections == 0 {
		o.Connections = 300
	}
	if o.Bytes == 0 {
		o.Bytes = 256 << 10
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Capture{Options: o, secrets: map[string][][]byte{}}
}

// Listener keeps the connections that it accepts.
func (c *Capture) Listener(l net.Listener) net.Listener {
	if c == nil {
		return l
	}
	return listener{l, c}
}

type listener struct {
	net.Listener

	capture *Capture
}

func (l listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.capture.keep(conn, false), nil
}

// DialFunc opens a connection.
type DialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// Dial keeps the connections that dial opens.
func (c *Capture) Dial(dial DialFunc) DialFunc {
	if c == nil {
		return dial
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return c.keep(conn, true), nil
	}
}

// connection is one TCP connection, by its events.
type connection struct {
	net.Conn

	capture *Capture
	client  bool // this side is TCP's client
	opened  time.Time
	events  []event // by their times; guarded by the capture's mu, as are left and the ends
	left    int
	ended   bool // nothing more is kept
	theirs  bool // the other side has ended its part
}

// maxEvents bounds what is kept of a connection that goes byte by byte.
const maxEvents = 16 << 10

type kind int

const (
	data kind = iota
	fin
	reset
	cut // there was more than is kept
)

type event struct {
	at   time.Time
	ours bool // from this side
	kind kind
	data []byte
}

func (c *Capture) keep(conn net.Conn, client bool) net.Conn {
	k := &connection{Conn: conn, capture: c, client: client, opened: c.Now(), left: c.Bytes}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.connections) >= c.Connections {
		c.connections = slices.Delete(c.connections, 0, 1)
	}
	c.connections = append(c.connections, k)
	return k
}

// NetConn returns the connection beneath.
func (k *connection) NetConn() net.Conn { return k.Conn }

func (k *connection) add(at time.Time, ours bool, what kind, p []byte) {
	k.capture.mu.Lock()
	defer k.capture.mu.Unlock()
	switch {
	case k.ended, what == fin && !ours && k.theirs:
		return
	case len(p) > k.left, len(k.events) == maxEvents: // what follows a gap nobody can decrypt
		k.ended, what, p = true, cut, nil
	case what == reset || what == fin && ours:
		k.ended = true
	case what == fin:
		k.theirs = true
	}
	k.left -= len(p)
	i := len(k.events)
	for i > 0 && k.events[i-1].at.After(at) {
		i--
	}
	k.events = slices.Insert(k.events, i, event{at, ours, what, bytes.Clone(p)})
}

func (k *connection) Read(p []byte) (int, error) {
	n, err := k.Conn.Read(p)
	now := k.capture.Now()
	if n > 0 {
		k.add(now, false, data, p[:n])
	}
	var timeout net.Error
	switch {
	case err == nil, errors.Is(err, net.ErrClosed), errors.As(err, &timeout) && timeout.Timeout():
	case errors.Is(err, io.EOF):
		k.add(now, false, fin, nil)
	default:
		k.add(now, false, reset, nil)
	}
	return n, err
}

func (k *connection) Write(p []byte) (int, error) {
	at := k.capture.Now() // what answers it may be read before Write returns
	n, err := k.Conn.Write(p)
	if n > 0 {
		k.add(at, true, data, p[:n])
	}
	return n, err
}

func (k *connection) Close() error {
	k.add(k.capture.Now(), true, fin, nil)
	return k.Conn.Close()
}

// Write takes lines of SSLKEYLOGFILE: crypto/tls writes each with one call.
func (c *Capture) Write(p []byte) (int, error) {
	// LABEL <client_random> <secret>
	fields := bytes.Fields(p)
	if len(fields) != 3 {
		return len(p), nil
	}
	random := string(fields[1])
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.secrets[random]; !known {
		if len(c.randoms) >= 2*c.Connections { // a connection's two ends may both be here
			delete(c.secrets, c.randoms[0])
			c.randoms = slices.Delete(c.randoms, 0, 1)
		}
		c.randoms = append(c.randoms, random)
	}
	const most = 16 // lines of one connection
	if len(c.secrets[random]) < most {
		c.secrets[random] = append(c.secrets[random], bytes.Clone(p))
	}
	return len(p), nil
}

// Clear forgets the connections that have ended. Those that go on stay, with their
// beginnings: without these nobody can decrypt what comes.
func (c *Capture) Clear() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var left []*connection
	randoms := map[string]bool{}
	for _, k := range c.connections {
		if k.ended {
			continue
		}
		for _, needed := range []*connection{c.resumedFrom(k), k} {
			if needed != nil && !slices.Contains(left, needed) {
				left = append(left, needed)
				randoms[needed.random()] = true
			}
		}
	}
	c.connections = left
	c.randoms = slices.DeleteFunc(c.randoms, func(random string) bool {
		if !randoms[random] {
			delete(c.secrets, random)
		}
		return !randoms[random]
	})
}

// of returns those of our connections that an enrollment used. An address may have been
// used before: the connection that was open at that time counts, and else the newest.
func (c *Capture) of(used []wire.Connection) (found []*connection) {
	for _, u := range used {
		var best *connection
		for _, k := range c.connections {
			if k.LocalAddr().String() == u.Local && k.RemoteAddr().String() == u.Remote && (best == nil || !k.opened.After(u.At)) {
				best = k
			}
		}
		if best == nil || slices.Contains(found, best) {
			continue
		}
		if full := c.resumedFrom(best); full != nil && !slices.Contains(found, full) {
			found = append(found, full)
		}
		found = append(found, best)
	}
	return found
}

// resumedFrom is the connection whose TLS session another one goes on with: crypto/tls
// writes no secret for that one, and Wireshark takes it from the ticket that it sees in
// the first. nil where the connection has secrets of its own.
func (c *Capture) resumedFrom(k *connection) (full *connection) {
	if len(c.secrets[k.random()]) > 0 {
		return nil
	}
	host := func(a net.Addr) string { return addressOf(a).Addr().String() }
	for _, other := range c.connections {
		if other == k {
			break
		}
		if other.client == k.client && host(other.RemoteAddr()) == host(k.RemoteAddr()) && len(c.secrets[other.random()]) > 0 {
			full = other
		}
	}
	return full
}

// random returns the random of a connection's Client Hello (RFC 8446 §4.1.2), by which
// its secrets are found; "" where it does not begin with one.
func (k *connection) random() string {
	var sent []byte
	for _, e := range k.events {
		if e.ours == k.client && e.kind == data {
			if sent = append(sent, e.data...); len(sent) >= 43 {
				break
			}
		}
	}
	// Record: type 22, version, length; handshake: type 1, length; version, random.
	if len(sent) < 43 || sent[0] != 22 || sent[5] != 1 {
		return ""
	}
	return hex.EncodeToString(sent[11:43])
}
