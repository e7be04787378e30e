package lab

import (
	"context"
	"net/http"
	"sync"

	"ciscora/est"
)

// flight counts the EST requests that the RA has taken and not ended, and those that the CA
// has: a client that gives up ends none of the RA's, and the CA learns of it a moment later.
type flight struct {
	mu      sync.Mutex // guards both
	n       int
	changed chan struct{} // closed at the next change
}

func newFlight() *flight { return &flight{changed: make(chan struct{})} }

func (f *flight) event(event any) {
	switch event.(type) {
	case est.Received:
		f.add(1)
	case est.Answered:
		f.add(-1)
	}
}

// around counts the requests of the CA's pages.
func (f *flight) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.add(1)
		defer f.add(-1)
		next.ServeHTTP(w, r)
	})
}

func (f *flight) add(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n += n
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *flight) now() (n int, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n, f.changed
}

// Quiet waits until the RA and the CA have ended all requests that they have taken, those of
// clients that are gone included, or until ctx ends. What they leave in the logs is there then.
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
