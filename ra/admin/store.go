package admin

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// DefaultKept is how many enrollments are kept where nothing is said.
const DefaultKept = 10_000

// maxWaiters bounds how many may wait at once.
const maxWaiters = 1000

var (
	// ErrNotFound says that no enrollment matched.
	ErrNotFound = errors.New("no such enrollment")
	// ErrTooManyWaiters says that no more can wait now.
	ErrTooManyWaiters = errors.New("too many are waiting for enrollments: ask again later")
)

// Enrollments remembers the last enrollments, in memory. Where there are more
// than it keeps, those go that finished first. All methods may be called by
// several goroutines.
type Enrollments struct {
	kept int
	now  func() time.Time

	mu       sync.Mutex
	places   uint64                   // by mu: counts begins and ends
	byID     map[string]*list.Element // by mu; *entry
	open     *list.List               // by mu; by begin
	finished *list.List               // by mu; by end
	changes  changes                  // by mu
	waiters  map[*waiter]struct{}     // by mu
}

// entry is a place in one of the lists, which owns the Enrollment.
type entry struct {
	Enrollment
	beganAt uint64        // the place of its begin among all begins and ends
	endedAt uint64        // that of its end; 0 = it has none yet
	namedAt uint64        // where it had both an end and a CN, which may be learned later; 0 = nowhere yet
	changed uint64        // its last change
	inOrder *list.Element // of changes
}

type waiter struct {
	filter Filter
	found  chan waited // holds one
}

// waited is what a wait has come to.
type waited struct {
	enrollment Enrollment
	next       uint64 // see [Filter.next]
}

// NewEnrollments keeps so many enrollments; 0 stands for [DefaultKept]. The
// clock may be nil.
func NewEnrollments(kept int, now func() time.Time) *Enrollments {
	if kept <= 0 {
		kept = DefaultKept
	}
	if now == nil {
		now = time.Now
	}
	return &Enrollments{
		kept: kept, now: now,
		byID: map[string]*list.Element{}, open: list.New(), finished: list.New(),
		changes: newChanges(),
		waiters: map[*waiter]struct{}{},
	}
}

// Begin remembers an enrollment by its ID. One of the same ID is forgotten. A
// zero Started is now, an empty State is Received.
func (s *Enrollments) Begin(e Enrollment) {
	if e.Started.IsZero() {
		e.Started = s.now()
	}
	e.State = cmp.Or(e.State, Received)
	e = e.clone()
	e.bound()

	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(s.byID[e.ID])
	if len(s.byID) >= s.kept {
		// Where all are open, the oldest goes: the memory stays bounded.
		if oldest := s.finished.Front(); oldest != nil {
			s.forget(oldest)
		} else {
			s.forget(s.open.Front())
		}
	}
	begun := &entry{Enrollment: e, beganAt: s.place()}
	s.byID[e.ID] = s.open.PushBack(begun)
	s.publish(begun)
}

// place is that of a begin or an end. The caller holds mu.
func (s *Enrollments) place() uint64 {
	s.places++
	return s.places
}

// forget removes an entry; nil is none. The caller holds mu.
func (s *Enrollments) forget(at *list.Element) {
	if at == nil {
		return
	}
	e := at.Value.(*entry)
	delete(s.byID, e.ID)
	s.changes.forget(e)
	if e.Finished {
		s.finished.Remove(at)
	} else {
		s.open.Remove(at)
	}
}

// Update changes an enrollment; it does nothing where the id is not known. The
// change must not keep the pointer, nor call s. ID and Finished stay as they
// are.
func (s *Enrollments) Update(id string, change func(*Enrollment)) { s.change(id, change, false) }

// Leg adds an exchange with the CA.
func (s *Enrollments) Leg(id string, leg Leg) {
	s.Update(id, func(e *Enrollment) { e.Legs = append(e.Legs, leg) })
}

// Finish changes an enrollment, which may be nil for nothing, and ends it: its
// Duration is then the time since Started.
func (s *Enrollments) Finish(id string, change func(*Enrollment)) { s.change(id, change, true) }

func (s *Enrollments) change(id string, change func(*Enrollment), finish bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.byID[id]
	if !ok {
		return
	}
	e := at.Value.(*entry)
	finished := e.Finished
	if change != nil {
		change(&e.Enrollment)
	}
	e.ID, e.Finished = id, finished
	e.bound()
	if finish && !finished {
		e.Finished, e.Duration, e.endedAt = true, s.now().Sub(e.Started), s.place()
		s.open.Remove(at)
		s.byID[id] = s.finished.PushBack(e)
	}
	if e.Finished && e.namedAt == 0 && e.CN != "" {
		e.namedAt = s.place()
	}
	s.publish(e)
}

// publish wakes those who wait for the enrollment. The caller holds mu.
func (s *Enrollments) publish(e *entry) {
	s.changes.note(e)
	for w := range s.waiters {
		if w.filter.awaits(e) {
			w.found <- waited{e.clone(), w.filter.next(e)}
			delete(s.waiters, w)
		}
	}
}

// Get returns the enrollment of an id.
func (s *Enrollments) Get(id string) (Enrollment, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.byID[id]
	if !ok {
		return Enrollment{}, false
	}
	return at.Value.(*entry).clone(), true
}

// Clear forgets the enrollments that match, those under way too, and tells how many
// there were. Limit does not count.
func (s *Enrollments) Clear(f Filter) (removed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range []*list.List{s.open, s.finished} {
		for at := l.Front(); at != nil; {
			next := at.Next()
			if f.matches(at.Value.(*entry)) {
				s.forget(at)
				removed++
			}
			at = next
		}
	}
	return removed
}

// List returns the enrollments that match, those first that began last; with
// [Filter].Next those that began first.
func (s *Enrollments) List(f Filter) []Enrollment { return s.Page(f).Enrollments }

// Page is List, with the cursors of what comes behind.
func (s *Enrollments) Page(f Filter) EnrollmentList {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.list(f.matches, func(e *entry) uint64 { return e.beganAt })
	if !f.Next {
		slices.Reverse(found)
	}
	page := EnrollmentList{Enrollments: []Enrollment{}, Now: s.changes.cursor(s.places)}
	if f.Limit > 0 && len(found) > f.Limit {
		found = found[:f.Limit]
		page.Next = s.changes.cursor(found[f.Limit-1].beganAt)
	}
	for _, e := range found {
		page.Enrollments = append(page.Enrollments, e.clone())
	}
	return page
}

// list returns those of which match says so, in the order of their places. The caller
// holds mu.
func (s *Enrollments) list(match func(*entry) bool, place func(*entry) uint64) []*entry {
	var found []*entry
	for _, l := range []*list.List{s.open, s.finished} {
		for at := l.Front(); at != nil; at = at.Next() {
			if e := at.Value.(*entry); match(e) {
				found = append(found, e)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b *entry) int { return cmp.Compare(place(a), place(b)) })
	return found
}

// Tally is how many enrollments are remembered.
type Tally struct {
	Of    map[State]int
	Open  int // without an answer yet
	Begun int // since the instant that was asked for, without those that were asked for a password alone
}

// Tally counts what is remembered, without a copy of it.
func (s *Enrollments) Tally(since time.Time) Tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := Tally{Of: map[State]int{}, Open: s.open.Len()}
	for _, l := range []*list.List{s.open, s.finished} {
		for at := l.Front(); at != nil; at = at.Next() {
			e := at.Value.(*entry)
			t.Of[e.State]++
			if e.State != Challenged && e.Started.After(since) {
				t.Begun++
			}
		}
	}
	return t
}

// Wait returns the newest enrollment that matches and has ended, at once or as soon as
// there is one; where the filter has a state, the newest in this state. With [Filter].Next
// it is the first to end behind [Filter].After. next is the After of the wait for the one
// behind it: who goes on so misses none that is remembered, and gets none twice.
//
// When the context ends first, it returns one that matches and has not ended, and
// next is what it was, or else [ErrNotFound]; with too many waiting already,
// [ErrTooManyWaiters].
func (s *Enrollments) Wait(ctx context.Context, f Filter) (_ Enrollment, next uint64, err error) {
	s.mu.Lock()
	if e := s.waitedFor(f, f.awaits); e != nil {
		defer s.mu.Unlock()
		return e.clone(), f.next(e), nil
	}
	if len(s.waiters) >= maxWaiters {
		s.mu.Unlock()
		return Enrollment{}, 0, ErrTooManyWaiters
	}
	w := &waiter{filter: f, found: make(chan waited, 1)}
	s.waiters[w] = struct{}{}
	s.mu.Unlock()

	select {
	case e := <-w.found:
		return e.enrollment, e.next, nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiters, w)
	select {
	case e := <-w.found: // it came between the two
		return e.enrollment, e.next, nil
	default:
	}
	if e := s.waitedFor(f, f.isUnderWay); e != nil {
		return e.clone(), f.next(e), nil
	}
	return Enrollment{}, 0, ErrNotFound
}

// waitedFor is the one of those of which match says so that a wait gives: the newest, or
// with Next the first; nil = none. The caller holds mu.
func (s *Enrollments) waitedFor(f Filter, match func(*entry) bool) *entry {
	place := func(e *entry) uint64 { return e.beganAt }
	if f.Next {
		place = f.place
	}
	switch found := s.list(match, place); {
	case len(found) == 0:
		return nil
	case f.Next:
		return found[0]
	default:
		return found[len(found)-1]
	}
}
