package certsrv

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"ciscora/msca/ntlm"
)

// connection is the log-in of one connection: IIS knows who speaks by the
// connection a request comes on. HTTP/1.1 answers one request of it at a time, so
// it needs no lock.
type connection struct {
	begin      func() *ntlm.Exchange
	exchange   *ntlm.Exchange // nil until somebody logs in
	challenged bool           // and the answer to the challenge is due
	who        *ntlm.Identity // nil until logged in
	requests   int            // that have come
	styled     *mannerConn    // nil where heads are as net/http writes them
}

type connectionKey struct{}

func withConnection(ctx context.Context, c *connection) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// The sc-win32-status values of a refused log-in (docs/reference/certsrv.md 1.1).
const (
	win32AccessDenied  uint32 = 5
	win32NoCredentials uint32 = 0x8009030e // the type 1 leg
	win32LogonDenied   uint32 = 0x8009030c
	win32BadBindings   uint32 = 0x80090346
	win32InvalidToken  uint32 = 0x80090308
	win32NoAuthority   uint32 = 0x80090311 // no domain controller
)

// logIn returns who speaks on the request's connection, or the 401 to answer with.
// An Authorization header on a connection that is logged in starts over: the
// identity is gone whatever comes of it. Whoever logs in by SPNEGO gets its last
// token, into h, with whatever the answer is.
func logIn(h http.Header, r *http.Request) (*ntlm.Identity, *answer) {
	c, _ := r.Context().Value(connectionKey{}).(*connection)
	if c == nil {
		return nil, unauthorized(2, win32AccessDenied)
	}
	authorization := r.Header.Get("Authorization")
	if authorization == "" {
		if c.who == nil {
			return nil, unauthorized(2, win32AccessDenied)
		}
		return c.who, nil
	}
	c.who, c.challenged = nil, false
	scheme, text, _ := strings.Cut(authorization, " ")
	if c.exchange == nil {
		c.exchange = c.begin()
	}
	accept := c.exchange.Accept
	switch {
	case strings.EqualFold(scheme, "NTLM"):
		scheme = "NTLM"
	case strings.EqualFold(scheme, "Negotiate"):
		scheme, accept = "Negotiate", c.exchange.Negotiate
	default:
		return nil, unauthorized(2, win32AccessDenied)
	}
	token, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, unauthorized(1, win32InvalidToken)
	}
	reply, who, err := accept(token)
	value := scheme + " " + base64.StdEncoding.EncodeToString(reply)
	switch {
	case err != nil:
		return nil, unauthorized(1, refusal(err))
	case who == nil:
		c.challenged = true
		return nil, challenge(value)
	case reply != nil:
		h["WWW-Authenticate"] = []string{value} // not Go's spelling, but IIS's
	}
	c.who = who
	return who, nil
}

func refusal(err error) uint32 {
	switch {
	case errors.Is(err, ntlm.ErrBadBindings):
		return win32BadBindings
	case errors.Is(err, ntlm.ErrInvalidToken):
		return win32InvalidToken
	}
	return win32LogonDenied
}

// unauthorized is IIS's own 401, which lists the providers.
func unauthorized(sub int, win32 uint32) *answer {
	a := staticError(http.StatusUnauthorized, sub, win32)
	a.challenges = []string{"Negotiate", "NTLM"}
	return a
}

// challenge is the 401 of http.sys to a type 1 message, with the type 2 message and
// no other provider.
func challenge(value string) *answer {
	return &answer{
		status:      http.StatusUnauthorized,
		sub:         1,
		win32:       win32NoCredentials,
		server:      serverHTTPSys,
		contentType: "text/html; charset=us-ascii",
		challenges:  []string{value},
		body:        []byte(httpSysUnauthorized),
	}
}
