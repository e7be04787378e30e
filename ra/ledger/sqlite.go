package ledger

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite", without cgo
)

const (
	sqliteReaders = 4
	// quickCheckSize is up to which size a file is read whole at the start to see
	// whether it is in order; beyond, that takes too long.
	quickCheckSize = 64 << 20

	sqliteMagic     = "SQLite format 3\x00"
	sqliteVersionAt = 60 // of user_version in the file's header
)

// sqlite is a ledger in one file, for one process.
type sqlite struct {
	write, read *sql.DB
	lock        io.Closer
}

func openSQLite(ctx context.Context, path string) (_ store, err error) {
	if path == ":memory:" {
		// Each connection would have a memory of its own.
		db, err := sql.Open("sqlite", ":memory:")
		if err != nil {
			return nil, err
		}
		db.SetMaxOpenConns(1)
		if err := migrateSQLite(ctx, db); err != nil {
			return nil, errors.Join(err, db.Close())
		}
		return &sqlite{write: db, read: db, lock: nothing{}}, nil
	}
	if err := checkFile(path); err != nil {
		return nil, fmt.Errorf("ledger %s: %w", path, err)
	}
	s := &sqlite{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("ledger %s: %w", path, err), s.close())
		}
	}()
	if s.lock, err = lockFile(path + ".lock"); err != nil {
		return nil, err
	}
	if err := checkContent(ctx, path); err != nil {
		return nil, err
	}
	// NORMAL: a commit outlives a kill of the process, and a power cut once the
	// next durable one is written (execDurably).
	const pragmas = "_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)"
	if s.write, err = sql.Open("sqlite", fileURL(path, pragmas+"&_txlock=immediate")); err != nil {
		return nil, err
	}
	s.write.SetMaxOpenConns(1) // SQLite has one writer
	if err := migrateSQLite(ctx, s.write); err != nil {
		return nil, err
	}
	// The lock is ours, so whoever had a claim is dead.
	if _, err := s.write.ExecContext(ctx, `UPDATE requests SET lease_until = 0, token = '' WHERE lease_until > 0`); err != nil {
		return nil, err
	}
	if s.read, err = sql.Open("sqlite", fileURL(path, pragmas+"&_pragma=query_only(1)")); err != nil {
		return nil, err
	}
	s.read.SetMaxOpenConns(sqliteReaders)
	return s, nil
}

func openSQLiteReadOnly(ctx context.Context, path string) (store, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("ledger %s: %w", path, cause(err))
	}
	if err := checkHeader(path); err != nil {
		return nil, fmt.Errorf("ledger %s: %w", path, err)
	}
	db, err := sql.Open("sqlite", fileURL(path, "mode=ro&_pragma=busy_timeout(5000)&_pragma=query_only(1)"))
	if err != nil {
		return nil, fmt.Errorf("ledger %s: %w", path, err)
	}
	db.SetMaxOpenConns(sqliteReaders)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("ledger %s: %w", path, err), db.Close())
	}
	return &sqlite{write: db, read: db, lock: nothing{}}, nil
}

func fileURL(path, query string) string {
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath(), RawQuery: query}).String()
}

// checkFile looks at what can be seen without SQLite, which would change the file.
func checkFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return cause(err)
	case info.IsDir():
		return errors.New("is a folder: name a file in it")
	case info.Mode().Perm()&0o200 == 0: // for root, too, whom the system would let write
		return fmt.Errorf("is read-only (mode %04o): make it writable with chmod u+w, or name another file", info.Mode().Perm())
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("cannot be written: %w", cause(err))
	}
	f.Close()
	return checkHeader(path)
}

func checkHeader(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return cause(err)
	}
	defer f.Close()
	header := make([]byte, 100)
	switch n, err := io.ReadFull(f, header); {
	case n == 0:
		return nil // new
	case err != nil, string(header[:len(sqliteMagic)]) != sqliteMagic:
		return errors.New("is no SQLite database: name another file, or move this one away")
	}
	if version := binary.BigEndian.Uint32(header[sqliteVersionAt:]); version > schemaVersion {
		return newer(int(version))
	}
	return nil
}

func newer(version int) error {
	return fmt.Errorf("was written by a newer version of ra (schema %d, this one knows %d): use that version, or another ledger", version, schemaVersion)
}

// checkContent reads a file that is not too large whole, without changing it.
func checkContent(ctx context.Context, path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	if err != nil {
		return cause(err)
	}
	db, err := sql.Open("sqlite", fileURL(path, "mode=ro&_pragma=busy_timeout(5000)&_pragma=query_only(1)"))
	if err != nil {
		return err
	}
	defer db.Close()
	check := `PRAGMA quick_check(1)`
	if info.Size() > quickCheckSize {
		check = `SELECT 'ok' FROM (SELECT count(*) FROM sqlite_schema)`
	}
	var result string
	if err := db.QueryRowContext(ctx, check).Scan(&result); err != nil {
		return corrupt(err.Error())
	}
	if result != "ok" {
		return corrupt(result)
	}
	return nil
}

func corrupt(what string) error {
	return fmt.Errorf("is damaged (%s): restore it from a backup, or move it away and start with an empty one", strings.Join(strings.Fields(what), " "))
}

func migrateSQLite(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit that does nothing
	var version int
	if err := tx.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return err
	}
	if version > schemaVersion {
		return newer(version)
	}
	for ; version < schemaVersion; version++ {
		for _, statement := range migration(version, "INTEGER PRIMARY KEY AUTOINCREMENT", "BLOB") {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("bring the table to version %d: %w", version+1, err)
			}
		}
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, version+1)); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (s *sqlite) ready(context.Context) error { return nil }
func (s *sqlite) writer() *sql.DB             { return s.write }
func (s *sqlite) reader() *sql.DB             { return s.read }

// execDurably waits for the disk, for this commit and all before it.
func (s *sqlite) execDurably(ctx context.Context, statement string, values ...any) (sql.Result, error) {
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `PRAGMA synchronous = FULL`); err != nil {
		return nil, err
	}
	result, err := conn.ExecContext(ctx, statement, values...)
	// Not with ctx: the connection is used again.
	_, resetErr := conn.ExecContext(context.WithoutCancel(ctx), `PRAGMA synchronous = NORMAL`)
	return result, errors.Join(err, resetErr)
}

func (s *sqlite) close() error {
	var errs []error
	if s.read != nil && s.read != s.write {
		errs = append(errs, s.read.Close())
	}
	if s.write != nil {
		errs = append(errs, s.write.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

type nothing struct{}

func (nothing) Close() error { return nil }

// cause is an error of the file system without the path, which stands before it
// already.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
