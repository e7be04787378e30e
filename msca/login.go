package msca

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"ciscora/msca/ntlm"
)

// Login opens a connection to the CA and logs in on it: resolve, connect,
// handshake, login, each with its own time. The type 1 message goes out with the
// first request, as libcurl sends it (docs/reference/windows-auth.md 5); the page's
// redirect to itself with a final slash is not followed, it says that the log-in is
// done. The credentials are tried once. Errors are *Error; of the log-in itself
// KindAuthRejected, KindAuthScheme, KindRedirect and those of the status.
func (c *Client) Login(ctx context.Context, cred Credentials) (*Session, error) {
	if cred.User == "" {
		return nil, &Error{Phase: PhaseLogin, Kind: KindInput, URL: c.base, Err: errors.New("the user name is empty")}
	}
	ctx, cancel := c.budget(ctx)
	defer cancel()
	on := errand{began: c.opts.Now(), page: c.base}
	conn, err := c.open(ctx, on)
	if err != nil {
		return nil, err
	}
	s := &Session{client: c, cred: cred}
	s.conn.Store(conn)
	if err := c.leg(ctx, on, PhaseLogin, func(ctx context.Context, leg *Leg) error {
		unanswered, err := c.logIn(ctx, leg, conn, cred)
		if unanswered {
			err = &unansweredError{err}
		}
		return err
	}); err != nil {
		conn.kill()
		return nil, err
	}
	s.used = c.opts.Now()
	return s, nil
}

// open makes a connection on which nobody is logged in.
func (c *Client) open(ctx context.Context, on errand) (*connection, error) {
	raw, err := c.connect(ctx, on)
	if err != nil {
		return nil, err
	}
	w := newWire(raw, c.opts.Timeouts.unacknowledged())
	conn, err := c.handshake(ctx, on, w)
	if err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}

// connect resolves the host and opens a TCP connection to the first address that
// takes one.
func (c *Client) connect(ctx context.Context, on errand) (net.Conn, error) {
	host, port := c.url.Hostname(), c.port()
	targets := []string{net.JoinHostPort(host, port)}
	if _, err := netip.ParseAddr(host); err != nil && c.opts.Resolve != nil {
		err := c.leg(ctx, on, PhaseResolve, func(ctx context.Context, _ *Leg) error {
			addrs, err := c.opts.Resolve(ctx, host)
			if err != nil {
				return err
			}
			if len(addrs) == 0 {
				return &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
			}
			targets = targets[:0]
			for _, a := range addrs[:min(len(addrs), 16)] {
				targets = append(targets, net.JoinHostPort(a.Unmap().String(), port))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	var conn net.Conn
	err := c.leg(ctx, on, PhaseConnect, func(ctx context.Context, _ *Leg) (err error) {
		conn, err = c.dialAny(ctx, targets)
		return err
	})
	return conn, err
}

// dialAny tries the addresses in turn and shares the time that is left among them,
// so that a black hole in front does not use it up. The first error is the one
// that counts, as the first address is the preferred one.
func (c *Client) dialAny(ctx context.Context, targets []string) (net.Conn, error) {
	var first error
	for i, target := range targets {
		tryCtx, cancel := ctx, context.CancelFunc(func() {})
		if deadline, ok := ctx.Deadline(); ok && i < len(targets)-1 {
			share := time.Until(deadline) / time.Duration(len(targets)-i)
			tryCtx, cancel = context.WithTimeout(ctx, share)
		}
		conn, err := c.opts.Dial(tryCtx, "tcp", target)
		cancel()
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

func (c *Client) handshake(ctx context.Context, on errand, raw *wire) (*connection, error) {
	var t *tls.Conn
	trace := c.traced()
	err := c.leg(ctx, on, PhaseHandshake, func(ctx context.Context, _ *Leg) error {
		cfg := c.tls
		if c.opts.Trust != nil {
			var err error
			if cfg, err = c.clientTLS(); err != nil {
				return err
			}
		}
		t = tls.Client(raw, cfg)
		start := c.opts.Now()
		err := t.HandshakeContext(ctx)
		trace.handshake(ctx, start, t, cfg.ServerName, err)
		return err
	})
	if err != nil {
		return nil, err
	}
	conn := newConnection(raw, t)
	conn.trace = trace
	return conn, nil
}

// unansweredError is the end of a request that carried credentials.
type unansweredError struct{ error }

func (e *unansweredError) Unwrap() error { return e.error }

// logIn sends both legs of a log-in, with the CA's own URL. unanswered: the second one,
// with the credentials, may have left, and no answer came.
func (c *Client) logIn(ctx context.Context, leg *Leg, conn *connection, cred Credentials) (unanswered bool, err error) {
	authorization := c.scheme.opening()
	var a *answer
	for range 2 {
		req, err := c.request(ctx, http.MethodGet, c.base, "")
		if err != nil {
			return false, err
		}
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		proving := a != nil
		if a, err = conn.roundTrip(ctx, req, ""); err != nil {
			return proving, err
		}
		leg.Status, leg.Bytes = a.status, len(a.body)
		if proving {
			break
		}
		if authorization, err = c.proof(a, conn, cred); err != nil {
			return false, err
		}
	}
	switch {
	case a.status == http.StatusUnauthorized:
		return false, c.rejected(a)
	case a.status == http.StatusOK, a.status >= 300 && a.status < 400 && !c.elsewhere(a):
		return false, nil
	}
	return false, c.statusError(a)
}

// proof is the Authorization that answers the CA's challenge, which is what a must
// be.
func (c *Client) proof(a *answer, conn *connection, cred Credentials) (string, error) {
	switch {
	case a.status < 400 && !c.elsewhere(a):
		// Whoever gets in without credentials has not shown any: to relay
		// somebody's password here would accept every password.
		return "", &Error{Kind: KindAuthScheme, Status: a.status, Err: errors.New("the CA asks for no log-in: anonymous access to its pages must be off")}
	case a.status != http.StatusUnauthorized:
		return "", c.statusError(a)
	case conn.closed.Load():
		return "", &Error{Kind: KindClosed, Status: a.status, Err: errors.New("the CA, or a proxy before it, closes the connection in the midst of the log-in")}
	}
	challenge, err := c.scheme.challenge(a.header)
	if err != nil {
		return "", &Error{Kind: KindAuthScheme, Status: a.status, Err: err}
	}
	var binding []byte
	if c.opts.ChannelBinding {
		binding = ntlm.ChannelBinding(conn.tls.ConnectionState().PeerCertificates[0])
	}
	authorization, err := c.scheme.answer(challenge, cred, binding)
	if err != nil {
		return "", &Error{Kind: KindAuthScheme, Err: err}
	}
	return authorization, nil
}

// rejected is the error of a 401 that answers credentials.
func (c *Client) rejected(a *answer) *Error {
	e := &Error{Kind: KindAuthRejected, Status: a.status, Err: errors.New("user name or password is wrong, or the account is locked")}
	if c.scheme != schemeBasic && !c.opts.ChannelBinding {
		e.Err = errors.New("user name or password is wrong, the account is locked, or the CA requires a channel binding (Extended Protection)")
	}
	return e
}

// elsewhere reports whether an answer redirects to anything but the same pages with
// a final slash. Where TLS ends before IIS, that takes them for those of http at a port
// of its own: as the redirect is not followed, nothing goes there.
func (c *Client) elsewhere(a *answer) bool {
	if a.status < 300 || a.status >= 400 {
		return false
	}
	location := a.header.Get("Location")
	to, err := url.Parse(location)
	if err != nil || location == "" {
		return true
	}
	to = c.url.ResolveReference(to)
	samePort := to.Scheme == "http" || to.Scheme == "https" && portOf(to) == c.port()
	return !samePort || to.User != nil || !strings.EqualFold(to.Hostname(), c.url.Hostname()) ||
		!strings.EqualFold(strings.TrimRight(to.Path, "/"), strings.TrimRight(c.url.Path, "/"))
}

func (c *Client) port() string { return portOf(c.url) }

func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return "443"
}

func legFields(leg Leg) []zap.Field {
	f := []zap.Field{
		zap.String("phase", string(leg.Phase)), zap.String("url", leg.URL), zap.Duration("duration", leg.Duration),
		zap.Int("status", leg.Status), zap.Int("bytes", leg.Bytes),
	}
	if leg.For != "" {
		f = append(f, zap.String("for", string(leg.For)))
	}
	if leg.ReqID != 0 {
		f = append(f, zap.Int("req_id", leg.ReqID))
	}
	if leg.Err != nil {
		f = append(f, zap.Error(leg.Err))
	}
	return f
}
