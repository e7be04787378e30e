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
	mu        sync.Mutex // guards all below
	ports     uint16     // how many were given
	listeners map[string]*memoryListener
}

// The ports that are given where none is named: as the system, from the upper end.
const firstMemoryPort = 32768

// Listen opens a listener. An address in use is syscall.EADDRINUSE.
func (m *Memory) Listen(_ context.Context, address string) (net.Listener, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen in memory: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if at.Port() == 0 {
		at = netip.AddrPortFrom(at.Addr(), m.port())
	}
	l := &memoryListener{network: m, addr: net.TCPAddrFromAddrPort(at), connections: make(chan net.Conn), closed: make(chan struct{})}
	if _, taken := m.listeners[at.String()]; taken {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: l.addr, Err: syscall.EADDRINUSE}
	}
	if m.listeners == nil {
		m.listeners = map[string]*memoryListener{}
	}
	m.listeners[at.String()] = l
	return l, nil
}

// port gives a port that nobody has; mu is held.
func (m *Memory) port() uint16 {
	m.ports++
	return firstMemoryPort + m.ports
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
	l, own := m.listeners[at.String()], netip.AddrPortFrom(at.Addr(), m.port())
	m.mu.Unlock()
	if l == nil {
		return nil, refused
	}
	client, served := pipe(net.TCPAddrFromAddrPort(own), l.addr)
	select {
	case l.connections <- served:
		return client, nil
	case <-l.closed:
		return nil, refused
	case <-ctx.Done():
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
	})
	return nil
}

func (l *memoryListener) Addr() net.Addr { return l.addr }
