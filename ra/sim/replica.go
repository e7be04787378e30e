package sim

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"ciscora/ra"
	"ciscora/ra/ledger"
)

// clock is a replica's: it may be stepped.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time       { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) step(d time.Duration) { c.offset.Add(int64(d)) }

// process is one life of the replicas, from their start to their kill.
type process struct {
	w      *world
	ledger *ledger.Ledger
	cores  []*core
	gates  []*gate
	dead   chan struct{}  // closed by the kill
	alive  sync.WaitGroup // requests that are under way in it
}

func (p *process) isDead() bool {
	select {
	case <-p.dead:
		return true
	default:
		return false
	}
}

// start brings the replicas up on the ledger's file, as it is.
func (w *world) start() error {
	p := &process{w: w, dead: make(chan struct{})}
	book, err := openLedger(w.ctx, w.file, w.clocks[0].now)
	if err != nil {
		return err
	}
	p.ledger = book
	for i := range w.plan.replicas() {
		g, name := &gate{}, fmt.Sprintf("ra%d", i)
		c, err := newCore(coreOptions{
			dial: w.dialFrom(p, g, name), roots: w.ca.roots, ledger: book, now: w.clocks[i].now, plan: w.plan,
			events: func(e ra.Event) { w.event(p, name, e) },
			delay:  w.between(0, 500*time.Millisecond, "run "+name, w.history.Kills),
		})
		if err != nil {
			return err
		}
		p.cores, p.gates = append(p.cores, c), append(p.gates, g)
	}
	w.mu.Lock()
	w.process = p
	w.mu.Unlock()
	return nil
}

// shut ends the replicas as SIGTERM does; the ledger stays open. It waits for the
// requests that are under way: their clients have hung up, so they end.
func (p *process) shut() error {
	drained := make(chan struct{})
	go func() { p.alive.Wait(); close(drained) }()
	select {
	case <-drained:
	case <-time.After(converge):
		p.w.broken("a request does not end, long after its client has")
	}
	for _, c := range p.cores {
		if err := c.close(); err != nil {
			return fmt.Errorf("sim: a replica ended with %w", err)
		}
	}
	return nil
}

// kill ends the process without a word: its connections break, nothing that it
// still does reaches the ledger, and the file stays as it is. It comes back after
// down. A process that is dead stays so.
func (w *world) kill(p *process, down time.Duration) {
	w.mu.Lock()
	if p != w.process || p.isDead() {
		w.mu.Unlock()
		return
	}
	close(p.dead)
	w.history.Kills++
	n := w.history.Kills
	w.mu.Unlock()
	w.note("world", "kill, back in %s", down)
	w.ca.cutProcess(p)
	if err := p.ledger.Close(); err != nil {
		w.broken("a killed ledger: %v", err)
	}
	for _, g := range p.gates {
		g.open()
	}
	w.actors.Go(func() {
		// What is left of it in this process ends, unseen.
		w.actors.Go(func() { _ = p.shut() })
		w.pause(down, "down", n)
		for try := 0; ; try++ {
			err := w.start()
			if err == nil {
				w.note("world", "up again")
				return
			}
			if w.isCalm() {
				w.broken("the ledger of a killed RA cannot be opened: %v", err)
			}
			if !w.pause(5*time.Second, "up", 1000*n+try) {
				w.broken("the RA does not come up: %v", err)
				return
			}
		}
	})
}

// dialFrom returns a replica's way to the CA.
func (w *world) dialFrom(p *process, g *gate, name string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		g.pass(0)
		if p != nil && p.isDead() {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ENETUNREACH}
		}
		return w.ca.dial(ctx, p, g, name)
	}
}

// current returns the replica that the n-th try of a client reaches, and its
// process; nil while none is up.
func (w *world) current(client, try int) (*core, *gate, *process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.process
	if p.isDead() {
		return nil, nil, nil
	}
	i := (client + try) % len(p.cores)
	p.alive.Add(1)
	return p.cores[i], p.gates[i], p
}

func allRows(book *ledger.Ledger) ([]ledger.Row, error) {
	var all []ledger.Row
	for before := int64(0); ; {
		rows, err := book.List(context.Background(), ledger.Filter{Before: before, Limit: 1000})
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
		if len(rows) < 1000 {
			return all, nil
		}
		before = rows[len(rows)-1].ID
	}
}
