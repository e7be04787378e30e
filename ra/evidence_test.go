package ra_test

import (
	"database/sql"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/ra"
	"ciscora/ra/ledger"
)

// loseClaims makes every claim on a row somebody else's, as another replica does that
// takes the rows of one that was silent for too long.
func (x *recoveryFixture) loseClaims(t *testing.T) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+x.file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `UPDATE requests SET token = 'another', holder = 0`); err != nil {
		t.Fatal(err)
	}
}

// The claim is lost while the CA works on the POST. What it answered is not forgotten:
// the row, which is somebody else's by then, gets it without another look at the CA.
func TestWhatTheCAShowedUnderALostClaimIsKept(t *testing.T) {
	for _, test := range []struct {
		name  string
		label string
		want  string
	}{
		{"a certificate", "", ledger.SeenCertificate},
		{"a request that waits for a manager", "supervised", ledger.SeenPending},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var x *recoveryFixture
				loses := false
				x = newRecoveryFixture(t, modern, middleware("certfnsh.asp", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if loses {
						x.loseClaims(t)
					}
					next.ServeHTTP(w, r)
				}))
				if _, err := x.phone(t, "", newCSR(t, "another")); err != nil {
					t.Fatal(err) // so that there is a number above which it is sought
				}
				loses = true
				cert, err := x.phone(t, test.label, newCSR(t, "phone"))
				x.ca.away.Store(true)
				if test.label == "" && err != nil {
					t.Errorf("the CA has issued, so the client should have it: %v", err)
				}
				seen, err := x.ledger.SeenFrom(t.Context(), 2)
				if err != nil || len(seen) != 1 || seen[0].ReqID != 2 || seen[0].What != test.want {
					t.Fatalf("seen: %+v, %v", seen, err)
				}
				if test.want != ledger.SeenCertificate {
					return
				}
				time.Sleep(10 * time.Second)
				row := x.rows(t, ledger.Filter{})[0]
				if row.ReqID != 2 || string(row.Certificate) != string(cert.Raw) || len(eventsOf[ra.Found](x.events)) != 1 {
					t.Errorf("%+v", row)
				}
			})
		})
	}
}
