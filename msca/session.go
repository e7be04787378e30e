package msca

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Session is an account that is logged in, on one TLS connection at a time. Its
// methods may be called from several goroutines and then take turns. It must be
// closed.
//
// Where the CA has closed the connection before a byte of a request left, or answers
// 401 because the log-in is gone, the session logs in once more, on a new connection
// and on the request itself, as libcurl does. A request that only reads is also
// repeated when the connection ended without an answer to it.
type Session struct {
	client  *Client
	conn    atomic.Pointer[connection]
	closed  atomic.Bool // by Close
	broken  atomic.Bool // a connection of it failed, or was found without its log-in
	refused atomic.Bool // the CA refused its credentials

	mu   sync.Mutex  // held for a whole request and its answer; guards cred, gate, used and who sets conn
	cred Credentials // zero: forgotten
	gate Gate        // nil: credentials may be tried at any time
	used time.Time   // when the last request ended
}

// Close ends the connection, and a request that is on its way on it.
func (s *Session) Close() error {
	s.closed.Store(true)
	return s.conn.Load().close()
}

// Refused reports whether the CA refused the session's credentials when it logged in
// once more: the method that was called then failed with KindAuthRejected.
func (s *Session) Refused() bool { return s.refused.Load() }

// SetCredentials gives the session the credentials of its account again, or makes it
// forget them (the zero value), as befits one that is put aside: without them it does
// not log in anew. With Basic, which sends them with each request, it then fails.
func (s *Session) SetCredentials(cred Credentials) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cred = cred
}

// Gate decides whether credentials may be tried once more; ended is then told what came
// of it.
type Gate func(ctx context.Context) (ended func(error), err error)

// SetGate sets what the session asks before it logs in anew; nil: nobody. Where the gate
// refuses, nothing is sent, and the method that was called fails with KindFenced and the
// gate's error.
func (s *Session) SetGate(gate Gate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = gate
}

// idleBeforeLook is how long a connection may rest without being suspected, where
// it cannot be looked at without waiting.
const idleBeforeLook = time.Second

// Alive reports whether the session is worth keeping: false once its connection was
// closed by either side, an answer was left unread, or the CA answered 401 on it,
// even if a new connection took over then. It looks at the connection, which takes
// up to a millisecond.
func (s *Session) Alive() bool {
	conn := s.conn.Load()
	if s.broken.Load() || s.closed.Load() || conn.closed.Load() {
		return false
	}
	if !s.mu.TryLock() {
		return true // busy
	}
	defer s.mu.Unlock()
	return s.conn.Load().alive(s.rested())
}

// rested tells whether the connection was idle for some time; mu is held.
func (s *Session) rested() bool { return s.client.opts.Now().Sub(s.used) >= idleBeforeLook }

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

// errand is what a leg is for.
type errand struct {
	began time.Time // of the request's budget
	page  string    // the URL that is reported
	For   Phase     // of the page that a new connection is opened for; "" = for the log-in
}

// leg runs one phase within its time, reports it, and makes an *Error of what
// went wrong.
func (c *Client) leg(ctx context.Context, on errand, phase Phase, run func(context.Context, *Leg) error) error {
	leg := c.measure(ctx, on, phase, run)
	c.report(ctx, leg)
	return leg.Err
}

// measure is leg without the report.
func (c *Client) measure(ctx context.Context, on errand, phase Phase, run func(context.Context, *Leg) error) Leg {
	start := c.opts.Now()
	leg := Leg{Phase: phase, For: on.For, URL: on.page, Start: start}
	limit := c.opts.Timeouts.of(phase)
	phaseCtx := ctx
	if c.opts.Timeouts.Request == 0 {
		on.began = start
		var cancel context.CancelFunc
		phaseCtx, cancel = context.WithTimeoutCause(ctx, limit, errTimeUp)
		defer cancel()
	}
	err := run(phaseCtx, &leg)
	end := c.opts.Now()
	leg.Duration = end.Sub(start)
	if err != nil {
		e := c.failure(phaseCtx, phase, err, end.Sub(on.began), limit)
		if e.URL == "" {
			e.URL = leg.URL
		}
		leg.Err = e
		if e.Kind == KindTimeout {
			leg.Limit = limit
		}
		if phase == PhaseConnect {
			leg.Phase = e.Phase // to dial may have been to look up the name
		}
	}
	return leg
}

func (c *Client) report(ctx context.Context, leg Leg) {
	if entry := c.opts.Logger.Check(-1, "CA leg"); entry != nil {
		entry.Write(legFields(leg)...)
	}
	if c.opts.Observe != nil {
		c.opts.Observe(ctx, leg)
	}
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
