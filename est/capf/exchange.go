package capf

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// operation is one of EST's, as libest's client knows it.
type operation struct {
	name        string
	method      string
	contentType string // of the answer; libest compares this much of it
}

var (
	cacerts        = operation{"cacerts", "GET", "application/pkcs7-mime"}
	simpleEnroll   = operation{"simpleenroll", "POST", "application/pkcs7-mime; smime-type=certs-only"}
	simpleReenroll = operation{"simplereenroll", "POST", "application/pkcs7-mime; smime-type=certs-only"}
)

// maxAnswer is libest's bound for a whole answer, header block included.
const maxAnswer = 2_000_000

// outcome is what an operation came to.
type outcome struct {
	verdict
	challenged bool
	resumed    bool
}

func (o outcome) failure() error {
	if o.err == nil {
		return nil // not a typed nil in an error
	}
	return o.err
}

// run sends the request without credentials and, if the server challenges for
// Basic, once more with them on a second connection. challenged, if not nil, is
// called between the two. /cacerts is never sent with credentials (see
// docs/reference/libest.md, "The client, as a server sees it").
func (c *Client) run(ctx context.Context, op operation, body payload, challenged func()) outcome {
	// One session cache for the two connections of one operation: the second
	// resumes, and no phone resumes another's session.
	sessions := tls.NewLRUClientSessionCache(1)

	raw, _, err := c.exchange(ctx, op, body, "", sessions)
	first := judge(op, raw, err)
	out := outcome{verdict: first, challenged: first.status == 401}
	if first.rv != StatusAuthFail || first.status != 401 || op.method == "GET" {
		return out
	}
	switch {
	case !first.basic:
		return out
	case c.opts.User == "":
		out.err.Reason = "the server asks for credentials and there are none; hand in user and password"
		return out
	}
	if challenged != nil {
		challenged()
	}
	authorization := "Basic " + base64.StdEncoding.EncodeToString([]byte(c.opts.User+":"+c.opts.Password))
	raw, resumed, err := c.exchange(ctx, op, body, authorization, sessions)
	out = outcome{verdict: judge(op, raw, err), challenged: true, resumed: resumed}
	if out.rv == StatusAuthFail {
		out.err.Reason = "the server refused the credentials"
	}
	return out
}

// exchange is one connection: the request, and the answer to its end. Its error
// is an *Error.
func (c *Client) exchange(ctx context.Context, op operation, makeBody payload, authorization string, sessions tls.ClientSessionCache) (raw []byte, resumed bool, err error) {
	fail := func(rv Status, reason string, below error) error {
		if ctx.Err() != nil {
			reason, below = "given up", context.Cause(ctx)
		}
		return &Error{Operation: op.name, RV: rv, Reason: reason, Err: below}
	}
	conn, rv, err := c.connect(ctx, sessions)
	if err != nil {
		return nil, false, fail(rv, "cannot connect to "+c.address, err)
	}
	defer func() {
		if err != nil {
			_ = conn.NetConn().Close() // no farewell to a peer that may not read
		}
		_ = conn.Close()
	}()
	// A read or write that waits ends with ctx.
	stop := context.AfterFunc(ctx, func() { _ = conn.NetConn().Close() })
	defer stop()

	resumed = conn.ConnectionState().DidResume
	body, err := makeBody(conn.ConnectionState())
	if err != nil {
		return nil, resumed, fail(StatusAuthFailTLSUID, "the CSR could not be tied to its connection", err)
	}
	_ = conn.SetWriteDeadline(time.Now().Add(c.opts.Timeout)) // a closed connection fails in Write
	// The first read counts from here: of two timers of the same length, the
	// client's and the one of a server that waits for its CA, the one that began
	// first ends first, as in the document's trace (docs/reference/ces.md F9).
	sent := time.Now()
	if _, err := conn.Write(c.header(op, len(body), authorization)); err != nil {
		return nil, resumed, fail(StatusSSLWrite, "the request could not be sent", err)
	}
	if len(body) > 0 {
		if _, err := conn.Write(body); err != nil {
			return nil, resumed, fail(StatusSSLWrite, "the request could not be sent", err)
		}
	}
	raw, rv, err = c.readToEnd(conn, sent)
	switch {
	case err == nil:
		return raw, resumed, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, resumed, fail(rv, fmt.Sprintf("no data from the server for %s, or no end of the answer", c.opts.Timeout), nil)
	default:
		return nil, resumed, fail(rv, "the answer could not be read", err)
	}
}

// header is the request's header block with libest's names in libest's order.
// No Content-Transfer-Encoding: libest sends none (docs/reference/libest.md L1).
func (c *Client) header(op operation, length int, authorization string) []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("%s %s%s HTTP/1.1", op.method, c.prefix, op.name)
	line("User-Agent: %s", c.opts.UserAgent)
	line("Connection: close")
	line("Host: %s", c.address)
	line("Accept: */*")
	if op.method == "POST" {
		line("Content-Type: application/pkcs10")
		line("Content-Length: %d", length)
	}
	if authorization != "" {
		line("Authorization: %s", authorization)
	}
	line("")
	return b.Bytes()
}

// readToEnd reads until the peer closes, be it with a TLS close or without:
// libest takes both for the end. The time-out is set anew for each read
// (docs/reference/libest.md L6); that of the first one began at began.
func (c *Client) readToEnd(conn *tls.Conn, began time.Time) ([]byte, Status, error) {
	var answer bytes.Buffer
	chunk := make([]byte, 16<<10)
	for ; ; began = time.Now() {
		if err := conn.SetReadDeadline(began.Add(c.opts.Timeout)); err != nil {
			return nil, StatusSSLRead, err
		}
		n, err := conn.Read(chunk)
		answer.Write(chunk[:n])
		switch {
		case answer.Len() > maxAnswer:
			return nil, StatusBufferTooSmall, fmt.Errorf("over %d bytes", maxAnswer)
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return answer.Bytes(), StatusNone, nil
		case err != nil:
			return nil, StatusSSLRead, err
		}
	}
}

// wrapBase64 is base64 in lines of 64 columns, each ended by a line feed.
func wrapBase64(der []byte) []byte {
	text := base64.StdEncoding.EncodeToString(der)
	var b strings.Builder
	for len(text) > 64 {
		b.WriteString(text[:64] + "\n")
		text = text[64:]
	}
	b.WriteString(text + "\n")
	return []byte(b.String())
}
