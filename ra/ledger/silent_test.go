package ledger_test

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"ciscora/ra/ledger"
	"ciscora/ra/ledger/ledgertest"
)

// A link that goes down under a statement: the next host has the claim within the time
// of that same call, and what was claimed before is renewed, or lost, by the rules.
func TestAStatementOnADeadLinkIsTriedAtTheNextHost(t *testing.T) {
	t.Parallel()
	server := postgres.Postgres(t)
	first := server.Relay(t)
	core, logs := observer.New(zap.InfoLevel)
	l, err := ledger.Open(t.Context(), ledgertest.Through(first, server.Relay(t)), ledger.Options{Logger: zap.New(core)})
	must(t, err)
	defer l.Close()
	before := claim(t, l, request("before", "x"))
	first.SetSilent(true)
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // what the core gives it
	defer cancel()
	c, err := l.Claim(ctx, request("after", "x"))
	must(t, err)
	if took := time.Since(began); !c.Mine || took > 4*time.Second {
		t.Errorf("mine: %v, after %v", c.Mine, took)
	}
	if n := logs.FilterMessageSnippet("has fallen silent").Len(); n != 1 {
		t.Errorf("%d lines say that the server has fallen silent", n)
	}
	must(t, l.Verify(t.Context(), before))
	must(t, l.Update(t.Context(), &before, func(r *ledger.Row) { r.ReqID = 7 }))
}

// A server that is there and slow is waited for: a lock that somebody holds, and no
// connection to spare.
func TestAServerThatIsSlowIsNotGivenUp(t *testing.T) {
	t.Parallel()
	x := newReplicas(t)
	core, logs := observer.New(zap.InfoLevel)
	l, err := ledger.Open(t.Context(), x.dsn, ledger.Options{Logger: zap.New(core)})
	must(t, err)
	defer l.Close()
	claim(t, l, request("before", "x"))
	tx, err := x.admin.BeginTx(t.Context(), nil)
	must(t, err)
	_, err = tx.ExecContext(t.Context(), `LOCK TABLE requests IN ACCESS EXCLUSIVE MODE`)
	must(t, err)
	claimed := make(chan error, 1)
	began := time.Now()
	go func() {
		_, err := l.Claim(t.Context(), request("waits", "x"))
		claimed <- err
	}()
	<-time.After(4 * time.Second) // more than two looks
	must(t, tx.Rollback())
	must(t, <-claimed)
	if took := time.Since(began); took < 4*time.Second {
		t.Errorf("it did not wait: %v", took)
	}
	if n := logs.FilterMessageSnippet("has fallen silent").Len(); n != 0 {
		t.Error("a server that is there was given up")
	}
}

// A machine that has other things to do, or is moved: nobody else could be asked, so all
// wait for it, on connections that there are, and on new ones.
func TestAnOnlyServerThatStandsStillForThreeSecondsCostsNobodyAnError(t *testing.T) {
	t.Parallel()
	server := ledgertest.StartPostgres(t)
	for _, busy := range []bool{false, true} {
		core, logs := observer.New(zap.InfoLevel)
		l, err := ledger.Open(t.Context(), server.DSN, ledger.Options{Logger: zap.New(core)})
		must(t, err)
		defer l.Close()
		if busy {
			claim(t, l, request("before", "x"))
		}
		server.Signal(t, syscall.SIGSTOP)
		began := time.Now()
		var done sync.WaitGroup
		for i := range 4 {
			done.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // what the core gives it
				defer cancel()
				if c, err := l.Claim(ctx, request(fmt.Sprint("phone", busy, i), "x")); err != nil || !c.Mine {
					t.Errorf("connected before: %v: mine: %v %v", busy, c.Mine, err)
				}
			})
		}
		<-time.After(3 * time.Second)
		server.Signal(t, syscall.SIGCONT)
		done.Wait()
		if took := time.Since(began); took < 3*time.Second {
			t.Errorf("connected before: %v: the server did not stand still: %v", busy, took)
		}
		if n := logs.FilterMessageSnippet("has fallen silent").Len(); n != 0 {
			t.Errorf("connected before: %v: a server that is there was given up", busy)
		}
	}
}

// What is asked without a deadline has one, see reading.go; here it is the silence that
// ends it, whatever is asked first, and where there is nobody else to ask nothing is
// asked twice.
func TestWhatIsAskedDoesNotWaitForADeadServer(t *testing.T) {
	t.Parallel()
	server := postgres.Postgres(t)
	var all sync.WaitGroup
	for first := range 3 {
		relay := server.Relay(t)
		l, err := ledger.Open(t.Context(), relay.DSN, ledger.Options{})
		must(t, err)
		defer l.Close()
		for i := range 3 {
			claim(t, l, request(fmt.Sprint("phone", first, i), "x"))
		}
		row := claim(t, l, request(fmt.Sprint("there", first), "x")).Row.ID
		relay.SetSilent(true)
		asked := []struct {
			what string
			ask  func() error
		}{
			{"Get", func() error { _, err := l.Get(t.Context(), row); return err }},
			{"List", func() error { _, err := l.List(t.Context(), ledger.Filter{}); return err }},
			{"Claim", func() error { _, err := l.Claim(t.Context(), request("more", "x")); return err }},
		}
		all.Go(func() {
			for i := range asked {
				a := asked[(first+i)%len(asked)]
				began := time.Now()
				if err := a.ask(); err == nil {
					t.Errorf("%s: a server that is gone has answered", a.what)
				}
				if took := time.Since(began); took > 6*time.Second {
					t.Errorf("%s, asked as number %d, waited %v", a.what, i+1, took)
				}
			}
		})
	}
	all.Wait()
}
