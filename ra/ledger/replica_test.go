package ledger_test

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ciscora/ra/ledger"
)

// replicas are several ledgers on one PostgreSQL.
type replicas struct {
	t     *testing.T
	dsn   string
	admin *sql.DB
}

func newReplicas(t *testing.T) *replicas {
	t.Helper()
	dsn := postgres.Database(t)
	admin, err := sql.Open("pgx", dsn)
	must(t, err)
	t.Cleanup(func() { admin.Close() })
	return &replicas{t: t, dsn: dsn, admin: admin}
}

func (x *replicas) open(name string, lease time.Duration) *ledger.Ledger {
	x.t.Helper()
	l, err := ledger.Open(x.t.Context(), x.dsn, ledger.Options{Replica: name, Lease: lease})
	must(x.t, err)
	x.t.Cleanup(func() { must(x.t, l.Close()) })
	return l
}

// cut ends the connection that a replica has its lock on.
func (x *replicas) cut(name string) {
	x.t.Helper()
	if _, err := x.admin.ExecContext(x.t.Context(), `SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN replicas r ON l.objid::bigint = r.id
		WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND r.name = $1`, name); err != nil {
		x.t.Fatal(err)
	}
}

// patiently claims until the claim is ours.
func patiently(t *testing.T, l *ledger.Ledger, r ledger.Request) (ledger.Claim, time.Duration) {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		c, err := l.Claim(ctx, r)
		must(t, err)
		if c.Mine {
			return c, time.Since(began)
		}
		if c.Fresh {
			t.Fatalf("a second row: %+v", c)
		}
	}
}

// mustBeLost checks that a claim is good for nothing.
func mustBeLost(t *testing.T, l *ledger.Ledger, c ledger.Claim) {
	t.Helper()
	ctx := t.Context()
	if err := l.Verify(ctx, c); !errors.Is(err, ledger.ErrLost) {
		t.Errorf("verify: %v, want ErrLost", err)
	}
	if err := l.Update(ctx, &c, func(r *ledger.Row) { r.ReqID = 99 }); !errors.Is(err, ledger.ErrLost) {
		t.Errorf("update: %v, want ErrLost", err)
	}
	if err := l.Finish(ctx, &c, func(r *ledger.Row) { r.ReqID = 99 }); !errors.Is(err, ledger.ErrLost) {
		t.Errorf("finish: %v, want ErrLost", err)
	}
	if err := l.Discard(ctx, c); !errors.Is(err, ledger.ErrLost) {
		t.Errorf("discard: %v, want ErrLost", err)
	}
	must(t, l.Release(ctx, c))
}

// long is a lease that no test waits for.
const long = time.Hour

func TestTheClaimsOfAReplicaThatEndsAreFreeAtOnce(t *testing.T) {
	x := newReplicas(t)
	b := x.open("b", long)
	a, err := ledger.Open(t.Context(), x.dsn, ledger.Options{Replica: "a", Lease: long})
	must(t, err)
	claim(t, a, request("phone", "x"))
	if c := claim(t, b, request("phone", "x")); c.Mine || !c.Row.Held || c.Row.Replica != "a" {
		t.Fatalf("while it lives: %+v", c)
	}
	must(t, a.Close())
	if c := claim(t, b, request("phone", "x")); !c.Mine || c.Fresh {
		t.Errorf("after its end: %+v", c)
	}
}

func TestAReplicaWhoseConnectionEndsLosesWhatOthersTakeAndKeepsTheRest(t *testing.T) {
	x := newReplicas(t)
	a, b := x.open("a", long), x.open("b", long)
	ctx := t.Context()
	taken, kept := claim(t, a, request("taken", "x")), claim(t, a, request("kept", "x"))
	must(t, a.Verify(ctx, taken))
	x.cut("a")
	heir, _ := patiently(t, b, request("taken", "x"))
	mustBeLost(t, a, taken)
	must(t, b.Update(ctx, &heir, func(r *ledger.Row) { r.ReqID = 7 }))
	must(t, b.Verify(ctx, heir))

	must(t, a.Verify(ctx, kept))
	must(t, a.Update(ctx, &kept, func(r *ledger.Row) { r.ReqID = 8 }))
	if c := claim(t, b, request("kept", "x")); c.Mine || !c.Row.Held {
		t.Errorf("what was kept was taken: %+v", c)
	}
	must(t, a.Finish(ctx, &kept, func(r *ledger.Row) { r.ReqID = 9 }))
	if c := claim(t, b, request("kept", "x")); !c.Mine || c.Row.ReqID != 9 {
		t.Errorf("after Finish: %+v", c)
	}
}

func TestAReplicaThatIsHeldUpIsFenced(t *testing.T) {
	x := newReplicas(t)
	const lease = time.Second
	a, b, c := x.open("a", lease), x.open("b", lease), x.open("c", lease)
	must(t, b.Ready(t.Context())) // it watches from now on
	must(t, c.Ready(t.Context()))
	ctx := t.Context()
	held, other := claim(t, a, request("phone", "x")), claim(t, a, request("other", "x"))
	must(t, a.Update(ctx, &held, func(r *ledger.Row) { r.State, r.Submitted = ledger.StateSubmitted, time.Now() }))
	resume := a.Pause(t)
	heir, after := patiently(t, b, request("phone", "x"))
	if after < lease/2 {
		t.Errorf("taken after %s, the lease is %s", after, lease)
	}
	if heir.Row.State != ledger.StateSubmitted {
		t.Errorf("the heir does not see what was written last: %s", heir.Row.State)
	}
	// It writes before it has beaten again.
	if err := a.Update(ctx, &held, func(r *ledger.Row) { r.ReqID = 99 }); !errors.Is(err, ledger.ErrLost) {
		t.Errorf("update while it is held up: %v, want ErrLost", err)
	}
	resume()
	mustBeLost(t, a, held)
	must(t, b.Update(ctx, &heir, func(r *ledger.Row) { r.ReqID = 7 }))
	must(t, a.Verify(ctx, other)) // which nobody took
	if got := claim(t, c, request("other", "x")); got.Mine {
		t.Error("a claim that was renewed was taken")
	}
}

func TestAReplicaThatBeatsKeepsItsClaimsForManyLeases(t *testing.T) {
	x := newReplicas(t)
	const lease = 500 * time.Millisecond
	a, b := x.open("a", lease), x.open("b", lease)
	held := claim(t, a, request("phone", "x"))
	for began := time.Now(); time.Since(began) < 4*lease; {
		if c := claim(t, b, request("phone", "x")); c.Mine {
			t.Fatalf("taken after %s", time.Since(began))
		}
		ids, err := b.Due(t.Context(), time.Now(), 10)
		must(t, err)
		if len(ids) != 0 {
			t.Fatalf("due while it is held: %v", ids)
		}
	}
	must(t, a.Verify(t.Context(), held))
}

func TestAClaimThatCouldNotBeGivenBackIsFreeOnceTheServerIsThere(t *testing.T) {
	x := newReplicas(t)
	a, b := x.open("a", time.Second), x.open("b", time.Second)
	held := claim(t, a, request("phone", "x"))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Release(ended, held); !errors.Is(err, ledger.ErrUnavailable) {
		t.Fatalf("release: %v", err)
	}
	patiently(t, b, request("phone", "x"))
}

// Each round the row goes to whoever gets it. Whatever happens to the replicas, no
// change is written by one that does not have the claim any more.
func TestNoChangeIsLostWhileReplicasPauseAndLoseTheirConnections(t *testing.T) {
	x := newReplicas(t)
	const lease = 200 * time.Millisecond // short enough to be lost often on a machine that is busy
	names := []string{"a", "b", "c"}
	var written, lost atomic.Int64
	var all sync.WaitGroup
	for i, name := range names {
		l := x.open(name, lease)
		must(t, l.Ready(t.Context()))
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), uint64(time.Now().UnixNano())))
			for written.Load() < 300 && !t.Failed() {
				c, err := l.Claim(t.Context(), request("phone", "x"))
				if errors.Is(err, ledger.ErrUnavailable) {
					continue
				}
				must(t, err)
				if !c.Mine {
					continue
				}
				for range 1 + random.IntN(5) {
					switch random.IntN(30) {
					case 0:
						x.cut(name)
					case 1:
						resume := func() {}
						if l.Verify(t.Context(), c) == nil && random.IntN(2) == 0 {
							resume = l.Pause(t)
						}
						time.Sleep(lease * 3 / 2) // the process is held up
						resume()
					}
					err := l.Update(t.Context(), &c, func(r *ledger.Row) { r.Polls++ })
					if errors.Is(err, ledger.ErrLost) {
						lost.Add(1)
						break
					}
					if err == nil {
						written.Add(1)
					} else {
						t.Errorf("nobody knows: %v", err)
					}
				}
				must(t, l.Release(t.Context(), c))
			}
		})
	}
	all.Wait()
	if lost.Load() == 0 {
		t.Error("no claim was ever lost: this has tested nothing")
	}
	l := x.open("reader", lease)
	rows, err := l.List(t.Context(), ledger.Filter{})
	must(t, err)
	if len(rows) != 1 || int64(rows[0].Polls) != written.Load() {
		t.Errorf("%d rows, %d changes in the row, %d were written", len(rows), rows[0].Polls, written.Load())
	}
}

func TestOneReplicaSearchesAtATime(t *testing.T) {
	x := newReplicas(t)
	a, b := x.open("a", time.Second), x.open("b", time.Second)
	must(t, b.Ready(t.Context()))
	ctx := t.Context()
	searching := func(l *ledger.Ledger, want bool) func() {
		t.Helper()
		release, ok, err := l.Searching(ctx)
		must(t, err)
		if ok != want {
			t.Fatalf("ok %v, want %v", ok, want)
		}
		return release
	}
	release := searching(a, true)
	searching(a, false)
	searching(b, false)
	release()
	searching(b, true)()
	searching(a, true)
	x.cut("a")
	for {
		release, ok, err := b.Searching(ctx)
		must(t, err)
		if ok {
			release()
			break
		}
	}
	for { // it has to notice that its connection has ended
		_, ok, err := a.Searching(ctx)
		must(t, err)
		if ok {
			break
		}
	}
	resume := a.Pause(t)
	for {
		_, ok, err := b.Searching(ctx)
		must(t, err)
		if ok {
			break
		}
	}
	resume()
}
