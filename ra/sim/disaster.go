package sim

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite", to spoil the ledger's file with
)

func (w *world) disasters() {
	for i, d := range w.plan.Disasters {
		w.actors.Go(func() {
			if w.pause(d.At, "disaster", i) && !w.isCalm() {
				w.note("world", "%s", d)
				w.strike(d, i)
			}
		})
	}
}

// strike makes a disaster happen, and ends it in its time or when all heals.
func (w *world) strike(d Disaster, n int) {
	lasting := d.For + w.between(0, time.Millisecond, "for", n)
	w.mu.Lock()
	p := w.process
	w.mu.Unlock()
	replica := d.Replica % w.plan.replicas()
	switch d.Kind {
	case Kill:
		w.kill(p, d.For)
	case Pause:
		p.gates[replica].shut()
		w.sleepUntilCalm(lasting)
		p.gates[replica].open()
		w.note("world", "replica %d goes on", replica)
	case Clock:
		w.clocks[replica].step(d.Step)
	case Recycle:
		w.ca.recycle(lasting)
	case DiskFull, LedgerAway:
		if w.spoiled.CompareAndSwap(false, true) { // else it is in trouble already
			w.ledgerTrouble(d, lasting, n)
			w.spoiled.Store(false)
		}
	case Renewal:
		if err := w.ca.Renew(n + 1); err != nil {
			w.broken("renew the CA: %v", err)
		}
	case SameKey:
		w.enrollSameKey(d)
	}
}

// ledgerTrouble makes the ledger fail: for all that is written, for rows that become
// one state, or altogether.
func (w *world) ledgerTrouble(d Disaster, lasting time.Duration, n int) {
	switch d.Kind {
	case DiskFull:
		name := fmt.Sprintf("full%d", n)
		when := ""
		if d.State != "" {
			when = fmt.Sprintf("WHEN NEW.state = '%s'", d.State)
		}
		w.spoil(
			fmt.Sprintf(`CREATE TRIGGER %su BEFORE UPDATE ON requests %s BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END`, name, when),
			fmt.Sprintf(`CREATE TRIGGER %si BEFORE INSERT ON requests %s BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END`, name, when))
		w.sleepUntilCalm(lasting)
		w.spoil(`DROP TRIGGER `+name+`u`, `DROP TRIGGER `+name+`i`)
	case LedgerAway:
		w.spoil(`ALTER TABLE requests RENAME TO elsewhere`)
		w.sleepUntilCalm(lasting)
		w.spoil(`ALTER TABLE elsewhere RENAME TO requests`)
	}
}

// heal ends what has no time of its own: clocks are set right.
func (w *world) heal() {
	for _, c := range w.clocks {
		c.offset.Store(0)
	}
}

// spoil changes the ledger's file behind its back.
func (w *world) spoil(statements ...string) {
	db, err := sql.Open("sqlite", "file:"+w.file+"?_pragma=busy_timeout(5000)")
	if err != nil {
		w.broken("spoil the ledger: %v", err)
		return
	}
	for _, s := range statements {
		if _, e := db.ExecContext(context.Background(), s); e != nil {
			err = errors.Join(err, e)
		}
	}
	if err := errors.Join(err, db.Close()); err != nil {
		w.broken("spoil the ledger: %v", err)
	}
}

// others enroll at the CA at their pace, for as long as there are clients.
func (w *world) others() {
	d, err := newDirect(w.dialFrom(nil, nil, "others"), w.ca.roots)
	if err != nil {
		w.broken("others: %v", err)
		return
	}
	defer d.close()
	for n := 1; w.pause(w.between(w.plan.Others/2, w.plan.Others*3/2, "others", n), "others", n); n++ {
		csr, err := signCSR(w.keys.Others, fmt.Sprintf("other%03d", n), "", "")
		if err != nil {
			w.broken("others: %v", err)
			return
		}
		d.submit(w.ctx, csr, plainTemplate)
	}
}

// enrollSameKey is CES, which enrolls a client's key under another name, or under
// its own.
func (w *world) enrollSameKey(disaster Disaster) {
	d, err := newDirect(w.dialFrom(nil, nil, "others"), w.ca.roots)
	if err != nil {
		w.broken("same key: %v", err)
		return
	}
	defer d.close()
	n := disaster.Wish % len(w.plan.Wishes)
	wish := w.plan.Wishes[n]
	name, dns := disaster.Name, ""
	if name == "" {
		name = wishName(n)
		if wish.DNS {
			dns = name + ".sim.test"
		}
	}
	csr, err := signCSR(w.keyOf(wish), name, dns, "")
	if err != nil {
		w.broken("same key: %v", err)
		return
	}
	d.submit(w.ctx, csr, plainTemplate)
}
