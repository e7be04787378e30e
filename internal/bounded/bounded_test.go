package bounded_test

import (
	"sync"
	"testing"
	"time"

	"ciscora/internal/bounded"
)

// clock is a clock that the test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func TestAnEntryEndsAFixedTimeAfterItWasLastWritten(t *testing.T) {
	c := &clock{time.Unix(0, 0)}
	m := bounded.New[string, int](10, time.Minute, c.now)
	m.Put("a", 1)
	m.Put("b", 1)
	c.at = c.at.Add(40 * time.Second)
	m.Put("a", 2)
	c.at = c.at.Add(40 * time.Second)
	if v, ok := m.Get("a"); !ok || v != 2 {
		t.Errorf("a, written 40 s ago: %d %v", v, ok)
	}
	if _, ok := m.Get("b"); ok || m.Len() != 1 {
		t.Errorf("b, written 80 s ago, is there; %d entries", m.Len())
	}
	c.at = c.at.Add(20 * time.Second)
	if _, ok := m.Take("a"); ok || m.Len() != 0 {
		t.Error("a is there after its minute")
	}
}

func TestAFullMapGivesUpWhatEndsFirstOrHasNoRoom(t *testing.T) {
	c := &clock{time.Unix(0, 0)}
	m := bounded.New[int, int](3, time.Minute, c.now)
	for i := range 3 {
		m.Put(i, i)
		c.at = c.at.Add(time.Second)
	}
	add := func(v int) int { return v + 10 }
	if m.Update(9, add) {
		t.Error("a new key found room in a full map")
	}
	if !m.Update(0, add) {
		t.Error("a key that is there found no room")
	}
	m.Put(4, 4)
	if _, ok := m.Get(1); ok {
		t.Error("1, which would end first, is still there")
	}
	if v, ok := m.Get(0); !ok || v != 10 || m.Len() != 3 {
		t.Errorf("0 is %d %v, %d entries", v, ok, m.Len())
	}
	c.at = c.at.Add(time.Hour)
	if !m.Update(9, add) || m.Len() != 1 {
		t.Errorf("no room where all have ended: %d entries", m.Len())
	}
}

func TestATakenEntryIsGoneAndAClearedMapEmpty(t *testing.T) {
	m := bounded.New[int, int](3, time.Minute, time.Now)
	m.Put(1, 1)
	m.Put(2, 2)
	if v, ok := m.Take(1); !ok || v != 1 {
		t.Errorf("%d %v", v, ok)
	}
	if _, ok := m.Take(1); ok {
		t.Error("taken twice")
	}
	m.Delete(2)
	m.Delete(2)
	m.Put(3, 3)
	m.Clear()
	if m.Len() != 0 {
		t.Errorf("%d entries", m.Len())
	}
}

func TestUpdatesAreOneStep(t *testing.T) {
	m := bounded.New[int, int](3, time.Minute, time.Now)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for range 100 {
				m.Update(1, func(v int) int { return v + 1 })
			}
		})
	}
	all.Wait()
	if v, _ := m.Get(1); v != 5000 {
		t.Errorf("%d of 5000 updates counted", v)
	}
}
