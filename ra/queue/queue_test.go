package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"ciscora/ra/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// half is the random part of tests: in the middle of what it may be.
func half() float64 { return 0.5 }

func newQueue(tb testing.TB, o queue.Options) *queue.Queue {
	tb.Helper()
	if o.Rand == nil {
		o.Rand = half
	}
	q, err := queue.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return q
}

// visit enters, stays for some time, and leaves.
func visit(ctx context.Context, q *queue.Queue, account string, stay time.Duration) error {
	leave, err := q.Enter(ctx, account)
	if err != nil {
		return err
	}
	time.Sleep(stay)
	leave(queue.Reached, nil)
	return nil
}

// occupy takes places until it is told to give them back.
func occupy(tb testing.TB, q *queue.Queue, places int) (giveBack func()) {
	tb.Helper()
	var all []func(queue.Outcome, error)
	for range places {
		leave, err := q.Enter(tb.Context(), "who was first")
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, leave)
	}
	return func() {
		for _, leave := range all {
			leave(queue.Neither, nil)
		}
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	for name, o := range map[string]queue.Options{
		"a negative bound":    {InFlight: -1},
		"a negative length":   {Length: -1},
		"negative patience":   {Patience: -1},
		"a negative delay":    {Breaker: queue.Breaker{Delay: -1}},
		"negative failures":   {Breaker: queue.Breaker{Failures: -1}},
		"a negative maxdelay": {Breaker: queue.Breaker{MaxDelay: -1}},
	} {
		if _, err := queue.New(o); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestWithoutABoundNobodyWaits(t *testing.T) {
	q := newQueue(t, queue.Options{})
	giveBack := occupy(t, q, 1000)
	if s := q.Snapshot(); s.InFlight != 1000 || s.Waiting != 0 || s.Down {
		t.Errorf("%+v", s)
	}
	giveBack()
	if s := q.Snapshot(); s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
}

func TestTheBoundHoldsUnder10000AtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound, callers = 32, 10000
		q := newQueue(t, queue.Options{InFlight: bound})
		var mu sync.Mutex
		var inside, most, served, gaveUp int
		var all sync.WaitGroup
		for i := range callers {
			all.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if i%10 == 9 { // and some give up on the way
					ctx, cancel = context.WithTimeout(ctx, time.Duration(i)*time.Millisecond)
					defer cancel()
				}
				leave, err := q.Enter(ctx, fmt.Sprint(i%77))
				mu.Lock()
				if err != nil {
					gaveUp++
					mu.Unlock()
					return
				}
				inside++
				most = max(most, inside)
				mu.Unlock()
				time.Sleep(time.Duration(50+i%100) * time.Millisecond)
				mu.Lock()
				inside--
				served++
				mu.Unlock()
				leave(queue.Reached, nil)
				leave(queue.Reached, nil) // once more changes nothing
			})
		}
		all.Wait()
		if most != bound || served+gaveUp != callers || served < callers*9/10 || gaveUp == 0 {
			t.Errorf("at most %d inside, want %d; %d served and %d gave up of %d", most, bound, served, gaveUp, callers)
		}
		if s := q.Snapshot(); s.InFlight != 0 || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAccountsAreServedInTurnAndEachInItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, queue.Options{InFlight: 1})
		var mu sync.Mutex
		var order []string
		var all sync.WaitGroup
		come := func(account, who string) {
			all.Go(func() {
				leave, err := q.Enter(t.Context(), account)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, who)
				mu.Unlock()
				time.Sleep(time.Second)
				leave(queue.Reached, nil)
			})
			synctest.Wait()
		}
		come("relay", "relay 0")
		for i := range 5000 {
			come("relay", fmt.Sprint("relay ", i+1))
		}
		come("a", "a 1")
		come("a", "a 2")
		come("b", "b 1")
		all.Wait()
		want := []string{"relay 0", "relay 1", "a 1", "b 1", "relay 2", "a 2", "relay 3", "relay 4"}
		if len(order) != 5004 || !slices.Equal(order[:len(want)], want) || order[5003] != "relay 5000" {
			t.Errorf("%d served, first %q", len(order), order[:min(len(order), len(want))])
		}
	})
}

func TestTheBackgroundGoesBehindClientsAndIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, queue.Options{InFlight: 1})
		var order string // written by who is inside, hence by one at a time
		var all sync.WaitGroup
		giveBack := occupy(t, q, 1)
		come := func(enter func(context.Context, string) (func(queue.Outcome, error), error), letter string) {
			all.Go(func() {
				leave, err := enter(t.Context(), "account")
				if err != nil {
					t.Error(err)
					return
				}
				order += letter
				leave(queue.Reached, nil)
			})
		}
		for range 4 {
			come(q.EnterBackground, "-")
		}
		synctest.Wait()
		for range 15 {
			come(q.Enter, "c")
		}
		synctest.Wait()
		if s := q.Snapshot(); s.Waiting != 15 || s.Background != 4 || s.InFlight != 1 {
			t.Errorf("%+v", s)
		}
		giveBack()
		all.Wait()
		if want := "ccccccc-ccccccc-c--"; order != want {
			t.Errorf("%s, want %s", order, want)
		}
	})
}

func TestWhoGivesUpWhileWaitingIsOutOfTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, queue.Options{InFlight: 1})
		giveBack := occupy(t, q, 1)
		bored := errors.New("bored")
		ctx, giveUp := context.WithCancelCause(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- visit(ctx, q, "a", time.Second) }()
		synctest.Wait()
		go func() { second <- visit(t.Context(), q, "a", time.Second) }()
		synctest.Wait()
		giveUp(bored)
		if err := <-first; !errors.Is(err, bored) {
			t.Errorf("%v", err)
		}
		if s := q.Snapshot(); s.Waiting != 1 {
			t.Errorf("%+v", s)
		}
		giveBack()
		if err := <-second; err != nil {
			t.Error(err)
		}
		if s := q.Snapshot(); s.InFlight != 0 || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
		if err := visit(ctx, q, "a", 0); !errors.Is(err, bored) {
			t.Errorf("who has given up before is let in: %v", err)
		}
	})
}

// A place that comes at the very instant at which its waiter gives up is handed on.
func TestAPlaceGivenToWhoHasJustGoneIsHandedOn(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			q := newQueue(t, queue.Options{InFlight: 1})
			giveBack := occupy(t, q, 1)
			ctx, giveUp := context.WithCancel(t.Context())
			first, second := make(chan error, 1), make(chan error, 1)
			go func() { first <- visit(ctx, q, "a", time.Second) }()
			synctest.Wait()
			go func() { second <- visit(t.Context(), q, "b", time.Second) }()
			synctest.Wait()
			giveUp()
			giveBack() // before the first one has seen that it is over
			if err := <-first; !errors.Is(err, context.Canceled) {
				t.Errorf("who has given up is let in: %v", err)
			}
			if err := <-second; err != nil {
				t.Error(err)
			}
			if s := q.Snapshot(); s.InFlight != 0 || s.Waiting != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestWhoWouldWaitTooLongIsRefusedAtTheDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, queue.Options{InFlight: 2, Patience: 20 * time.Second})
		var all sync.WaitGroup
		defer all.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		come := func(n int) {
			for range n {
				all.Go(func() {
					if err := visit(ctx, q, "a", 2*time.Second); err != nil && ctx.Err() == nil {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
		}
		come(20)
		// As long as no pace is known nobody is refused: 18 wait, and the last one for
		// 18 seconds, two at a time.
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if s := q.Snapshot(); s.Waiting != 8 || s.Pace != time.Second {
			t.Fatalf("%+v", s)
		}
		come(12) // the twentieth in line waits for 20 s
		_, err := q.Enter(t.Context(), "a")
		busy, ok := errors.AsType[*queue.Busy](err)
		if !ok || busy.RetryAfter != 21*time.Second*5/4 || busy.Waiting != 20 {
			t.Errorf("%v", err)
		}
		// Who asks for an account of its own is served soon, whatever the other one has
		// waiting.
		began := time.Now()
		if err := visit(ctx, q, "b", 2*time.Second); err != nil || time.Since(began) > 5*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

func TestNobodyWaitsLongerThanPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, queue.Options{InFlight: 1, Patience: 10 * time.Second})
		giveBack := occupy(t, q, 1) // a CA that hangs
		began := time.Now()
		_, err := q.Enter(t.Context(), "a")
		busy, ok := errors.AsType[*queue.Busy](err)
		if !ok || time.Since(began) != 10*time.Second || busy.RetryAfter < time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		// The background has time.
		done := make(chan struct{})
		go func() {
			defer close(done)
			leave, err := q.EnterBackground(t.Context(), "a")
			if err != nil {
				t.Error(err)
				return
			}
			leave(queue.Reached, nil)
		}()
		time.Sleep(time.Hour)
		giveBack()
		<-done
		if s := q.Snapshot(); s.InFlight != 0 || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestTheLineHasALength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, queue.Options{InFlight: 1, Length: 2})
		giveBack := occupy(t, q, 1)
		done := make(chan error, 2)
		for range 2 {
			go func() { done <- visit(t.Context(), q, "a", 0) }()
		}
		synctest.Wait()
		_, err := q.Enter(t.Context(), "b")
		if busy, ok := errors.AsType[*queue.Busy](err); !ok || busy.RetryAfter != 30*time.Second*5/4 {
			t.Errorf("%v", err)
		}
		giveBack()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestRetryAfterFollowsThePaceWithinItsBounds(t *testing.T) {
	for _, c := range []struct {
		name   string
		stay   time.Duration
		random float64
		want   time.Duration
	}{
		{"a fast CA", time.Millisecond, 0.5, 1250 * time.Millisecond},
		{"a slow one", time.Second, 0, 10 * time.Second},
		{"a slow one, unlucky", time.Second, 0.999999, 15 * time.Second},
		{"a very slow one", 10 * time.Minute, 0, 200 * time.Second},
		{"a very slow one, unlucky", 10 * time.Minute, 0.999999, 5 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(t, queue.Options{InFlight: 1, Length: 9, Rand: func() float64 { return c.random }})
				var all sync.WaitGroup
				for range 20 {
					all.Go(func() {
						for visit(t.Context(), q, "a", c.stay) != nil {
							time.Sleep(c.stay)
						}
					})
				}
				time.Sleep(c.stay*10 + c.stay/1000)
				synctest.Wait()
				for q.Snapshot().Waiting < 9 {
					all.Go(func() { _ = visit(t.Context(), q, "a", c.stay) })
					synctest.Wait()
				}
				_, err := q.Enter(t.Context(), "a")
				busy, ok := errors.AsType[*queue.Busy](err)
				if !ok || (busy.RetryAfter-c.want).Abs() > c.want/100 || busy.RetryAfter > 5*time.Minute || busy.RetryAfter < time.Second {
					t.Errorf("%v, want about %v (%+v)", err, c.want, q.Snapshot())
				}
				all.Wait()
			})
		})
	}
}

func TestAnIdleCAIsNoSlowOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, queue.Options{InFlight: 1, Patience: time.Minute})
		for range 100 { // one an hour, each done in a moment
			if err := visit(t.Context(), q, "a", 10*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
		}
		if s := q.Snapshot(); s.Pace != 10*time.Millisecond {
			t.Errorf("%+v", s)
		}
	})
}

func TestAClockThatIsSetBackHurtsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var step time.Duration
		q := newQueue(t, queue.Options{InFlight: 1, Patience: time.Minute, Now: func() time.Time { return time.Now().Round(0).Add(step) }})
		for range 20 {
			if err := visit(t.Context(), q, "a", time.Second); err != nil {
				t.Fatal(err)
			}
			step -= time.Hour
		}
		if s := q.Snapshot(); s.Pace < 0 {
			t.Errorf("%+v", s)
		}
	})
}
