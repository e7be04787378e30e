package ledger

import (
	"context"
	"database/sql"
	"time"
)

// store is a database with the ledger's tables in it.
type store interface {
	// ready returns nil once the database can be reached and is up to date.
	ready(context.Context) error
	ping(context.Context) error
	// unusableNow is why no waiting makes it ready, as it was last seen; or nil.
	unusableNow() error
	// probe writes what the replica of that number says of itself, and returns the
	// database's time.
	probe(ctx context.Context, number int64, about string) (clock time.Time, err error)

	// rows and row read. Where the caller has set no end they have one of their own.
	rows(ctx context.Context, query string, values ...any) (*rows, error)
	row(ctx context.Context, query string, values ...any) row
	// change writes. An error of its context says nothing about whether it was, or
	// will be, written.
	change(context.Context, change) error
	// insert is change with insertRow; 0 = there is an open row with that key.
	insert(ctx context.Context, before []statement, values []any) (id int64, err error)

	// member returns the number that this process makes its claims under, and
	// becomes a member where it is none.
	member(context.Context) (number int64, err error)
	// take makes a row that no claim of this process is on that of number; false
	// where another replica has a live claim on it. It returns the row as it is.
	take(ctx context.Context, id, number int64, token, replica string) (Row, bool, error)
	// giveBack ends a claim in the database that may or may not have got there.
	giveBack(abandoned)
	// others are the numbers of the other replicas whose claims are live.
	others(context.Context) (map[int64]bool, error)
	// verify returns nil while the claims under this number are surely live, ErrLost
	// where it is over.
	verify(ctx context.Context, number int64) error
	// search takes the right to search over all replicas for this one, and
	// returns what gives it back.
	search(ctx context.Context, number int64) (release func(), ok bool, err error)

	// clock is the time in SQL, for what several replicas must see alike: an expression
	// in which place is the number of the next value, and the values it needs.
	clock(place int) (expression string, values []any)
	// skipLocked ends a SELECT that passes over rows which somebody is changing.
	skipLocked() string

	close() error
}

type statement struct {
	text   string
	values []any
}

// change is something to be written.
type change struct {
	// run may be called twice, where what it did first was rolled back; a single
	// statement may even be run twice, and must bear that.
	run func(context.Context, execer) error
	// committed is called once it is written, also where nobody waits for it any
	// more. May be nil.
	committed func()
	// durable: it outlives a power cut.
	durable bool
	// several: it has more than one statement, all or none of which are written.
	several bool
}

type execer interface {
	ExecContext(ctx context.Context, query string, values ...any) (sql.Result, error)
}

// abandoned is a claim that is to end in the database: by the row's id, or where
// that is not known by its key.
type abandoned struct {
	id    int64
	key   []byte
	token string
}

// execOne runs one statement and returns how many rows it changed.
func execOne(ctx context.Context, e execer, text string, values ...any) (int64, error) {
	result, err := e.ExecContext(ctx, text, values...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
