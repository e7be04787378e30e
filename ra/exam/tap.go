package exam

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"ciscora/ra/lab"
)

// Bounds of what is kept of one run.
const (
	maxHello    = 64 << 10
	maxKept     = 256 << 10 // of a request's or an answer's bytes
	maxRequests = 1000
)

// tap sees what comes to a lab's EST port, and what goes out. It is the lab's network
// and the outermost of its handlers. It may be used from many goroutines.
type tap struct {
	mu          sync.Mutex // guards all that it has seen
	connections []*connection
	requests    []*request
}

// connection is one that was accepted.
type connection struct {
	at     time.Time
	remote string
	first  []byte // what came first: the Client Hello, or clear text
	in     int64
	closed bool
}

// request is one that was read, with its answer.
type request struct {
	at, answered time.Time
	remote       string
	method       string
	uri          string
	host         string
	header       http.Header
	length       int64
	chunked      bool
	body         []byte
	withheld     bool   // the body: the client waited for leave to send it, and got none
	behind       []byte // what came behind it; known where the answer is written past net/http
	version      uint16 // of TLS
	resumed      bool
	certificates []*x509.Certificate
	binding      []byte // tls-unique or tls-exporter
	status       int    // of the answer; 0 = none, or one that was written past net/http
	answer       []byte // head and body
}

func (r *request) operation() string {
	path, _, _ := strings.Cut(r.uri, "?")
	return path[strings.LastIndexByte(path, '/')+1:]
}

// The EST port's address as it is asked for; those of the others are another text for
// the same.
const (
	listening    = "127.0.0.1"
	estAddress   = listening + ":0"
	otherAddress = "localhost:0"
)

var _ lab.Network = (*tap)(nil)

func (t *tap) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

func (t *tap) Listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", address)
	if err != nil || address != estAddress {
		return l, err
	}
	return tapListener{l, t}, nil
}

type tapListener struct {
	net.Listener
	tap *tap
}

func (l tapListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &connection{at: time.Now(), remote: conn.RemoteAddr().String()}
	l.tap.mu.Lock()
	defer l.tap.mu.Unlock()
	if len(l.tap.connections) < maxRequests {
		l.tap.connections = append(l.tap.connections, c)
	}
	return &tapConn{conn, l.tap, c}, nil
}

type tapConn struct {
	net.Conn
	tap  *tap
	seen *connection
}

// NetConn returns the connection beneath.
func (c *tapConn) NetConn() net.Conn { return c.Conn }

func (c *tapConn) Close() error {
	c.tap.mu.Lock()
	c.seen.closed = true
	c.tap.mu.Unlock()
	return c.Conn.Close()
}

func (c *tapConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.tap.mu.Lock()
	defer c.tap.mu.Unlock()
	if room := maxHello - len(c.seen.first); room > 0 {
		c.seen.first = append(c.seen.first, p[:min(n, room)]...)
	}
	c.seen.in += int64(n)
	c.seen.closed = c.seen.closed || err != nil
	return n, err
}

// handler sees each EST operation.
func (t *tap) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &request{
			at: time.Now(), remote: r.RemoteAddr, method: r.Method, uri: r.RequestURI, host: r.Host, header: r.Header.Clone(),
			length: r.ContentLength, chunked: len(r.TransferEncoding) > 0,
		}
		if r.TLS != nil {
			seen.version, seen.resumed, seen.certificates = r.TLS.Version, r.TLS.DidResume, r.TLS.PeerCertificates
			seen.binding = bindingOf(r.TLS)
		}
		t.mu.Lock()
		if len(t.requests) < maxRequests {
			t.requests = append(t.requests, seen)
		}
		t.mu.Unlock()
		t.body(w, r, seen)
		defer func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			seen.answered = time.Now()
		}()
		next.ServeHTTP(&tapWriter{ResponseWriter: w, tap: t, seen: seen}, r)
	})
}

func bindingOf(state *tls.ConnectionState) []byte {
	if state.Version < tls.VersionTLS13 {
		return state.TLSUnique
	}
	binding, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32) // RFC 9266 section 2
	if err != nil {
		return nil
	}
	return binding
}

// bodyTime is how long the examination waits for a request's body.
const bodyTime = 10 * time.Second

// body reads a request's body before the server does, which leaves it alone where it
// challenges. One that waits for leave to be sent (RFC 9110 section 10.1.1) waits for the
// server's, and is kept as the server reads it.
func (t *tap) body(w http.ResponseWriter, r *http.Request, seen *request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	if r.Header.Get("Expect") != "" {
		seen.withheld = true
		r.Body = &tapBody{r.Body, t, seen}
		return
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTime)) // without one the connection's own holds
	body, err := io.ReadAll(io.LimitReader(r.Body, maxKept))
	_ = control.SetReadDeadline(time.Time{})
	rest := io.Reader(r.Body)
	if err != nil {
		rest = failing{err}
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), r.Body}
	t.mu.Lock()
	defer t.mu.Unlock()
	seen.body = body
}

// tapBody keeps what of a body is read.
type tapBody struct {
	io.ReadCloser
	tap  *tap
	seen *request
}

func (b *tapBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.tap.mu.Lock()
	defer b.tap.mu.Unlock()
	b.seen.withheld = b.seen.withheld && n == 0
	b.seen.body = keep(b.seen.body, p[:n])
	return n, err
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func keep(have, more []byte) []byte {
	return append(have, more[:min(len(more), max(0, maxKept-len(have)))]...)
}

// tapWriter keeps an answer, also one that is written to the connection itself.
type tapWriter struct {
	http.ResponseWriter
	tap  *tap
	seen *request
}

func (w *tapWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *tapWriter) WriteHeader(status int) {
	w.tap.mu.Lock()
	if w.seen.status == 0 && status >= 200 {
		w.seen.status = status
		var head bytes.Buffer
		_ = w.Header().Write(&head) // a buffer takes all
		w.seen.answer = keep(nil, []byte(fmt.Sprintf("HTTP/1.1 %d %s\r\n", status, http.StatusText(status))+head.String()+"\r\n"))
	}
	w.tap.mu.Unlock()
	w.ResponseWriter.WriteHeader(status)
}

func (w *tapWriter) Write(p []byte) (int, error) {
	w.tap.mu.Lock()
	w.seen.answer = keep(w.seen.answer, p)
	w.tap.mu.Unlock()
	return w.ResponseWriter.Write(p)
}

func (w *tapWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if n := buffered.Reader.Buffered(); n > 0 {
		behind, _ := buffered.Peek(n) // it is there
		w.tap.mu.Lock()
		w.seen.behind = slices.Clone(behind)
		w.tap.mu.Unlock()
	}
	return &tapRaw{conn, w.tap, w.seen}, buffered, nil
}

type tapRaw struct {
	net.Conn
	tap  *tap
	seen *request
}

func (c *tapRaw) NetConn() net.Conn {
	if below, ok := c.Conn.(interface{ NetConn() net.Conn }); ok {
		return below.NetConn()
	}
	return c.Conn
}

func (c *tapRaw) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

func (c *tapRaw) Write(p []byte) (int, error) {
	c.tap.mu.Lock()
	c.seen.answer = keep(c.seen.answer, p)
	c.seen.answered = time.Now()
	c.tap.mu.Unlock()
	return c.Conn.Write(p)
}

// quiet tells whether every connection has ended.
func (t *tap) quiet() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.connections {
		if !c.closed {
			return false
		}
	}
	return true
}

// take returns what was seen since the last time, and forgets it.
func (t *tap) take() ([]*connection, []*request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	connections, requests := make([]*connection, 0, len(t.connections)), make([]*request, 0, len(t.requests))
	for _, c := range t.connections {
		copied := *c
		copied.first = slices.Clone(c.first)
		connections = append(connections, &copied)
	}
	for _, r := range t.requests {
		copied := *r
		copied.body, copied.answer = slices.Clone(r.body), slices.Clone(r.answer)
		requests = append(requests, &copied)
	}
	t.connections, t.requests = nil, nil
	return connections, requests
}
