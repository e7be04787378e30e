package ledger_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ciscora/ra/ledger"
)

func TestOpenRowsOfVersion1AreJoined(t *testing.T) {
	for name, open := range map[string]func(*testing.T) (dsn, driver, source string){
		"SQLite": func(t *testing.T) (string, string, string) {
			file := filepath.Join(t.TempDir(), "ra.db")
			return "sqlite:" + file, "sqlite", "file:" + file
		},
		"PostgreSQL": func(t *testing.T) (string, string, string) {
			dsn := postgres.Database(t)
			return dsn, "pgx", dsn
		},
	} {
		t.Run(name, func(t *testing.T) {
			dsn, driver, source := open(t)
			db, err := sql.Open(driver, source)
			must(t, err)
			defer db.Close()
			do := func(statement string, values ...any) {
				t.Helper()
				if _, err := db.ExecContext(t.Context(), statement, values...); err != nil {
					t.Fatal(err)
				}
			}
			for _, statement := range ledger.OfVersion1(dsn) {
				do(statement)
			}
			old := func(r ledger.Request, state string, open int) {
				key := r.Version1Key()
				do(`INSERT INTO requests (key, csr, public_key, identity, label, template, subject, cn, enrollment, renewal, state, uncertain, open, req_id, disposition,
					hresult, certificate, error, legs, received, submitted, issued, delivered, updated, next_poll, waited, polls, deliveries, replica, token, lease_until)
					VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, 0, $11, 17, 0, 0, $12, '', '[]', 1, 1, 1, 0, 1, 0, 0, 0, 0, 'old', 'abc', 9000000000000000)`,
					key[:], r.CSR[:], r.PublicKey, r.Identity, r.Label, r.Template, r.Subject, r.CN, r.Enrollment, state, open, []byte{})
			}
			old(request("pending", "x"), "pending", 1)
			old(request("closed", "x"), "failed", 0)
			reader, err := ledger.OpenReadOnly(t.Context(), dsn, ledger.Options{})
			if err == nil { // a PostgreSQL is asked when it is used
				err = errors.Join(reader.Ready(t.Context()), reader.Close())
			}
			if err == nil || !strings.Contains(err.Error(), "was written by an older version of ra (schema 1, this one reads 5): start the RA") {
				t.Errorf("opened for reading: %v", err)
			}

			l, err := ledger.Open(t.Context(), dsn, ledger.Options{})
			must(t, err)
			defer l.Close()
			same := request("pending", "x")
			c := claim(t, l, same)
			if c.Fresh || !c.Mine || c.Row.State != ledger.StatePending || c.Row.ReqID != 17 || c.Row.What != same.What || string(c.Row.Names) != string(same.Names) {
				t.Fatalf("the same CSR: %+v", c)
			}
			must(t, l.Release(t.Context(), c))
			resigned := same
			resigned.CSR[0] ^= 1
			if again := claim(t, l, resigned); again.Fresh || again.Row.ID != c.Row.ID || again.Row.CSR != same.CSR {
				t.Errorf("the same, signed anew: %+v", again)
			}
			if c := claim(t, l, request("closed", "x")); !c.Fresh {
				t.Errorf("a closed one was joined: %+v", c)
			}
			rows, err := l.List(t.Context(), ledger.Filter{Until: time.Unix(1, 0)})
			must(t, err)
			if len(rows) != 2 || rows[0].Held || rows[1].CN != "pending" {
				t.Errorf("the old rows: %+v", rows)
			}
		})
	}
}
