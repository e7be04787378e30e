package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Place Place  // where the key was given; zero where that is unknown
	Key   string // the key's path, such as ca.timeouts.submit; "" for the whole file
	Err   error  // what is wrong, and the remedy
}

func (p Problem) Error() string {
	var b strings.Builder
	if p.Place != (Place{}) {
		b.WriteString(p.Place.String() + ": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Err.Error())
	return b.String()
}

func (p Problem) Unwrap() error { return p.Err }

// Problems are all the things that are wrong with a configuration, in the order
// of the file.
type Problems []Problem

// Error returns one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

// asError returns the problems in the order of the file; nil when there are
// none.
func (ps Problems) asError() error {
	if len(ps) == 0 {
		return nil
	}
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.Place.Line, b.Place.Line),
			cmp.Compare(a.Place.Column, b.Place.Column),
		)
	})
	return ps
}

// Place is where a key was given: in a file, or by an environment variable.
type Place struct {
	File     string
	Line     int // from 1; 0 where only the file is known
	Column   int // from 1
	Variable string
}

// String returns FILE:LINE:COL, FILE, or the variable's name.
func (p Place) String() string {
	switch {
	case p.Variable != "":
		return p.Variable
	case p.Line > 0:
		return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	default:
		return p.File
	}
}

// source remembers where the keys of one configuration were given.
type source struct {
	file   string
	places map[string]Place
}

// place returns where the key was given, or else the nearest key above it.
func (s *source) place(key string) Place {
	if s == nil {
		return Place{}
	}
	for key != "" {
		if p, ok := s.places[key]; ok {
			return p
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
	return s.places[""]
}

func (s *source) problem(key string, err error) Problem {
	return Problem{Place: s.place(key), Key: key, Err: err}
}

// Position returns where a key was given, as FILE:LINE:COL or as the name of an
// environment variable; for a key that was not given, where the nearest key
// above it was. Elements are counted from 0: est.trust[1]. It returns "" for a
// configuration that was not loaded.
func (c *RA) Position(key string) string { return c.source.place(key).String() }

// Problem makes err a problem of a key's value.
func (c *RA) Problem(key string, err error) error { return c.source.problem(key, err) }

// Position is as [RA.Position].
func (c *Certsrv) Position(key string) string { return c.source.place(key).String() }

// Problem makes err a problem of a key's value.
func (c *Certsrv) Problem(key string, err error) error { return c.source.problem(key, err) }
