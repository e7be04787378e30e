package capf

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Summary is what became of a swarm.
type Summary struct {
	Count   int // asked for
	OK      int
	Failed  int // with OK less than Count where the context ended the swarm
	Elapsed time.Duration
	Rate    float64 // certificates a second
	// P50 and P95 are quantiles of how long a phone waited for its certificate,
	// without those that failed; 0 where all did. Of a phone that came again its last
	// request counts.
	P50, P95, Most time.Duration
	// Errors counts the failures by kind: libest's name, "canceled" for those
	// that the context ended, "key" where a phone could not be made, and
	// "certificate" where libest is content and CAPF cannot use the answer.
	Errors map[string]int
	// Retries counts how often a phone came again, and Again by which failures.
	Retries int
	Again   map[string]int
	Wrong   int // requests with the wrong password that were refused
	// WrongTaken counts those that were not: the server takes any password.
	WrongTaken int
	Doubled    int // requests that were sent twice at once
	// DoubledApart counts those that got two certificates.
	DoubledApart int
	ByKey        map[string]Latency // by the kind of key, where there are several
	Samples      []Sample           // of each phone's end, in the order of the ends
}

// Latency is how long the phones of one kind waited.
type Latency struct {
	OK, Failed     int
	P50, P95, Most time.Duration
}

// Sample is the end of one phone.
type Sample struct {
	At   time.Duration // since the swarm began
	Took time.Duration
	Kind string // of the failure; "" = it has its certificate
	key  string
}

// tally collects what the phones bring.
type tally struct {
	progress func(done, failed, total int)
	watch    func(Live)
	now      func() time.Time
	start    time.Time

	mu      sync.Mutex // guards all below, and orders the calls of progress
	summary Summary
	asking  int
	waiting int
}

func (t *tally) locked(f func(s *Summary)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.summary)
	if t.watch != nil {
		t.watch(Live{
			Done: t.summary.OK + t.summary.Failed, Failed: t.summary.Failed, Total: t.summary.Count,
			Asking: t.asking, Waiting: t.waiting, Retries: t.summary.Retries, Elapsed: t.now().Sub(t.start),
		})
	}
}

func (t *tally) asks(n int) { t.locked(func(*Summary) { t.asking += n }) }

// retries says that a phone will come again.
func (t *tally) retries(kind string) {
	t.locked(func(s *Summary) {
		t.asking--
		t.waiting++
		if s.Again == nil {
			s.Again = map[string]int{}
		}
		s.Retries++
		s.Again[kind]++
	})
}

// returns says that a phone is back, or that it will not come any more.
func (t *tally) returns() {
	t.locked(func(*Summary) {
		t.asking++
		t.waiting--
	})
}

func (t *tally) refused(taken bool) {
	t.locked(func(s *Summary) {
		if taken {
			s.WrongTaken++
		} else {
			s.Wrong++
		}
	})
}

func (t *tally) doubled(apart bool) {
	t.locked(func(s *Summary) {
		s.Doubled++
		if apart {
			s.DoubledApart++
		}
	})
}

// ends says what became of a phone.
func (t *tally) ends(p plan, took time.Duration, kind string) {
	t.locked(func(s *Summary) {
		t.asking--
		if kind == "" {
			s.OK++
		} else {
			s.Failed++
			s.Errors[kind]++
		}
		s.Samples = append(s.Samples, Sample{At: t.now().Sub(t.start), Took: took, Kind: kind, key: p.keyType})
		if t.progress != nil {
			t.progress(s.OK+s.Failed, s.Failed, s.Count)
		}
	})
}

func (t *tally) finish(elapsed time.Duration) Summary {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.summary
	s.Elapsed = elapsed
	if seconds := elapsed.Seconds(); seconds > 0 {
		s.Rate = float64(s.OK) / seconds
	}
	all := latencyOf(s.Samples, "")
	s.P50, s.P95, s.Most = all.P50, all.P95, all.Most
	for _, x := range s.Samples {
		if _, known := s.ByKey[x.key]; !known {
			s.ByKey[x.key] = latencyOf(s.Samples, x.key)
		}
	}
	return s
}

// latencyOf is that of the phones with a kind of key; "" = of all.
func latencyOf(samples []Sample, key string) (l Latency) {
	var took []time.Duration
	for _, x := range samples {
		switch {
		case key != "" && x.key != key:
		case x.Kind == "":
			took = append(took, x.Took)
		default:
			l.Failed++
		}
	}
	slices.Sort(took)
	l.OK, l.P50, l.P95, l.Most = len(took), quantile(took, 50), quantile(took, 95), quantile(took, 100)
	return l
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
