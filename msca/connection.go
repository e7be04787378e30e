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
	raw    net.Conn // for closing at once, without TLS's farewell
	tls    *tls.Conn
	in     *boundedReader
	r      *bufio.Reader
	w      *bufio.Writer
	closed atomic.Bool
}

func newConnection(raw net.Conn, t *tls.Conn) *connection {
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
// for that of the next request.
func (c *connection) roundTrip(ctx context.Context, req *http.Request) (*answer, error) {
	if c.closed.Load() {
		return nil, &transferError{err: net.ErrClosed, expected: -1}
	}
	stop := context.AfterFunc(ctx, func() { _ = c.raw.SetDeadline(time.Unix(1, 0)) })
	a, last, err := c.exchange(req)
	if !stop() {
		// The deadline is, or will be, in the past.
		last = true
		if err == nil {
			err = ctx.Err()
		}
	}
	if err != nil || last {
		c.kill()
	}
	return a, err
}

func (c *connection) exchange(req *http.Request) (a *answer, last bool, err error) {
	c.in.left = maxHeader
	if err := req.Write(c.w); err != nil {
		return nil, true, &transferError{err: err, expected: -1}
	}
	if err := c.w.Flush(); err != nil {
		return nil, true, &transferError{err: err, expected: -1}
	}
	if _, err := c.r.Peek(1); err != nil {
		return nil, true, &transferError{sent: true, err: err, expected: -1}
	}
	resp, err := c.readHeader(req)
	if err != nil {
		return nil, true, &transferError{sent: true, begun: true, err: err, expected: -1}
	}
	defer resp.Body.Close()
	c.in.left = maxBody + maxHeader // chunk sizes and trailers come on top
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = errTooLarge
	}
	if err != nil {
		c.kill() // before Body.Close, which would read on
		return nil, true, &transferError{sent: true, begun: true, received: len(body), expected: resp.ContentLength, err: err}
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
// that nobody asked for. It waits a millisecond for that.
func (c *connection) alive() bool {
	if c.closed.Load() {
		return false
	}
	c.in.left = maxHeader
	if err := c.raw.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		c.kill()
		return false
	}
	_, err := c.r.Peek(1)
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		c.kill()
		return false
	}
	return c.raw.SetReadDeadline(time.Time{}) == nil
}

func (c *connection) kill() {
	c.closed.Store(true)
	c.raw.Close()
}

// close says farewell, as TLS wants it.
func (c *connection) close() error {
	if c.closed.Swap(true) {
		return nil
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
