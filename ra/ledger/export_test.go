package ledger

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
)

// LimitSize lets the database grow by so many pages and no more, as on a full
// disk, until the function it returns is called.
func (l *Ledger) LimitSize(t testing.TB, pages int) (restore func()) {
	t.Helper()
	var now int
	if err := l.store.(*sqlite).write.QueryRowContext(t.Context(), `PRAGMA page_count`).Scan(&now); err != nil {
		t.Fatal(err)
	}
	limit := func(n int) {
		t.Helper()
		if _, err := l.store.(*sqlite).write.ExecContext(t.Context(), fmt.Sprintf(`PRAGMA max_page_count = %d`, n)); err != nil {
			t.Fatal(err)
		}
	}
	limit(now + pages)
	return func() { limit(1 << 30) }
}

// Fill makes rows by the thousand, for benchmarks.
func (l *Ledger) Fill(t testing.TB, from, n int) {
	t.Helper()
	tx, err := l.store.(*sqlite).write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	insert, err := tx.PrepareContext(t.Context(), insertRow)
	if err != nil {
		t.Fatal(err)
	}
	states := States()
	for i := from; i < from+n; i++ {
		r := Row{
			Request: Request{
				PublicKey: make([]byte, 294), Identity: fmt.Sprintf(`relay:lab\user%d`, i%100), Template: "CiscoRA",
				Subject: fmt.Sprintf("CN=SEP%012X", i), CN: fmt.Sprintf("SEP%012X", i), Enrollment: fmt.Sprintf("%016x", i),
			},
			State: StateDelivered, ReqID: i + 1, Certificate: make([]byte, 900), Received: l.now(), Updated: l.now(), Issued: l.now(), Delivered: l.now(),
			Legs: []Leg{{Name: "login"}, {Name: "template"}, {Name: "submit"}, {Name: "fetch"}},
		}
		copy(r.CSR[:], fmt.Sprintf("%032d", i))
		if i%1000 == 0 { // few are not delivered
			r.State = states[i/1000%len(states)]
		}
		if i%50 == 0 {
			r.Label, r.Template = "wifi", "WiFiClient"
		}
		r.key = r.version1Key()
		_, changed, err := r.changes(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := insert.ExecContext(t.Context(), append(r.fixedValues(), changed...)...); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// Pause stops this replica's beats, and all that waits for them, as if its process
// were stopped, until the function it returns is called.
func (l *Ledger) Pause(t testing.TB) (resume func()) {
	t.Helper()
	me := l.store.(*postgres).current.Load()
	if me == nil {
		return func() {} // it has no claims now
	}
	me.beating.Lock()
	return me.beating.Unlock
}

// OfVersion1 are the statements that make an empty ledger of schema version 1.
func OfVersion1(dsn string) []string {
	if isPostgres(dsn) {
		return append(migration(0, "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "BYTEA"),
			`CREATE TABLE ledger_version (version INTEGER NOT NULL)`, `INSERT INTO ledger_version VALUES (1)`)
	}
	return append(migration(0, "INTEGER PRIMARY KEY AUTOINCREMENT", "BLOB"), `PRAGMA user_version = 1`)
}

// Version1Key is the key that schema version 1 knew a request by.
func (r Request) Version1Key() [32]byte { return r.version1Key() }

// Busy keeps the writer busy until the function it returns is called.
func (l *Ledger) Busy(t testing.TB) (release func()) {
	t.Helper()
	begun, end, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		err := l.write(context.Background(), change{run: func(context.Context, execer) error {
			close(begun)
			<-end
			return ErrNotFound
		}})
		if !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	}()
	<-begun
	return func() { close(end); <-done }
}

// Queued returns once n changes wait for the writer.
func (l *Ledger) Queued(n int) {
	for len(l.store.(*sqlite).writer.queue) < n {
		runtime.Gosched()
	}
}
