package queue

import (
	"fmt"
	"time"
)

// Busy refuses somebody because too many are before it.
type Busy struct {
	Waiting int // how many are in line
	// RetryAfter is when to come back, by the pace of late: 1 s to 5 min, with a
	// random part, so that not all come at once.
	RetryAfter time.Duration
}

func (e *Busy) Error() string {
	return fmt.Sprintf("queue: the CA is busy, %d requests wait for it: come back in %v", e.Waiting, e.RetryAfter.Round(time.Second))
}

// Down refuses somebody because the CA could not be reached lately.
type Down struct {
	// RetryAfter is when to come back: once the next probe is due, 1 s at least, with
	// a random part.
	RetryAfter time.Duration
	Cause      error // why it could not be reached last
}

func (e *Down) Error() string {
	return fmt.Sprintf("queue: the CA cannot be reached: come back in %v: %v", e.RetryAfter.Round(time.Second), e.Cause)
}

func (e *Down) Unwrap() error { return e.Cause }

const (
	minRetry = time.Second
	maxRetry = 5 * time.Minute
	// unknownWait stands for the wait where there is no pace to tell it by.
	unknownWait = 30 * time.Second
)

// jitter makes d up to half as long again: those who were refused at the same moment
// must not come back at the same moment.
func jitter(d time.Duration, random float64) time.Duration {
	return d + time.Duration(random*float64(d)/2)
}
