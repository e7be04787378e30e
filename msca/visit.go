package msca

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
)

// visit is one call of a Session's method: one leg, with one request or a few.
type visit struct {
	s   *Session
	leg *Leg
	on  errand

	sent   bool // a byte of a form has left, and no 401 answered it
	proved bool // the last request carried credentials on a new connection
}

// page runs one leg on the logged-in connection.
func (s *Session) page(ctx context.Context, phase Phase, page string, run func(context.Context, *visit) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.client
	ctx, cancel := c.budget(ctx)
	defer cancel()
	v := &visit{s: s, on: errand{began: c.opts.Now(), page: page}}
	leg := c.measure(ctx, v.on, phase, func(ctx context.Context, leg *Leg) error {
		v.leg, v.on.For = leg, phase
		return run(ctx, v)
	})
	var e *Error
	if errors.As(leg.Err, &e) {
		e.Sent = v.sent
	}
	c.report(ctx, leg)
	s.used = c.opts.Now()
	return leg.Err
}

// query is one request for a page below the CA's.
type query struct {
	method, page string
	userAgent    string                      // "" = the client's
	form         string                      // of a POST
	fence        func(context.Context) error // called before the form is sent; nil = none
}

// get asks for a page and accepts status 200 alone.
func (v *visit) get(ctx context.Context, page string) (*answer, error) {
	return v.ask(ctx, query{method: http.MethodGet, page: page})
}

// post posts a form and accepts status 200 alone.
func (v *visit) post(ctx context.Context, page, form string, fence func(context.Context) error) (*answer, error) {
	return v.ask(ctx, query{method: http.MethodPost, page: page, form: form, fence: fence})
}

func (v *visit) ask(ctx context.Context, q query) (*answer, error) {
	a, err := v.send(ctx, q)
	if err != nil {
		return nil, err
	}
	switch {
	case a.status == http.StatusOK && len(a.body) == 0:
		return nil, &Error{Kind: KindParse, Status: a.status, Err: errors.New("the answer's body is empty")}
	case a.status == http.StatusOK:
		return a, nil
	case a.status == http.StatusUnauthorized:
		if v.proved {
			v.s.refused.Store(true)
			return nil, v.s.client.rejected(a)
		}
		return nil, &Error{
			Kind: KindForbidden, Status: a.status,
			Err: errors.New("the CA asks for a log-in on a connection that is logged in, and the session has no credentials any more"),
		}
	}
	return nil, v.s.client.statusError(a)
}

// send sends a request on the session's connection, or on a new one where that is
// gone, and logs in on it once more where the CA wants that.
func (v *visit) send(ctx context.Context, q query) (*answer, error) {
	s := v.s
	v.proved = false
	if conn := s.conn.Load(); conn.alive(s.rested()) {
		a, err := v.transfer(ctx, conn, q, q.form, s.client.scheme.standing(s.cred))
		if !v.again(ctx, q, a, err) {
			return a, err
		}
	} else if !s.renewable() {
		return nil, &transferError{err: fmt.Errorf("the CA closed it before: %w", net.ErrClosed), expected: -1}
	}
	if s.gate == nil {
		return v.logInAnew(ctx, q)
	}
	ended, err := s.gate(ctx)
	if err != nil {
		return nil, &Error{Kind: KindFenced, Err: err}
	}
	a, err := v.logInAnew(ctx, q)
	ended(v.logInFailure(a, err))
	return a, err
}

// logInAnew sends a request on a new connection.
func (v *visit) logInAnew(ctx context.Context, q query) (*answer, error) {
	conn, err := v.s.renew(ctx, v.on)
	if err != nil {
		return nil, err
	}
	return v.sendAnew(ctx, conn, q)
}

// logInFailure is what a request with a log-in in it tells of the log-in; nil: the CA
// took it, whatever it thought of the request.
func (v *visit) logInFailure(a *answer, err error) error {
	var ca *Error
	switch {
	case err == nil && a.status == http.StatusUnauthorized:
		return v.s.client.rejected(a)
	case err == nil:
		return nil
	case errors.As(err, &ca):
		return err
	}
	return &Error{Phase: PhaseLogin, Kind: KindClosed, Unanswered: v.proved, Err: err}
}

// again tells whether a request may be sent once more, on a new connection, after
// it ended so on one that was logged in.
func (v *visit) again(ctx context.Context, q query, a *answer, err error) bool {
	s := v.s
	if err == nil {
		// Before IIS runs a page it wants to know for whom.
		if a.status != http.StatusUnauthorized {
			return false
		}
		s.broken.Store(true)
		s.conn.Load().hangUp()
		return s.renewable()
	}
	s.broken.Store(true)
	var t *transferError
	if ctx.Err() != nil || !errors.As(err, &t) || !s.renewable() {
		return false
	}
	return !t.left || q.method == http.MethodGet && !t.begun
}

// renewable tells whether the session may open another connection; mu is held.
func (s *Session) renewable() bool { return s.cred.User != "" && !s.closed.Load() }

// renew opens another connection, on which nobody is logged in yet; mu is held.
func (s *Session) renew(ctx context.Context, on errand) (*connection, error) {
	conn, err := s.client.open(ctx, on)
	if err != nil {
		return nil, err
	}
	s.conn.Store(conn)
	if s.closed.Load() {
		conn.kill() // Close may have seen the one before
	}
	return conn, nil
}

// sendAnew sends a request on a new connection and logs in with it, as libcurl does
// (docs/reference/certsrv.md 1.1): with NTLM the form comes with the answer to the
// challenge, and the request before it has an empty body. With Basic the first
// log-in has shown that the CA wants one.
func (v *visit) sendAnew(ctx context.Context, conn *connection, q query) (*answer, error) {
	c, cred := v.s.client, v.s.cred
	authorization := c.scheme.standing(cred)
	if authorization == "" {
		a, err := v.transfer(ctx, conn, q, "", c.scheme.opening())
		if err == nil {
			authorization, err = c.proof(a, conn, cred)
		}
		if err != nil {
			v.s.broken.Store(true)
			conn.kill()
			return nil, err
		}
	}
	v.proved = true
	a, err := v.transfer(ctx, conn, q, q.form, authorization)
	if err != nil || a.status == http.StatusUnauthorized {
		v.s.broken.Store(true)
		conn.kill()
	}
	return a, err
}

// transfer sends a request with that form, or without one, and reads the answer.
func (v *visit) transfer(ctx context.Context, conn *connection, q query, form, authorization string) (*answer, error) {
	req, err := v.s.client.request(ctx, q.method, q.page, form)
	if err != nil {
		return nil, err
	}
	if q.userAgent != "" {
		req.Header.Set("User-Agent", q.userAgent)
	}
	if q.method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		// The URL as it was configured: with CES's the port stands in it.
		req.Header.Set("Referer", v.s.client.base+"/certrqxt.asp")
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	if form != "" && q.fence != nil {
		if err := q.fence(ctx); err != nil {
			v.s.broken.Store(true)
			conn.kill()
			return nil, &Error{Kind: KindFenced, Err: err}
		}
	}
	a, err := conn.roundTrip(ctx, req, form)
	if err == nil {
		v.leg.Status, v.leg.Bytes = a.status, len(a.body)
	}
	if form != "" {
		var t *transferError
		v.sent = err == nil && a.status != http.StatusUnauthorized || errors.As(err, &t) && t.left
	}
	return a, err
}
