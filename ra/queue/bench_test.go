package queue_test

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"ciscora/ra/queue"
)

// BenchmarkWaiter reports the bytes that one who waits takes in the queue, besides
// the goroutine that it came on: all for one account, and each for its own.
func BenchmarkWaiter(b *testing.B) {
	const waiting = 10000
	for name, account := range map[string]func(int) string{
		"one account":   func(int) string { return "a" },
		"each its own":  strconv.Itoa,
		"without queue": nil,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				q := newQueue(b, queue.Options{InFlight: 1, Patience: 1 << 60})
				giveBack := occupy(b, q, 1)
				ctx, cancel := context.WithCancel(b.Context())
				before := inUse()
				var all sync.WaitGroup
				for i := range waiting {
					all.Go(func() {
						if account == nil {
							<-ctx.Done()
							return
						}
						if leave, err := q.Enter(ctx, account(i)); err == nil {
							leave(queue.Neither, nil)
						}
					})
				}
				for account != nil && q.Snapshot().Waiting < waiting {
					runtime.Gosched()
				}
				b.ReportMetric(float64(inUse()-before)/waiting, "B/waiter")
				cancel()
				all.Wait()
				giveBack()
			}
		})
	}
}

// BenchmarkEnter is a visit where there is a place, and where one must be waited for.
func BenchmarkEnter(b *testing.B) {
	for _, bound := range []int{0, 1, 32} {
		b.Run("in flight "+strconv.Itoa(bound), func(b *testing.B) {
			q := newQueue(b, queue.Options{InFlight: bound, Breaker: queue.Breaker{Failures: 5}})
			b.ReportAllocs()
			b.SetParallelism(64)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					leave, err := q.Enter(b.Context(), "a")
					if err != nil {
						b.Error(err)
						return
					}
					leave(queue.Reached, nil)
				}
			})
		})
	}
}

// inUse returns the bytes of live heap and stacks.
func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
