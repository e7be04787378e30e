package check

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// What of one answer is read.
const (
	maxHead  = 64 << 10
	maxBody  = 4 << 20
	maxLines = 200 // of a head
)

var errTooLong = errors.New("the answer is longer than is read of one")

// field is a line of a head, as it stands on the wire.
type field struct{ name, value string }

// reply is one answer.
type reply struct {
	status  int
	old     bool    // by HTTP/1.0
	head    []field // in the order and the case in which they came
	body    []byte
	length  int64 // by Content-Length, -1 = none
	chunked bool
	interim []int // statuses of answers before it
	took    time.Duration
	closing bool // it announces the connection's end
}

// get finds a field whatever its case; "" = none.
func (a *reply) get(name string) string {
	for _, f := range a.head {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}

// written is a field's name as it came; "" = none.
func (a *reply) written(name string) string {
	for _, f := range a.head {
		if strings.EqualFold(f.name, name) {
			return f.name
		}
	}
	return ""
}

// challenges are the values of WWW-Authenticate.
func (a *reply) challenges() (all []string) {
	for _, f := range a.head {
		if strings.EqualFold(f.name, "WWW-Authenticate") {
			all = append(all, f.value)
		}
	}
	return all
}

// schemes are the names in them, of which one header may have several.
func (a *reply) schemes() (names []string) {
	for _, value := range a.challenges() {
		for part := range strings.SplitSeq(value, ",") {
			name, _, _ := strings.Cut(strings.TrimSpace(part), " ")
			if name != "" && !strings.Contains(name, "=") && !slices.Contains(names, name) && len(names) < 10 {
				names = append(names, short(name))
			}
		}
	}
	return names
}

// conversation is HTTP/1.1 on one connection, as it stands on the wire: net/http hides
// what some clients stumble over.
type conversation struct {
	o    Options
	conn *tls.Conn
	tape *tape
	in   *bufio.Reader
}

func converse(o Options, conn *tls.Conn) *conversation {
	t := &tape{from: conn}
	return &conversation{o: o, conn: conn, tape: t, in: bufio.NewReader(t)}
}

func (c *conversation) close() { c.conn.Close() }

// tape keeps what is read.
type tape struct {
	from io.Reader
	kept bytes.Buffer
	err  error // of the last read
}

func (t *tape) Read(p []byte) (int, error) {
	if t.kept.Len() > maxHead+maxBody {
		return 0, errTooLong
	}
	var n int
	n, t.err = t.from.Read(p)
	t.kept.Write(p[:n])
	return n, t.err
}

// errHalf is of a connection that ends, or makes no sense, in the midst of an answer.
var errHalf = errors.New("half an answer")

// request is what is asked, with its lines as they are to stand.
type request struct {
	method, target string
	head           []field
	body           string
}

// do sends a request and reads its answer whole.
func (c *conversation) do(ctx context.Context, req request) (*reply, error) {
	start := c.o.Now()
	if err := c.conn.SetDeadline(time.Now().Add(c.o.Timeout)); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", req.method, req.target)
	for _, f := range req.head {
		fmt.Fprintf(&b, "%s: %s\r\n", f.name, f.value)
	}
	if req.body != "" || req.method == http.MethodPost {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(req.body))
	}
	b.WriteString("\r\n" + req.body)
	c.tape.kept.Reset()
	if _, err := io.WriteString(c.conn, b.String()); err != nil {
		return nil, err
	}
	a, err := c.read(req.method)
	if err != nil {
		if isTimeout(c.tape.err) {
			err = c.tape.err // what it broke off in says less
		} else if c.tape.kept.Len() > 0 {
			err = fmt.Errorf("%w: %w", errHalf, err)
		}
		return nil, err
	}
	a.took = c.o.Now().Sub(start)
	return a, nil
}

func (c *conversation) read(method string) (*reply, error) {
	a := &reply{}
	for range 6 {
		resp, err := http.ReadResponse(c.in, &http.Request{Method: method})
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= 200 {
			err = a.take(resp)
			resp.Body.Close()
			a.head = lastHead(c.tape.kept.Bytes(), len(a.interim))
			return a, err
		}
		resp.Body.Close()
		a.interim = append(a.interim, resp.StatusCode)
	}
	return nil, errors.New("no final answer after the interim ones")
}

func (a *reply) take(resp *http.Response) (err error) {
	a.status, a.length = resp.StatusCode, resp.ContentLength
	a.old = !resp.ProtoAtLeast(1, 1)
	a.chunked = slices.Contains(resp.TransferEncoding, "chunked")
	a.closing = resp.Close
	if a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1)); err == nil && len(a.body) > maxBody {
		err = errTooLong
	}
	return err
}

// lastHead reads the lines of a head as they are; so many others stand before it.
func lastHead(all []byte, before int) (lines []field) {
	for range before {
		_, all, _ = bytes.Cut(all, []byte("\r\n\r\n"))
	}
	end := bytes.Index(all, []byte("\r\n\r\n"))
	if end < 0 {
		if end = bytes.Index(all, []byte("\n\n")); end < 0 {
			end = len(all)
		}
	}
	_, head, _ := strings.Cut(string(all[:end]), "\n") // without the status line
	for line := range strings.Lines(head) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		if ok && len(lines) < maxLines {
			lines = append(lines, field{name, strings.TrimSpace(value)})
		}
	}
	return lines
}

// ends tells whether the other side closes the connection within a time.
func (c *conversation) ends(ctx context.Context, within time.Duration) bool {
	if c.conn.SetReadDeadline(time.Now().Add(within)) != nil {
		return true
	}
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	_, err := c.in.ReadByte()
	var timeout net.Error
	return err != nil && (!errors.As(err, &timeout) || !timeout.Timeout())
}
