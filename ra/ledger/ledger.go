// Package ledger records what was asked of the CA, what the CA issued, and what
// reached the client that asked: one row a request. It is what makes sure that no
// certificate is lost and none is issued twice.
//
// A row is worked on under a claim: whoever holds it has a lease that ends by
// itself, so that the claim of a killed process, or of a dead replica, frees
// itself. An open row is joined by the same request (the same CSR of the same
// identity, label and template); a unique index makes that hold across replicas,
// whose clocks must agree to within a second or two.
//
// The ledger is an SQLite file for one RA, or a PostgreSQL database for several.
// No private key, password or token is ever in it: not even the CSR is, since a
// challengePassword may stand in that.
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
	"time"

	"go.uber.org/zap"
)

var (
	// ErrUnavailable says that the ledger cannot be used now: it is away, locked,
	// full or broken. It comes with the reason.
	ErrUnavailable = errors.New("the ledger cannot be used")
	// ErrNotFound says that there is no such row.
	ErrNotFound = errors.New("no such row in the ledger")
	// ErrLost says that a claim has ended and somebody else has the row, or that
	// the row is gone.
	ErrLost = errors.New("the claim on the row is lost")
)

// DefaultLease is how long a claim lives without Extend.
const DefaultLease = 15 * time.Second

// Options is what a ledger is made of. All of it may be left out.
type Options struct {
	Replica string           // names this process in its claims; "" = host name, process id and a random part
	Lease   time.Duration    // how long a claim lives without [Ledger.Extend]; 0 = DefaultLease
	Now     func() time.Time // nil = time.Now
	Logger  *zap.Logger      // nil = none
}

// Ledger is an open ledger, for any number of goroutines.
type Ledger struct {
	store   store
	replica string
	lease   time.Duration
	now     func() time.Time
	log     *zap.Logger
}

// store is a database with the ledger's table in it.
type store interface {
	// ready returns nil once the database can be reached and has the table.
	ready(context.Context) error
	// writer and reader may be the same.
	writer() *sql.DB
	reader() *sql.DB
	// execDurably is ExecContext of the writer, and what it wrote outlives a power
	// cut.
	execDurably(ctx context.Context, statement string, values ...any) (sql.Result, error)
	close() error
}

// Open opens the ledger that dsn names.
//
// "sqlite:FILE" is opened, or made, at once; an error names the file, the reason
// and the remedy, and leaves the file as it was. "sqlite::memory:" is one that
// ends with the process. "postgres://..." may be away: Open succeeds all the
// same, and the operations fail with ErrUnavailable until it is there.
func Open(ctx context.Context, dsn string, o Options) (*Ledger, error) {
	l, err := newLedger(o)
	if err != nil {
		return nil, err
	}
	switch {
	case strings.HasPrefix(dsn, "sqlite:"):
		l.store, err = openSQLite(ctx, strings.TrimPrefix(dsn, "sqlite:"))
	case isPostgres(dsn):
		l.store, err = openPostgres(ctx, dsn, l.log)
	default:
		err = errors.New("want sqlite:FILE or the postgres:// address of a server") // not quoted: a password may be in it
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// OpenReadOnly opens a ledger for looking, beside an RA that uses it. Nothing is
// made or changed; what writes fails.
func OpenReadOnly(ctx context.Context, dsn string, o Options) (*Ledger, error) {
	if isPostgres(dsn) {
		return Open(ctx, dsn, o)
	}
	l, err := newLedger(o)
	if err != nil {
		return nil, err
	}
	l.store, err = openSQLiteReadOnly(ctx, strings.TrimPrefix(dsn, "sqlite:"))
	if err != nil {
		return nil, err
	}
	return l, nil
}

func newLedger(o Options) (*Ledger, error) {
	l := &Ledger{replica: o.Replica, lease: o.Lease, now: o.Now, log: o.Logger}
	if l.lease <= 0 {
		l.lease = DefaultLease
	}
	if l.now == nil {
		l.now = time.Now
	}
	if l.log == nil {
		l.log = zap.NewNop()
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

// Lease is how long a claim lives without Extend.
func (l *Ledger) Lease() time.Duration { return l.lease }

// Ready returns nil when the ledger can be used; it connects, and brings the
// table up to date, where that has not been done. An error wraps ErrUnavailable.
func (l *Ledger) Ready(ctx context.Context) error {
	if err := l.store.ready(ctx); err != nil {
		return unavailable(err)
	}
	return unavailable(l.store.writer().PingContext(ctx))
}

// Close ends the use of the database. Call it when nothing uses the ledger any
// more.
func (l *Ledger) Close() error { return l.store.close() }

// unavailable wraps what a database says. The end of the caller's context stays
// visible to errors.Is.
func unavailable(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return ErrNotFound
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrNotFound), errors.Is(err, ErrLost):
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
