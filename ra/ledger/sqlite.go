package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite", without cgo

	"ciscora/internal/filelock"
)

const sqliteReaders = 4

// sqlite is a ledger in one file, for one process.
type sqlite struct {
	write, read *sql.DB
	writer      *writer // nil: it is only read
	reads       *prepared
	lock        io.Closer
	number      int64 // of this process in replicas
	now         func() time.Time
	path        string
	file        os.FileInfo // of path when it was opened; nil: it is no file, or only read
}

func openSQLite(ctx context.Context, path string, l *Ledger) (_ store, err error) {
	s := &sqlite{lock: nothing{}, now: l.now, path: path}
	name := path
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("ledger %s: %w", name, err), s.close())
		}
	}()
	// NORMAL: a commit outlives a kill of the process, and a power cut once the
	// next durable one is written (writer).
	pragmas := "_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)"
	if path == ":memory:" {
		// Each connection would have a memory of its own.
		if s.write, err = sql.Open("sqlite", ":memory:"); err != nil {
			return nil, err
		}
		s.read = s.write
	} else {
		if err := checkFile(path); err != nil {
			return nil, err
		}
		lock, err := filelock.Take(path + ".lock")
		switch {
		case errors.Is(err, filelock.ErrHeld):
			return nil, fmt.Errorf("is %w: end that one, or give this one a ledger of its own; several replicas need PostgreSQL", err)
		case err != nil:
			return nil, err
		}
		s.lock = lock
		tighten(path, l.log)
		if err := checkContent(ctx, path); err != nil {
			return nil, err
		}
		if err := makeFile(path); err != nil {
			return nil, err
		}
		if s.write, err = sql.Open("sqlite", fileURL(path, pragmas+"&_txlock=immediate")); err != nil {
			return nil, err
		}
		if s.read, err = sql.Open("sqlite", fileURL(path, pragmas+"&_pragma=query_only(1)")); err != nil {
			return nil, err
		}
		s.read.SetMaxOpenConns(sqliteReaders)
		s.read.SetMaxIdleConns(sqliteReaders)
	}
	s.write.SetMaxOpenConns(1) // SQLite has one writer
	if err := migrateSQLite(ctx, s.write); err != nil {
		return nil, err
	}
	if err := s.begin(ctx, l); err != nil {
		return nil, err
	}
	if path != ":memory:" {
		if s.file, err = os.Stat(path); err != nil {
			return nil, cause(err)
		}
	}
	s.reads = newPrepared(s.read)
	s.writer = startWriter(s.write, path != ":memory:")
	return s, nil
}

// begin makes this process the one that claims rows. The file's lock is ours, so
// whoever had claims has ended.
func (s *sqlite) begin(ctx context.Context, l *Ledger) error {
	if _, err := s.write.ExecContext(ctx, `DELETE FROM replicas`); err != nil {
		return err
	}
	result, err := s.write.ExecContext(ctx, `INSERT INTO replicas (name) VALUES ($1)`, l.replica)
	if err != nil {
		return err
	}
	if s.number, err = result.LastInsertId(); err != nil {
		return err
	}
	l.holding.begin(s.number)
	var reqID int
	if err := s.write.QueryRowContext(ctx, highestReqID).Scan(&reqID); err != nil {
		return err
	}
	l.highest.begin(reqID)
	old, err := anyOfVersion1(ctx, s.write)
	l.version1.Store(old)
	return err
}

// anyOfVersion1 tells whether there are open rows that are known by their CSR.
func anyOfVersion1(ctx context.Context, db *sql.DB) (found bool, err error) {
	err = db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM requests WHERE open = 1 AND length(what) = 0)`).Scan(&found)
	return found, err
}

func openSQLiteReadOnly(ctx context.Context, path string, now func() time.Time) (_ store, err error) {
	s := &sqlite{lock: nothing{}, now: now}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("ledger %s: %w", path, err), s.close())
		}
	}()
	if err := checkReadable(path); err != nil {
		return nil, err
	}
	s.read, err = sql.Open("sqlite", fileURL(path, "mode=ro&_pragma=busy_timeout(5000)&_pragma=query_only(1)"))
	if err != nil {
		return nil, err
	}
	s.read.SetMaxOpenConns(sqliteReaders)
	if err := checkVersion(ctx, s.read); err != nil {
		return nil, err
	}
	s.reads = newPrepared(s.read)
	return s, nil
}

// ready notices that the file is no longer where it was: what is written into one that
// has no name is lost with this process, and with it what the CA has issued.
func (s *sqlite) ready(context.Context) error {
	if s.file == nil {
		return nil
	}
	now, err := os.Stat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the file %s is gone: put it back (this very file, not a copy), or restart the RA, which begins an empty one", s.path)
	case err != nil:
		return fmt.Errorf("the file %s: %w", s.path, cause(err))
	case !os.SameFile(now, s.file):
		return fmt.Errorf("the file %s is another one than the RA has opened: restart the RA, so that it uses this one, or put the old one back", s.path)
	}
	return nil
}

func (s *sqlite) probe(ctx context.Context, number int64, about string) (time.Time, error) {
	err := s.change(ctx, change{run: func(ctx context.Context, e execer) error {
		_, err := e.ExecContext(ctx, `UPDATE replicas SET about = $1 WHERE id = $2`, about, number)
		return err
	}})
	return s.now(), err
}

// unusableNow is nil: such a file is not opened, and nobody else changes it.
func (s *sqlite) unusableNow() error { return nil }

func (s *sqlite) ping(ctx context.Context) error { return s.read.PingContext(ctx) }

func (s *sqlite) rows(ctx context.Context, query string, values ...any) (*rows, error) {
	ctx, cancel := deadline(ctx)
	return newRows(func(err error) error { cancel(); return err })(s.read.QueryContext(ctx, query, values...))
}

func (s *sqlite) row(ctx context.Context, query string, values ...any) row {
	if ctx.Err() == nil {
		// A row is there at once. To watch for the end of ctx meanwhile costs more
		// than to read it.
		ctx = context.WithoutCancel(ctx)
	}
	return row{s.reads.row(ctx, query, values...), func(err error) error { return err }}
}

func (s *sqlite) change(ctx context.Context, c change) error {
	if s.writer == nil {
		return errors.New("it is opened for reading")
	}
	return s.writer.do(ctx, c)
}

func (s *sqlite) insert(ctx context.Context, before []statement, values []any) (int64, error) {
	inserted := make(chan int64, 2) // run is called twice at most
	err := s.change(ctx, change{several: len(before) > 0, run: func(ctx context.Context, e execer) error {
		for _, b := range before {
			if _, err := e.ExecContext(ctx, b.text, b.values...); err != nil {
				return err
			}
		}
		result, err := e.ExecContext(ctx, insertRow, values...)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err != nil || n == 0 {
			inserted <- 0
			return err
		}
		id, err := result.LastInsertId()
		inserted <- id
		return err
	}})
	if err != nil {
		return 0, err
	}
	id := <-inserted
	select {
	case id = <-inserted: // the first was rolled back
	default:
	}
	return id, nil
}

func (s *sqlite) member(context.Context) (int64, error) {
	if s.writer == nil {
		return 0, errors.New("it is opened for reading")
	}
	return s.number, nil
}

// take needs no write: what other processes must know of the claim, for `ra ledger
// resolve`, comes with the first Update.
func (s *sqlite) take(ctx context.Context, id, _ int64, _, _ string) (Row, bool, error) {
	row, err := scan(s.row(ctx, selectRow, id))
	return row, err == nil, err
}

func (s *sqlite) giveBack(abandoned) {}

// others are, for one who reads beside it, the process that has the file. That it
// was killed nobody sees before the next one starts.
func (s *sqlite) others(ctx context.Context) (map[int64]bool, error) {
	if s.writer != nil {
		return nil, nil
	}
	var number int64
	err := s.read.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM replicas`).Scan(&number)
	return map[int64]bool{number: true}, err
}

func (s *sqlite) verify(context.Context, int64) error { return nil }

func (s *sqlite) search(context.Context, int64) (func(), bool, error) {
	return func() {}, true, nil // holding knows
}

// clock is this process's: the file has no other.
func (s *sqlite) clock(place int) (string, []any) {
	return fmt.Sprintf("$%d", place), []any{micros(s.now())}
}

func (s *sqlite) skipLocked() string { return "" }

func (s *sqlite) close() error {
	var errs []error
	if s.writer != nil {
		// Who reads the file sees no claim then. It does not matter where it fails.
		_ = s.writer.do(context.Background(), change{run: func(ctx context.Context, e execer) error {
			_, err := e.ExecContext(ctx, `DELETE FROM replicas WHERE id = $1`, s.number)
			return err
		}})
		s.writer.close()
	}
	if s.reads != nil {
		s.reads.close()
	}
	if s.read != nil && s.read != s.write {
		errs = append(errs, s.read.Close())
	}
	if s.write != nil {
		errs = append(errs, s.write.Close())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

type nothing struct{}

func (nothing) Close() error { return nil }
