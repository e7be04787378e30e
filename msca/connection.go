package msca

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// What one answer may take. certrqxt.asp, the longest page, has 12 KB and grows
// by some 200 bytes a template.
const (
	maxHeader = 64 << 10
	maxBody   = 1 << 20
)

var errTooLarge = errors.New("the answer is larger than is read of one")

// connection is one TLS connection with one HTTP/1.1 request at a time. The
// log-in lives and dies with it, so it never reconnects.
type connection struct {
	raw    *wire // for closing at once, without TLS's farewell
	tls    *tls.Conn
	in     *boundedReader
	r      *bufio.Reader
	w      *bufio.Writer
	closed atomic.Bool
	busy   atomic.Bool // a request is under way
	trace  *traced     // nil = nobody listens
}

// newConnection takes over a connection whose handshake is done: from here on
// requests may be on it, which must not outlive it.
func newConnection(raw *wire, t *tls.Conn) *connection {
	raw.dropUnsent(true)
	in := &boundedReader{r: t}
	return &connection{raw: raw, tls: t, in: in, r: bufio.NewReader(in), w: bufio.NewWriter(t)}
}

// answer is one HTTP response, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// transferError is a request that did not come to its end.
type transferError struct {
	left     bool  // at least one byte of the request left
	sent     bool  // the request went out whole
	begun    bool  // a first byte of the answer came
	received int   // bytes of the body
	expected int64 // by Content-Length, -1 = unknown
	err      error
}

func (e *transferError) Error() string {
	switch {
	case !e.sent:
		return "send request: " + e.err.Error()
	case !e.begun && errors.Is(e.err, io.EOF):
		return "the CA closed the connection without an answer"
	case e.expected >= 0:
		return fmt.Sprintf("read answer: %d of %d bytes came: %v", e.received, e.expected, e.err)
	}
	return "read answer: " + e.err.Error()
}

func (e *transferError) Unwrap() error { return e.err }

// roundTrip sends one request and reads its answer whole. When it fails, or the
// CA announces it, the connection is closed: an answer left unread would be taken
// for that of the next request. What came whole counts, even if
// ctx ended meanwhile. An error is a *transferError. form is the request's body, for the
// trace.
func (c *connection) roundTrip(ctx context.Context, req *http.Request, form string) (a *answer, err error) {
	if c.closed.Load() {
		return nil, &transferError{err: net.ErrClosed, expected: -1}
	}
	if ctx.Err() != nil { // else a part of it might leave before that is seen
		c.kill()
		return nil, &transferError{err: context.Cause(ctx), expected: -1}
	}
	c.busy.Store(true)
	defer c.busy.Store(false)
	if c.trace != nil {
		ended := c.trace.exchange(ctx, c.tls, req, form)
		defer func() { ended(a, err) }()
	}
	stop := context.AfterFunc(ctx, func() { _ = c.raw.SetDeadline(time.Unix(1, 0)) })
	a, last, err := c.exchange(req)
	inTime := stop()
	switch {
	case err != nil || !inTime: // then the deadline is, or will be, in the past
		c.kill()
	case last:
		c.hangUp()
	}
	return a, err
}

func (c *connection) exchange(req *http.Request) (a *answer, last bool, err error) {
	c.in.left = maxHeader
	before := c.raw.wrote.Load()
	err = req.Write(c.w)
	if err == nil {
		err = c.w.Flush()
	}
	if err != nil {
		return nil, true, &transferError{left: c.raw.wrote.Load() > before, err: err, expected: -1}
	}
	if _, err := c.r.Peek(1); err != nil {
		return nil, true, &transferError{left: true, sent: true, err: err, expected: -1}
	}
	resp, err := c.readHeader(req)
	if err != nil {
		return nil, true, &transferError{left: true, sent: true, begun: true, err: err, expected: -1}
	}
	defer resp.Body.Close()
	c.in.left = maxBody + maxHeader // chunk sizes and trailers come on top
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = errTooLarge
	}
	if err != nil {
		c.kill() // before Body.Close, which would read on
		return nil, true, &transferError{left: true, sent: true, begun: true, received: len(body), expected: resp.ContentLength, err: err}
	}
	return &answer{resp.StatusCode, resp.Header, body}, resp.Close, nil
}

// readHeader passes over informational answers.
func (c *connection) readHeader(req *http.Request) (*http.Response, error) {
	for range 5 {
		resp, err := http.ReadResponse(c.r, req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= 200 {
			return resp, nil
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusSwitchingProtocols {
			break
		}
	}
	return nil, errors.New("no final answer after the informational ones")
}

// alive looks whether the CA closed the connection meanwhile, or said something
// that nobody asked for. Where nothing has come that takes no time; it waits a
// millisecond for what TLS makes of bytes that have, and, of a connection that rested
// and cannot be looked at, for what may come.
func (c *connection) alive(rested bool) bool {
	if c.closed.Load() {
		return false
	}
	var wait time.Duration
	switch c.raw.peek() {
	case sightGone:
		c.hangUp()
		return false
	case sightBytes:
		wait = time.Millisecond
	case sightUnknown:
		if rested {
			wait = time.Millisecond
		}
	}
	return c.silent(wait)
}

// silent tells whether nothing has come, not even what TLS holds already. It waits
// for that long; 0 = not at all.
func (c *connection) silent(wait time.Duration) bool {
	deadline := time.Unix(1, 0)
	if wait > 0 {
		deadline = time.Now().Add(wait)
	}
	c.in.left = maxHeader
	if err := c.raw.SetReadDeadline(deadline); err != nil {
		c.kill()
		return false
	}
	_, err := c.r.Peek(1)
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		c.hangUp()
		return false
	}
	return c.raw.SetReadDeadline(time.Time{}) == nil
}

// kill ends the connection with a reset: what has not reached the CA never will.
func (c *connection) kill() {
	c.closed.Store(true)
	c.raw.Close()
}

// hangUp ends a connection on which nothing is under way, after the CA has ended
// it or has announced to.
func (c *connection) hangUp() {
	if !c.closed.Swap(true) {
		c.raw.dropUnsent(false)
		c.raw.Close()
	}
}

// close says farewell, as TLS wants it. A request that is under way ends with a
// reset.
func (c *connection) close() error {
	if c.closed.Swap(true) {
		return nil
	}
	if !c.busy.Load() {
		c.raw.dropUnsent(false)
	}
	err := c.tls.Close()
	c.raw.Close()
	return err
}

// boundedReader reads no more than left bytes; the owner sets left anew.
type boundedReader struct {
	r    io.Reader
	left int
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
