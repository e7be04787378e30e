package ledger_test

import (
	"errors"
	"strings"
	"testing"

	"ciscora/ra/ledger"
)

// A newer replica brings the ledger up to date while this one runs: it says which version
// is needed, takes nothing more, and lets go of what it has.
func TestAReplicaThatANewerOneHasOutrunGivesItsClaimsUp(t *testing.T) {
	t.Parallel()
	x := newReplicas(t)
	a := x.open("a", long)
	c := claim(t, a, request("phone", "x"))
	must(t, a.Ready(t.Context()))
	must(t, a.Unusable())
	_, err := x.admin.ExecContext(t.Context(), `INSERT INTO ledger_version VALUES (99)`)
	must(t, err)
	if err := a.Ready(t.Context()); !errors.Is(err, ledger.ErrUnusable) || !strings.Contains(err.Error(), "schema 99, this one knows 5") {
		t.Errorf("ready: %v", err)
	}
	if err := a.Unusable(); !errors.Is(err, ledger.ErrUnusable) {
		t.Errorf("unusable: %v", err)
	}
	if _, err := a.Claim(t.Context(), request("other", "x")); !errors.Is(err, ledger.ErrUnusable) {
		t.Errorf("a claim: %v", err)
	}
	if err := a.Verify(t.Context(), c); err == nil {
		t.Error("a CSR may be sent, and its number cannot be recorded")
	}
	// As the newer one, which knows that schema.
	_, err = x.admin.ExecContext(t.Context(), `DELETE FROM ledger_version WHERE version = 99`)
	must(t, err)
	b := x.open("b", long)
	if got, _ := patiently(t, b, request("phone", "x")); !got.Mine {
		t.Errorf("the newer one waits: %+v", got)
	}
	eventually(t, func() bool { return a.Ready(t.Context()) == nil }) // the older schema is back
	must(t, a.Unusable())
	mustBeLost(t, a, c)
}
