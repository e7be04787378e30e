package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ciscora/ra"
)

// world is one history while it is played.
type world struct {
	plan Plan
	keys Keys
	file string // of the ledger
	ca   *authority

	ctx    context.Context // ends when the history does
	began  time.Time
	actors sync.WaitGroup // clients, disasters, managers, dead replicas
	calm   chan struct{}  // closed when all heals

	clocks  []*clock    // one a replica; they outlive it
	spoiled atomic.Bool // the ledger is in trouble

	mu      sync.Mutex // guards all below
	history History
	process *process
}

// Play plays a plan and returns what came of it. It must be called inside a
// synctest bubble; dir is an empty folder of this history. An error means that the
// history could not begin.
func Play(ctx context.Context, p Plan, keys Keys, dir string) (*History, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &world{plan: p, keys: keys, file: filepath.Join(dir, "ra.db"), ctx: ctx, began: time.Now(), calm: make(chan struct{})}
	w.history = History{
		Plan: p, Began: w.began, Asks: make([][]Ask, len(p.Wishes)),
		Owner: map[int]int{}, Posted: map[int]time.Duration{}, Fetched: map[int]Fetched{},
	}
	for _, wish := range p.Wishes {
		w.history.publicKey = append(w.history.publicKey, w.keyOf(wish).Public())
	}
	for range p.replicas() {
		w.clocks = append(w.clocks, &clock{})
	}
	ca, err := newAuthority(w)
	if err != nil {
		return nil, err
	}
	w.ca = ca
	if err := w.start(); err != nil {
		return nil, errors.Join(err, ca.close())
	}

	clients := w.clients()
	w.disasters()
	if p.Others > 0 {
		w.actors.Go(w.others)
	}
	early := clients
	if slices.ContainsFunc(p.Wishes, func(wish Wish) bool { return wish.Once }) {
		early = nil // that it has ended says nothing of what it asked for
	}
	w.sleepUntilDone(p.Calm, early)
	w.note("world", "calm")
	close(w.calm)
	w.heal()
	select {
	case <-clients:
	case <-time.After(p.converge()):
	}
	w.pause(p.Linger, "linger", 0)
	cancel() // who still waits, waits for ever
	<-clients
	return w.end()
}

// end stops all that runs and takes stock.
func (w *world) end() (*History, error) {
	w.actors.Wait()
	w.mu.Lock()
	p := w.process
	w.mu.Unlock()
	errs := []error{p.shut()}
	rows, err := allRows(p.ledger)
	errs = append(errs, err, p.ledger.Close(), w.ca.close())
	h := &w.history
	h.Rows, h.Requests, h.Took = rows, w.ca.Requests(), time.Since(w.began)
	for i, o := range h.Orphans {
		for _, row := range rows {
			if n, ok := wishNamed(row.CN); ok && row.ID == o.Row {
				h.Orphans[i].Wish = n
			}
		}
	}
	return h, errors.Join(errs...)
}

func (w *world) elapsed() time.Duration { return time.Since(w.began) }

// note adds a line to the history.
func (w *world) note(who, format string, values ...any) {
	line := Line{w.elapsed(), who, fmt.Sprintf(format, values...)}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.history.Lines = append(w.history.Lines, line)
}

func (w *world) broken(format string, values ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.history.Broken = append(w.history.Broken, fmt.Sprintf(format, values...))
}

// draw is a number that the salt, a name and a count give, and nothing else.
func (w *world) draw(name string, n int) uint64 {
	h := fnv.New64a()
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], w.plan.Salt)
	binary.LittleEndian.PutUint64(b[8:], uint64(n))
	_, _ = h.Write(b[:])
	_, _ = h.Write([]byte(name))
	x := h.Sum64()
	// FNV leaves the last bytes' traces in the low bits alone (the finish of
	// MurmurHash3).
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return x
}

// between draws a time, to the nanosecond.
func (w *world) between(low, high time.Duration, name string, n int) time.Duration {
	return low + time.Duration(w.draw(name, n)%uint64(high-low+1))
}

// pause waits for d, and some nanoseconds that nobody else waits. It returns false
// where the history ended first.
func (w *world) pause(d time.Duration, name string, n int) bool {
	return w.sleep(d + w.between(0, time.Millisecond, "residue "+name, n))
}

func (w *world) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.ctx.Done():
		return false
	}
}

// sleepUntilDone waits until an instant, or until all clients have their answers.
func (w *world) sleepUntilDone(at time.Duration, done <-chan struct{}) {
	timer := time.NewTimer(at - w.elapsed())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-done:
	}
}

// sleepUntilCalm waits for d, or until all heals.
func (w *world) sleepUntilCalm(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.calm:
	case <-w.ctx.Done():
	}
}

func (w *world) isCalm() bool {
	select {
	case <-w.calm:
		return true
	default:
		return false
	}
}

// event takes note of what a replica tells.
func (w *world) event(p *process, name string, e ra.Event) {
	if p.isDead() {
		return // nobody hears it
	}
	if told, ok := orphanOf(e); ok {
		o := Orphan{At: w.elapsed(), Row: told.Row, Wish: -1, Candidates: told.Candidates}
		w.mu.Lock()
		w.history.Orphans = append(w.history.Orphans, o)
		w.mu.Unlock()
	}
	if what := describe(e); what != "" {
		w.note(name, "%s", what)
	}
}
