package admin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// parameter is one that a query may have.
type parameter struct {
	name, help string
	kind       parameterKind
	// Of numbers: the bounds, and what counts where it is left out.
	low, high, fallback int
	longest             time.Duration // of durations
	words               []string      // of words: those that there are
	filled              bool          // of texts: an empty one is refused
}

type parameterKind int

const (
	textParameter parameterKind = iota
	flagParameter               // its presence alone counts
	numberParameter
	durationParameter
	wordParameter
)

// check tells what is wrong with a value.
func (p parameter) check(value string) error {
	switch p.kind {
	case textParameter:
		if p.filled && value == "" {
			return fmt.Errorf("%s is empty: name one, or leave %s away, which means everybody's", p.name, p.name)
		}
	case numberParameter:
		if n, err := strconv.Atoi(value); err != nil || n < p.low || n > p.high {
			return fmt.Errorf("%s %q is out of range, want %d to %d", p.name, value, p.low, p.high)
		}
	case durationParameter:
		if d, err := time.ParseDuration(value); err != nil || d < 0 || d > p.longest {
			return fmt.Errorf("%s %q is out of range, want 0s to %s", p.name, value, p.longest)
		}
	case wordParameter:
		if !slices.Contains(p.words, value) {
			return fmt.Errorf("%s %q is not known, want one of %v", p.name, value, p.words)
		}
	}
	return nil
}

// query is a request's, checked against what its route knows.
type query struct {
	values url.Values
	known  []parameter
}

func parseQuery(raw string, known []parameter) (query, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return query{}, errors.New("the query is not well-formed")
	}
	for name, given := range values {
		i := slices.IndexFunc(known, func(p parameter) bool { return p.name == name })
		switch {
		case i < 0 && len(known) == 0:
			return query{}, fmt.Errorf("%q is not known: there are no parameters here", name)
		case i < 0:
			return query{}, fmt.Errorf("%q is not known, want %s", name, namesOf(known))
		case len(given) > 1:
			return query{}, fmt.Errorf("%s is given twice", name)
		}
		if err := known[i].check(given[0]); err != nil {
			return query{}, err
		}
	}
	return query{values, known}, nil
}

func namesOf(known []parameter) string {
	names := make([]string, len(known))
	for i, p := range known {
		names[i] = p.name
	}
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

func (q query) has(name string) bool    { return q.values.Has(name) }
func (q query) text(name string) string { return q.values.Get(name) }

// number is a value that was checked, or else what counts without one.
func (q query) number(name string) int {
	if n, err := strconv.Atoi(q.text(name)); err == nil {
		return n
	}
	i := slices.IndexFunc(q.known, func(p parameter) bool { return p.name == name })
	return q.known[i].fallback
}

func (q query) duration(name string) time.Duration {
	d, _ := time.ParseDuration(q.text(name)) // "" is none
	return d
}

type queryKey struct{}

// queryOf is the query of a request that a route has taken.
func queryOf(r *http.Request) query {
	q, _ := r.Context().Value(queryKey{}).(query)
	return q
}
