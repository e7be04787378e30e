package lab

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// pipeBuffer is what one direction of a connection holds before a writer waits.
// [net.Pipe] holds nothing, so that two ends that both write would wait for each
// other for ever, as no TCP connections do.
const pipeBuffer = 256 << 10

// pipe returns the two ends of a connection in memory.
func pipe(near, far *net.TCPAddr) (client, server net.Conn) {
	there, back := newStream(), newStream()
	return &pipeEnd{in: back, out: there, local: near, remote: far}, &pipeEnd{in: there, out: back, local: far, remote: near}
}

// stream is one direction of a connection.
type stream struct {
	mu      sync.Mutex // guards all below
	data    []byte
	written bool // the writer has closed
	left    bool // the reader has closed
	reset   bool // the writer has closed, and what it wrote is lost
	readBy  time.Time
	writeBy time.Time
	changed chan struct{} // closed at the next change
}

func newStream() *stream { return &stream{changed: make(chan struct{})} }

// change changes the stream and wakes who waits on it.
func (s *stream) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	s.wake()
}

// wake wakes who waits; mu is held.
func (s *stream) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// try calls f, under mu, at each change until it is done or the time is up. f says
// whether it is done.
func (s *stream) try(by func() time.Time, f func() (n int, done bool, err error)) (int, error) {
	for {
		s.mu.Lock()
		deadline := by()
		if !deadline.IsZero() && !time.Now().Before(deadline) {
			s.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		}
		n, done, err := f()
		changed := s.changed
		s.mu.Unlock()
		if done {
			return n, err
		}
		await(changed, deadline)
	}
}

// await waits for a change, and for no longer than until a deadline.
func await(changed <-chan struct{}, deadline time.Time) {
	if deadline.IsZero() {
		<-changed
		return
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}

func (s *stream) read(p []byte) (int, error) {
	return s.try(func() time.Time { return s.readBy }, func() (int, bool, error) {
		switch {
		case s.left:
			return 0, true, net.ErrClosed
		case s.reset:
			return 0, true, syscall.ECONNRESET
		case len(s.data) > 0:
			n := copy(p, s.data)
			s.data = s.data[n:]
			s.wake()
			return n, true, nil
		case s.written:
			return 0, true, io.EOF
		}
		return 0, len(p) == 0, nil
	})
}

func (s *stream) write(p []byte) (total int, err error) {
	for {
		n, err := s.try(func() time.Time { return s.writeBy }, func() (int, bool, error) {
			switch {
			case s.written:
				return 0, true, net.ErrClosed
			case s.left:
				return 0, true, syscall.EPIPE
			}
			n := min(len(p), pipeBuffer-len(s.data))
			s.data = append(s.data, p[:n]...)
			s.wake()
			return n, n > 0 || len(p) == 0, nil
		})
		total += n
		if p = p[n:]; err != nil || len(p) == 0 {
			return total, err
		}
	}
}

// pipeEnd is one end of a connection.
type pipeEnd struct {
	in, out       *stream
	local, remote *net.TCPAddr
	resets        atomic.Bool // Close is a reset
}

func (e *pipeEnd) Read(p []byte) (int, error) {
	n, err := e.in.read(p)
	return n, e.error("read", err)
}

func (e *pipeEnd) Write(p []byte) (int, error) {
	n, err := e.out.write(p)
	return n, e.error("write", err)
}

func (e *pipeEnd) error(op string, err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // the stream's own
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: e.local, Addr: e.remote, Err: err}
}

// Close closes both directions: the other end reads what is left, and then its
// end; after SetLinger(0) it reads a reset.
func (e *pipeEnd) Close() error {
	e.in.change(func() { e.in.left = true })
	e.out.change(func() { e.out.reset = e.out.reset || !e.out.written && e.resets.Load(); e.out.written = true })
	return nil
}

// SetLinger is [net.TCPConn.SetLinger], of which 0 alone makes a difference here.
func (e *pipeEnd) SetLinger(sec int) error {
	e.resets.Store(sec == 0)
	return nil
}

func (e *pipeEnd) LocalAddr() net.Addr  { return e.local }
func (e *pipeEnd) RemoteAddr() net.Addr { return e.remote }

func (e *pipeEnd) SetDeadline(t time.Time) error {
	_ = e.SetReadDeadline(t)
	return e.SetWriteDeadline(t)
}

func (e *pipeEnd) SetReadDeadline(t time.Time) error {
	e.in.change(func() { e.in.readBy = t })
	return nil
}

func (e *pipeEnd) SetWriteDeadline(t time.Time) error {
	e.out.change(func() { e.out.writeBy = t })
	return nil
}
