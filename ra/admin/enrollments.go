package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
)

const (
	// MaxWait is the longest wait of a request for an enrollment.
	MaxWait = 60 * time.Second

	defaultLimit = 100
	maxLimit     = 1000
)

// listEnrollments answers {"enrollments": [...]}, or with wait the one
// enrollment that was waited for.
func (h *handler) listEnrollments(w http.ResponseWriter, r *http.Request) {
	filter, wait, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	if wait == 0 {
		answer(w, http.StatusOK, struct {
			Enrollments []Enrollment `json:"enrollments"`
		}{h.Enrollments.List(filter)})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	e, err := h.Enrollments.Wait(ctx, filter)
	switch {
	case errors.Is(err, ErrTooManyWaiters):
		w.Header().Set("Retry-After", "1")
		fail(w, http.StatusServiceUnavailable, err.Error())
	case err != nil:
		fail(w, http.StatusNotFound, fmt.Sprintf("no such enrollment within %s", wait))
	default:
		answer(w, http.StatusOK, e)
	}
}

func (h *handler) getEnrollment(w http.ResponseWriter, r *http.Request) {
	e, ok := h.Enrollments.Get(chi.URLParam(r, "id"))
	if !ok {
		fail(w, http.StatusNotFound, "no such enrollment: it never was, or is too long ago")
		return
	}
	answer(w, http.StatusOK, e)
}

// parseQuery reads cn, state, limit and wait. A wait of 0 is none.
func parseQuery(raw string) (Filter, time.Duration, error) {
	f := Filter{Limit: defaultLimit}
	var wait time.Duration
	query, err := url.ParseQuery(raw)
	if err != nil {
		return f, 0, errors.New("the query is not well-formed")
	}
	for name, values := range query {
		if len(values) > 1 {
			return f, 0, fmt.Errorf("%s is given twice", name)
		}
		value := values[0]
		switch name {
		case "cn":
			f.CN = value
		case "state":
			if f.State = State(value); !slices.Contains(states, f.State) {
				return f, 0, fmt.Errorf("state %q is not known, want one of %v", value, states)
			}
		case "limit":
			if f.Limit, err = strconv.Atoi(value); err != nil || f.Limit < 1 || f.Limit > maxLimit {
				return f, 0, fmt.Errorf("limit %q is out of range, want 1 to %d", value, maxLimit)
			}
		case "wait":
			if wait, err = time.ParseDuration(value); err != nil || wait < 0 || wait > MaxWait {
				return f, 0, fmt.Errorf("wait %q is out of range, want 0s to %s", value, MaxWait)
			}
		default:
			return f, 0, fmt.Errorf("%q is not known, want cn, state, limit or wait", name)
		}
	}
	return f, wait, nil
}
