package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// idle shows on a terminal that something waits, and for how long still: a line that is
// drawn once a second while nothing else is written, and is gone before the next text.
type idle struct {
	w    io.Writer
	text func(since time.Duration) string

	mu    sync.Mutex // guards both
	since time.Time  // when something was last written
	drawn bool

	stopped chan struct{}
	done    chan struct{}
}

// quietFor is how long nothing must have been written before the line is drawn.
const quietFor = 1500 * time.Millisecond

// newIdle begins to draw on w, where a person is watching; end it. text words how long
// nothing has been written.
func newIdle(w io.Writer, watched bool, text func(since time.Duration) string) *idle {
	i := &idle{w: w, text: text, since: time.Now(), stopped: make(chan struct{}), done: make(chan struct{})}
	if !watched {
		close(i.done)
		return i
	}
	go i.draw()
	return i
}

func (i *idle) draw() {
	defer close(i.done)
	tick := time.NewTicker(time.Second / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			i.mu.Lock()
			if since := time.Since(i.since); since >= quietFor {
				fmt.Fprintf(i.w, "\r\x1b[K  %s", i.text(since))
				i.drawn = true
			}
			i.mu.Unlock()
		case <-i.stopped:
			return
		}
	}
}

// touch clears the line: something is about to be written.
func (i *idle) touch() {
	if i == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.since = time.Now()
	if i.drawn {
		fmt.Fprint(i.w, "\r\x1b[K")
		i.drawn = false
	}
}

// end clears the line for good. It is called once.
func (i *idle) end() {
	close(i.stopped)
	<-i.done
	i.touch()
}

// countdown words how long a wait still lasts: libest and CES give up after 10 s.
func countdown(what string) func(since time.Duration) string {
	const limit = 10 * time.Second
	return func(since time.Duration) string {
		if since < limit {
			return fmt.Sprintf("%s: %d s of %d left", what, int((limit-since+time.Second-1)/time.Second), int(limit/time.Second))
		}
		return fmt.Sprintf("%s: for %d s", what, int(since/time.Second))
	}
}
