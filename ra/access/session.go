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
	opened time.Time
	pooled bool
	leave  func(error)
}

// Session waits for a place at the CA and returns an authenticated connection of this
// identity's account, a kept one or a new one. Only its own credentials open or reuse
// it.
func (a *Access) Session(ctx context.Context, who *Identity) (*Session, error) {
	leave, err := a.Enter(ctx, a.lineOf(who), who.Method == "")
	if err != nil {
		return nil, err
	}
	s, err := a.session(ctx, who)
	if err != nil {
		leave(err)
		return nil, err
	}
	s.leave = leave
	return s, nil
}

// lineOf is the line in which an identity waits. Accounts that have proven nothing
// share one: made-up names must not get each its own turn.
func (a *Access) lineOf(who *Identity) string {
	if _, _, ok := a.accounts.proven(who.key, 0); ok || who.Method != MethodRelay {
		return "account " + who.Account
	}
	return "unproven"
}

func (a *Access) session(ctx context.Context, who *Identity) (*Session, error) {
	if a.pools(ctx, who) {
		if s, opened := a.accounts.take(who.key); s != nil {
			s.SetCredentials(who.creds)
			return &Session{Session: s, access: a, key: who.key, opened: opened, pooled: true}, nil
		}
	}
	return a.login(ctx, who)
}

// Login returns a new connection of this identity's account, whether or not there is
// a place: for what keeps the RA itself going.
func (a *Access) Login(ctx context.Context, who *Identity) (*Session, error) {
	return a.login(ctx, who)
}

func (a *Access) login(ctx context.Context, who *Identity) (*Session, error) {
	pooled := a.pools(ctx, who)
	began := a.Now()
	s, err := a.client.Login(ctx, who.creds)
	if err != nil {
		if Refused(err) {
			a.accounts.forget(who.key)
		}
		return nil, err
	}
	if pooled {
		a.accounts.prove(who.key, began)
	}
	return &Session{Session: s, access: a, key: who.key, opened: began, pooled: pooled}, nil
}

// Release keeps the connection for the next request of the same account, or closes it.
// Where the CA refused the account on it meanwhile, nothing vouches for that any more.
// It may be released once.
func (s *Session) Release() {
	if s.leave != nil {
		defer s.leave(nil)
	}
	if s.Refused() {
		s.access.accounts.forget(s.key)
	}
	if s.pooled {
		s.access.accounts.put(s.key, s.Session, s.opened)
		return
	}
	s.Close()
}

// pools tells whether the request of this context may use kept connections.
func (a *Access) pools(ctx context.Context, who *Identity) bool {
	return who.pooled && !a.Isolate(ctx)
}
