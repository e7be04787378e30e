// Package owner ends goroutines together with what they belong to.
package owner

import (
	"context"
	"sync"
)

// Owner owns what is done in the background on behalf of something that is closed one
// day: Close ends it and waits for it.
type Owner struct {
	ctx  context.Context
	stop context.CancelFunc

	mu     sync.Mutex // guards closed, and that nothing is added while all is waited for
	closed bool
	all    sync.WaitGroup
}

// New makes an owner, which somebody must Close.
func New() *Owner {
	o := &Owner{}
	o.ctx, o.stop = context.WithCancel(context.Background())
	return o
}

// Context ends when the owner closes.
func (o *Owner) Context() context.Context { return o.ctx }

// Go runs f in a goroutine that Close waits for; f ends soon after Context does. Once
// the owner is closed it runs f itself.
func (o *Owner) Go(f func()) {
	o.mu.Lock()
	if !o.closed {
		o.all.Go(f)
		o.mu.Unlock()
		return
	}
	o.mu.Unlock()
	f()
}

// Detach returns a context with the values of ctx that does not end with it, only with
// the owner or with the returned function, which must be called.
func (o *Owner) Detach(ctx context.Context) (context.Context, context.CancelFunc) {
	detached, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(o.ctx, cancel)
	return detached, func() { unhook(); cancel() }
}

// Close ends Context and waits for what Go began.
func (o *Owner) Close() {
	o.mu.Lock()
	o.closed = true
	o.stop()
	o.mu.Unlock()
	o.all.Wait()
}
