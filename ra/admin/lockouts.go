package admin

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"
)

// Lockouts is the RA's guard against lock-out.
type Lockouts interface {
	List(context.Context) ([]Lockout, error)
	// Own is why the RA's own account is not tried at the CA; nil: it is.
	Own() *OwnRefused
	// Forgive opens the door of an account, a user or an address, or with "" all; it
	// tells whether there was anything to forgive.
	Forgive(ctx context.Context, name string) (found bool, err error)
}

// Lockout is one at whom, or from where, was guessed.
type Lockout struct {
	Kind    string    `json:"kind"` // account, user or address
	Name    string    `json:"name"`
	Label   string    `json:"label,omitempty"`  // in a lab: under which they are counted apart; in Name, too
	Refused int       `json:"refused"`          // log-ins that count
	Trying  int       `json:"trying,omitempty"` // log-ins under way, in all replicas
	Closed  bool      `json:"closed"`           // no other password is tried before Until
	Until   time.Time `json:"until"`
}

// OwnRefused says that the CA refused the RA's own account.
type OwnRefused struct {
	Account string    `json:"account"`
	At      time.Time `json:"refused"`
	Until   time.Time `json:"until"` // it is not tried before, unless its credentials change
}

// LockoutList is what /lockouts answers.
type LockoutList struct {
	Lockouts []Lockout   `json:"lockouts"`
	Own      *OwnRefused `json:"own_account,omitempty"`
}

// Forgiven tells whether there was anything to forgive.
type Forgiven struct {
	Forgiven bool `json:"forgiven"`
}

func (h *handler) listLockouts(w http.ResponseWriter, r *http.Request) {
	list, err := h.lockoutsOf(r.Context(), filterOf(queryOf(r)))
	if err != nil {
		fail(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	answer(w, http.StatusOK, LockoutList{list, h.Lockouts.Own()})
}

// lockoutsOf are those under a label; all where the filter has none.
func (h *handler) lockoutsOf(ctx context.Context, filter Filter) ([]Lockout, error) {
	list, err := h.Lockouts.List(ctx)
	list = slices.DeleteFunc(list, func(l Lockout) bool { return !named(filter.Label, l.Label) })
	if list == nil {
		list = []Lockout{}
	}
	return list, err
}

// forgive is for one of them, or for all.
func (h *handler) forgive(w http.ResponseWriter, r *http.Request) {
	name, err := url.PathUnescape(chi.URLParam(r, "name"))
	if err != nil {
		fail(w, http.StatusBadRequest, "the name is not well-formed: write a backslash as %5C and a slash as %2F")
		return
	}
	filter := filterOf(queryOf(r))
	if name == "" {
		n, err := h.forgiveOf(r.Context(), filter)
		if err != nil {
			fail(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		answer(w, http.StatusOK, Forgiven{n > 0})
		return
	}
	found, err := h.Lockouts.Forgive(r.Context(), name)
	switch {
	case err != nil:
		fail(w, http.StatusServiceUnavailable, err.Error())
	case !found:
		fail(w, http.StatusNotFound, "nothing is counted of "+name+": see GET /lockouts")
	default:
		answer(w, http.StatusOK, Forgiven{found})
	}
}

// forgiveOf opens the doors under a label, or all where the filter has neither label nor
// name, and tells how many there were. Nobody is counted by a CSR's name.
func (h *handler) forgiveOf(ctx context.Context, filter Filter) (n int, err error) {
	if h.Lockouts == nil || filter.Label == "" && filter.CN != "" {
		return 0, nil
	}
	if filter.Label == "" {
		list, err := h.Lockouts.List(ctx)
		if err != nil {
			return 0, err
		}
		found, err := h.Lockouts.Forgive(ctx, "")
		if found {
			n = max(1, len(list))
		}
		return n, err
	}
	list, err := h.lockoutsOf(ctx, filter)
	if err != nil {
		return 0, err
	}
	for _, l := range list {
		found, err := h.Lockouts.Forgive(ctx, l.Name)
		if err != nil {
			return n, err
		}
		if found {
			n++
		}
	}
	return n, nil
}
