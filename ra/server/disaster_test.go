package server_test

import (
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ciscora/internal/peertest"
	"ciscora/ra/ledger/ledgertest"
)

// The disasters, under load. None may lose a certificate or issue one twice, and all are
// over within a bound. docs/scale.md has the table that this prints.
func TestDisaster(t *testing.T) {
	peertest.Long(t, "Disaster")
	x := newRig(t, rigOptions{})
	table := []string{
		"| disaster | CSRs | certificates | being found out | told to come back | client errors | nobody served for | all served again after |",
		"|---|---|---|---|---|---|---|---|",
	}
	t.Cleanup(func() { t.Logf("\n%s", strings.Join(table, "\n")) })
	for _, d := range sharedDisasters() {
		t.Run(d.name, func(t *testing.T) { table = append(table, x.play(t, d).String()) })
	}
	var adding sync.Mutex
	for _, d := range otherDisasters() {
		t.Run(d.name, func(t *testing.T) {
			if !d.alone {
				t.Parallel() // each has a rig of its own, and they mostly wait
			} // else what is measured is the RA, and not what the others take of two cores
			line := d.rig(t).play(t, d.disaster).String()
			adding.Lock()
			defer adding.Unlock()
			table = append(table, line)
		})
	}
}

// after lets the disaster last.
func after(d time.Duration) { <-time.After(d) }

// sharedDisasters leave three replicas on one PostgreSQL as they were.
func sharedDisasters() []disaster {
	const soon = 5 * time.Second
	// What the CA's own failures cost: five in a row, and one at a time is let through.
	const breaker = 15 * time.Second
	return []disaster{
		{name: "a replica is killed", within: soon, act: func(_ *testing.T, x *rig) time.Time {
			x.kill(0)
			after(2 * time.Second)
			x.start(0)
			return time.Now()
		}},
		{name: "two replicas are killed at once", within: soon, act: func(_ *testing.T, x *rig) time.Time {
			x.kill(0)
			x.kill(1)
			after(2 * time.Second)
			x.start(0)
			x.start(1)
			return time.Now()
		}},
		{name: "all replicas are killed at once", within: soon, act: func(_ *testing.T, x *rig) time.Time {
			x.each(x.kill)
			x.each(x.start)
			return time.Now()
		}},
		{name: "a replica is ended (SIGTERM), without a balancer", within: soon, act: func(_ *testing.T, x *rig) time.Time {
			x.term(2)
			x.start(2)
			return time.Now()
		}},
		{name: "a replica is stopped and goes on (SIGSTOP)", within: soon, act: func(_ *testing.T, x *rig) time.Time {
			x.signal(1, syscall.SIGSTOP)
			after(3 * time.Second)
			x.signal(1, syscall.SIGCONT)
			return time.Now()
		}},
		{name: "all replicas are stopped and go on", within: soon, act: func(_ *testing.T, x *rig) time.Time {
			x.each(func(i int) { x.signal(i, syscall.SIGSTOP) })
			after(3 * time.Second)
			x.each(func(i int) { x.signal(i, syscall.SIGCONT) })
			return time.Now()
		}},
		{name: "the clock of a replica is two minutes ahead", within: soon, act: clockOff("2m")},
		{name: "the clock of a replica is two minutes behind", within: soon, act: clockOff("-2m")},
		{name: "a replica has another template", within: soon, twice: true, act: anotherTemplate},

		{name: "PostgreSQL restarts", within: soon, act: func(t *testing.T, x *rig) time.Time {
			x.pg.Restart(t)
			return time.Now()
		}},
		{name: "PostgreSQL crashes, and is back after 3 s", within: soon, act: func(t *testing.T, x *rig) time.Time {
			x.pg.Stop(t)
			after(3 * time.Second)
			x.pg.Start(t)
			return time.Now()
		}},
		{name: "PostgreSQL's host stands still for 3 s", within: soon, act: func(t *testing.T, x *rig) time.Time {
			x.pg.Signal(t, syscall.SIGSTOP)
			after(3 * time.Second)
			x.pg.Signal(t, syscall.SIGCONT)
			return time.Now()
		}},
		{name: "PostgreSQL ends all connections", within: soon, act: func(t *testing.T, x *rig) time.Time {
			now := time.Now()
			x.endConnections(t)
			return now
		}},
		{name: "the database is read-only for 3 s", within: soon, act: func(t *testing.T, x *rig) time.Time {
			x.sql(t, `ALTER DATABASE ra SET default_transaction_read_only = on`)
			x.endConnections(t)
			after(3 * time.Second)
			x.sql(t, `ALTER DATABASE ra RESET default_transaction_read_only`)
			x.endConnections(t)
			return time.Now()
		}},
		{name: "PostgreSQL has no connections left for 3 s", within: soon, act: func(t *testing.T, x *rig) time.Time {
			x.sql(t, `ALTER ROLE ra CONNECTION LIMIT 0`)
			x.endConnections(t)
			after(3 * time.Second)
			x.sql(t, `ALTER ROLE ra CONNECTION LIMIT -1`)
			return time.Now()
		}},
		{name: "somebody locks the ledger's rows for 6 s", within: soon, act: func(t *testing.T, x *rig) time.Time {
			end := x.inTransaction(t, `LOCK TABLE requests IN ACCESS EXCLUSIVE MODE`)
			after(6 * time.Second)
			end()
			return time.Now()
		}},
		{name: "somebody locks the replicas' rows for 3 s", within: soon, act: func(t *testing.T, x *rig) time.Time {
			end := x.inTransaction(t, `SELECT * FROM replicas FOR UPDATE`)
			after(3 * time.Second)
			end()
			return time.Now()
		}},
		{name: "PostgreSQL is slow: 200 ms more for each message", within: 2 * soon, act: func(_ *testing.T, x *rig) time.Time {
			for _, r := range x.relays {
				r.SetDelay(200 * time.Millisecond)
			}
			began := time.Now()
			after(4 * time.Second)
			for _, r := range x.relays {
				r.SetDelay(0)
			}
			return began
		}},
		{name: "a replica is cut off from PostgreSQL for 3 s (silence)", within: soon, act: func(_ *testing.T, x *rig) time.Time {
			x.relays[1].SetSilent(true)
			after(3 * time.Second)
			x.relays[1].SetSilent(false)
			return time.Now()
		}},
		{name: "a replica is cut off from PostgreSQL for 3 s (refusals)", within: soon, act: func(_ *testing.T, x *rig) time.Time {
			x.relays[1].SetDown(true)
			after(3 * time.Second)
			x.relays[1].SetDown(false)
			return time.Now()
		}},
		{name: "all are cut off from PostgreSQL for 3 s (silence)", within: soon, act: allRelays((*ledgertest.Relay).SetSilent)},
		{name: "what PostgreSQL says is dropped for 3 s", within: soon, act: allRelays((*ledgertest.Relay).SetMute)},
		{name: "PostgreSQL is silent when the replicas start", within: soon, act: silentAtTheStart},

		{name: "the CA is away for 3 s", within: breaker, act: func(_ *testing.T, x *rig) time.Time {
			x.caLink.SetDown(true)
			after(3 * time.Second)
			x.caLink.SetDown(false)
			return time.Now()
		}},
		{name: "the CA is silent for 3 s", within: breaker, act: func(_ *testing.T, x *rig) time.Time {
			x.caLink.SetSilent(true)
			after(3 * time.Second)
			x.caLink.SetSilent(false)
			x.caLink.Cut()
			return time.Now()
		}},
		{name: "the CA answers a second late", within: soon, act: func(_ *testing.T, x *rig) time.Time {
			x.caLink.SetDelay(time.Second / 2)
			began := time.Now()
			after(3 * time.Second)
			x.caLink.SetDelay(0)
			return began
		}},
		{name: "the CA ends all connections", within: soon, act: func(_ *testing.T, x *rig) time.Time {
			now := time.Now()
			x.caLink.Cut()
			return now
		}},
		{name: "the CA's answers are lost for 2 s", within: breaker, act: func(_ *testing.T, x *rig) time.Time {
			x.caLink.SetMute(true)
			after(2 * time.Second)
			x.caLink.Cut()
			x.caLink.SetMute(false)
			return time.Now()
		}},
	}
}

// clockOff runs a replica with another clock for a while: both claims and the search need
// none, and the replicas say that it is off.
func clockOff(ahead string) func(*testing.T, *rig) time.Time {
	return func(t *testing.T, x *rig) time.Time {
		x.term(0)
		x.startAs(0, x.configs[0], replicaClock+"="+ahead)
		began := time.Now()
		await(t, func() bool { return x.warned(0, "from the database's") && x.warned(1, "from the database's") })
		x.term(0)
		x.start(0)
		return began
	}
}

// anotherTemplate: a request for another template is another request, so each CSR that
// goes to both becomes two certificates. Both replicas say so.
func anotherTemplate(t *testing.T, x *rig) time.Time {
	x.term(0)
	other := x.config("other.yaml", throughAsRA(x.relays[0]), "")
	x.rewrite(other, func(text string) string { return strings.Replace(text, "template: CiscoRA", "template: Another", 1) })
	x.startAs(0, other)
	began := time.Now()
	await(t, func() bool { return x.warned(0, "not the same ca.template") && x.warned(1, "not the same ca.template") })
	csr, key := newCSR(t, "both")
	for i := range 2 {
		if _, _, err := x.enroll(t.Context(), x.replicas()[i].address, csr); err != nil {
			t.Error(err)
		}
	}
	t.Logf("a CSR that was sent to both: %d certificates", len(x.issued(t)[keyOf(t, key)]))
	x.term(0)
	x.start(0)
	return began
}

// silentAtTheStart: the chain is served from the first second.
func silentAtTheStart(t *testing.T, x *rig) time.Time {
	x.each(x.kill)
	for _, r := range x.relays {
		r.SetSilent(true)
	}
	began := time.Now()
	x.each(func(i int) { x.startAs(i, x.configs[i], replicaEarly+"=1") })
	var all sync.WaitGroup
	for i := range x.configs {
		all.Go(func() {
			await(t, func() bool { return x.caCertificates(i) })
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("replica %d: /cacerts came %v after its start", i, took)
			}
		})
	}
	all.Wait()
	after(2 * time.Second)
	for _, r := range x.relays {
		r.SetSilent(false)
	}
	return time.Now()
}

// allRelays does something to all connections to PostgreSQL for three seconds.
func allRelays(set func(*ledgertest.Relay, bool)) func(*testing.T, *rig) time.Time {
	return func(_ *testing.T, x *rig) time.Time {
		for _, r := range x.relays {
			set(r, true)
		}
		after(3 * time.Second)
		for _, r := range x.relays {
			set(r, false)
		}
		return time.Now()
	}
}
