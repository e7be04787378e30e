package ledger_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ciscora/ra/ledger"
	"ciscora/ra/ledger/ledgertest"
)

// written makes a ledger with a few rows and returns its file.
func written(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ra.db")
	l, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{})
	must(t, err)
	for i := range 50 {
		claim(t, l, request(fmt.Sprint("phone", i), "x"))
	}
	must(t, l.Close())
	return path
}

func TestALedgerFileThatCannotBeUsedIsRefusedAndLeftAsItWas(t *testing.T) {
	for _, test := range []struct {
		name   string
		spoil  func(t *testing.T, path string)
		reason string
	}{
		{"a text file", func(t *testing.T, path string) {
			must(t, os.WriteFile(path, []byte("dear ledger, today nothing was issued\n"), 0o600))
		}, "is no SQLite database: name another file, or move this one away"},
		{"a damaged page", func(t *testing.T, path string) {
			data, err := os.ReadFile(path)
			must(t, err)
			for i := 4096; i < 3*4096; i++ {
				data[i] ^= 0x5a
			}
			must(t, os.WriteFile(path, data, 0o600))
		}, "is damaged ("},
		{"cut off", func(t *testing.T, path string) {
			must(t, os.Truncate(path, 5000))
		}, "is damaged ("},
		{"of a newer version", func(t *testing.T, path string) {
			data, err := os.ReadFile(path)
			must(t, err)
			binary.BigEndian.PutUint32(data[60:], 99)
			must(t, os.WriteFile(path, data, 0o600))
		}, "was written by a newer version of ra (schema 99, this one knows 5): use that version, or another ledger"},
		{"read-only", func(t *testing.T, path string) {
			must(t, os.Chmod(path, 0o400))
		}, "is read-only (mode 0400): make it writable with chmod u+w, or name another file"},
		{"a folder", func(t *testing.T, path string) {
			must(t, os.Remove(path))
			must(t, os.Mkdir(path, 0o700))
		}, "is a folder: name a file in it"},
		{"in use by another process", func(t *testing.T, path string) {
			l, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{})
			must(t, err)
			t.Cleanup(func() { must(t, l.Close()) })
		}, "is in use by another process: end that one, or give this one a ledger of its own; several replicas need PostgreSQL"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := written(t)
			test.spoil(t, path)
			before, _ := os.ReadFile(path) // a folder has no bytes
			l, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{})
			if err == nil {
				l.Close()
				t.Fatal("no error")
			}
			if want := "ledger " + path + ": " + test.reason; !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
	if _, err := ledger.Open(t.Context(), "mysql://root:geheim@db/ra", ledger.Options{}); err == nil || strings.Contains(err.Error(), "geheim") {
		t.Errorf("another kind of database: %v", err)
	}
	if _, err := ledger.Open(t.Context(), "postgres://ra:geheim@db:port/ra", ledger.Options{}); err == nil || strings.Contains(err.Error(), "geheim") {
		t.Errorf("an address that makes no sense: %v", err)
	}
}

func TestALedgerIsReadBesideTheRAThatWritesIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ra.db")
	if _, err := ledger.OpenReadOnly(t.Context(), "sqlite:"+path, ledger.Options{}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("no file: %v", err)
	}
	writer, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{})
	must(t, err)
	defer writer.Close()
	c := claim(t, writer, request("phone", "x"))
	reader, err := ledger.OpenReadOnly(t.Context(), "sqlite:"+path, ledger.Options{})
	must(t, err)
	defer reader.Close()
	rows, err := reader.List(t.Context(), ledger.Filter{})
	must(t, err)
	if len(rows) != 1 || rows[0].ID != c.Row.ID {
		t.Errorf("read: %+v", rows)
	}
	if _, err := reader.Claim(t.Context(), request("other", "x")); err == nil {
		t.Error("the reader wrote")
	}
	must(t, writer.Update(t.Context(), &c, func(r *ledger.Row) { r.ReqID = 5 }))
	if row, err := reader.Get(t.Context(), c.Row.ID); err != nil || row.ReqID != 5 {
		t.Errorf("read after a change: %+v, %v", row, err)
	}
}

func TestAFullDiskIsToldAndHealsByItself(t *testing.T) {
	path := written(t)
	l, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{})
	must(t, err)
	defer l.Close()
	restore := l.LimitSize(t, 1)
	var full error
	for i := 0; full == nil && i < 1000; i++ {
		_, full = l.Claim(t.Context(), request(fmt.Sprint("more", i), "x"))
	}
	if !errors.Is(full, ledger.ErrUnavailable) || !strings.Contains(full.Error(), "full") {
		t.Fatalf("a full disk: %v", full)
	}
	if _, err := l.List(t.Context(), ledger.Filter{}); err != nil {
		t.Errorf("to read needs no room: %v", err)
	}
	restore()
	claim(t, l, request("after", "x"))
}

func TestALockedDatabaseIsWaitedForAndThenTold(t *testing.T) {
	path := written(t)
	l, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{})
	must(t, err)
	defer l.Close()
	other, err := sql.Open("sqlite", "file:"+path)
	must(t, err)
	defer other.Close()
	tx, err := other.Conn(t.Context())
	must(t, err)
	defer tx.Close()
	_, err = tx.ExecContext(t.Context(), `BEGIN IMMEDIATE`)
	must(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := l.Claim(ctx, request("phone", "y")); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("while it is locked: %v", err)
	}
	waited := make(chan error, 1)
	go func() {
		_, err := l.Claim(t.Context(), request("phone", "z"))
		waited <- err
	}()
	_, err = tx.ExecContext(t.Context(), `ROLLBACK`)
	must(t, err)
	if err := <-waited; err != nil {
		t.Errorf("once it is free: %v", err)
	}
}

func TestAPostgreSQLThatIsAwayComesBack(t *testing.T) {
	t.Parallel()
	server := ledgertest.StartPostgres(t)
	server.Stop(t)
	l, err := ledger.Open(t.Context(), server.DSN, ledger.Options{})
	if err != nil {
		t.Fatalf("to start while it is away: %v", err)
	}
	defer l.Close()
	if _, err := l.Claim(t.Context(), request("phone", "x")); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("a claim while it is away: %v", err)
	}
	if err := l.Ready(t.Context()); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("ready while it is away: %v", err)
	}
	server.Start(t)
	must(t, l.Ready(t.Context()))
	c := claim(t, l, request("phone", "x"))

	server.Stop(t) // in the middle
	if err := l.Update(t.Context(), &c, func(r *ledger.Row) { r.ReqID = 5 }); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("an update while it is away: %v", err)
	}
	if c.Row.ReqID != 0 {
		t.Error("the claim says what was not written")
	}
	if err := l.Ready(t.Context()); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("ready while it is away: %v", err)
	}
	server.Start(t)
	must(t, l.Ready(t.Context()))
	must(t, l.Update(t.Context(), &c, func(r *ledger.Row) { r.ReqID = 5 }))
	row, err := l.Get(t.Context(), c.Row.ID)
	must(t, err)
	if row.ReqID != 5 {
		t.Errorf("ReqID %d", row.ReqID)
	}
}

func TestAPostgreSQLOfANewerVersionIsRefused(t *testing.T) {
	t.Parallel()
	server := postgres.Postgres(t)
	l, err := ledger.Open(t.Context(), server.DSN, ledger.Options{})
	must(t, err)
	must(t, l.Ready(t.Context()))
	must(t, l.Close())
	db, err := sql.Open("pgx", server.DSN)
	must(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), `INSERT INTO ledger_version VALUES (99)`)
	must(t, err)
	l, err = ledger.Open(t.Context(), server.DSN, ledger.Options{})
	must(t, err)
	defer l.Close()
	if err := l.Ready(t.Context()); !errors.Is(err, ledger.ErrUnusable) || !strings.Contains(err.Error(), "schema 99, this one knows 5") {
		t.Errorf("ready: %v", err)
	}
}

func TestReplicasThatStartAtOnceMakeOneTable(t *testing.T) {
	t.Parallel()
	server := postgres.Postgres(t)
	opened := make(chan *ledger.Ledger, 8)
	for range cap(opened) {
		go func() {
			l, err := ledger.Open(t.Context(), server.DSN, ledger.Options{})
			if err == nil {
				err = l.Ready(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
			opened <- l
		}()
	}
	for range cap(opened) {
		if l := <-opened; l != nil {
			l.Close()
		}
	}
}

func TestAnAddressThatIsNoneIsNotRepeatedSinceAPasswordMayBeInIt(t *testing.T) {
	const dsn = "host=db.example password=geheim"
	for name, open := range map[string]func(context.Context, string, ledger.Options) (*ledger.Ledger, error){"for an RA": ledger.Open, "to look": ledger.OpenReadOnly} {
		_, err := open(t.Context(), dsn, ledger.Options{})
		if err == nil || strings.Contains(err.Error(), "geheim") || !strings.Contains(err.Error(), "postgres://") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
