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
// first request, as libcurl sends it (reference: windows-auth.md 5); the page's
// redirect to itself with a final slash is not followed, it says that the log-in is
// done. The credentials are tried once. Errors are *Error; of the log-in itself
// KindAuthRejected, KindAuthScheme, KindRedirect and those of the status.
func (c *Client) Login(ctx context.Context, cred Credentials) (*Session, error) {
	if cred.User == "" {
		return nil, &Error{Phase: PhaseLogin, Kind: KindInput, URL: c.base, Err: errors.New("the user name is empty")}
	}
	caller := ctx
	ctx, cancel := c.budget(caller)
	defer cancel()
	began := c.opts.Now()

	raw, err := c.connect(ctx, began)
	if err != nil {
		return nil, err
	}
	conn, err := c.handshake(ctx, began, raw)
	if err != nil {
		raw.Close()
		return nil, err
	}
	s := &Session{client: c, conn: conn}
	if err := c.leg(ctx, began, PhaseLogin, c.base, func(ctx context.Context, leg *Leg) error {
		return s.logIn(ctx, leg, cred)
	}); err != nil {
		conn.kill()
		return nil, err
	}
	s.used = c.opts.Now()
	return s, nil
}

// connect resolves the host and opens a TCP connection to the first address that
// takes one.
func (c *Client) connect(ctx context.Context, began time.Time) (net.Conn, error) {
	host, port := c.url.Hostname(), c.port()
	targets := []string{net.JoinHostPort(host, port)}
	if _, err := netip.ParseAddr(host); err != nil && c.opts.Resolve != nil {
		err := c.leg(ctx, began, PhaseResolve, c.base, func(ctx context.Context, _ *Leg) error {
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
	err := c.leg(ctx, began, PhaseConnect, c.base, func(ctx context.Context, _ *Leg) (err error) {
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

func (c *Client) handshake(ctx context.Context, began time.Time, raw net.Conn) (*connection, error) {
	var t *tls.Conn
	err := c.leg(ctx, began, PhaseHandshake, c.base, func(ctx context.Context, _ *Leg) error {
		t = tls.Client(raw, c.tls)
		return t.HandshakeContext(ctx)
	})
	if err != nil {
		return nil, err
	}
	return newConnection(raw, t), nil
}

// logIn sends both legs on the session's connection.
func (s *Session) logIn(ctx context.Context, leg *Leg, cred Credentials) error {
	c := s.client
	a, err := s.attempt(ctx, leg, c.scheme.opening())
	if err != nil {
		return err
	}
	switch {
	case a.status < 400 && !c.elsewhere(a):
		// Whoever gets in without credentials has not shown any: to relay
		// somebody's password here would accept every password.
		return &Error{Kind: KindAuthScheme, Status: a.status, Err: errors.New("the CA asks for no log-in: anonymous access to its pages must be off")}
	case a.status != http.StatusUnauthorized:
		return c.statusError(a)
	case s.conn.closed.Load():
		return &Error{Kind: KindClosed, Status: a.status, Err: errors.New("the CA, or a proxy before it, closes the connection in the midst of the log-in")}
	}
	challenge, err := c.scheme.challenge(a.header)
	if err != nil {
		return &Error{Kind: KindAuthScheme, Status: a.status, Err: err}
	}
	var binding []byte
	if c.opts.ChannelBinding {
		binding = ntlm.ChannelBinding(s.conn.tls.ConnectionState().PeerCertificates[0])
	}
	authorization, err := c.scheme.answer(challenge, cred, binding)
	if err != nil {
		return &Error{Kind: KindAuthScheme, Err: err}
	}
	if a, err = s.attempt(ctx, leg, authorization); err != nil {
		return err
	}
	switch {
	case a.status == http.StatusUnauthorized:
		e := &Error{Kind: KindAuthRejected, Status: a.status, Err: errors.New("user name or password is wrong, or the account is locked")}
		if c.scheme != schemeBasic && !c.opts.ChannelBinding {
			e.Err = errors.New("user name or password is wrong, the account is locked, or the CA requires a channel binding (Extended Protection)")
		}
		return e
	case a.status == http.StatusOK, a.status >= 300 && a.status < 400 && !c.elsewhere(a):
		if c.scheme == schemeBasic {
			s.authorization = authorization
		}
		return nil
	}
	return c.statusError(a)
}

func (s *Session) attempt(ctx context.Context, leg *Leg, authorization string) (*answer, error) {
	req, err := s.client.request(ctx, http.MethodGet, s.client.base, "")
	if err != nil {
		return nil, err
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	a, err := s.conn.roundTrip(ctx, req)
	if err == nil {
		leg.Status, leg.Bytes = a.status, len(a.body)
	}
	return a, err
}

// elsewhere reports whether an answer redirects to anything but the same pages with
// a final slash.
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
	return to.Scheme != "https" || to.User != nil ||
		!strings.EqualFold(to.Hostname(), c.url.Hostname()) || portOf(to) != c.port() ||
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
	if leg.ReqID != 0 {
		f = append(f, zap.Int("req_id", leg.ReqID))
	}
	if leg.Err != nil {
		f = append(f, zap.Error(leg.Err))
	}
	return f
}
