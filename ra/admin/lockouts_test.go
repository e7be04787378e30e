package admin_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"ciscora/ra/admin"
)

type guard struct {
	list     []admin.Lockout
	own      *admin.OwnRefused
	err      error
	forgiven []string
}

func (g *guard) List(context.Context) ([]admin.Lockout, error) { return g.list, g.err }
func (g *guard) Own() *admin.OwnRefused                        { return g.own }
func (g *guard) Forgive(_ context.Context, name string) (bool, error) {
	g.forgiven = append(g.forgiven, name)
	return name != "nobody", g.err
}

func TestLockoutsAreListedWithTheRAsOwnAccount(t *testing.T) {
	g := &guard{}
	h := admin.New(admin.Options{Lockouts: g})
	status, body := get(t, h, "/lockouts")
	equal(t, http.StatusOK, status)
	equal(t, map[string]any{"lockouts": []any{}}, body)

	at := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	g.list = []admin.Lockout{{Kind: "account", Name: "ciscora", Refused: 3, Closed: true, Until: at}}
	g.own = &admin.OwnRefused{Account: `LAB\ciscora`, At: at, Until: at.Add(time.Hour)}
	status, body = get(t, h, "/lockouts")
	equal(t, http.StatusOK, status)
	equal(t, map[string]any{
		"lockouts":    []any{map[string]any{"kind": "account", "name": "ciscora", "refused": 3.0, "closed": true, "until": "2026-11-26T12:00:00Z"}},
		"own_account": map[string]any{"account": `LAB\ciscora`, "refused": "2026-11-26T12:00:00Z", "until": "2026-11-26T13:00:00Z"},
	}, body)

	g.err = errors.New("the ledger cannot be used")
	status, body = get(t, h, "/lockouts")
	equal(t, http.StatusServiceUnavailable, status)
	equal(t, map[string]any{"error": "the ledger cannot be used"}, body)
}

func TestLockoutsAreForgivenOneByOneOrAll(t *testing.T) {
	g := &guard{}
	h := admin.New(admin.Options{Lockouts: g})
	for path, want := range map[string]int{
		"/lockouts":                  200,
		"/lockouts/ciscora":          200,
		"/lockouts/LAB%5Cciscora":    200,
		"/lockouts/2001:db8::%2F64":  200,
		"/lockouts/ann%20from%20192": 200,
		"/lockouts/nobody":           404,
	} {
		if w := request(t, h, http.MethodDelete, path); w.Code != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	for _, want := range []string{"", "ciscora", `LAB\ciscora`, "2001:db8::/64", "ann from 192"} {
		found := false
		for _, name := range g.forgiven {
			found = found || name == want
		}
		if !found {
			t.Errorf("%q was not forgiven: %q", want, g.forgiven)
		}
	}
	equal(t, http.StatusNotFound, request(t, admin.New(admin.Options{}), http.MethodDelete, "/lockouts").Code)
}
