// Package bounded has a map for what clients bring: it holds at most so many entries,
// and each ends by itself.
package bounded

import (
	"container/list"
	"sync"
	"time"
)

// Map is a map of at most so many entries, each of which ends a fixed time after it
// was last written. It is safe for concurrent use. Reads and writes take constant
// time, however full it is: what ends first is always known.
type Map[K comparable, V any] struct {
	limit int
	life  time.Duration
	now   func() time.Time

	mu      sync.Mutex // guards all below
	entries map[K]*list.Element
	order   list.List // of *entry[K, V]; the one that ends first is at the front
}

type entry[K comparable, V any] struct {
	key   K
	value V
	ends  time.Time
}

// New makes a map of at most limit entries that end after life; now is its clock.
func New[K comparable, V any](limit int, life time.Duration, now func() time.Time) *Map[K, V] {
	return &Map[K, V]{limit: limit, life: life, now: now, entries: map[K]*list.Element{}}
}

// Get returns what stands under k.
func (m *Map[K, V]) Get(k K) (v V, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire()
	if e := m.entries[k]; e != nil {
		return e.Value.(*entry[K, V]).value, true
	}
	return v, false
}

// Take is Get, and removes the entry.
func (m *Map[K, V]) Take(k K) (v V, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire()
	if e := m.entries[k]; e != nil {
		v = e.Value.(*entry[K, V]).value
		m.remove(e)
		return v, true
	}
	return v, false
}

// Put writes v under k. In a full map it takes the place of what would end first.
func (m *Map[K, V]) Put(k K, v V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire()
	if m.entries[k] == nil && len(m.entries) >= m.limit {
		m.remove(m.order.Front())
	}
	m.write(k, v)
}

// Update writes under k what change makes of what stands there (the zero value, where
// nothing does), in one step. In a full map a new key finds no room: change is not
// called, and Update returns false.
func (m *Map[K, V]) Update(k K, change func(V) V) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire()
	var v V
	if e := m.entries[k]; e != nil {
		v = e.Value.(*entry[K, V]).value
	} else if len(m.entries) >= m.limit {
		return false
	}
	m.write(k, change(v))
	return true
}

// Delete removes what stands under k.
func (m *Map[K, V]) Delete(k K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.entries[k]; e != nil {
		m.remove(e)
	}
}

// Clear removes all.
func (m *Map[K, V]) Clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.entries)
	m.order.Init()
}

// Len is how many entries there are.
func (m *Map[K, V]) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire()
	return len(m.entries)
}

// write puts the entry last, since it ends last; the caller holds mu.
func (m *Map[K, V]) write(k K, v V) {
	ends := m.now().Add(m.life)
	if e := m.entries[k]; e != nil {
		x := e.Value.(*entry[K, V])
		x.value, x.ends = v, ends
		m.order.MoveToBack(e)
		return
	}
	m.entries[k] = m.order.PushBack(&entry[K, V]{k, v, ends})
}

// expire removes what has ended; the caller holds mu.
func (m *Map[K, V]) expire() {
	now := m.now()
	for e := m.order.Front(); e != nil && !now.Before(e.Value.(*entry[K, V]).ends); e = m.order.Front() {
		m.remove(e)
	}
}

func (m *Map[K, V]) remove(e *list.Element) {
	delete(m.entries, e.Value.(*entry[K, V]).key)
	m.order.Remove(e)
}
