package scenario_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// memory is a network inside this process, so that a lab can live in virtual time.
// Every end of a connection has an address of its own.
type memory struct {
	mu        sync.Mutex // guards all below
	listeners map[string]*memoryListener
	port      int
}

func newMemory() *memory { return &memory{listeners: map[string]*memoryListener{}, port: 1000} }

func (m *memory) nextAddress() *net.TCPAddr {
	m.port++
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: m.port}
}

func (m *memory) Listen(context.Context, string) (net.Listener, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := &memoryListener{network: m, address: m.nextAddress(), conns: make(chan net.Conn), closed: make(chan struct{})}
	m.listeners[l.address.String()] = l
	return l, nil
}

func (m *memory) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	m.mu.Lock()
	l := m.listeners[address]
	local := m.nextAddress()
	m.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	if l == nil {
		return nil, fmt.Errorf("%s: %w", address, refused)
	}
	up, down := newHalf(), newHalf()
	select {
	case l.conns <- &memoryConn{read: up, write: down, local: l.address, remote: local}:
		return &memoryConn{read: down, write: up, local: local, remote: l.address}, nil
	case <-l.closed:
		return nil, refused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type memoryListener struct {
	network *memory
	address *net.TCPAddr
	conns   chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memoryListener) Addr() net.Addr { return l.address }

// memoryConn is one end of a connection. Unlike net.Pipe's it has a buffer, as TCP
// has: a server may answer before it has read all.
type memoryConn struct {
	read, write   *half
	local, remote *net.TCPAddr
}

func (c *memoryConn) Read(p []byte) (int, error)  { return c.read.take(p) }
func (c *memoryConn) Write(p []byte) (int, error) { return c.write.put(p) }
func (c *memoryConn) LocalAddr() net.Addr         { return c.local }
func (c *memoryConn) RemoteAddr() net.Addr        { return c.remote }

func (c *memoryConn) Close() error {
	c.read.close()
	c.write.close()
	return nil
}

func (c *memoryConn) SetReadDeadline(t time.Time) error { c.read.setDeadline(t); return nil }
func (c *memoryConn) SetWriteDeadline(time.Time) error  { return nil } // nothing waits to be written
func (c *memoryConn) SetDeadline(t time.Time) error     { return c.SetReadDeadline(t) }

// half is one direction.
type half struct {
	mu       sync.Mutex // guards all below
	more     *sync.Cond
	data     bytes.Buffer
	closed   bool
	deadline time.Time
	timer    *time.Timer
}

func newHalf() *half {
	h := &half{}
	h.more = sync.NewCond(&h.mu)
	return h
}

func (h *half) take(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case !h.deadline.IsZero() && !time.Now().Before(h.deadline):
			return 0, os.ErrDeadlineExceeded
		case h.data.Len() > 0:
			return h.data.Read(p)
		case h.closed:
			return 0, io.EOF
		}
		h.more.Wait()
	}
}

func (h *half) put(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return 0, io.ErrClosedPipe
	}
	h.more.Broadcast()
	return h.data.Write(p)
}

func (h *half) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.timer != nil {
		h.timer.Stop()
	}
	h.more.Broadcast()
}

func (h *half) setDeadline(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deadline = t
	if h.timer != nil {
		h.timer.Stop()
	}
	if !t.IsZero() && !h.closed {
		h.timer = time.AfterFunc(time.Until(t), h.more.Broadcast)
	}
	h.more.Broadcast()
}
