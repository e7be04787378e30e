package fault

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

// held is an answer that a handler gave and that has not been sent.
type held struct {
	inner  http.ResponseWriter
	header http.Header
	status int
	body   bytes.Buffer
	// headFirst: the handler wanted its head sent before the body.
	headFirst bool
	// conn, where it is not nil, was taken from net/http, and ends with the answer.
	conn net.Conn
}

func hold(w http.ResponseWriter) *held {
	return &held{inner: w, header: http.Header{}}
}

// Unwrap lets http.ResponseController reach the connection.
func (h *held) Unwrap() http.ResponseWriter { return h.inner }

func (h *held) Header() http.Header { return h.header }

func (h *held) WriteHeader(status int) {
	if h.status == 0 && status >= 200 {
		h.status = status
	}
}

func (h *held) Write(p []byte) (int, error) {
	if h.status == 0 {
		h.status = http.StatusOK
	}
	return h.body.Write(p)
}

// FlushError notes where the handler wants a border between what is sent.
func (h *held) FlushError() error {
	h.headFirst = h.headFirst || h.status != 0 && h.body.Len() == 0
	return nil
}

// oneWrite is how long a body may be to leave net/http in one piece with its header: a
// longer one, which a fault may have made, goes by itself, as est sends it. strongSwan
// reads no answer in three pieces (docs/reference/libest.md).
const oneWrite = 3 << 10

// send passes the answer on as it was given.
func (h *held) send() {
	if h.conn != nil {
		h.sendPast()
		return
	}
	if h.status == 0 {
		return
	}
	h.copyHeader()
	h.inner.WriteHeader(h.status)
	if h.headFirst || h.body.Len() > oneWrite {
		_ = http.NewResponseController(h.inner).Flush() // where that is impossible there are no records either
	}
	_, _ = h.inner.Write(h.body.Bytes()) // who cannot be written to is gone
}

func (h *held) copyHeader() {
	to := h.inner.Header()
	for name, values := range h.header {
		to[name] = values
	}
}

// hangUp ends the exchange without an answer.
func hangUp() { panic(http.ErrAbortHandler) }

// reset ends the connection beneath an exchange with a reset.
func (r *Registry) reset(w http.ResponseWriter, f Fault) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		r.log.Error("fault: the connection is closed and not reset", zap.Stringer("fault", f), zap.Error(err))
		hangUp()
	}
	Reset(conn)
	hangUp()
}

// pause does what a fault does to the time of an answer. It comes back for
// delay, and not where the answer never comes. stays is set where a delay goes on
// although the client has left, as a CA goes on.
func (r *Registry) pause(ctx context.Context, w http.ResponseWriter, f Fault, stays bool) {
	gone := ctx.Done()
	if stays {
		gone = nil
	}
	switch f.Kind {
	case "delay":
		timer := time.NewTimer(f.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-f.cleared:
		case <-f.over:
		case <-gone:
			hangUp()
		}
	case "hang":
		select {
		case <-ctx.Done():
		case <-f.cleared:
		case <-f.over:
		}
		hangUp()
	case "reset":
		r.reset(w, f)
	case "close":
		hangUp()
	}
}

// maxBody bounds what is read of a request, in bytes.
const maxBody = 1 << 20

// readBody reads a request's body and puts it back: only then does net/http notice
// that the client has left.
func readBody(req *http.Request) {
	if req.Body == nil || req.Body == http.NoBody {
		return
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, maxBody))
	rest := io.Reader(bytes.NewReader(body))
	if err != nil {
		rest = io.MultiReader(rest, failing{err})
	}
	req.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(rest, req.Body), req.Body}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// drip sends an answer, its head included, one byte in each delay of the fault, until ctx
// or the fault ends.
func (h *held) drip(ctx context.Context, f Fault) {
	conn, _, err := http.NewResponseController(h.inner).Hijack()
	if err != nil {
		hangUp()
	}
	defer conn.Close()
	var all bytes.Buffer
	h.writeTo(&all)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	for i := range all.Len() {
		if _, err := conn.Write(all.Bytes()[i : i+1]); err != nil {
			return
		}
		timer := time.NewTimer(f.delay)
		select {
		case <-timer.C:
		case <-f.cleared:
			timer.Stop()
			return
		case <-f.over:
			timer.Stop()
			return
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// truncate sends the head and half of the body, and closes.
func (h *held) truncate() {
	h.copyHeader()
	h.inner.Header().Set("Content-Length", strconv.Itoa(h.body.Len()))
	h.inner.WriteHeader(h.status)
	_, _ = h.inner.Write(h.body.Bytes()[:h.body.Len()/2])
	_ = http.NewResponseController(h.inner).Flush()
	hangUp()
}

// writeTo writes the answer as HTTP/1.1 has it.
func (h *held) writeTo(b *bytes.Buffer) {
	b.WriteString("HTTP/1.1 " + strconv.Itoa(h.status) + " " + http.StatusText(h.status) + "\r\n")
	h.header["Content-Length"] = []string{strconv.Itoa(h.body.Len())}
	_ = h.header.Write(b) // a buffer takes all
	if !strings.EqualFold(h.header.Get("Connection"), "close") {
		b.WriteString("Connection: close\r\n")
	}
	b.WriteString("\r\n")
	b.Write(h.body.Bytes())
}
