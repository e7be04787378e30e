package ra

import (
	"crypto/sha256"
	"sync"
)

// watchers wake those who wait for a row that this process works on; rows of
// other replicas are looked at now and then.
type watchers struct {
	mu    sync.Mutex // guards byKey
	byKey map[[sha256.Size]byte]*watcher
}

type watcher struct {
	changed chan struct{}
	waiting int
}

// of returns a channel that is closed at the next change of the row with this
// key, and a function to call when nobody waits for it any more.
func (w *watchers) of(key [sha256.Size]byte) (<-chan struct{}, func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	x := w.byKey[key]
	if x == nil {
		x = &watcher{changed: make(chan struct{})}
		w.byKey[key] = x
	}
	x.waiting++
	return x.changed, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if x.waiting--; x.waiting == 0 && w.byKey[key] == x {
			delete(w.byKey, key)
		}
	}
}

func (w *watchers) changed(key [sha256.Size]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x := w.byKey[key]; x != nil {
		close(x.changed)
		delete(w.byKey, key)
	}
}
