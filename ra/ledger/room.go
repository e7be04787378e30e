package ledger

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// roomTold is for how long a row for which there was no room counts: a probe is smaller
// than a row, and may find room where a row finds none.
const roomTold = 30 * time.Second

// room remembers that the last new row found none.
type room struct{ last atomic.Pointer[noRoom] }

type noRoom struct {
	err error
	at  time.Time
}

// note is told how it ended to make a row.
func (r *room) note(err error) {
	switch {
	case err == nil:
		r.last.Store(nil)
	case isFull(err):
		r.last.Store(&noRoom{err, time.Now()})
	}
}

// trouble is why the last row could not be made, if it was lately.
func (r *room) trouble() error {
	if last := r.last.Load(); last != nil && time.Since(last.at) < roomTold {
		return last.err
	}
	return nil
}

// isFull tells whether a database says that nothing more goes into it (PostgreSQL's
// disk_full and read_only_sql_transaction; SQLITE_FULL, and the failed write that a
// quota is).
func isFull(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "53100" || pg.Code == "25006"
	}
	var lite *driver.Error
	return errors.As(err, &lite) && (lite.Code() == sqlite3.SQLITE_FULL || lite.Code() == sqlite3.SQLITE_IOERR_WRITE)
}
