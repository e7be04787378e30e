package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"ciscora/ra/ledger"
	"ciscora/ra/ledger/ledgertest"
)

func TestAHostThatIsSilentLeavesTimeForTheNext(t *testing.T) {
	t.Parallel()
	server := postgres.Postgres(t)
	first := server.Relay(t)
	first.SetSilent(true)
	began := time.Now()
	l, err := ledger.Open(t.Context(), ledgertest.Through(first, server.Relay(t)), ledger.Options{})
	must(t, err)
	defer l.Close()
	if took := time.Since(began); took > 500*time.Millisecond {
		t.Errorf("to open it took %v: the RA serves first, and looks then", took)
	}
	// The core gives one look five seconds; the pool and the claims have a connection each.
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		err = l.Ready(ctx)
		cancel()
	}
	must(t, err)
	claim(t, l, request("phone", "x"))
}

func TestConnectionsOnWhichTheServerFellSilentAreLeftForTheNextHost(t *testing.T) {
	t.Parallel()
	server := postgres.Postgres(t)
	first := server.Relay(t)
	l, err := ledger.Open(t.Context(), ledgertest.Through(first, server.Relay(t)), ledger.Options{})
	must(t, err)
	defer l.Close()
	var all sync.WaitGroup
	for i := range 16 { // a pool that is full
		all.Go(func() { claim(t, l, request(fmt.Sprint("phone", i), "x")) })
	}
	all.Wait()
	first.SetSilent(true)
	began := time.Now()
	for i := 0; ; i++ {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := l.Claim(ctx, request(fmt.Sprint("other", i), "x"))
		cancel()
		if err == nil {
			break
		}
		if time.Since(began) > 30*time.Second {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("the next host was used after %v, want 5s", took)
	}
	t.Logf("%v", time.Since(began))
}

func TestConnectionsThatTheServerEndedCostNoClientAnError(t *testing.T) {
	t.Parallel()
	x := newReplicas(t)
	l := x.open("a", long)
	for round := range 6 {
		var all sync.WaitGroup
		for i := range 16 { // as many as the pool has
			all.Go(func() { claim(t, l, request(fmt.Sprint("phone", round, i), "x")) })
		}
		all.Wait()
		ended := 0
		must(t, x.admin.QueryRowContext(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`).Scan(&ended))
		// The server ends them when it comes to it: the statement may be faster, or slower.
		for left := ended; round%2 == 0 && left > 0; {
			must(t, x.admin.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_start < now()`).Scan(&left))
			if left < ended {
				break
			}
		}
		for i := range 16 {
			all.Go(func() {
				if _, err := l.Claim(t.Context(), request(fmt.Sprint("next", round, i), "x")); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
}

// Each connection costs PostgreSQL much: those of all replicas at once, as after a
// failover, would all be late.
func TestAReplicaConnectsAFewTimesAtOnceHoweverManyAsk(t *testing.T) {
	t.Parallel()
	relay := postgres.Postgres(t).Relay(t)
	l, err := ledger.Open(t.Context(), relay.DSN, ledger.Options{})
	must(t, err)
	defer l.Close()
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() { claim(t, l, request(fmt.Sprint("phone", i), "x")) })
	}
	all.Wait()
	// Four, one that has the claims, and one that asks whether the server is there.
	if n := relay.MostConnecting(); n > 6 {
		t.Errorf("%d connections were made at once", n)
	}
}

func TestReadinessIsFoundOutByWriting(t *testing.T) {
	t.Parallel()
	t.Run("a PostgreSQL that takes no writes", func(t *testing.T) {
		x := newReplicas(t)
		l := x.open("a", long)
		must(t, l.Ready(t.Context()))
		readOnly := func(how string) {
			var name string
			must(t, x.admin.QueryRowContext(t.Context(), `SELECT current_database()`).Scan(&name))
			_, err := x.admin.ExecContext(t.Context(), `ALTER DATABASE `+name+` SET default_transaction_read_only = `+how)
			must(t, err)
			_, err = x.admin.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
			must(t, err)
		}
		readOnly("on")
		eventually(t, func() bool {
			err := l.Ready(t.Context())
			return errors.Is(err, ledger.ErrUnavailable) && strings.Contains(err.Error(), "read")
		})
		readOnly("off")
		eventually(t, func() bool { return l.Ready(t.Context()) == nil })
	})
	t.Run("a full disk", func(t *testing.T) {
		l, err := ledger.Open(t.Context(), "sqlite:"+written(t), ledger.Options{})
		must(t, err)
		defer l.Close()
		must(t, l.Ready(t.Context()))
		restore := l.LimitSize(t, 1)
		for i := 0; err == nil && i < 1000; i++ {
			_, err = l.Claim(t.Context(), request(fmt.Sprint("more", i), "x"))
		}
		if err := l.Ready(t.Context()); !errors.Is(err, ledger.ErrUnavailable) || !strings.Contains(err.Error(), "full") {
			t.Errorf("ready, and no row can be made: %v", err)
		}
		restore()
		claim(t, l, request("after", "x"))
		must(t, l.Ready(t.Context()))
	})
	t.Run("a file that is gone, and comes back", func(t *testing.T) {
		path := written(t)
		l, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{})
		must(t, err)
		defer l.Close()
		must(t, os.Rename(path, path+".old"))
		if err := l.Ready(t.Context()); !errors.Is(err, ledger.ErrUnavailable) || !strings.Contains(err.Error(), path+" is gone: ") {
			t.Errorf("ready without its file: %v", err)
		}
		if _, err := l.Claim(t.Context(), request("phone", "y")); !errors.Is(err, ledger.ErrUnavailable) {
			t.Errorf("a claim in a file that nobody will read again: %v", err)
		}
		must(t, os.WriteFile(path, nil, 0o600))
		if err := l.Ready(t.Context()); !errors.Is(err, ledger.ErrUnavailable) || !strings.Contains(err.Error(), "is another one than the RA has opened") {
			t.Errorf("ready with another file: %v", err)
		}
		must(t, os.Rename(path+".old", path))
		must(t, l.Ready(t.Context()))
	})
}

func eventually(t *testing.T, yes func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !yes(); {
		if time.Now().After(end) {
			t.Fatal("it does not come")
		}
	}
}

func TestTablesWithoutAVersionAreToldAsWhatTheyAre(t *testing.T) {
	x := newReplicas(t)
	l := x.open("a", long)
	must(t, l.Ready(t.Context()))
	_, err := x.admin.ExecContext(t.Context(), `DELETE FROM ledger_version`)
	must(t, err)
	if err := x.open("b", long).Ready(t.Context()); !errors.Is(err, ledger.ErrUnusable) || !strings.Contains(err.Error(), "has a table requests, and ledger_version has no row") {
		t.Errorf("ready: %v", err)
	}
	var n int
	if err := x.admin.QueryRowContext(t.Context(), `SELECT count(*) FROM ledger_version`).Scan(&n); err != nil || n != 0 {
		t.Errorf("it was changed: %d rows, %v", n, err)
	}
}

func TestADSNThatSaysNothingOfTLSGetsAdvice(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	for dsn, want := range map[string]int{
		"postgres://ra@db.example:1/ra":                     1,
		"postgres://ra@db.example:1/ra?sslmode=verify-full": 0,
		"postgres://ra@db.example:1/ra?sslmode=disable":     0,
		"postgres://ra@127.0.0.1:1/ra":                      0,
		"postgres:///ra?host=/run/postgresql":               0,
	} {
		core, logs := observer.New(zap.InfoLevel)
		l, err := ledger.Open(t.Context(), dsn, ledger.Options{Logger: zap.New(core)})
		must(t, err)
		must(t, l.Close())
		if n := logs.FilterMessageSnippet("sslmode=verify-full").Len(); n != want {
			t.Errorf("%s: %d lines, want %d", dsn, n, want)
		}
	}
}

func TestReplicasSeeWhatIsNotAlike(t *testing.T) {
	t.Parallel()
	x := newReplicas(t)
	open := func(name string, about ledger.About, ahead time.Duration) *ledger.Ledger {
		l, err := ledger.Open(t.Context(), x.dsn, ledger.Options{
			Replica: name, Lease: long, About: about, Now: func() time.Time { return time.Now().Add(ahead) },
		})
		must(t, err)
		t.Cleanup(func() { must(t, l.Close()) })
		must(t, l.Ready(t.Context()))
		must(t, l.Ready(t.Context())) // the second tells what the first measured
		return l
	}
	same := map[string]string{"ca.template": "11", "ca.url": "aa"}
	a := open("a", ledger.About{Version: "1.0", Agree: same}, 0)
	b := open("b", ledger.About{Version: "1.0", Agree: same}, time.Second)
	lines := func(l *ledger.Ledger) string {
		all, err := l.Replicas(t.Context())
		must(t, err)
		var text []string
		for _, d := range ledger.Disagreements(all) {
			text = append(text, d.Text)
		}
		return strings.Join(text, "\n")
	}
	if got := lines(a) + lines(b); got != "" {
		t.Errorf("two that are alike: %s", got)
	}
	c := open("c", ledger.About{Version: "1.1", Agree: map[string]string{"ca.template": "22", "ca.url": "aa", "profile": "x"}}, -2*time.Minute)
	for l, self := range map[*ledger.Ledger]string{a: "a and c", c: "c and a"} {
		got := lines(l)
		for _, want := range []string{
			"the clock of replica c is -2m0s from the database's",
			"replicas " + self + " have not the same ca.template, profile: ",
			"replicas " + self + " are of different versions, ",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", self, want, got)
			}
		}
	}
	reader, err := ledger.OpenReadOnly(t.Context(), x.dsn, ledger.Options{})
	must(t, err)
	defer reader.Close()
	all, err := reader.Replicas(t.Context())
	must(t, err)
	if len(all) != 3 || !all[2].Live || all[2].Self || all[2].Version != "1.1" {
		t.Errorf("as a reader sees them: %+v", all)
	}
}
