package est

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"time"

	"go.uber.org/zap"
)

// exchange is one request and its answer. It stands between the handlers and the
// connection to see what is written.
type exchange struct {
	http.ResponseWriter
	control *http.ResponseController

	server *Server
	style  style // the label's, once that is known
	id     string
	conn   int64
	client net.Addr
	local  net.Addr

	ctx      context.Context // the newest of the request's contexts, for the last event
	start    time.Time
	received Received
	pending  bool // there is a body, and nobody has tried to read it

	patience *patience // nil where nobody is kept waiting
	body     []byte    // where it was read before its turn; see bePatient

	enrolled bool // there is a certificate, and the answer was made of it
	status   int
	bytes    int64
	text     string
	err      error
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// RequestID returns the id of the request that ctx belongs to, "" if it belongs
// to none.
func RequestID(ctx context.Context) string {
	if x := exchangeOf(ctx); x != nil {
		return x.id
	}
	return ""
}

// Label returns the label in the path of the request that ctx belongs to, ""
// without one.
func Label(ctx context.Context) string {
	if x := exchangeOf(ctx); x != nil {
		return x.received.Label
	}
	return ""
}

// Operation returns the operation of the request that ctx belongs to, such as
// "simpleenroll"; "" where its path names none.
func Operation(ctx context.Context) string {
	if x := exchangeOf(ctx); x != nil {
		return x.received.Operation
	}
	return ""
}

// ServeHTTP serves one request. Where it is not [Server.Serve] that calls it, the
// limits of time on handshake and header are the caller's to set.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{
		ResponseWriter: w,
		control:        http.NewResponseController(w),
		server:         s,
		style:          s.style,
		id:             s.newID(),
		start:          s.now(),
		pending:        r.Body != nil && r.Body != http.NoBody,
	}
	x.conn, x.client, x.local = endpoints(r)
	x.ctx = context.WithValue(r.Context(), exchangeKey{}, x)
	r = r.WithContext(x.ctx)
	defer func() { s.finish(x, r, recover()) }()
	s.router.ServeHTTP(x, r)
}

// endpoints returns the connection's number and its two ends.
func endpoints(r *http.Request) (number int64, client, local net.Addr) {
	if c := connOf(r.Context()); c != nil {
		return c.number, c.RemoteAddr(), c.LocalAddr()
	}
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		client = net.TCPAddrFromAddrPort(ap)
	}
	local, _ = r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return 0, client, local
}

// finish ends a request: a handler's panic becomes a 500, what happened is
// reported and logged.
func (s *Server) finish(x *exchange, r *http.Request, panicked any) {
	defer func() { x.patience.end() }() // which a handler sets; behind what is reported here
	asError, _ := panicked.(error)
	cut := errors.Is(asError, http.ErrAbortHandler)
	if panicked != nil && !cut {
		x.err = fmt.Errorf("panic: %v", panicked)
		s.logger.Error("a handler panicked", zap.String("enrollment", x.id), zap.Any("panic", panicked), zap.ByteString("stack", debug.Stack()))
		if cut = x.status != 0; !cut {
			s.fail(x, x, r, x.err)
		}
	}
	// net/http reads what is left of a body before it answers or goes on: that,
	// too, must end.
	if x.pending {
		x.expectBody()
	}
	delivered := !cut && x.deliver()
	took := s.now().Sub(x.start)
	s.report(x.ctx, Answered{
		Origin: x.origin(), Received: x.received, Status: x.status, Text: x.text,
		Bytes: x.bytes, Duration: took, Err: x.err, Delivered: delivered,
	})
	s.logger.Info("request answered",
		zap.String("enrollment", x.id), zap.Int64("connection", x.conn), zap.Stringer("client", stringer{x.client}),
		zap.String("method", x.received.Method), zap.String("path", x.received.Path),
		zap.String("operation", x.received.Operation), zap.String("label", x.received.Label),
		zap.Int("status", x.status), zap.Int64("bytes", x.bytes), zap.Duration("took", took),
		// An error's text is what the client was told; what it wraps is for us.
		zap.Error(x.err), zap.NamedError("cause", errors.Unwrap(x.err)))
	if cut {
		panic(http.ErrAbortHandler) // net/http's way to end a connection without more words
	}
}

// deliver sends what of the answer is not sent yet, and tells whether it brought a
// certificate to the connection; see [Answered].
func (x *exchange) deliver() bool {
	gone := x.ctx.Err() != nil // before the answer, after which a client may well go
	ours, err := x.patience.finish()
	enrolled := x.enrolled && x.status == http.StatusOK && x.err == nil
	if enrolled && !ours {
		// net/http keeps the end of an answer in a buffer until the handler has
		// returned, and tells nobody that it could not be sent. Without a length the
		// end is not ours to send.
		if x.Header().Get("Content-Length") != strconv.FormatInt(x.bytes, 10) {
			return false
		}
		err = x.control.Flush()
	}
	if err != nil && x.err == nil {
		x.err = fmt.Errorf("the answer could not be sent: %w", err)
	}
	return enrolled && !gone && err == nil
}

// stringer is an address that may be missing.
type stringer struct{ addr net.Addr }

func (s stringer) String() string {
	if s.addr == nil {
		return ""
	}
	return s.addr.String()
}

// received notes and reports what was asked.
func (s *Server) received(x *exchange, r *http.Request, operation, label string) {
	x.received = Received{
		Origin: x.origin(),
		Method: r.Method, URI: r.RequestURI, Proto: r.Proto, Path: r.URL.Path,
		Operation: operation, Label: label,
		UserAgent: r.UserAgent(), Referer: r.Referer(), Length: r.ContentLength,
		Certificate: r.TLS != nil && len(r.TLS.VerifiedChains) > 0,
	}
	s.report(r.Context(), x.received)
}

func (x *exchange) origin() Origin {
	return Origin{ID: x.id, Conn: x.conn, Client: x.client, Server: x.local, Time: x.server.now()}
}

// Unwrap lets http.ResponseController reach the connection.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader notes the status.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && status >= 200 {
		x.status = status
	}
	if x.patience.takenOver() {
		if x.patience.status == 0 && status >= 200 {
			x.patience.status = status
		}
		return
	}
	x.ResponseWriter.WriteHeader(status)
}

// FlushError sends what was written so far.
func (x *exchange) FlushError() error {
	if x.patience.takenOver() {
		return nil // it goes as one
	}
	return x.control.Flush()
}

// Write counts the body's bytes.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	if x.patience.takenOver() {
		x.bytes += int64(len(b))
		return x.patience.body.Write(b)
	}
	n, err := x.ResponseWriter.Write(b)
	x.bytes += int64(n)
	return n, err
}

// The deadlines below are the connection's, hence of the system's clock. Where
// the handler runs on something without deadlines (a test's recorder), there is
// nothing to bound.

// expectBody bounds the reading of the body from now on.
func (x *exchange) expectBody() {
	_ = x.control.SetReadDeadline(time.Now().Add(x.server.limits.BodyTimeout))
}

// expectWrites bounds the writing of what is sent from now on: the interim answer
// that a client with Expect: 100-continue gets when its body is read, or the
// answer.
func (x *exchange) expectWrites() {
	_ = x.control.SetWriteDeadline(time.Now().Add(x.server.limits.AnswerTimeout))
}

// bodyDone lifts the bound again: from now on net/http reads ahead to notice a
// client that goes away, which may rightly be silent for long.
func (x *exchange) bodyDone() {
	_ = x.control.SetReadDeadline(time.Time{})
}

// closeAfter ends the connection after the answer.
func (x *exchange) closeAfter() { x.Header().Set("Connection", "close") }

// oneWrite is how long a body may be to leave net/http in one piece with its
// header, whose buffer takes 4 KiB.
const oneWrite = 3 << 10

// write sends an answer with its length, never in chunks (docs/reference/libest.md
// L2), and in as few TLS records as can be: strongSwan 5.9.8 reads twice, at most
// 1 KiB and then what is missing, and gives up where the second read returns the
// rest of a record and another one is still on its way. So an answer is one
// record, or its header is one and its body another.
func (x *exchange) write(w http.ResponseWriter, r *http.Request, status int, body []byte) error {
	x.expectWrites()
	if status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	if r.Method == http.MethodHead || len(body) == 0 {
		return nil
	}
	if len(body) > oneWrite {
		_ = http.NewResponseController(w).Flush() // where that is impossible there are no records either
	}
	_, err := w.Write(body) //nolint:gosec // text/plain or base64: no browser runs it
	return err
}

// succeed answers with der in base64.
func (s *Server) succeed(x *exchange, w http.ResponseWriter, r *http.Request, contentType string, der []byte) {
	h := w.Header()
	x.style.success(h)
	h.Set("Content-Type", contentType)
	if err := x.write(w, r, http.StatusOK, encodeBase64(der, s.base64.single(r))); err != nil {
		x.err = fmt.Errorf("the answer could not be sent: %w", err)
	}
}

// fail answers with what err says.
func (s *Server) fail(x *exchange, w http.ResponseWriter, r *http.Request, err error) {
	x.err = err
	a := x.answerTo(r, err)
	if a.silent {
		panic(http.ErrAbortHandler)
	}
	h := w.Header()
	if a.challenge {
		// Not Set, which would write Www-Authenticate (docs/reference/libest.md L3).
		h["WWW-Authenticate"] = []string{s.challenge}
		if len(a.offers) > 0 {
			h["WWW-Authenticate"] = a.offers
		}
	}
	if a.allow != "" {
		h.Set("Allow", a.allow)
	}
	if a.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(a.retry))
	}
	var body string
	if a.status != http.StatusNoContent {
		body = x.style.failure(h, a)
	}
	if a.challenge && body != "" && r.UserAgent() == "" && presentedBy(r) == credentialsAbsent {
		// Bouncy Castle's client (1.72), which has no name, does not read the text of
		// a challenge, and gives up because there is some.
		body = ""
		h["Content-Type"] = nil
	}
	x.text = body
	// A client that cannot be written to is gone; err remains what is reported.
	_ = x.write(w, r, a.status, []byte(body))
}
