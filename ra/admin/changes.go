package admin

import (
	"container/list"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxFollowers bounds how many may follow the changes at once.
const maxFollowers = 100

// ErrTooManyFollowers says that no more can follow now.
var ErrTooManyFollowers = errors.New("too many are following the events: ask again later")

// changes orders the enrollments that are remembered by their last change. Who follows
// them gets each as it is when its turn comes: several changes meanwhile are one, so
// that nothing is kept for a slow one. The enrollments' mu guards it.
type changes struct {
	epoch     string     // of this process: its numbers are no other's
	last      uint64     // the number of the last change
	forgotten uint64     // the number of the last one that is forgotten
	order     *list.List // of *entry, by changed
	followers map[*Follower]struct{}
}

func newChanges() changes {
	return changes{epoch: rand.Text()[:8], order: list.New(), followers: map[*Follower]struct{}{}}
}

// cursor is a number of this process as a client has it.
func (c *changes) cursor(number uint64) string { return c.epoch + "-" + strconv.FormatUint(number, 10) }

// number is a cursor's, at most last; of one of another process 0: all is new to it.
func (c *changes) number(cursor string, last uint64) (uint64, error) {
	epoch, text, _ := strings.Cut(cursor, "-")
	if len(epoch) == len(c.epoch) && epoch != c.epoch {
		return 0, nil
	}
	number, err := strconv.ParseUint(text, 10, 64)
	if epoch != c.epoch || err != nil || number > last {
		return 0, fmt.Errorf("%q is no cursor of this process", cursor)
	}
	return number, nil
}

func (c *changes) note(e *entry) {
	c.last++
	e.changed = c.last
	if e.inOrder == nil {
		e.inOrder = c.order.PushBack(e)
	} else {
		c.order.MoveToBack(e.inOrder)
	}
	for f := range c.followers {
		select {
		case f.more <- struct{}{}:
		default: // it knows
		}
	}
}

func (c *changes) forget(e *entry) {
	c.forgotten = max(c.forgotten, e.changed)
	c.order.Remove(e.inOrder)
}

// after returns the first that has changed since, nil without one.
func (c *changes) after(number uint64) *list.Element {
	var first *list.Element
	for at := c.order.Back(); at != nil && at.Value.(*entry).changed > number; at = at.Prev() {
		first = at
	}
	return first
}

// Follower follows the changes of those that match a filter. It belongs to one
// goroutine; Close it.
type Follower struct {
	of     *Enrollments
	filter Filter
	seen   uint64
	more   chan struct{} // holds one
}

// Change is an enrollment that has changed.
type Change struct {
	Position string // where [Enrollments.Follow] goes on behind it
	Enrollment
}

// Follow begins behind a position: "" is now, "0" the oldest that is remembered, and so
// is that of another process. lost tells that changes after it are forgotten.
func (s *Enrollments) Follow(f Filter, position string) (_ *Follower, lost bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.changes.followers) >= maxFollowers {
		return nil, false, ErrTooManyFollowers
	}
	follower := &Follower{of: s, filter: f, more: make(chan struct{}, 1)}
	switch position {
	case "":
		follower.seen = s.changes.last
	case "0":
	default:
		if follower.seen, err = s.changes.number(position, s.changes.last); err != nil {
			return nil, false, fmt.Errorf("no event has the id %q", position)
		}
		lost = strings.HasPrefix(position, s.changes.epoch) && follower.seen < s.changes.forgotten
	}
	follower.more <- struct{}{}
	s.changes.followers[follower] = struct{}{}
	return follower, lost, nil
}

// More is ready when [Follower.Next] may have something.
func (f *Follower) More() <-chan struct{} { return f.more }

// Position is where the follower is: also behind what does not match.
func (f *Follower) Position() string {
	return f.of.changes.cursor(f.seen)
}

// Next returns what has changed since, at most so many; More is ready again where there
// may be more than that.
func (f *Follower) Next(most int) []Change {
	s := f.of
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Change
	for at := s.changes.after(f.seen); at != nil && len(found) < most; at = at.Next() {
		e := at.Value.(*entry)
		f.seen = e.changed
		if f.filter.matches(e) {
			found = append(found, Change{Position: f.Position(), Enrollment: e.clone()})
		}
	}
	if len(found) == most {
		select {
		case f.more <- struct{}{}:
		default:
		}
	}
	return found
}

// Close ends it.
func (f *Follower) Close() {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	delete(f.of.changes.followers, f)
}
