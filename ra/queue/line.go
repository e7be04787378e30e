package queue

import "container/list"

// waiter is one caller, in line or let in.
type waiter struct {
	turn  chan error // gets nil with a place, or a refusal; nil where nobody had to wait
	probe bool

	// Guarded by the queue's mutex.
	in      *line
	of      *account
	element *list.Element // in of.waiters, as long as it waits
	granted bool
	flushed bool
}

// line holds those who wait: a FIFO for each account, and the accounts in turn, so
// that one with thousands waiting costs the others nothing.
type line struct {
	accounts map[string]*account // those that somebody waits for
	turns    *list.List          // of *account, the next one first
	waiting  int
}

type account struct {
	name    string
	waiters *list.List    // of *waiter, the oldest first
	element *list.Element // in turns
}

func newLine() line { return line{accounts: map[string]*account{}, turns: list.New()} }

func (l *line) add(name string, w *waiter) {
	a := l.accounts[name]
	if a == nil {
		a = &account{name: name, waiters: list.New()}
		a.element = l.turns.PushBack(a)
		l.accounts[name] = a
	}
	w.in, w.of, w.element = l, a, a.waiters.PushBack(w)
	l.waiting++
}

// take removes and returns whose turn it is; nil where nobody waits.
func (l *line) take() *waiter {
	front := l.turns.Front()
	if front == nil {
		return nil
	}
	a := front.Value.(*account)
	w := a.waiters.Front().Value.(*waiter)
	l.turns.MoveToBack(front)
	l.remove(w)
	return w
}

func (l *line) remove(w *waiter) {
	w.of.waiters.Remove(w.element)
	w.element = nil
	l.waiting--
	if w.of.waiters.Len() == 0 {
		l.turns.Remove(w.of.element)
		delete(l.accounts, w.of.name)
	}
}

// flush sends everybody away, each with a refusal of its own.
func (l *line) flush(refusal func() *Down) {
	for w := l.take(); w != nil; w = l.take() {
		w.flushed = true
		w.turn <- refusal()
	}
}

// place is how soon one more of an account would be served, counted from 1: before
// it go at most all who wait, and at most as many of each account as of its own.
// That is exact enough, and needs no look at each account.
func (l *line) place(name string) int {
	own, accounts := 0, len(l.accounts)
	if a := l.accounts[name]; a != nil {
		own = a.waiters.Len()
	} else {
		accounts++
	}
	return min(l.waiting+1, (own+1)*accounts)
}
