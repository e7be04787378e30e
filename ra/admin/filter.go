package admin

import "strings"

// Filter selects enrollments; the zero Filter selects all.
type Filter struct {
	CN    string // "" = any; with a * at its end, all that begin so
	Label string // "" = any, and the same
	State State  // "" = any
	Next  bool   // those that began after After, oldest first
	// After and Before are of begins: of [Enrollments.Order], or of [Enrollments.Page].
	After, Before uint64 // 0 = no bound
	Limit         int    // most that List returns; 0 = all
}

func (f Filter) matches(e *entry) bool {
	return named(f.CN, e.CN) && named(f.Label, e.Label) && (f.State == "" || f.State == e.State) &&
		e.order > f.After && (f.Before == 0 || e.order < f.Before)
}

// awaits tells whether a wait ends with the enrollment: it is in the state that
// is asked for, or has ended where none is.
func (f Filter) awaits(e *entry) bool {
	return f.matches(e) && (f.State != "" || e.ended())
}

// named tells whether a name is the one that is asked for, or begins so.
func named(pattern, name string) bool {
	if start, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, start)
	}
	return pattern == "" || pattern == name
}

// Order is the place of an enrollment among all that began, for [Filter].After.
func (s *Enrollments) Order(id string) (order uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.byID[id]
	if !ok {
		return 0, false
	}
	return at.Value.(*entry).order, true
}
