package queue

import (
	"fmt"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

// Breaker is when the CA counts as down. While it does, all are refused at once with
// [*Down], but for one probe at a time, whose outcome decides.
type Breaker struct {
	Failures int           // consecutive Unreachable outcomes; 0 = it never counts as down
	Delay    time.Duration // until the first probe; 5 s by default
	MaxDelay time.Duration // the delay doubles with each probe that fails, up to this; 30 s by default
}

const (
	defaultDelay    = 5 * time.Second
	defaultMaxDelay = 30 * time.Second
	// againDelay is after a probe that came to nothing, since whoever made it gave up.
	againDelay = time.Second
)

// breaker is a circuit breaker whose delays grow and have a random part. The
// library's own random part is of the process's generator, so no test and no
// simulation could repeat it: each time that it opens, a new one with the delay of
// that time takes the place of the old one. The time is the library's.
type breaker struct {
	settings Breaker
	rand     func() float64

	circuit circuitbreaker.CircuitBreaker[any] // nil where it is off
	failed  int                                // openings since it was closed
	cause   error
}

// change is what an outcome did to the breaker.
type change int

const (
	unchanged change = iota
	opened
	closed
)

func newBreaker(s Breaker, rand func() float64) (breaker, error) {
	if s.Failures < 0 || s.Delay < 0 || s.MaxDelay < 0 {
		return breaker{}, fmt.Errorf("queue: a setting of the breaker is negative in %+v: take 0 for its default", s)
	}
	if s.Delay == 0 {
		s.Delay = defaultDelay
	}
	if s.MaxDelay == 0 {
		s.MaxDelay = max(defaultMaxDelay, s.Delay)
	}
	b := breaker{settings: s, rand: rand}
	if s.Failures > 0 {
		b.circuit = b.build(s.Delay)
	}
	return b, nil
}

func (b *breaker) build(delay time.Duration) circuitbreaker.CircuitBreaker[any] {
	return circuitbreaker.NewBuilder[any]().
		WithFailureThreshold(uint(b.settings.Failures)).
		WithSuccessThreshold(1).
		WithDelay(delay).
		Build()
}

// open makes the CA count as down until a probe after the delay, or up to half as
// long again, says otherwise.
func (b *breaker) open(delay time.Duration) {
	b.circuit = b.build(jitter(delay, b.rand()))
	b.circuit.Open()
}

// delay is that of the next opening.
func (b *breaker) delay() time.Duration {
	d := b.settings.Delay
	for range b.failed {
		if d >= b.settings.MaxDelay {
			break
		}
		d *= 2
	}
	return min(d, b.settings.MaxDelay)
}

// ask tells whether one more may go to the CA, and whether it goes as a probe, whose
// outcome must be recorded.
func (b *breaker) ask() (probe bool, err error) {
	if b.circuit == nil || b.circuit.IsClosed() {
		return false, nil
	}
	if !b.circuit.TryAcquirePermit() {
		return false, b.down()
	}
	return true, nil
}

// record takes an outcome. While the CA counts as down only the probe's matters: what
// was there before it may tell of a time that is over.
func (b *breaker) record(probe bool, o Outcome, cause error) change {
	if b.circuit == nil || b.circuit.IsClosed() == probe {
		return unchanged
	}
	switch o {
	case Reached:
		b.circuit.RecordSuccess()
		if probe {
			b.failed, b.cause = 0, nil
			return closed
		}
	case Unreachable:
		b.cause = cause
		b.circuit.RecordFailure()
		if b.circuit.IsOpen() {
			b.open(b.delay())
			b.failed++
			if !probe {
				return opened
			}
		}
	case Neither:
		if probe {
			b.open(againDelay)
		}
	}
	return unchanged
}

// remaining is how long no probe is let through.
func (b *breaker) remaining() time.Duration {
	if b.circuit == nil {
		return 0
	}
	return b.circuit.RemainingDelay()
}

// down is the refusal of one who comes, or waits, while the CA counts as down.
func (b *breaker) down() *Down {
	wait := b.remaining()
	if b.circuit.IsHalfOpen() {
		wait = b.settings.Delay // how long the probe will take nobody knows
	}
	return &Down{RetryAfter: jitter(max(minRetry, wait), b.rand()), Cause: b.cause}
}

// state is [Snapshot]'s.
func (b *breaker) state() (down bool, next time.Duration, cause error) {
	if b.circuit == nil || b.circuit.IsClosed() {
		return false, 0, nil
	}
	return true, b.remaining(), b.cause
}
