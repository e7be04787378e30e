package access

import (
	"context"
	"time"

	"ciscora/msca"
)

// TurnedAway says that the CA is not asked now: it is busy, or down.
type TurnedAway struct {
	RetryAfter time.Duration
	Text       string // for a client
	Err        error
}

func (e *TurnedAway) Error() string { return e.Err.Error() }

func (e *TurnedAway) Unwrap() error { return e.Err }

// Session is a connection to the CA that is logged in, for one request. Release it.
type Session struct {
	*msca.Session
	access *Access
	key    accountKey
	opened opening
	pooled bool
	leave  func(error)
}

// Session waits for a place at the CA and returns an authenticated connection of this
// identity's account, a kept one or a new one. Only its own credentials open or reuse
// it, and a new one only where they may be tried.
func (a *Access) Session(ctx context.Context, who *Identity) (*Session, error) {
	if a.pools(ctx, who) && a.accounts.keeps(who.key) {
		leave, err := a.Enter(ctx, a.lineOf(who), who.Method == "")
		if err != nil {
			return nil, err
		}
		if s, opened := a.accounts.take(who.key); s != nil {
			s.SetCredentials(who.creds)
			s.SetGate(a.gate(who))
			return &Session{Session: s, access: a, key: who.key, opened: opened, pooled: true, leave: leave}, nil
		}
		leave(nil)
	}
	return a.login(ctx, who, a.Enter)
}

// lineOf is the line in which an identity waits. Accounts that have proven nothing
// share one: made-up names must not get each its own turn.
func (a *Access) lineOf(who *Identity) string {
	if _, _, ok := a.accounts.proven(who.key, 0); ok || who.Method != MethodRelay {
		return "account " + who.Account
	}
	return "unproven"
}

// Login returns a new connection of this identity's account, whether or not there is
// a place: for what keeps the RA itself going.
func (a *Access) Login(ctx context.Context, who *Identity) (*Session, error) {
	return a.login(ctx, who, func(context.Context, string, bool) (func(error), error) { return func(error) {}, nil })
}

// attempt is a log-in that may be made now.
type attempt struct {
	// end is told what came of it.
	end func(context.Context, error)
	// alone: others wait for what comes of it, or it counts as wrong until that is known.
	alone bool
}

// begin waits until the credentials of an identity may be tried: all that log in do so
// by it.
func (a *Access) begin(ctx context.Context, who *Identity) (attempt, error) {
	isolated := a.Isolate(ctx)
	switch {
	case isolated && (a.guard.off() || who.Method != MethodRelay): // a refusal that a lab makes for one enrollment is nobody else's
		return attempt{end: func(context.Context, error) {}}, nil
	case who.Method != MethodRelay:
		end, alone, err := a.own.begin(ctx, who.creds.User, a.written(who.creds))
		return attempt{end: func(ctx context.Context, err error) {
			a.learn(who, err) // before those who wait go on
			if !a.guard.off() && verdictOf(err) == wasWrong {
				a.guard.blame(ctx, a.presentedTo(who))
			}
			end(ctx, err)
		}, alone: alone}, err
	case a.guard.off():
		return attempt{end: func(_ context.Context, err error) { a.learn(who, err) }}, nil
	}
	p := a.presentedTo(who)
	// Behind an enrollment with a fault there may be a real CA, which counts: so does the
	// door. The password itself may be right all the same.
	p.fixed = !isolated
	t, err := a.guard.enter(ctx, p)
	if err != nil {
		return attempt{}, err
	}
	return attempt{end: func(ctx context.Context, err error) {
		if !isolated {
			a.learn(who, err) // before those who wait go on
		}
		t.end(ctx, verdictOf(err), err)
	}, alone: t.release != nil}, nil
}

// learn keeps what a log-in tells of its credentials for others that have the same: the
// RA's own account may be a client's.
func (a *Access) learn(who *Identity, err error) {
	switch {
	case verdictOf(err) == wasWrong:
		a.accounts.forget(who.key)
	case err != nil:
	case who.Method == MethodRelay:
		a.own.vindicate(a.written(who.creds))
	case !a.guard.off():
		a.guard.remember(a.presentedTo(who).key)
	}
}

// written is a key of credentials, however the account's name is written.
func (a *Access) written(creds msca.Credentials) accountKey {
	creds.User = written(creds.User, a.own.homeDomain())
	return a.accounts.key(creds)
}

// presentedTo is the password that an identity brings to the CA.
func (a *Access) presentedTo(who *Identity) presented {
	creds, at, address := who.creds, accountAt(who.creds.User), who.client
	if a.Apart != nil && a.Apart(who.Label) {
		at, address = under(at, who.Label), address+underLabel+who.Label
		creds.Password = who.Label + "\x00" + creds.Password // another one, to the guard's memories
	}
	return presented{
		at: at, address: address, fixed: true,
		key: a.written(creds),
		said: func(reason Reason, cause error) *Error {
			return &Error{Reason: reason, Method: who.Method, Account: who.Account, Cause: cause}
		},
	}
}

// gate is begin for a session that logs in anew by itself.
func (a *Access) gate(who *Identity) msca.Gate {
	return func(ctx context.Context) (func(error), error) {
		x, err := a.begin(ctx, who)
		if err != nil {
			return nil, err
		}
		return func(err error) { x.end(ctx, err) }, nil
	}
}

// login logs in, at the place that enter gives.
func (a *Access) login(ctx context.Context, who *Identity, enter func(context.Context, string, bool) (func(error), error)) (*Session, error) {
	x, err := a.begin(ctx, who)
	if err != nil {
		return nil, err
	}
	leave, err := enter(ctx, a.lineOf(who), who.Method == "")
	if err != nil {
		x.end(ctx, err)
		return nil, err
	}
	s := &Session{access: a, key: who.key, opened: a.accounts.opens(), pooled: a.pools(ctx, who), leave: leave}
	if s.Session, err = a.open(ctx, who, x); err != nil {
		leave(err)
		return nil, err
	}
	s.SetGate(a.gate(who))
	if s.pooled {
		a.accounts.prove(who.key, s.opened)
	}
	return s, nil
}

// open makes the connection. A log-in that others wait for, or that counts as wrong until
// it is known to be right, does not end with its client: to hang up must not be a way to
// guess.
func (a *Access) open(ctx context.Context, who *Identity, x attempt) (*msca.Session, error) {
	if !x.alone {
		s, err := a.client.Login(ctx, who.creds)
		x.end(ctx, err)
		return s, err
	}
	type result struct {
		session *msca.Session
		err     error
	}
	results := make(chan result, 1)
	detached, done := a.background.Detach(ctx)
	a.background.Go(func() {
		defer done()
		s, err := a.client.Login(detached, who.creds)
		x.end(detached, err)
		results <- result{s, err}
	})
	select {
	case r := <-results:
		return r.session, r.err
	case <-ctx.Done():
		a.background.Go(func() {
			if r := <-results; r.err == nil {
				r.session.Close()
			}
		})
		return nil, ctx.Err()
	}
}

// Release keeps the connection for the next request of the same account, or closes it.
// Where the CA refused the account on it meanwhile, nothing vouches for that any more.
// It may be released once.
func (s *Session) Release() {
	defer s.leave(nil)
	if s.Refused() {
		s.access.accounts.forget(s.key)
	}
	if s.pooled {
		s.SetGate(nil)
		s.access.accounts.put(s.key, s.Session, s.opened)
		return
	}
	s.Close()
}

// pools tells whether the request of this context may use kept connections.
func (a *Access) pools(ctx context.Context, who *Identity) bool {
	return who.pooled && !a.Isolate(ctx)
}
