package sim

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// stream is one direction of a connection: what is written arrives after a delay,
// in its order. It holds any amount, as a kernel's buffers do for what is sent here.
type stream struct {
	delay func(n int) time.Duration // of the n-th write

	mu      sync.Mutex // guards all below
	queue   []segment
	writes  int
	last    time.Time // arrival of the newest segment
	ended   bool      // the writer has closed: then EOF
	left    bool      // the reader has closed
	reset   bool      // the connection is gone
	readBy  time.Time
	writeBy time.Time
	changed chan struct{} // closed at the next change
}

type segment struct {
	at    time.Time
	bytes []byte
}

func newStream(delay func(int) time.Duration) *stream {
	return &stream{delay: delay, changed: make(chan struct{})}
}

func (s *stream) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *stream) read(p []byte) (int, error) {
	for {
		n, wake, err := s.tryRead(p)
		if wake == nil {
			return n, err
		}
		wake()
	}
}

// tryRead reads, or returns how to wait for the next chance.
func (s *stream) tryRead(p []byte) (n int, wake func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	var next time.Time
	switch {
	case s.left:
		return 0, nil, net.ErrClosed
	case !s.readBy.IsZero() && !now.Before(s.readBy):
		return 0, nil, os.ErrDeadlineExceeded
	case s.reset:
		return 0, nil, syscall.ECONNRESET
	case len(p) == 0:
		return 0, nil, nil
	case len(s.queue) > 0:
		first := &s.queue[0]
		if !now.Before(first.at) {
			n := copy(p, first.bytes)
			if first.bytes = first.bytes[n:]; len(first.bytes) == 0 {
				s.queue = s.queue[1:]
			}
			return n, nil, nil
		}
		next = first.at
	case s.ended:
		return 0, nil, io.EOF
	}
	if !s.readBy.IsZero() && (next.IsZero() || s.readBy.Before(next)) {
		next = s.readBy
	}
	changed := s.changed
	return 0, func() { await(changed, next) }, nil
}

// await waits for a change, and no longer than until an instant; zero: for ever.
func await(changed <-chan struct{}, until time.Time) {
	if until.IsZero() {
		<-changed
		return
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}

func (s *stream) write(p []byte) (n int, err error) {
	s.change(func() {
		now := time.Now()
		switch {
		case s.ended:
			err = net.ErrClosed
		case !s.writeBy.IsZero() && !now.Before(s.writeBy):
			err = os.ErrDeadlineExceeded
		case s.reset:
			err = syscall.ECONNRESET
		case s.left:
			err = syscall.EPIPE
		default:
			n = len(p)
			at := now.Add(s.delay(s.writes))
			s.writes++
			if !at.After(s.last) {
				at = s.last.Add(1)
			}
			s.last = at
			s.queue = append(s.queue, segment{at, append([]byte(nil), p...)})
		}
	})
	return n, err
}

// end is one end of a connection.
type end struct {
	in, out *stream
	gate    *gate         // of the process that has this end; nil: none
	residue time.Duration // after the gate
	local   net.Addr
	remote  net.Addr
	closed  func() // once, for the books
	once    sync.Once
}

// newConnection returns the client's and the server's end. delay is that of the
// n-th write in a direction.
func newConnection(g *gate, delay func(direction string, n int) time.Duration) (client, server *end) {
	there := newStream(func(n int) time.Duration { return delay("there", n) })
	back := newStream(func(n int) time.Duration { return delay("back", n) })
	client = &end{in: back, out: there, gate: g, local: address("ra"), remote: address("ca.sim.test:443")}
	server = &end{in: there, out: back, local: address("ca.sim.test:443"), remote: address("ra")}
	return client, server
}

func (e *end) Read(p []byte) (int, error) {
	n, err := e.in.read(p)
	e.gate.pass(e.residue)
	return n, e.wrap("read", err)
}

func (e *end) Write(p []byte) (int, error) {
	e.gate.pass(e.residue)
	n, err := e.out.write(p)
	return n, e.wrap("write", err)
}

func (e *end) wrap(op string, err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // the stream's own
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: e.local, Addr: e.remote, Err: err}
}

// Close lets what is on its way arrive.
func (e *end) Close() error {
	e.in.change(func() { e.in.left = true })
	e.out.change(func() { e.out.ended = true })
	e.once.Do(func() {
		if e.closed != nil {
			e.closed()
		}
	})
	return nil
}

// cut ends the connection for both ends at once; who waits on it learns of it by
// wake, so that not all that a disaster cuts wakes in one instant.
func (e *end) cut() {
	for _, s := range []*stream{e.in, e.out} {
		s.mu.Lock()
		s.reset, s.queue = true, nil
		s.mu.Unlock()
	}
}

func (e *end) wake() {
	for _, s := range []*stream{e.in, e.out} {
		s.change(func() {})
	}
}

func (e *end) LocalAddr() net.Addr  { return e.local }
func (e *end) RemoteAddr() net.Addr { return e.remote }

func (e *end) SetDeadline(t time.Time) error {
	_ = e.SetReadDeadline(t)
	return e.SetWriteDeadline(t)
}

func (e *end) SetReadDeadline(t time.Time) error {
	e.in.change(func() { e.in.readBy = t })
	return nil
}

func (e *end) SetWriteDeadline(t time.Time) error {
	e.out.change(func() { e.out.writeBy = t })
	return nil
}

type address string

func (address) Network() string  { return "sim" }
func (a address) String() string { return string(a) }

// gate holds up a process that is stopped: what it would do waits until it is
// resumed, and a residue longer, so that not all goes on in one instant.
type gate struct {
	mu     sync.Mutex    // guards opened
	opened chan struct{} // nil: it is open
}

func (g *gate) pass(residue time.Duration) {
	if g == nil {
		return
	}
	for {
		g.mu.Lock()
		opened := g.opened
		g.mu.Unlock()
		if opened == nil {
			return
		}
		<-opened
		time.Sleep(residue)
	}
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened == nil {
		g.opened = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened != nil {
		close(g.opened)
		g.opened = nil
	}
}
