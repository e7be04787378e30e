package fault

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// shape is how an answer looks on the wire. net/http would correct most of it, so
// an answer that has one is written past it.
type shape struct {
	raw bool // any of the below is set

	proto      string // "" = HTTP/1.1
	headerCase string
	headerSize int // of one header more
	lines      int // headers more
	interim    int // status of interim answers
	times      int // how many
	length     string
	noLength   bool
	trailers   bool
	split      int
	tail       bool

	end string // how it ends: the kind of the fault; "" = close_notify and close

	over, cleared <-chan struct{} // as the last fault's
}

// maxRaw is how long an answer that has no end, or a client that does not leave, is
// borne with.
const maxRaw = 5 * time.Minute

// take notes what a fault does to the wire, and tells whether it is such a one.
func (s *shape) take(f Fault) bool {
	switch f.Kind {
	case "http":
		s.proto = "HTTP/" + f.Value
	case "header-case":
		s.headerCase = f.Value
	case "header-size":
		s.headerSize = f.number
	case "header-lines":
		s.lines = f.number
	case "interim":
		s.interim, _ = strconv.Atoi(f.Value) // one of two words
		s.times = 1
		if n, err := strconv.Atoi(f.param("times")); err == nil {
			s.times = n
		}
	case "length":
		s.length = f.Value
	case "no-length":
		s.noLength = true
	case "trailers":
		s.trailers = true
	case "split":
		s.split = f.number
	case "tail":
		s.tail = true
	case "no-close-notify", "half-close", "truncate", "endless":
		s.end = f.Kind
	case "hang":
		s.end = "hang"
	case "close":
		s.end = "idle"
	default:
		return false
	}
	s.raw, s.over, s.cleared = true, f.over, f.cleared
	return true
}

// lengths are the values of Content-Length for a body, and what of the body is sent.
func (s *shape) lengths(body []byte) ([]string, []byte) {
	own := strconv.Itoa(len(body))
	switch {
	case s.trailers:
		half := len(body) / 2
		return nil, slices.Concat(chunk(body[:half]), chunk(body[half:]), []byte("0\r\nX-Fault: behind the chunks\r\n\r\n"))
	case s.noLength, s.end == "endless" && s.length == "":
		return nil, body
	case s.length == "":
		return []string{own}, body
	case s.length == "0":
		return []string{"0"}, nil
	case s.length == "two":
		return []string{own, strconv.Itoa(len(body) / 2)}, body
	case strings.HasPrefix(s.length, "+"):
		if n, err := strconv.Atoi(s.length[1:]); err == nil {
			return []string{strconv.Itoa(len(body) + n)}, body
		}
	}
	return []string{s.length}, body
}

// chunk is a part of a body as RFC 9112 section 7.1 has it.
func chunk(part []byte) []byte { return fmt.Appendf(nil, "%x\r\n%s\r\n", len(part), part) }

// head is the answer's first part.
func (s *shape) head(status int, header http.Header, lengths []string) []byte {
	var b bytes.Buffer
	for range s.times {
		fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n\r\n", s.interim, http.StatusText(s.interim))
	}
	proto := s.proto
	if proto == "" {
		proto = "HTTP/1.1"
	}
	fmt.Fprintf(&b, "%s %d %s\r\n", proto, status, http.StatusText(status))
	line := func(name, value string) {
		switch s.headerCase {
		case "lower":
			name = strings.ToLower(name)
		case "upper":
			name = strings.ToUpper(name)
		}
		fmt.Fprintf(&b, "%s: %s\r\n", name, value)
	}
	for _, name := range slices.Sorted(keys(header)) {
		if name == "Content-Length" || name == "Connection" {
			continue
		}
		for _, value := range header[name] {
			line(name, value)
		}
	}
	for _, length := range lengths {
		line("Content-Length", length)
	}
	if s.trailers {
		line("Transfer-Encoding", "chunked")
		line("Trailer", "X-Fault")
	}
	if s.end != "idle" {
		line("Connection", "close")
	}
	if s.headerSize > 0 {
		line("X-Fault", strings.Repeat("x", s.headerSize))
	}
	for i := range s.lines {
		line("X-Fault-"+strconv.Itoa(i), "x")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

func keys(h http.Header) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range h {
			if !yield(name) {
				return
			}
		}
	}
}

// sendRaw takes the connection from net/http and writes the answer as its shape says.
// It does not return.
func (h *estAnswer) sendRaw(ctx context.Context) {
	conn, buffered, err := http.NewResponseController(h.inner).Hijack()
	if err != nil {
		hangUp()
	}
	defer hangUp()
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(maxRaw)) // of the system's clock, as the connection's
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	sent := make(chan struct{})
	defer close(sent)
	go func() { // ends with this answer
		select {
		case <-h.shape.cleared:
			conn.Close()
		case <-h.shape.over:
			conn.Close()
		case <-sent:
		}
	}()
	if h.shape.end == "idle" && h.request.Close {
		h.shape.end = "" // it will ask nothing more
	}
	lengths, body := h.shape.lengths(h.body.Bytes())
	all := h.shape.head(h.status, h.header, lengths)
	switch h.shape.end {
	case "truncate":
		body = body[:len(body)/2]
	case "hang":
		all, body = append(all, body[:len(body)/2]...), nil
	}
	if n := h.shape.split; n > 0 && n < len(all) {
		// A write is a record; the pause has it arrive by itself.
		if _, err := conn.Write(all[:n]); err != nil {
			return
		}
		all = all[n:]
		timer := time.NewTimer(splitPause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
	all = append(all, body...)
	if h.shape.tail {
		all = append(all, "\r\nThis is behind the end.\r\n"...)
	}
	if _, err := conn.Write(all); err != nil {
		return
	}
	h.endRaw(conn, buffered)
}

// endRaw ends a connection as the shape says.
func (h *estAnswer) endRaw(conn net.Conn, buffered *bufio.ReadWriter) {
	switch h.shape.end {
	case "endless":
		line := []byte(strings.Repeat("A", 64) + "\n")
		block := bytes.Repeat(line, 1000)
		for range maxEndless / len(block) {
			if _, err := conn.Write(block); err != nil {
				return
			}
		}
	case "no-close-notify":
		if beneath, ok := conn.(interface{ NetConn() net.Conn }); ok {
			beneath.NetConn().Close()
		}
	case "half-close":
		if c, ok := conn.(interface{ CloseWrite() error }); ok && c.CloseWrite() == nil {
			_, _ = io.Copy(io.Discard, buffered) // until the client leaves
		}
	case "hang":
		_, _ = io.Copy(io.Discard, buffered)
	case "idle":
		_, _ = buffered.ReadByte() // the next request, or that there is none
	}
}

// splitPause is how long the second record of a split answer comes behind the first.
const splitPause = 100 * time.Millisecond

// maxEndless is how much an answer without an end has, in bytes: more than a client may
// use of a machine.
const maxEndless = 1 << 30

// compress makes the body gzip.
func (h *estAnswer) compress() {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(h.body.Bytes()) // a buffer takes all
	_ = w.Close()
	h.setBody(b.Bytes())
	h.header.Set("Content-Encoding", "gzip")
}
