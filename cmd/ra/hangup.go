package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// hangups catches SIGHUP, whose default ends a process at once: from the first moment
// of a command on, and acted on once it runs.
type hangups chan os.Signal

func catchHangups() hangups {
	h := make(hangups, 1)
	signal.Notify(h, syscall.SIGHUP)
	return h
}

func (h hangups) stop() { signal.Stop(h) }

// untilHangup is ctx until SIGHUP comes: the terminal was closed. Who was started by nohup
// has it ignored, and goes on.
func untilHangup(ctx context.Context) (context.Context, context.CancelFunc) {
	if signal.Ignored(syscall.SIGHUP) {
		return context.WithCancel(ctx)
	}
	return signal.NotifyContext(ctx, syscall.SIGHUP)
}

// bearBrokenPipes has a write to standard output or error whose reader has gone fail, where
// SIGPIPE would end the process at once, until the caller says stop. Other than one that
// is ignored, a signal that is caught is not inherited by the programs that are started.
func bearBrokenPipes() (stop func()) {
	pipes := make(chan os.Signal, 1) // nobody reads it: the write has its error
	signal.Notify(pipes, syscall.SIGPIPE)
	return func() { signal.Stop(pipes) }
}

// reload calls f for each SIGHUP, one call at a time, until ctx ends or the caller says
// end, which waits for a call that is under way.
func (h hangups) reload(ctx context.Context, f func()) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-h:
				f()
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}
