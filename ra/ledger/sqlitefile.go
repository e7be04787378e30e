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

	"go.uber.org/zap"
)

const (
	// quickCheckSize is up to which size a file is read whole at the start to see
	// whether it is in order; beyond, that takes too long.
	quickCheckSize = 64 << 20

	sqliteMagic     = "SQLite format 3\x00"
	sqliteVersionAt = 60 // of user_version in the file's header
)

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

// checkReadable is checkFile for one who only reads: it must be there.
func checkReadable(path string) error {
	if _, err := os.Stat(path); err != nil {
		return cause(err)
	}
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

// makeFile makes a new file that only its owner reads, whatever the umask: it names
// clients. SQLite gives the files beside it, -wal and -shm, the same mode.
func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make it: %w", cause(err))
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

// tighten takes a ledger that is there already from all but its owner: older versions
// made it as the umask had it. Where this user may not do that, the log says who has to.
func tighten(path string, log *zap.Logger) {
	for _, name := range []string{path, path + "-wal", path + "-shm", path + ".lock"} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm()&0o077 == 0 {
			continue
		}
		if err := os.Chmod(name, info.Mode().Perm()&0o700); err != nil {
			log.Warn("the ledger names clients, and others than its owner may read it: chmod 600 it", zap.String("file", name), zap.Error(cause(err)))
			continue
		}
		log.Info("others than its owner could read the ledger, which names clients; now they cannot",
			zap.String("file", name), zap.String("mode", fmt.Sprintf("%04o", info.Mode().Perm())))
	}
}

// checkVersion is for those who do not bring the tables up to date.
func checkVersion(ctx context.Context, db *sql.DB) error {
	var version int
	if err := db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return err
	}
	return checkSchema(version)
}

func checkSchema(version int) error {
	switch {
	case version > schemaVersion:
		return newer(version)
	case version < schemaVersion:
		return older(version)
	}
	return nil
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

// cause is an error of the file system without the path, which stands before it
// already.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
