package queue_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"ciscora/ra/queue"
)

var errRefused = errors.New("connection refused")

func withBreaker() queue.Options {
	return queue.Options{InFlight: 4, Breaker: queue.Breaker{Failures: 5, Delay: 10 * time.Second, MaxDelay: 30 * time.Second}}
}

// come enters and leaves with an outcome; the refusal is nil where it was let in.
func come(t *testing.T, q *queue.Queue, o queue.Outcome) *queue.Down {
	t.Helper()
	leave, err := q.Enter(t.Context(), "a")
	if err != nil {
		down, ok := errors.AsType[*queue.Down](err)
		if !ok {
			t.Fatal(err)
		}
		return down
	}
	leave(o, errRefused)
	return nil
}

func fail(t *testing.T, q *queue.Queue, times int) {
	t.Helper()
	for range times {
		if down := come(t, q, queue.Unreachable); down != nil {
			t.Fatal("it counts as down already")
		}
	}
}

func TestTheCACountsAsDownAfterFailuresInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		o := withBreaker()
		o.Logger = zap.New(core)
		q := newQueue(t, o)
		fail(t, q, 4)
		_ = come(t, q, queue.Reached)
		fail(t, q, 4)
		_ = come(t, q, queue.Neither) // says nothing, and starts nothing anew
		if q.Snapshot().Down || logs.Len() > 0 {
			t.Fatal("it counts as down too early")
		}
		fail(t, q, 1)
		if s := q.Snapshot(); !s.Down || s.Probe != 10*time.Second*5/4 || !errors.Is(s.Cause, errRefused) || s.InFlight != 0 {
			t.Errorf("%+v", s)
		}
		// The random part of the delay and that of the refusal are two.
		if down := come(t, q, queue.Reached); down == nil || down.RetryAfter != 12500*time.Millisecond*5/4 || !errors.Is(down, errRefused) {
			t.Errorf("%v", down)
		}
		if logs.FilterMessageSnippet("cannot be reached").Len() != 1 {
			t.Errorf("%v", logs.All())
		}
		time.Sleep(12 * time.Second)
		if down := come(t, q, queue.Reached); down == nil || down.RetryAfter != time.Second*5/4 {
			t.Errorf("%v", down)
		}
		time.Sleep(time.Second)
		if down := come(t, q, queue.Reached); down != nil {
			t.Errorf("the probe is refused: %v", down)
		}
		if s := q.Snapshot(); s.Down || s.Cause != nil {
			t.Errorf("%+v", s)
		}
		if logs.FilterMessageSnippet("can be reached again").Len() != 1 {
			t.Errorf("%v", logs.All())
		}
	})
}

func TestOneProbeAtATimeAndEachLaterThanTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, withBreaker())
		fail(t, q, 5)
		for _, delay := range []time.Duration{10 * time.Second, 20 * time.Second, 30 * time.Second, 30 * time.Second} {
			if s := q.Snapshot(); s.Probe != delay*5/4 {
				t.Errorf("the next probe in %v, want %v", s.Probe, delay*5/4)
			}
			time.Sleep(delay * 5 / 4)
			probe, err := q.Enter(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			for range 10 {
				if down := come(t, q, queue.Reached); down == nil || down.RetryAfter != 10*time.Second*5/4 {
					t.Errorf("a second probe, or: %v", down)
				}
			}
			probe(queue.Unreachable, errRefused)
		}
		time.Sleep(time.Minute)
		if down := come(t, q, queue.Reached); down != nil {
			t.Error(down)
		}
		fail(t, q, 5)
		if s := q.Snapshot(); s.Probe != 10*time.Second*5/4 {
			t.Errorf("after a success the delays begin anew, not with %v", s.Probe)
		}
	})
}

func TestAProbeThatComesToNothingIsFollowedByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, withBreaker())
		fail(t, q, 5)
		time.Sleep(time.Minute)
		if down := come(t, q, queue.Neither); down != nil {
			t.Fatal(down)
		}
		if down := come(t, q, queue.Reached); down == nil || down.RetryAfter > 2*time.Second {
			t.Errorf("%v", down)
		}
		time.Sleep(2 * time.Second)
		if down := come(t, q, queue.Reached); down != nil {
			t.Error(down)
		}
		if q.Snapshot().Down {
			t.Error("it still counts as down")
		}
	})
}

func TestWhoWaitsIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := withBreaker()
		var random float64 // each refusal has a random part of its own
		o.Rand = func() float64 { random += 0.0001; return random }
		q := newQueue(t, o)
		var inside []func(queue.Outcome, error)
		for range 4 {
			leave, err := q.Enter(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			inside = append(inside, leave)
		}
		var all sync.WaitGroup
		refused := make(chan *queue.Down, 1000)
		for i := range 1000 {
			all.Go(func() {
				enter := q.Enter
				if i%10 == 0 {
					enter = q.EnterBackground
				}
				leave, err := enter(t.Context(), "b")
				if err == nil { // the one that follows the first four
					leave(queue.Unreachable, errRefused)
					return
				}
				down, _ := errors.AsType[*queue.Down](err)
				refused <- down
			})
		}
		synctest.Wait()
		for _, leave := range inside {
			leave(queue.Unreachable, errRefused)
		}
		all.Wait()
		close(refused)
		when := map[time.Duration]int{}
		for down := range refused {
			if down == nil || down.RetryAfter < 10*time.Second {
				t.Fatalf("%v", down)
			}
			when[down.RetryAfter]++
		}
		if len(when) < 900 {
			t.Errorf("only %d different times to come back", len(when))
		}
		if s := q.Snapshot(); s.Waiting+s.Background+s.InFlight != 0 || !s.Down {
			t.Errorf("%+v", s)
		}
	})
}

func TestWhatWasUnderWayBeforeDecidesNothing(t *testing.T) {
	for name, o := range map[string]queue.Outcome{"an answer": queue.Reached, "a failure": queue.Unreachable} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(t, withBreaker())
				old, err := q.Enter(t.Context(), "a")
				if err != nil {
					t.Fatal(err)
				}
				fail(t, q, 5)
				time.Sleep(time.Minute)
				probe, err := q.Enter(t.Context(), "a")
				if err != nil {
					t.Fatal(err)
				}
				old(o, errRefused)
				if down := come(t, q, queue.Reached); down == nil {
					t.Error("the probe is not back yet")
				}
				probe(queue.Reached, nil)
				if q.Snapshot().Down {
					t.Error("it still counts as down")
				}
			})
		})
	}
}

// A probe that finds all places taken by what hangs since before waits for one, and
// may give up.
func TestAProbeKeepsTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := withBreaker()
		o.Patience = time.Second
		q := newQueue(t, o)
		giveBack := occupy(t, q, 3)
		fail(t, q, 5)
		time.Sleep(time.Minute)
		if down := come(t, q, queue.Neither); down != nil {
			t.Fatal(down)
		}
		giveBack()
	})
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, withBreaker())
		var inside []func(queue.Outcome, error)
		for range 3 {
			leave, err := q.Enter(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			inside = append(inside, leave)
		}
		fail(t, q, 4)
		fourth, err := q.Enter(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		inside[0](queue.Unreachable, errRefused) // the fifth in a row: down
		inside = append(inside[1:], fourth)
		time.Sleep(time.Minute)
		first, err := q.Enter(t.Context(), "a") // the probe takes the fourth place
		if err != nil {
			t.Fatal(err)
		}
		first(queue.Unreachable, errRefused)
		if s := q.Snapshot(); s.InFlight != 3 || !s.Down {
			t.Errorf("%+v", s)
		}
		for _, leave := range inside {
			leave(queue.Reached, nil)
		}
		if s := q.Snapshot(); s.InFlight != 0 || !s.Down {
			t.Errorf("what was under way before counts: %+v", s)
		}
	})
}

func TestWithoutABreakerTheCAIsNeverDown(t *testing.T) {
	q := newQueue(t, queue.Options{})
	fail(t, q, 1000)
	if s := q.Snapshot(); s.Down {
		t.Errorf("%+v", s)
	}
}
