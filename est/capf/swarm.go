package capf

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// SwarmOptions says how many phones enroll, and how.
type SwarmOptions struct {
	Client      *Client
	Count       int           // how many phones
	Concurrency int           // how many at a time; 0 is 1
	KeyType     string        // as in [NewKey]; "" is rsa2048
	Key         crypto.Signer // one for all phones, so that none costs time; nil makes one a phone
	Rand        io.Reader     // safe for concurrent use; nil is crypto/rand's
	// Progress is called after each phone, one call at a time; nil is nobody.
	Progress func(done, failed, total int)
}

// Summary is what became of a swarm.
type Summary struct {
	Count   int // asked for
	OK      int
	Failed  int // with OK less than Count where the context ended the swarm
	Elapsed time.Duration
	Rate    float64 // certificates a second
	// P50 and P95 are quantiles of how long a phone waited for its certificate,
	// without those that failed; 0 where all did.
	P50, P95 time.Duration
	// Errors counts the failures by kind: libest's name, "canceled" for those
	// that the context ended, "key" where a phone could not be made, and
	// "certificate" where libest is content and CAPF cannot use the answer.
	Errors map[string]int
}

// Swarm enrolls many phones at once. It ends when all are done or, at the
// latest some time after ctx, with what was done till then.
func Swarm(ctx context.Context, opts SwarmOptions) Summary {
	if opts.KeyType == "" {
		opts.KeyType = "rsa2048"
	}
	now := opts.Client.opts.Now
	start := now()
	t := tally{progress: opts.Progress, summary: Summary{Count: max(opts.Count, 0), Errors: map[string]int{}}}

	turns := make(chan struct{})
	var workers sync.WaitGroup
	for range min(max(opts.Concurrency, 1), t.summary.Count) {
		workers.Go(func() {
			for range turns {
				t.add(opts.one(ctx))
			}
		})
	}
feed:
	for range t.summary.Count {
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
			break feed
		}
	}
	close(turns)
	workers.Wait()
	return t.finish(now().Sub(start))
}

// one is a phone of its own, enrolled once. kind is "" for a good one.
func (o SwarmOptions) one(ctx context.Context) (took time.Duration, kind string) {
	phone, err := o.phone()
	if err != nil {
		return 0, "key"
	}
	result := o.Client.Enroll(ctx, phone.Name, phone.CSR)
	switch {
	case result.Err == nil:
		return result.Duration, ""
	case errors.Is(result.Err, context.Canceled), ctx.Err() != nil:
		return result.Duration, "canceled"
	case result.RV == StatusNone:
		return result.Duration, "certificate"
	default:
		return result.Duration, result.RV.String()
	}
}

func (o SwarmOptions) phone() (*Phone, error) {
	if o.Key != nil {
		return NewPhoneWithKey(o.Rand, "", o.Key)
	}
	return NewPhone(o.Rand, "", o.KeyType)
}

// tally collects what the workers bring.
type tally struct {
	progress func(done, failed, total int)

	mu      sync.Mutex // guards all below, and orders the calls of progress
	summary Summary
	took    []time.Duration // of the good ones
}

func (t *tally) add(took time.Duration, kind string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if kind == "" {
		t.summary.OK++
		t.took = append(t.took, took)
	} else {
		t.summary.Failed++
		t.summary.Errors[kind]++
	}
	if t.progress != nil {
		t.progress(t.summary.OK+t.summary.Failed, t.summary.Failed, t.summary.Count)
	}
}

func (t *tally) finish(elapsed time.Duration) Summary {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.summary
	s.Elapsed = elapsed
	if seconds := elapsed.Seconds(); seconds > 0 {
		s.Rate = float64(s.OK) / seconds
	}
	slices.Sort(t.took)
	s.P50, s.P95 = quantile(t.took, 50), quantile(t.took, 95)
	return s
}

// quantile is the smallest value that percent of them do not exceed (nearest
// rank).
func quantile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*percent+99)/100-1]
}

// String is the summary in one line.
func (s Summary) String() string {
	return fmt.Sprintf("%d of %d enrolled, %d failed, in %s (%.1f/s, p50 %s, p95 %s)",
		s.OK, s.Count, s.Failed, s.Elapsed.Round(time.Millisecond), s.Rate,
		s.P50.Round(time.Millisecond), s.P95.Round(time.Millisecond))
}
