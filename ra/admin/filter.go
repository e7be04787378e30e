package admin

import (
	"cmp"
	"strings"
)

// Filter selects enrollments; the zero Filter selects all.
type Filter struct {
	CN    string // "" = any; with a * at its end, all that begin so
	Label string // "" = any, and the same
	State State  // "" = any
	Next  bool   // those behind After, the first first
	// After and Before are places: of [Enrollments.Wait], or of a client's cursor. In a list
	// they bound the begins, in a wait the ends.
	After, Before uint64 // 0 = no bound
	Limit         int    // most that List returns; 0 = all
}

// fits tells whether an enrollment is what is asked for, wherever it stands.
func (f Filter) fits(e *entry) bool {
	return named(f.CN, e.CN) && named(f.Label, e.Label) && (f.State == "" || f.State == e.State)
}

// matches tells whether a list has it.
func (f Filter) matches(e *entry) bool {
	return f.fits(e) && e.beganAt > f.After && (f.Before == 0 || e.beganAt < f.Before)
}

// awaits tells whether a wait ends with the enrollment: it is in the state that
// is asked for, or has ended where none is.
func (f Filter) awaits(e *entry) bool {
	return f.fits(e) && (f.State != "" || e.ended()) && (!f.Next || f.place(e) > f.After)
}

// isUnderWay tells whether an enrollment may be shown where none has ended in time.
func (f Filter) isUnderWay(e *entry) bool {
	place := f.place(e)
	return f.fits(e) && (!f.Next || !e.Finished && (place == 0 || place > f.After))
}

// place is where an enrollment stands for those who wait for one after the other: at its
// end; where it is to be on its way, at its begin. 0 = nowhere yet.
func (f Filter) place(e *entry) uint64 {
	switch {
	case f.State == Received || f.State == Authenticated || f.State == Submitted:
		return e.beganAt
	case f.CN != "" && f.CN != "*":
		return e.namedAt
	default:
		return e.endedAt
	}
}

// next is the After of the wait for what comes behind an enrollment. One that has not
// ended is still to come.
func (f Filter) next(e *entry) uint64 {
	switch place := f.place(e); {
	case place > 0:
		return place
	case f.Next:
		return f.After
	default:
		return e.beganAt
	}
}

// named tells whether a name is the one that is asked for, or begins so.
func named(pattern, name string) bool {
	if start, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, start)
	}
	return pattern == "" || pattern == name
}

// placeOf is where an enrollment stands for a wait with the filter, or in a list: at its
// begin there, and where it has no end yet.
func (s *Enrollments) placeOf(id string, f Filter, wait bool) (place uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.byID[id]
	if !ok {
		return 0, false
	}
	e := at.Value.(*entry)
	if wait {
		place = f.place(e)
	}
	return cmp.Or(place, e.beganAt), true
}

// cursorOf is a place as a client has it.
func (s *Enrollments) cursorOf(place uint64) string { return s.changes.cursor(place) }

// placeAt is the place of a cursor; of another process's, the oldest's.
func (s *Enrollments) placeAt(cursor string) (place uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changes.number(cursor, s.places)
}
