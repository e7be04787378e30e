package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Options is what a [Queue] is made of. The zero value bounds nothing.
type Options struct {
	// InFlight is how many may be at the CA at a time; 0 = no bound, and so no
	// waiting.
	InFlight int
	// Length is how many may wait, clients and background each; 20,000 by default.
	Length int
	// Patience is how long a client may wait: who would wait longer by the pace of
	// late is refused when it comes, who did is refused then. 0 = no bound. In the
	// background only the context ends the wait.
	Patience time.Duration
	// Breaker decides when the CA counts as down; the zero value never does.
	Breaker Breaker

	Now    func() time.Time // time.Now by default
	Rand   func() float64   // in [0, 1), for the jitter; math/rand/v2's by default
	Logger *zap.Logger      // nothing is logged by default
}

const (
	defaultLength = 20000
	// backgroundShare is how often the background is served first where clients wait
	// too: always behind them, it would never be served on a busy RA.
	backgroundShare = 8
)

// Outcome is how somebody came back from the CA.
type Outcome int

// The outcomes.
const (
	Reached     Outcome = iota // the CA answered, whatever it said
	Unreachable                // it could not be reached, or did not answer
	Neither                    // it was not tried, or given up by our side
)

// Queue lets callers in to the CA. It may be used from many goroutines, and has
// none of its own: it needs no closing.
type Queue struct {
	inFlight int
	length   int
	patience time.Duration
	now      func() time.Time
	rand     func() float64
	log      *zap.Logger

	mu         sync.Mutex // guards all below; never held while anybody is waited for
	gone       int        // at the CA
	clients    line
	background line
	grants     int // of those that waited; see backgroundShare
	pace       pace
	breaker    breaker
}

// New returns a queue for these options.
func New(o Options) (*Queue, error) {
	if o.InFlight < 0 || o.Length < 0 || o.Patience < 0 {
		return nil, fmt.Errorf("queue: a bound is negative (in flight %d, length %d, patience %v): take 0 for none", o.InFlight, o.Length, o.Patience)
	}
	if o.Length == 0 {
		o.Length = defaultLength
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	b, err := newBreaker(o.Breaker, o.Rand)
	if err != nil {
		return nil, err
	}
	return &Queue{
		inFlight: o.InFlight, length: o.Length, patience: o.Patience,
		now: o.Now, rand: o.Rand, log: o.Logger,
		clients: newLine(), background: newLine(), pace: pace{window: o.InFlight}, breaker: b,
	}, nil
}

// Enter waits for a place at the CA, in turn with other accounts, and in order with
// those of the same. leave gives the place back and must be called, once, with how
// it went; its error is kept where that is Unreachable, and shown to those refused
// because of it. Enter's errors are [*Busy], [*Down], or wrap the cause of ctx's end.
func (q *Queue) Enter(ctx context.Context, account string) (leave func(Outcome, error), err error) {
	return q.enter(ctx, account, &q.clients)
}

// EnterBackground is Enter for work that no client waits for: it goes behind all
// clients, but for every eighth place, and waits as long as ctx lets it.
func (q *Queue) EnterBackground(ctx context.Context, account string) (leave func(Outcome, error), err error) {
	return q.enter(ctx, account, &q.background)
}

func (q *Queue) enter(ctx context.Context, account string, in *line) (func(Outcome, error), error) {
	if ctx.Err() != nil {
		return nil, gaveUp(ctx)
	}
	w, err := q.admit(account, in)
	if err != nil {
		return nil, err
	}
	if err := q.await(ctx, w); err != nil {
		return nil, err
	}
	var once sync.Once
	return func(o Outcome, err error) { once.Do(func() { q.leave(w, o, err) }) }, nil
}

// admit refuses, puts in line, or lets in at once.
func (q *Queue) admit(account string, in *line) (*waiter, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	probe, err := q.breaker.ask()
	if err != nil {
		return nil, err
	}
	w := &waiter{probe: probe}
	// Where there is a place nobody waits: whoever leaves hands its own on.
	if q.inFlight == 0 || q.gone < q.inFlight {
		q.gone++
		if q.gone == q.inFlight {
			q.pace.begin(q.now())
		}
		return w, nil
	}
	// A probe is let in line whatever its length: all others are refused until it
	// is back.
	if !probe {
		if err := q.refuse(account, in); err != nil {
			return nil, err
		}
	}
	w.turn = make(chan error, 1)
	in.add(account, w)
	return w, nil
}

// refuse tells whether it makes sense to wait. The caller holds mu.
func (q *Queue) refuse(account string, in *line) error {
	place := in.place(account)
	wait, known := q.pace.expect(place, q.now())
	tooLong := known && in == &q.clients && q.patience > 0 && wait > q.patience
	if in.waiting < q.length && !tooLong {
		return nil
	}
	return q.busy(place)
}

// busy is the refusal of who would be served as the place-th. The caller holds mu.
func (q *Queue) busy(place int) *Busy {
	wait, known := q.pace.expect(place, q.now())
	if !known {
		wait = unknownWait
	}
	// The random part comes on top of the bound, where else all would meet.
	wait = max(minRetry, min(wait, maxRetry*2/3))
	return &Busy{Waiting: q.clients.waiting + q.background.waiting, RetryAfter: jitter(wait, q.rand())}
}

// await waits for w's turn. Which of several things that happen at the same instant
// is seen first decides nothing: a caller that has given up gets no place, and one
// that has a place is not refused.
func (q *Queue) await(ctx context.Context, w *waiter) error {
	if w.turn == nil {
		return nil
	}
	var patience <-chan time.Time
	if q.patience > 0 && w.in == &q.clients && !w.probe {
		timer := time.NewTimer(q.patience)
		defer timer.Stop()
		patience = timer.C
	}
	var refused error
	select {
	case refused = <-w.turn:
	case <-patience:
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		if w.granted {
			q.giveBack()
		} else if !w.flushed {
			w.in.remove(w)
		}
		q.breaker.record(w.probe, Neither, nil)
		return gaveUp(ctx)
	case w.granted:
		return nil
	case w.flushed:
		if refused == nil {
			refused = <-w.turn
		}
		return refused
	default:
		w.in.remove(w)
		return q.busy(w.in.place(w.of.name))
	}
}

func gaveUp(ctx context.Context) error {
	return fmt.Errorf("queue: gave up waiting for a place at the CA: %w", context.Cause(ctx))
}

// leave records an outcome and hands the place on.
func (q *Queue) leave(w *waiter, o Outcome, cause error) {
	if o == Unreachable && cause == nil {
		cause = errors.New("no reason was given")
	}
	q.mu.Lock()
	if q.inFlight > 0 && q.gone == q.inFlight {
		if o == Unreachable {
			q.pace.begin(q.now()) // no measure of what the CA does
		} else {
			q.pace.add(q.now())
		}
	}
	change := q.breaker.record(w.probe, o, cause)
	if change == opened {
		// They would be the next to find out, each after its own time-out.
		q.clients.flush(q.breaker.down)
		q.background.flush(q.breaker.down)
	}
	q.giveBack()
	waits := q.breaker.remaining()
	q.mu.Unlock()

	switch change {
	case opened:
		q.log.Warn("the CA cannot be reached: clients are told to come back, one at a time is let through to see",
			zap.Duration("next", waits), zap.Error(cause))
	case closed:
		q.log.Info("the CA can be reached again")
	}
}

// giveBack hands a place on, or frees it. The caller holds mu.
func (q *Queue) giveBack() {
	next := q.next()
	if next == nil {
		q.gone--
		return
	}
	next.granted = true
	next.turn <- nil
}

// next takes whose turn it is from its line. The caller holds mu.
func (q *Queue) next() *waiter {
	first, second := &q.clients, &q.background
	if q.clients.waiting > 0 && q.background.waiting > 0 {
		if q.grants++; q.grants%backgroundShare == 0 {
			first, second = second, first
		}
	}
	if w := first.take(); w != nil {
		return w
	}
	return second.take()
}

// Snapshot is a queue's state at one moment.
type Snapshot struct {
	Waiting    int           // clients in line
	Background int           // background work in line
	InFlight   int           // at the CA
	Pace       time.Duration // between two that come back from the CA while others wait; 0 = not known yet

	Down  bool          // the CA counts as down
	Probe time.Duration // while it does: until the next probe; 0 = one is due, or under way
	Cause error         // while it does: why it could not be reached last
}

// Snapshot returns the queue's state.
func (q *Queue) Snapshot() Snapshot {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := Snapshot{Waiting: q.clients.waiting, Background: q.background.waiting, InFlight: q.gone}
	if q.pace.known() {
		s.Pace = q.pace.smoothed
	}
	s.Down, s.Probe, s.Cause = q.breaker.state()
	return s
}
