package access

import (
	"context"
	"sync"
)

// turns lets one at a time do something under a key; the others wait for what comes of
// it.
type turns[K comparable] struct {
	mu     sync.Mutex // guards all below, and the fields of the turns but the token
	byKey  map[K]*turn
	waking chan struct{} // closed when somebody's turn ends
}

type turn struct {
	token  chan struct{} // holds one: whose turn it is
	users  int
	failed int   // how often a turn ended without a result
	err    error // of the last of those
}

func newTurns[K comparable]() *turns[K] {
	return &turns[K]{byKey: map[K]*turn{}, waking: make(chan struct{})}
}

// take waits for the turn. Where the one before came to nothing while this one waited,
// its error is this one's: what held it up would hold up all of them one after another.
func (t *turns[K]) take(ctx context.Context, k K) (end func(error), err error) {
	t.mu.Lock()
	x := t.byKey[k]
	if x == nil {
		x = &turn{token: make(chan struct{}, 1)}
		t.byKey[k] = x
	}
	x.users++
	failed := x.failed
	t.mu.Unlock()

	select {
	case x.token <- struct{}{}:
	case <-ctx.Done():
		t.leave(k, x)
		return nil, context.Cause(ctx)
	}
	t.mu.Lock()
	if x.failed != failed {
		err = x.err
	}
	t.mu.Unlock()
	if err != nil {
		<-x.token
		t.leave(k, x)
		return nil, err
	}
	return func(err error) {
		t.mu.Lock()
		if err != nil {
			x.failed++
			x.err = err
		}
		close(t.waking)
		t.waking = make(chan struct{})
		t.mu.Unlock()
		<-x.token
		t.leave(k, x)
	}, nil
}

func (t *turns[K]) leave(k K, x *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x.users--; x.users == 0 {
		delete(t.byKey, k)
	}
}

// ended is closed when the next turn ends, of whatever key.
func (t *turns[K]) ended() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waking
}
