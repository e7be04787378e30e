package msca

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Session is one TLS connection on which one account is logged in. Its methods
// may be called from several goroutines and then take turns. It must be closed.
type Session struct {
	client        *Client
	conn          *connection
	authorization string // of every request: Basic only, NTLM is the connection's

	mu   sync.Mutex // held for a whole request and its answer
	used time.Time  // when the last request ended; guarded by mu
}

// Close ends the connection, and a request that is on its way on it.
func (s *Session) Close() error { return s.conn.close() }

// idleBeforeLook is how long a connection may rest without being suspected.
const idleBeforeLook = time.Second

// Alive reports whether the session can take another request: false once the
// connection was closed by either side or an answer was left unread. After a rest
// it looks at the connection, which takes a millisecond.
func (s *Session) Alive() bool {
	if s.conn.closed.Load() {
		return false
	}
	if !s.mu.TryLock() {
		return true // busy
	}
	defer s.mu.Unlock()
	if s.client.opts.Now().Sub(s.used) < idleBeforeLook {
		return true
	}
	return s.conn.alive()
}

// errTimeUp is the cause of a context that ended because the phase's time was up,
// which tells it from one that the caller ended.
var errTimeUp = fmt.Errorf("time is up: %w", context.DeadlineExceeded)

// budget is the time that one request may take, or with phases of their own, no
// limit at all.
func (c *Client) budget(ctx context.Context) (context.Context, context.CancelFunc) {
	if d := c.opts.Timeouts.Request; d > 0 {
		return context.WithTimeoutCause(ctx, d, errTimeUp)
	}
	return context.WithCancel(ctx)
}

// leg runs one phase within its time, reports it, and makes an *Error of what
// went wrong. began is when the request's budget began.
func (c *Client) leg(ctx context.Context, began time.Time, phase Phase, page string, run func(context.Context, *Leg) error) error {
	start := c.opts.Now()
	leg := Leg{Phase: phase, URL: page, Start: start}
	limit := c.opts.Timeouts.of(phase)
	phaseCtx := ctx
	if c.opts.Timeouts.Request == 0 {
		began = start
		var cancel context.CancelFunc
		phaseCtx, cancel = context.WithTimeoutCause(ctx, limit, errTimeUp)
		defer cancel()
	}
	err := run(phaseCtx, &leg)
	end := c.opts.Now()
	leg.Duration = end.Sub(start)
	if err != nil {
		e := c.failure(phaseCtx, phase, err, end.Sub(began), limit)
		if e.URL == "" {
			e.URL = leg.URL
		}
		leg.Phase, leg.Err = e.Phase, e
	}
	c.report(ctx, leg)
	return leg.Err
}

func (c *Client) report(ctx context.Context, leg Leg) {
	if entry := c.opts.Logger.Check(-1, "CA leg"); entry != nil {
		entry.Write(legFields(leg)...)
	}
	if c.opts.Observe != nil {
		c.opts.Observe(ctx, leg)
	}
}

// page runs one leg on the logged-in connection.
func (s *Session) page(ctx context.Context, phase Phase, page string, run func(context.Context, *Leg) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.client
	ctx, cancel := c.budget(ctx)
	defer cancel()
	err := c.leg(ctx, c.opts.Now(), phase, page, run)
	s.used = c.opts.Now()
	return err
}

// get asks for a page below the CA's URL and accepts status 200 alone.
func (s *Session) get(ctx context.Context, leg *Leg, page string) (*answer, error) {
	req, err := s.client.request(ctx, http.MethodGet, page, "")
	if err != nil {
		return nil, err
	}
	return s.do(ctx, leg, req)
}

func (s *Session) do(ctx context.Context, leg *Leg, req *http.Request) (*answer, error) {
	if s.authorization != "" {
		req.Header.Set("Authorization", s.authorization)
	}
	a, err := s.conn.roundTrip(ctx, req)
	if err != nil {
		return nil, err
	}
	leg.Status, leg.Bytes = a.status, len(a.body)
	switch {
	case a.status == http.StatusOK && len(a.body) == 0:
		return nil, &Error{Kind: KindParse, Status: a.status, Err: errors.New("the answer's body is empty")}
	case a.status == http.StatusOK:
		return a, nil
	case a.status == http.StatusUnauthorized:
		return nil, &Error{
			Kind: KindForbidden, Status: a.status,
			Err: errors.New("the CA asks for a log-in on a connection that is logged in: the account may not read this page, or IIS's authPersistSingleRequest is on"),
		}
	}
	return nil, s.client.statusError(a)
}

// statusError is a status that means the same on every page.
func (c *Client) statusError(a *answer) *Error {
	e := &Error{Kind: KindHTTP, Status: a.status}
	switch {
	case a.status == http.StatusForbidden:
		e.Kind = KindForbidden
	case a.status == http.StatusNotFound:
		e.Kind = KindNotFound
	case a.status == http.StatusServiceUnavailable:
		e.Kind = KindServiceDown
	case a.status >= 300 && a.status < 400:
		e.Kind = KindRedirect
		e.Err = fmt.Errorf("to %q, which is not followed: credentials go to the configured CA alone", printableURL(a.header.Get("Location")))
	}
	return e
}

// printableURL keeps of a foreign URL what may stand in a log.
func printableURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "an unreadable place"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// request builds a request for page, an absolute URL below the CA's. With a form it
// is a POST's.
func (c *Client) request(ctx context.Context, method, page, form string) (*http.Request, error) {
	var body io.Reader
	if form != "" {
		body = strings.NewReader(form)
	}
	req, err := http.NewRequestWithContext(ctx, method, page, body)
	if err != nil {
		return nil, err
	}
	// Without the scheme's own port, as browsers and libcurl write it: IIS
	// echoes it in Location.
	req.Host = strings.TrimSuffix(c.url.Host, ":443")
	req.Header.Set("User-Agent", c.opts.UserAgent)
	req.Header.Set("Accept", "*/*")
	return req, nil
}
