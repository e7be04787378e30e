package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// Memory is a network inside this process: what happens in it waits on channels
// alone, so a lab in it lives inside a testing/synctest bubble, and its timers run
// in virtual time. Every end of every connection has an address of its own. It has
// no resets and no half-closed connections: what turns on an errno needs TCP. The
// zero value is ready.
type Memory struct {
	mu        sync.Mutex      // guards all below
	ports     int             // how many were given
	taken     map[uint16]bool // ports of listeners and of clients' ends
	listeners map[string]*memoryListener
}

// The ports that are given where none is named: as the system, from the upper end. One
// that is given back comes again last.
const (
	firstMemoryPort = 32768
	memoryPorts     = 1<<16 - firstMemoryPort
)

// Listen opens a listener. An address in use is syscall.EADDRINUSE.
func (m *Memory) Listen(_ context.Context, address string) (net.Listener, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen in memory: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if at.Port() == 0 {
		port, err := m.port()
		if err != nil {
			return nil, &net.OpError{Op: "listen", Net: "tcp", Err: err}
		}
		at = netip.AddrPortFrom(at.Addr(), port)
	}
	l := &memoryListener{network: m, addr: net.TCPAddrFromAddrPort(at), connections: make(chan net.Conn), closed: make(chan struct{})}
	if _, taken := m.listeners[at.String()]; taken {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: l.addr, Err: syscall.EADDRINUSE}
	}
	if m.listeners == nil {
		m.listeners = map[string]*memoryListener{}
	}
	m.listeners[at.String()] = l
	m.take(at.Port())
	return l, nil
}

// port gives a port that nobody has; mu is held. The error is that of the system.
func (m *Memory) port() (uint16, error) {
	for range memoryPorts {
		port := uint16(firstMemoryPort + m.ports%memoryPorts)
		m.ports++
		if !m.taken[port] {
			m.take(port)
			return port, nil
		}
	}
	return 0, syscall.EADDRNOTAVAIL
}

// take notes that a port is taken; mu is held.
func (m *Memory) take(port uint16) {
	if m.taken == nil {
		m.taken = map[uint16]bool{}
	}
	m.taken[port] = true
}

func (m *Memory) giveBack(port uint16) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.taken, port)
}

// memoryConn is a client's end, which gives its port back.
type memoryConn struct {
	net.Conn
	giveBack func()
}

func (c *memoryConn) Close() error {
	err := c.Conn.Close()
	c.giveBack()
	return err
}

// DialContext connects to a listener, once it accepts. Where nobody listens it is
// syscall.ECONNREFUSED.
func (m *Memory) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial in memory: %w", err)
	}
	refused := &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(at), Err: syscall.ECONNREFUSED}
	m.mu.Lock()
	l := m.listeners[at.String()]
	port, err := m.port()
	m.mu.Unlock()
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(at), Err: err}
	}
	giveBack := sync.OnceFunc(func() { m.giveBack(port) })
	if l == nil {
		giveBack()
		return nil, refused
	}
	client, served := pipe(net.TCPAddrFromAddrPort(netip.AddrPortFrom(at.Addr(), port)), l.addr)
	select {
	case l.connections <- served:
		return &memoryConn{client, giveBack}, nil
	case <-l.closed:
		giveBack()
		return nil, refused
	case <-ctx.Done():
		giveBack()
		return nil, &net.OpError{Op: "dial", Net: network, Addr: l.addr, Err: ctx.Err()}
	}
}

type memoryListener struct {
	network     *Memory
	addr        *net.TCPAddr
	connections chan net.Conn
	closed      chan struct{}
	once        sync.Once
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.connections:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.network.mu.Lock()
		defer l.network.mu.Unlock()
		delete(l.network.listeners, l.addr.String())
		delete(l.network.taken, uint16(l.addr.Port))
	})
	return nil
}

func (l *memoryListener) Addr() net.Addr { return l.addr }
