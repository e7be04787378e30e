package msca

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// Trace hears what goes over the wire, for whoever shows that. Its functions are called
// on the goroutine of the caller of the Session, before the leg is reported that they
// are part of. They get what was sent and received as it was: whoever keeps it must
// leave out the credentials. A nil Trace costs nothing.
type Trace struct {
	// Handshake is told how TLS with the CA ended.
	Handshake func(ctx context.Context, h Handshake)
	// Exchange is told of each request and its answer.
	Exchange func(ctx context.Context, x Exchange)
}

// Handshake is TLS with the CA.
type Handshake struct {
	Local, Remote net.Addr
	Start         time.Time
	Duration      time.Duration
	Name          string              // that the certificate must have
	State         tls.ConnectionState // as far as it came
	Err           error
}

// Exchange is one request and its answer. Nothing of it may be changed.
type Exchange struct {
	Local, Remote net.Addr
	Start         time.Time
	Duration      time.Duration
	Method, URI   string
	Request       http.Header
	Host          string
	Form          string      // of a POST
	Status        int         // 0 = no answer came whole
	Answer        http.Header // nil without one
	Body          []byte
	Err           error
}

// traced is one connection's trace; nil = nobody listens.
type traced struct {
	*Trace

	now func() time.Time
}

func (c *Client) traced() *traced {
	if c.opts.Trace == nil {
		return nil
	}
	return &traced{c.opts.Trace, c.opts.Now}
}

// handshake reports a handshake that began at start.
func (t *traced) handshake(ctx context.Context, start time.Time, conn *tls.Conn, name string, err error) {
	if t == nil || t.Handshake == nil {
		return
	}
	t.Handshake(ctx, Handshake{
		Local: conn.LocalAddr(), Remote: conn.RemoteAddr(), Start: start, Duration: t.now().Sub(start),
		Name: name, State: conn.ConnectionState(), Err: err,
	})
}

// exchange begins to watch a request; the result is called with its end.
func (t *traced) exchange(ctx context.Context, conn *tls.Conn, req *http.Request, form string) func(*answer, error) {
	if t == nil || t.Exchange == nil {
		return func(*answer, error) {}
	}
	start := t.now()
	return func(a *answer, err error) {
		x := Exchange{
			Local: conn.LocalAddr(), Remote: conn.RemoteAddr(), Start: start, Duration: t.now().Sub(start),
			Method: req.Method, URI: req.URL.RequestURI(), Request: req.Header, Host: req.Host, Form: form, Err: err,
		}
		if a != nil {
			x.Status, x.Answer, x.Body = a.status, a.header, a.body
		}
		t.Exchange(ctx, x)
	}
}

// DecidingMark returns the mark of a certsrv page that decides the outcome of a request, as
// the page has it; "" for a page that has none.
func DecidingMark(header http.Header, body []byte) string {
	return readPage(&answer{status: http.StatusOK, header: header, body: body}).mark
}
