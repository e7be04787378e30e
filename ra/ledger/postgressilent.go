package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// A server whose link is down says nothing, not even that. A statement cannot know
// whether it waits for such a one or for a long queue of locks; so after a while a new
// connection asks. A server that is merely slow, or has no connection to spare, says so
// there; one that says nothing there, either, is given up, with all statements that wait
// for it, and the next host is asked. To be wrong costs those clients a 503, and
// this replica its number: claims only end by it, none is trusted longer.

// patience is how long a statement waits before a new connection asks.
const patience = time.Second

// errSilent ends a statement whose server is given up.
var errSilent = errors.New("the PostgreSQL server is given up")

// silentError is what has come of such a statement.
type silentError struct {
	after  time.Duration
	others bool // there are other hosts to ask
}

func (e *silentError) Error() string {
	return fmt.Sprintf("the PostgreSQL server answers nothing any more, on a new connection neither: given up after %s", e.after.Round(time.Second/10))
}

// silence finds out whether a server that does not answer is there.
type silence struct {
	// hail asks on a connection of its own, and tells at what address.
	hail func(context.Context) (address string, err error)
	// waits says how long that may take, authentication included.
	waits waits
	// silent is called once a server is given up: what was known of it from before
	// that time counts no more.
	silent func(address string, before time.Time)

	given atomic.Pointer[time.Time] // what began before waits for a server that was given up

	hailing sync.WaitGroup
	end     context.CancelFunc // of the one hail

	mu      sync.Mutex // guards all below
	closed  bool
	asking  bool
	waiting map[*watch]bool // for what the hail says
}

// watch is one statement, or a transaction.
type watch struct {
	silence *silence
	began   time.Time
	ctx     context.Context
	cancel  context.CancelCauseFunc
	free    context.CancelFunc
	timer   *time.Timer
}

// watch bounds what its context is used for: by the silence of the server, and by
// statementTimeout where the caller has set no end.
func (s *silence) watch(ctx context.Context) (context.Context, *watch) {
	w := &watch{silence: s, began: time.Now()}
	ctx, w.free = deadline(ctx)
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	w.timer = time.AfterFunc(patience, w.late)
	return w.ctx, w
}

// ended is called when all has been read; it returns what err means.
func (w *watch) ended(err error) error {
	w.timer.Stop()
	silent := errors.Is(context.Cause(w.ctx), errSilent)
	w.silence.forget(w)
	w.cancel(nil)
	w.free()
	if err != nil && silent {
		return &silentError{after: time.Since(w.began), others: w.silence.waits.others}
	}
	return err
}

func (w *watch) late() {
	if given := w.silence.given.Load(); given != nil && w.began.Before(*given) {
		w.cancel(errSilent)
		return
	}
	w.silence.ask(w)
}

func (s *silence) forget(w *watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, w)
}

// ask makes w wait for what the hail says that is under way, or is begun by this.
func (s *silence) ask(w *watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || w.ctx.Err() != nil {
		return
	}
	if s.waiting == nil {
		s.waiting = map[*watch]bool{}
	}
	s.waiting[w] = true
	if s.asking {
		return
	}
	s.asking = true
	ctx, cancel := context.WithTimeout(context.Background(), s.waits.hail)
	s.end = cancel
	s.hailing.Go(func() {
		defer cancel()
		began := time.Now()
		address, err := s.hail(ctx)
		s.heard(address, began, isSilence(err))
	})
}

func (s *silence) heard(address string, began time.Time, silent bool) {
	if silent {
		s.given.Store(&began)
		s.silent(address, began)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking = false
	for w := range s.waiting {
		switch {
		case silent:
			w.cancel(errSilent)
		case !s.closed:
			w.timer.Reset(patience)
		}
		delete(s.waiting, w)
	}
}

// isSilence tells whether an attempt to connect found nobody. A refusal is the machine
// that has started anew without its server. All else is an answer, or a trouble of ours.
func isSilence(err error) bool {
	for _, nobody := range []error{context.DeadlineExceeded, syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH} {
		if errors.Is(err, nobody) {
			return true
		}
	}
	return false
}

func (s *silence) close() {
	s.mu.Lock()
	s.closed = true
	if s.end != nil {
		s.end()
	}
	s.mu.Unlock()
	s.hailing.Wait()
}

// hailer asks the server that was good last.
func hailer(config *pgx.ConnConfig, h *hosts) func(context.Context) (string, error) {
	return func(ctx context.Context) (address string, err error) {
		c := config.Copy()
		if address = h.only(c); address == "" {
			return "", nil // none was good so far: whoever connects finds out
		}
		c.ValidateConnect, c.AfterConnect = nil, nil // a standby is an answer
		conn, err := pgx.ConnectConfig(ctx, c)
		if err == nil {
			closeSoon(conn)
		}
		return address, err
	}
}
