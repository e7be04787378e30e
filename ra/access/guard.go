package access

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"ciscora/internal/bounded"
	"ciscora/msca"
	"ciscora/ra/ledger"
)

// Lockout guards the CA's accounts, whose own lock-out a lab of phones with an old
// password, or anybody who guesses, would trip (design, section 4).
type Lockout struct {
	Failures int           // refused log-ins at one account, from all addresses and replicas; 0 = no guard
	For      time.Duration // since the last one; meanwhile no other password is tried
}

const (
	// addressShare is how many accounts' worth of guesses one address has, and
	// guessingShare how many it may bring besides that are turned away untried.
	addressShare  = 10
	guessingShare = 100
	// rightFor is how long a password that was right passes a door that is closed to
	// guesses. Where it is changed meanwhile it costs one refused log-in more, and AD
	// does not even count that: it knows an account's last passwords.
	rightFor = time.Hour
	// freshFor is how long one log-in speaks for others with the same password: they
	// need not wait for each other.
	freshFor = 2 * time.Second
	// oneRefusal is how long a refusal of a password that was right lately speaks for
	// those that follow: many were under way when a domain controller went away.
	oneRefusal = 10 * time.Second
	// maxRemembered bounds each memory of passwords. Only who knows one, or had one
	// refused, gets into it.
	maxRemembered = 10_000

	longestWait   = 30 * time.Second       // for the outcome of others' tries
	lookAgain     = 100 * time.Millisecond // at the door, for tries of other replicas
	settleTimeout = 5 * time.Second
	retryGuard    = 10 * time.Second
)

// guard decides which passwords are tried. A try is reserved in the ledger before it is
// made, and given back where it was right: however many come at once, no more wrong
// ones get through than there may be. What is remembered of passwords are HMACs under a
// key of this process, in memory alone.
type guard struct {
	rule   Lockout
	ledger *ledger.Ledger
	key    []byte
	now    func() time.Time

	passwords *turns[accountKey] // the same one is tried once at a time
	names     *turns[string]     // one at a time waits for room to guess
	proven    *bounded.Map[accountKey, time.Time]
	shown     *bounded.Map[accountKey, struct{}] // proven, with the address that had it
	refused   *bounded.Map[accountKey, struct{}] // by the CA
	doubted   *bounded.Map[accountKey, doubt]    // refused by the CA, and right not long before
	counted   *bounded.Map[accountKey, struct{}] // of those, for oneRefusal since a refusal was counted
	away      *bounded.Map[accountKey, struct{}] // turned away untried, with the address
	guessing  *bounded.Map[string, int]          // how many of those, by address
	pruned    *bounded.Map[struct{}, struct{}]   // when the ledger was tidied up

	learning sync.Mutex // one at a time says of a password whether it was right
}

func newGuard(rule Lockout, book *ledger.Ledger, key []byte, now func() time.Time) *guard {
	return &guard{
		rule: rule, ledger: book, key: key, now: now,
		passwords: newTurns[accountKey](), names: newTurns[string](),
		proven:   bounded.New[accountKey, time.Time](maxRemembered, rightFor, now),
		shown:    bounded.New[accountKey, struct{}](maxRemembered, rightFor, now),
		refused:  bounded.New[accountKey, struct{}](maxRemembered, rule.For, now),
		doubted:  bounded.New[accountKey, doubt](maxRemembered, rule.For, now),
		counted:  bounded.New[accountKey, struct{}](maxRemembered, oneRefusal, now),
		away:     bounded.New[accountKey, struct{}](maxRemembered, rule.For, now),
		guessing: bounded.New[string, int](maxRemembered, rule.For, now),
		pruned:   bounded.New[struct{}, struct{}](1, max(rule.For, time.Minute), now),
	}
}

func (g *guard) off() bool { return g.rule.Failures <= 0 }

// presented is a password that somebody brings.
type presented struct {
	at      ledger.GuessAt // without its limit
	key     accountKey     // of the name and the password
	address string         // that brings it
	// fixed: a refusal stands for some time, without another try.
	fixed bool
	// said makes the error of who is not let in.
	said func(reason Reason, cause error) *Error
}

func (g *guard) guess(p presented) ledger.Guess {
	at := p.at
	at.Limit = g.rule.Failures
	return ledger.Guess{
		At:     at,
		From:   g.from(p.address),
		Window: g.rule.For,
	}
}

func (g *guard) from(address string) ledger.GuessAt {
	return ledger.GuessAt{Kind: ledger.GuessAddress, Name: address, Limit: addressShare * g.rule.Failures}
}

// with is a key together with an address.
func (g *guard) with(p presented) (k accountKey) {
	mac := hmac.New(sha256.New, g.key)
	mac.Write(p.key[:])
	mac.Write([]byte(p.address))
	mac.Sum(k[:0])
	return k
}

// verdict is what came of a try.
type verdict int

const (
	notTried verdict = iota // the password did not leave
	wasRight                // and it is known
	wasWrong                // and it is known
	untold                  // it left, and no answer came: it may have been wrong
	notWrong                // and nothing else is to be known of it
)

// try is a password that may be tried now.
type try struct {
	guard    *guard
	password presented
	reserved *ledger.Door // by which it was let through; nil: it was not reserved
	release  func(error)  // nil: nobody waits for it
}

var errWaited = errors.New("log-ins with this account are under way, and none has ended in time")

// enter waits until a password may be tried. A right one is never refused because
// others guess: those wait for its turn that bring the same one, and for the outcome of
// the others' tries where there may be no more.
func (g *guard) enter(ctx context.Context, p presented) (*try, error) {
	if g.fresh(p.key) {
		if _, ok := g.shown.Get(g.with(p)); ok {
			return &try{guard: g, password: p}, nil
		}
	}
	waiting, cancel := context.WithTimeoutCause(ctx, longestWait, errWaited)
	defer cancel()
	release, err := g.passwords.take(waiting, p.key)
	if err != nil {
		return nil, g.notAdmitted(err)
	}
	reserved, err := g.admit(waiting, p)
	if err != nil {
		release(nil) // it says nothing of those who wait
		return nil, g.notAdmitted(err)
	}
	t := &try{guard: g, password: p, reserved: reserved, release: release}
	if g.fresh(p.key) {
		t.release = nil
		release(nil)
	}
	return t, nil
}

// fresh tells whether a log-in of just now speaks for others with the same password. None
// does where one of them was refused since: then they go one at a time.
func (g *guard) fresh(k accountKey) bool {
	if _, refused := g.counted.Get(k); refused {
		return false
	}
	at, proven := g.proven.Get(k)
	return proven && g.now().Sub(at) < freshFor
}

func (g *guard) notAdmitted(err error) error {
	if errors.Is(err, errWaited) {
		return &TurnedAway{RetryAfter: retryGuard, Text: "others try to log in with this account: ask again", Err: err}
	}
	return err
}

// admit decides about a password whose turn it is.
func (g *guard) admit(ctx context.Context, p presented) (reserved *ledger.Door, err error) {
	if _, known := g.refused.Get(p.key); known {
		return nil, p.said(ReasonCA, &msca.Error{
			Phase: msca.PhaseLogin, Kind: msca.KindAuthRejected,
			Err: errors.New("the CA refused this password a short while ago, and is not asked again (est.lockout)"),
		})
	}
	if d, known := g.doubted.Get(p.key); known && g.now().Before(d.until) {
		return nil, &TurnedAway{
			RetryAfter: d.until.Sub(g.now()), Text: "the CA refused a password that it took a short while ago: ask again",
			Err: errors.New("the CA refused this password, which it took a short while ago; it is tried again soon (est.lockout)"),
		}
	}
	if _, known := g.proven.Get(p.key); known {
		return nil, g.admitProven(p)
	}
	end, err := g.names.take(ctx, string(p.at.Kind)+" "+p.at.By())
	if err != nil {
		return nil, err
	}
	defer end(nil)
	for {
		ended := g.passwords.ended()
		if _, known := g.proven.Get(p.key); known {
			return nil, g.admitProven(p)
		}
		door, err := g.ledger.Reserve(ctx, g.guess(p))
		switch {
		case err != nil:
			return nil, err
		case door.Open():
			return &door, nil
		case door.Closed:
			return nil, g.turnAway(p, door)
		}
		timer := time.NewTimer(lookAgain)
		select {
		case <-ended:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		}
		timer.Stop()
	}
}

// admitProven lets a password through that was right a while ago. From an address that
// guesses on at a closed door it passes only if it was right from there: who guesses must
// not learn from this memory what the CA would not tell.
func (g *guard) admitProven(p presented) error {
	if _, shown := g.shown.Get(g.with(p)); shown {
		return nil
	}
	if n, _ := g.guessing.Get(p.address); n < guessingShare*g.rule.Failures {
		return nil
	}
	return p.said(ReasonLocked, errors.New("not tried: this address goes on guessing at closed doors (est.lockout)"))
}

// vouch is admitProven for a password that a log-in of the last minute vouches for.
func (g *guard) vouch(p presented) error {
	err := g.admitProven(p)
	if err == nil {
		g.shown.Put(g.with(p), struct{}{})
	}
	return err
}

// turnAway refuses a password untried. Each counts once for the address that brings it.
func (g *guard) turnAway(p presented, door ledger.Door) error {
	at := g.with(p)
	if _, counted := g.away.Get(at); !counted {
		g.away.Put(at, struct{}{})
		n, _ := g.guessing.Get(p.address)
		g.guessing.Put(p.address, n+1) // of two at a time one may get lost
	}
	whose := "of this account"
	switch {
	case door.Kind == ledger.GuessAddress:
		whose = "from this address"
	case p.at.Kind == ledger.GuessUser:
		whose = "of this user from this address"
	}
	until := g.now().Add(door.Left).Format(time.RFC3339)
	return p.said(ReasonLocked, fmt.Errorf("not tried before %s: too many refused log-ins %s (est.lockout)", until, whose))
}

// end tells what came of a try; err is what those are told who wait for it, where it
// came to nothing.
func (t *try) end(ctx context.Context, v verdict, err error) {
	g, p := t.guard, t.password
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	counts := v == wasWrong || v == untold
	switch {
	case v == wasRight:
		g.remember(p.key)
		g.shown.Put(g.with(p), struct{}{})
	case v == wasWrong && p.fixed:
		counts = g.wrong(p.key) || t.reserved != nil
	case v == wasWrong:
		g.proven.Delete(p.key)
	}
	// What cannot be written leaves the try counted.
	switch {
	case t.reserved != nil:
		_ = g.ledger.Settle(ctx, g.guess(p), *t.reserved, counts)
	case v == wasWrong && counts:
		// It was right lately, here; the CA's trouble is that of the other replicas, too.
		guess := g.guess(p)
		_ = g.ledger.RefusedTogether(ctx, g.rule.For, oneRefusal, guess.At, guess.From)
	}
	if _, done := g.pruned.Get(struct{}{}); t.reserved != nil && !done {
		g.pruned.Put(struct{}{}, struct{}{})
		_ = g.ledger.PruneGuesses(ctx) // the next time
	}
	if t.release == nil {
		return
	}
	t.release(shared(v, err))
}

// shared is what those are told who wait for a try that told nothing: whatever stood in
// its way stands in theirs, but for the patience of whoever made it.
func shared(v verdict, err error) error {
	if v != notTried && v != untold || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// doubt is a password that was right not long ago, and that the CA has refused since:
// IIS says no to a right one as well where it reaches no domain controller.
type doubt struct {
	times int
	until time.Time // it is not tried again before
}

// wrong keeps a password that was wrong, and tells whether that counts. One that was
// right lately is tried again, first soon, as long as the account has room for it; of
// those log-ins with it that were under way together one counts, as the CA's trouble is
// one. Nobody gets at that who does not know a password that was right: any other is
// reserved before it is tried, and counts.
func (g *guard) wrong(k accountKey) (counts bool) {
	const later = time.Minute
	g.learning.Lock()
	defer g.learning.Unlock()
	_, proven := g.proven.Get(k)
	d, doubted := g.doubted.Get(k)
	_, counted := g.counted.Get(k)
	g.proven.Delete(k)
	if counted {
		if proven { // another one was right meanwhile
			g.doubted.Put(k, doubt{times: 1, until: g.now().Add(oneRefusal)})
		}
		return false
	}
	if proven || doubted {
		g.counted.Put(k, struct{}{})
	}
	if d.times++; (proven || doubted) && d.times < g.rule.Failures {
		d.until = g.now().Add(oneRefusal)
		if d.times > 1 {
			d.until = g.now().Add(later)
		}
		g.doubted.Put(k, d)
		return true
	}
	g.refused.Put(k, struct{}{})
	return true
}

// remember keeps a password that was right.
func (g *guard) remember(k accountKey) {
	g.learning.Lock()
	defer g.learning.Unlock()
	g.proven.Put(k, g.now())
	g.refused.Delete(k)
	g.doubted.Delete(k)
}

// blame counts the refusal of a password that was tried without the guard.
func (g *guard) blame(ctx context.Context, p presented) {
	if !g.wrong(p.key) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	_ = g.ledger.Refused(ctx, g.rule.For, g.guess(p).At) // then clients may guess once more: one too much is still one
}

// verdictOf is what a log-in at the CA tells of a password.
func verdictOf(err error) verdict {
	var ca *msca.Error
	switch {
	case err == nil:
		return wasRight
	case Refused(err):
		return wasWrong
	case errors.As(err, &ca) && ca.Unanswered:
		return untold
	}
	return notTried
}
