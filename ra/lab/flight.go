package lab

import (
	"context"
	"sync"

	"ciscora/est"
)

// flight counts the EST requests that the RA has taken and not ended: a client that
// gives up ends none of them.
type flight struct {
	mu      sync.Mutex // guards both
	n       int
	changed chan struct{} // closed at the next change
}

func newFlight() *flight { return &flight{changed: make(chan struct{})} }

func (f *flight) event(event any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch event.(type) {
	case est.Received:
		f.n++
	case est.Answered:
		f.n--
	default:
		return
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *flight) now() (n int, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n, f.changed
}

// Quiet waits until the RA has ended all requests that it has taken, those of clients
// that are gone included, or until ctx ends. What they leave in the logs is there then.
func (l *Lab) Quiet(ctx context.Context) {
	for {
		n, changed := l.flight.now()
		if n == 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
