package capf

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"io"
	"math"
	"math/rand/v2"
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
	KeyTypes    []KeyShare    // of several kinds; nil is KeyType alone
	Key         crypto.Signer // one for all phones, so that none costs time; nil makes one a phone
	Rand        io.Reader     // safe for concurrent use; nil is crypto/rand's

	// Over is the time over which the phones arrive, as Arrival says; 0 is all at once.
	Over    time.Duration
	Arrival Arrival
	// Retry is when a phone that got no certificate comes again; the zero value: never.
	Retry Retry
	// Duplicates is the share of phones, 0 to 1, whose request is sent twice at once.
	Duplicates float64
	// Wrong has another password: the share WrongPasswords of the phones asks with that
	// first. nil: none does.
	Wrong          *Client
	WrongPasswords float64
	// Seed draws when phones arrive, their kinds of key, and which of them are doubled or
	// have the wrong password first: the same seed draws the same.
	Seed uint64

	// Progress is called after each phone, one call at a time; nil is nobody.
	Progress func(done, failed, total int)
	// Watch is told as often how it goes; nil is nobody.
	Watch func(Live)
}

// KeyShare is a kind of key, and how many phones have it, beside the other kinds' weights.
type KeyShare struct {
	KeyType string
	Weight  int
}

// Arrival is how phones come over a time.
type Arrival int

// The patterns.
const (
	Evenly   Arrival = iota // one after another, at equal distances
	AtRandom                // each at any moment
	Peak                    // most in the middle, as when a whole cluster is renewed
)

// Retry is when a phone comes again: with the same key and CSR, as CAPF keeps them. No
// document tells CAPF's own rules; these are of the usual kind.
type Retry struct {
	Times int           // after the first; 0: never
	Wait  time.Duration // before the first, then twice as long each time; 0 is 30 s
	Most  time.Duration // that it waits, also where the server tells how long (202, Retry-After); 0 is 10 min
}

func (r Retry) wait(n int, told time.Duration) time.Duration {
	wait, most := r.Wait, r.Most
	if wait == 0 {
		wait = 30 * time.Second
	}
	if most == 0 {
		most = 10 * time.Minute
	}
	if told > 0 {
		return min(told, most)
	}
	return min(wait<<min(n, 20), most)
}

// Live is how a swarm goes.
type Live struct {
	Done, Failed, Total int // phones
	Asking, Waiting     int // phones that ask now, and those that will come again
	Retries             int // so far
	Elapsed             time.Duration
}

// Swarm enrolls many phones at once. It ends when all are done or, at the
// latest some time after ctx, with what was done till then.
func Swarm(ctx context.Context, opts SwarmOptions) Summary {
	if opts.KeyType == "" {
		opts.KeyType = "rsa2048"
	}
	now := opts.Client.opts.Now
	start := now()
	s := &swarm{SwarmOptions: opts, places: make(chan struct{}, max(opts.Concurrency, 1))}
	s.tally = tally{
		progress: opts.Progress, watch: opts.Watch, now: now, start: start,
		summary: Summary{Count: max(opts.Count, 0), Errors: map[string]int{}, ByKey: map[string]Latency{}},
	}
	phones := s.draw()
	began := time.Now()
	var all sync.WaitGroup
feed:
	for _, p := range phones {
		if !sleep(ctx, time.Until(began.Add(p.at))) || !s.enter(ctx) {
			break feed
		}
		all.Go(func() { s.one(ctx, p) })
	}
	all.Wait()
	return s.finish(now().Sub(start))
}

// sleep waits, and tells whether ctx goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

type swarm struct {
	SwarmOptions
	tally

	places chan struct{} // holds one for each phone that asks
}

// plan is what was drawn for a phone.
type plan struct {
	at             time.Duration // of its arrival
	keyType        string
	doubled, wrong bool
}

func (s *swarm) draw() []plan {
	random := rand.New(rand.NewPCG(s.Seed, 0)) //nolint:gosec // a load, whose draw can be repeated
	plans := make([]plan, max(s.Count, 0))
	weights := 0
	for _, k := range s.KeyTypes {
		weights += max(k.Weight, 0)
	}
	for i := range plans {
		p := &plans[i]
		switch s.Arrival {
		case AtRandom:
			p.at = time.Duration(random.Float64() * float64(s.Over))
		case Peak: // the sum of three, nearly a bell
			p.at = time.Duration((random.Float64() + random.Float64() + random.Float64()) / 3 * float64(s.Over))
		default:
			p.at = time.Duration(float64(i) / float64(len(plans)) * float64(s.Over))
		}
		p.keyType = s.KeyType
		if weights > 0 {
			n := random.IntN(weights)
			for _, k := range s.KeyTypes {
				if n -= max(k.Weight, 0); n < 0 {
					p.keyType = k.KeyType
					break
				}
			}
		}
		p.doubled = random.Float64() < s.Duplicates
		p.wrong = s.Wrong != nil && random.Float64() < s.WrongPasswords
	}
	slices.SortStableFunc(plans, func(a, b plan) int { return int(min(max(a.at-b.at, math.MinInt32), math.MaxInt32)) })
	return plans
}

// enter waits for a place among those that ask.
func (s *swarm) enter(ctx context.Context) bool {
	select {
	case s.places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *swarm) leave() { <-s.places }

// one is a phone of its own, until it has its certificate or gives up. It has a place.
func (s *swarm) one(ctx context.Context, p plan) {
	s.asks(1)
	phone, err := s.phone(p.keyType)
	if err != nil {
		s.leave()
		s.ends(p, 0, "key")
		return
	}
	if p.wrong {
		r := s.Wrong.Enroll(ctx, phone.Name, phone.CSR)
		s.refused(r.Err == nil)
	}
	var result Result
	for n := 0; ; n++ {
		result = s.ask(ctx, p, phone, n == 0)
		s.leave()
		kind := kindOf(ctx, result)
		if kind == "" || kind == canceled || n == s.Retry.Times {
			s.ends(p, result.Duration, kind)
			return
		}
		s.retries(kind)
		if !sleep(ctx, s.Retry.wait(n, result.RetryAfter)) || !s.enter(ctx) {
			s.returns()
			s.ends(p, result.Duration, canceled)
			return
		}
		s.returns()
	}
}

// ask enrolls a phone once, or, where it is doubled, twice at once.
func (s *swarm) ask(ctx context.Context, p plan, phone *Phone, first bool) Result {
	if !p.doubled || !first {
		return s.Client.Enroll(ctx, phone.Name, phone.CSR)
	}
	second := make(chan Result, 1)
	go func() { second <- s.Client.Enroll(ctx, phone.Name, phone.CSR) }()
	r := s.Client.Enroll(ctx, phone.Name, phone.CSR)
	other := <-second
	s.doubled(r.Err == nil && other.Err == nil && !bytes.Equal(r.Certificates[0].Raw, other.Certificates[0].Raw))
	if r.Err != nil && other.Err == nil {
		return other
	}
	return r
}

const canceled = "canceled"

// kindOf is the kind of a failure, "" for none.
func kindOf(ctx context.Context, r Result) string {
	switch {
	case r.Err == nil:
		return ""
	case errors.Is(r.Err, context.Canceled), ctx.Err() != nil:
		return canceled
	case r.RV == StatusNone:
		return "certificate"
	}
	return r.RV.String()
}

func (s *swarm) phone(keyType string) (*Phone, error) {
	if s.Key != nil {
		return NewPhoneWithKey(s.Rand, "", s.Key)
	}
	return NewPhone(s.Rand, "", keyType)
}
