// Package ledger records what was asked of the CA, what the CA issued, and what
// reached the client that asked: one row a request. It is what makes sure that no
// certificate is lost and none is issued twice.
//
// An open row is joined by the same request: who asks (identity, label and
// template) for the same thing ([Request.What]). A unique index makes that hold
// across replicas.
//
// # Claims
//
// A row is worked on under a claim, which nobody else can have at that time. No
// clock of any machine decides about a claim. In one process a claim is an entry in
// a set in memory, and an SQLite file belongs to one process: whoever had claims
// before has ended. For PostgreSQL see replica.go: a claim ends at once when its
// process ends, and one that is held up loses its claims when others want them.
//
// # What is in it
//
// The ledger is an SQLite file for one RA, or a PostgreSQL database for several.
// No private key, password or token is ever in it: not even the CSR is, since a
// challengePassword may stand in that. What replicas must share that nobody else may
// know, the key of their nonces, is ([Ledger.Secret]).
package ledger

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

var (
	// ErrUnavailable says that the ledger cannot be used now: it is away, locked,
	// full or broken. It comes with the reason.
	ErrUnavailable = errors.New("the ledger cannot be used")
	// ErrUnusable says that no waiting makes the database a ledger of this version; it
	// comes within ErrUnavailable.
	ErrUnusable = errors.New("it is no ledger for this ra")
	// ErrNotFound says that there is no such row.
	ErrNotFound = errors.New("no such row in the ledger")
	// ErrLost says that a claim has ended, and that somebody else may have the row,
	// or that the row is gone.
	ErrLost = errors.New("the claim on the row is lost")
)

// DefaultLease is how long a replica that is held up keeps its claims.
const DefaultLease = 15 * time.Second

// Options is what a ledger is made of. All of it may be left out.
type Options struct {
	Replica string // names this process in its claims; "" = host name, process id and a random part
	// Lease is how long the other replicas on a PostgreSQL hear nothing of one that
	// is still connected before they take its claims; 0 = DefaultLease. All replicas
	// have the same. A replica whose connection has ended loses them at once.
	Lease time.Duration
	// About is what the other replicas are told of this one.
	About About
	// Observe is told what an operation of the database took, "read" or "write". It may
	// be called by several goroutines at a time; nil = nobody.
	Observe func(operation string, took time.Duration)
	Now     func() time.Time // for the times in the rows; nil = time.Now
	Logger  *zap.Logger      // nil = none
}

// Ledger is an open ledger, for any number of goroutines.
type Ledger struct {
	store   store
	replica string
	reader  bool // it only looks
	now     func() time.Time
	log     *zap.Logger
	observe func(operation string, took time.Duration)

	holding  *holding
	updates  updates
	version1 atomic.Bool // there are open rows of schema version 1
	highest  highest
	about    about
	room     room
	guessKey atomic.Pointer[counters]
}

// Open opens the ledger that dsn names.
//
// "sqlite:FILE" is opened, or made, at once; an error names the file, the reason
// and the remedy, and leaves the file as it was. "sqlite::memory:" is one that
// ends with the process. "postgres://..." is not asked for anything: the operations
// fail with ErrUnavailable until it is there, and with ErrUnusable, too, where it is no
// ledger of this version.
func Open(ctx context.Context, dsn string, o Options) (*Ledger, error) {
	l, err := newLedger(o)
	if err != nil {
		return nil, err
	}
	switch {
	case strings.HasPrefix(dsn, "sqlite:"):
		l.store, err = openSQLite(ctx, strings.TrimPrefix(dsn, "sqlite:"), l)
	case isPostgres(dsn):
		l.store, err = openPostgres(dsn, l, o.Lease)
	default:
		err = wrongDSN()
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// OpenReadOnly opens a ledger for looking, beside an RA that uses it. Nothing is
// made or changed; what writes fails.
func OpenReadOnly(ctx context.Context, dsn string, o Options) (*Ledger, error) {
	l, err := newLedger(o)
	if err != nil {
		return nil, err
	}
	l.reader = true
	path, isFile := strings.CutPrefix(dsn, "sqlite:")
	switch {
	case isPostgres(dsn):
		l.store, err = openPostgres(dsn, l, o.Lease)
	case isFile:
		l.store, err = openSQLiteReadOnly(ctx, path, l.now)
	default:
		err = wrongDSN()
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// wrongDSN does not quote it: a password may be in it.
func wrongDSN() error {
	return errors.New("want sqlite:FILE or the postgres:// address of a server")
}

func newLedger(o Options) (*Ledger, error) {
	l := &Ledger{replica: o.Replica, now: o.Now, log: o.Logger, observe: o.Observe, holding: newHolding(), about: about{told: o.About}}
	if l.now == nil {
		l.now = time.Now
	}
	if l.log == nil {
		l.log = zap.NewNop()
	}
	if l.observe == nil {
		l.observe = func(string, time.Duration) {}
	}
	if l.replica == "" {
		token, err := newToken()
		if err != nil {
			return nil, err
		}
		host, _ := os.Hostname() // a name for people; without it the rest still tells replicas apart
		l.replica = fmt.Sprintf("%s/%d/%s", host, os.Getpid(), token[:8])
	}
	return l, nil
}

func isPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

func newToken() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("ledger: read randomness: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// Ready returns nil when the ledger can be written, which it tries; it connects, and
// brings the table up to date, where that has not been done. An error wraps
// ErrUnavailable.
func (l *Ledger) Ready(ctx context.Context) error {
	if err := l.store.ready(ctx); err != nil {
		return unavailable(err)
	}
	if l.reader {
		return unavailable(l.store.ping(ctx))
	}
	number, err := l.store.member(ctx)
	if err != nil {
		return unavailable(err)
	}
	if err := l.tell(ctx, number); err != nil {
		return unavailable(err)
	}
	return unavailable(l.room.trouble())
}

// Close ends the use of the database, and all claims. Call it when nothing uses the
// ledger any more.
func (l *Ledger) Close() error { return l.store.close() }

// write is a change, and checks that the database is ready.
func (l *Ledger) write(ctx context.Context, c change) error {
	if err := l.store.ready(ctx); err != nil {
		return unavailable(err)
	}
	defer l.took("write", time.Now())
	return unavailable(l.store.change(ctx, c))
}

// took is to be deferred: it tells what an operation took that began then. The
// monotonic clock counts.
func (l *Ledger) took(operation string, began time.Time) { l.observe(operation, time.Since(began)) }

// unavailable wraps what a database says. The end of the caller's context stays
// visible to errors.Is.
func unavailable(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return ErrNotFound
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrNotFound), errors.Is(err, ErrLost), errors.Is(err, errNoRoom):
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
