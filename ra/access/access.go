// Package access finds out who asks: by the client's own credentials at the CA, by the
// RA's own users (Basic or Digest), or by a TLS client certificate. It keeps what the
// CA has proven about its accounts, the connections that log-ins left, and the guard
// that keeps clients with an old password from locking the CA's accounts; and it is the
// one place that uses the RA's own account.
//
// [Access.Authenticate] makes an [Identity] of a request, [Access.Session] a
// connection to the CA for an identity. Failures are of type [*Error]; what an EST
// client is told of them is package ra's business.
package access

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/singleflight"

	"ciscora/internal/owner"
	"ciscora/msca"
	"ciscora/ra/access/revocation"
	"ciscora/ra/ledger"
)

// Options says who may ask.
type Options struct {
	// Credentials returns the RA's own account at the CA, for start-up and
	// maintenance and for clients without a password to relay. It is called
	// before each use, so a changed file takes effect.
	Credentials func() (msca.Credentials, error)
	// Methods are tried in this order; the first one for which the request
	// carries something decides. None = MethodRelay.
	Methods []Method
	// Users and Digest, or one of them, are those of MethodUsers.
	Users  *Users
	Digest *DigestUsers
	// Revocation tells which client certificates are revoked; nil: nobody asks. Close
	// closes it.
	Revocation *revocation.Checker
	// Lockout guards the CA's accounts and the users.
	Lockout Lockout
	// Ledger is where replicas count together for Lockout.
	Ledger *ledger.Ledger
	// OwnRefused, where set, is told when the CA refuses the RA's own account.
	OwnRefused func(OwnRefusal)
	// Pooled keeps the connections of the RA's own account; for those of clients,
	// their label says it.
	Pooled bool
	// Vouch is how long a log-in stands for the credentials it was made with;
	// then they are tried anew. Only with kept connections; 0 means a minute.
	Vouch time.Duration
	// Idle is how many authenticated connections are kept per account; 0 means 8.
	Idle int
	// CheckTemplate lets nobody in for whose account certrqxt.asp does not list the
	// template, as CES does. The page is no list of what the CA issues: it leaves out
	// machine templates and newer versions, and a stand-alone CA lists none.
	CheckTemplate bool
	// Refresh is how old a template list may be. 0 means any age; the one of the
	// RA's own account is read anew after an hour then.
	Refresh time.Duration
	// Isolate tells whether the request that a context belongs to gets connections
	// to the CA of its own, never kept ones; nil: none does.
	Isolate func(context.Context) bool
	// Apart, where set, tells labels whose clients' refused log-ins are counted apart from
	// all others', as those of another RA: in a lab, whose tests run at the same time.
	Apart func(label string) bool
	// Generation, where set, grows when the kept connections, and what log-ins have
	// proven, are to be used no more: in a lab, where what a new connection meets has
	// changed. It is called under a lock and must not wait.
	Generation func() uint64
	// Enter waits for a place at the CA for an account, behind the others where it is
	// for the background; leave gives it back, and tells how the connection came
	// about. nil: there is always one. Its errors pass through: [*TurnedAway].
	Enter func(ctx context.Context, account string, background bool) (leave func(error), err error)
	Now   func() time.Time
}

// Access knows who may ask. It is safe for concurrent use.
type Access struct {
	Options
	client *msca.Client

	accounts *accounts
	guard    *guard
	own      *own

	// background are the log-ins that several clients wait for.
	background *owner.Owner
	// logins joins the log-ins of clients that ask at once with the same
	// credentials: one refused password then counts once at the CA.
	logins singleflight.Group
}

// New makes an Access to the CA of this client; nothing is sent before somebody asks.
// It fails where the options cannot work.
func New(client *msca.Client, o Options) (*Access, error) {
	if o.Credentials == nil {
		return nil, errors.New("no credentials for the CA: set Options.Credentials")
	}
	if len(o.Methods) == 0 {
		o.Methods = []Method{MethodRelay}
	}
	if o.Users == nil && o.Digest == nil && slices.Contains(o.Methods, MethodUsers) {
		return nil, errors.New("no file of users: set Options.Users")
	}
	if o.Lockout.Failures > 0 && o.Ledger == nil {
		return nil, errors.New("a guard counts in the ledger: set Options.Ledger, or no Options.Lockout")
	}
	if o.Vouch == 0 {
		o.Vouch = time.Minute
	}
	if o.Idle == 0 {
		o.Idle = 8
	}
	if o.Isolate == nil {
		o.Isolate = func(context.Context) bool { return false }
	}
	if o.Enter == nil {
		o.Enter = func(context.Context, string, bool) (func(error), error) { return func(error) {}, nil }
	}
	if o.Generation == nil {
		o.Generation = func() uint64 { return 0 }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	return &Access{
		Options: o, client: client, background: owner.New(),
		accounts: newAccounts(key, o),
		guard:    newGuard(o.Lockout, o.Ledger, key, o.Now),
		own:      newOwn(o),
	}, nil
}

// Close ends the log-ins that are under way for several clients and closes the kept
// connections.
func (a *Access) Close() {
	a.background.Close()
	a.accounts.close()
	if a.Revocation != nil {
		a.Revocation.Close()
	}
}
