package access

import (
	"context"
	"time"

	"ciscora/msca"
)

// Session is a connection to the CA that is logged in, for one request. Release it.
type Session struct {
	*msca.Session
	access *Access
	key    accountKey
	opened time.Time
	pooled bool
}

// Session returns an authenticated connection of this identity's account, a kept one
// or a new one. Only its own credentials open or reuse it.
func (a *Access) Session(ctx context.Context, who *Identity) (*Session, error) {
	if a.pools(ctx, who) {
		if s, opened := a.accounts.take(who.key); s != nil {
			s.SetCredentials(who.creds)
			return &Session{Session: s, access: a, key: who.key, opened: opened, pooled: true}, nil
		}
	}
	return a.Login(ctx, who)
}

// Login returns a new connection of this identity's account.
func (a *Access) Login(ctx context.Context, who *Identity) (*Session, error) {
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

// Pooled tells whether the connection is one of those that are kept: it may have
// served another request before.
func (s *Session) Pooled() bool { return s.pooled }

// Release keeps the connection for the next request of the same account, or closes it.
// It may be released once.
func (s *Session) Release() {
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
