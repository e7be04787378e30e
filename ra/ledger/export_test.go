package ledger

import (
	"fmt"
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
		r.key = r.Request.version1Key()
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
