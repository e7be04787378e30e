package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
)

const (
	// MaxWait is the longest wait of a request for an enrollment.
	MaxWait = 60 * time.Second

	defaultLimit = 100
	maxLimit     = 1000
)

// EnrollmentList is what /enrollments answers.
type EnrollmentList struct {
	Enrollments []Enrollment `json:"enrollments"`
	Next        string       `json:"next,omitempty"` // the cursor of the rest
	Now         string       `json:"now"`            // the cursor of a wait for what ends from now on
}

// Removed tells how many things are gone.
type Removed struct {
	Removed int `json:"removed"`
}

// listEnrollments answers with a list, or with wait the one enrollment that was waited
// for.
func (h *handler) listEnrollments(w http.ResponseWriter, r *http.Request) {
	q := queryOf(r)
	filter := filterOf(q)
	filter.Limit = q.number("limit")
	wait := q.duration("wait")
	filter.Next = q.has("after") || q.has("cursor") && wait > 0
	if after := q.text("after"); q.has("after") && after != "0" {
		place, ok := h.Enrollments.placeOf(after, filter, wait > 0)
		if !ok {
			fail(w, http.StatusNotFound, "no enrollment "+after+" to begin after: it never was, or is too long ago; after=0 begins with the oldest")
			return
		}
		filter.After = place
	}
	if q.has("cursor") {
		place, err := h.Enrollments.placeAt(q.text("cursor"))
		if err != nil {
			fail(w, http.StatusBadRequest, fmt.Sprintf("cursor %q is none: take next of the answer before", q.text("cursor")))
			return
		}
		if filter.Next {
			filter.After = max(filter.After, place)
		} else {
			filter.Before = place
		}
	}
	if wait == 0 {
		answer(w, http.StatusOK, h.Enrollments.Page(filter))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	e, next, err := h.Enrollments.Wait(ctx, filter)
	switch {
	case errors.Is(err, ErrTooManyWaiters):
		w.Header().Set("Retry-After", "1")
		fail(w, http.StatusServiceUnavailable, err.Error())
	case err != nil:
		fail(w, http.StatusNotFound, fmt.Sprintf("no such enrollment within %s", wait))
	default:
		e.Next = h.Enrollments.cursorOf(next)
		answer(w, http.StatusOK, e)
	}
}

func filterOf(q query) Filter {
	return Filter{CN: q.text("cn"), Label: q.text("label"), State: State(q.text("state"))}
}

func (h *handler) getEnrollment(w http.ResponseWriter, r *http.Request) {
	e, ok := h.Enrollments.Get(chi.URLParam(r, "id"))
	if !ok {
		fail(w, http.StatusNotFound, "no such enrollment: it never was, or is too long ago")
		return
	}
	answer(w, http.StatusOK, e)
}

func (h *handler) forgetEnrollments(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, Removed{h.Enrollments.Clear(filterOf(queryOf(r)))})
}
