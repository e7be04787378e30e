package search

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"ciscora/msca"
	"ciscora/ra/ledger"
)

// DefaultScriptTimeout is how long IIS lets an ASP page run (AspScriptTimeout).
const DefaultScriptTimeout = 90 * time.Second

const (
	// fenceSlack is for what lies between a replica's last look at its claim and the
	// first byte of its POST.
	fenceSlack = 10 * time.Second
	// looksPerSecond leaves the CA to its clients.
	looksPerSecond = 50
)

// Looker shows what the CA has under a number. Its errors are those of
// [msca.Session.Look].
type Looker interface {
	Look(ctx context.Context, reqID int) (*x509.Certificate, error)
}

// Options is what a search is made of.
type Options struct {
	Ledger *ledger.Ledger
	// Mine tells whether the search is to care for a row; nil = for each.
	Mine func(ledger.Row) bool
	// Template tells what is known of a template; nil = nothing.
	Template func(ctx context.Context, name string) Template
	// Found binds a lost row to the number and the certificate that answer it. An
	// error leaves the row for the next look.
	Found func(ctx context.Context, row ledger.Row, reqID int, certificate *x509.Certificate) error
	// NotFound gives a row up: no certificate answers it. candidates are the numbers
	// that may be its own and show no key; without any, each number that the CA has
	// given since the POST is another's.
	NotFound func(ctx context.Context, row ledger.Row, candidates []int) error
	// ScriptTimeout is how long the CA's page may be at work on a POST whose answer
	// nobody waits for any more; 0 = DefaultScriptTimeout.
	ScriptTimeout time.Duration
	Now           func() time.Time // of the ledger's times; nil = time.Now
	Logger        *zap.Logger      // nil = none
}

// Search looks for lost POSTs. One goroutine at a time looks; the others are told
// that it does.
type Search struct {
	Options
	limit *rate.Limiter

	looking     sync.Mutex  // held while somebody looks; nobody waits for it
	established atomic.Bool // a number is known, or there is none to know
	empty       atomic.Bool // the CA had none when this process asked first

	mu sync.Mutex // guards lostAt
	// lostAt is when this process first saw that nobody works on a row any more, by
	// the monotonic clock: a clock that is set must not shorten the grace.
	lostAt map[int64]time.Time

	memory memory // of the round's goroutine: guarded by looking
}

// New returns a search.
func New(o Options) *Search {
	if o.Mine == nil {
		o.Mine = func(ledger.Row) bool { return true }
	}
	if o.Template == nil {
		o.Template = func(context.Context, string) Template { return Template{} }
	}
	if o.ScriptTimeout <= 0 {
		o.ScriptTimeout = DefaultScriptTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	return &Search{
		Options: o, limit: rate.NewLimiter(looksPerSecond, looksPerSecond/5),
		lostAt: map[int64]time.Time{}, memory: newMemory(),
	}
}

// Grace is how long after its process let go of it a POST may still become a request
// at the CA: as long as IIS lets the page run, after the last moment at which a
// kernel can deliver it ([msca.UserTimeout]), after what a process may lose between
// its last look at its claim and its POST.
func (s *Search) Grace() time.Duration { return s.ScriptTimeout + msca.UserTimeout + fenceSlack }

// Wait is how long a client of a lost row does well to stay away: until the row can
// be decided at the latest.
func (s *Search) Wait(row ledger.Row) time.Duration {
	const shortest, longest = 5 * time.Second, 30 * time.Second
	return min(max(s.left(row), shortest), longest)
}

// left is how much of the grace is left for a row.
func (s *Search) left(row ledger.Row) time.Duration {
	if !row.Lost.IsZero() {
		return 0 // the CA has answered, and is done with it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.lostAt[row.ID]
	if !ok {
		return s.Grace()
	}
	return max(0, s.Grace()-time.Since(at))
}

// ErrBusy says that somebody else looks, here or in another replica.
var ErrBusy = errors.New("the CA is being searched elsewhere")

// Lost returns the rows that nobody works on and that are to be found out.
func (s *Search) Lost(ctx context.Context) ([]ledger.Row, error) {
	rows, err := s.Ledger.Lost(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	still := make(map[int64]bool, len(rows))
	lost := rows[:0:0]
	for _, row := range rows {
		still[row.ID] = true
		if row.Held || !s.Mine(row) {
			continue
		}
		if _, ok := s.lostAt[row.ID]; !ok {
			s.lostAt[row.ID] = time.Now()
		}
		lost = append(lost, row)
	}
	for id := range s.lostAt {
		if !still[id] {
			delete(s.lostAt, id)
		}
	}
	return lost, nil
}

// Round asks the CA for what is not known yet, binds what it finds, and gives up what
// cannot come any more. It returns how many rows are still lost, and when the next
// one's grace ends (0 = nothing is lost). ErrBusy: somebody else looks.
func (s *Search) Round(ctx context.Context, ca Looker) (left int, next time.Duration, err error) {
	release, err := s.begin(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer release()

	lost, err := s.Lost(ctx)
	if err != nil {
		return 0, 0, err
	}
	if len(lost) == 0 {
		return 0, 0, s.forget(ctx)
	}
	// Which rows may be given up is decided before the CA is asked: what ends
	// meanwhile is for the next round.
	over := map[int64]bool{}
	for _, row := range lost {
		over[row.ID] = s.left(row) == 0
	}
	w, err := s.window(ctx, ca, lost)
	if err != nil {
		return len(lost), 0, err
	}
	scanErr := s.scan(ctx, ca, w, len(over) > 0 && anyOver(over))
	settled, err := s.settle(ctx, w, lost, over, scanErr == nil)
	if err == nil {
		err = scanErr
	}
	for _, row := range lost {
		if settled[row.ID] {
			continue
		}
		left++
		if wait := s.left(row); next == 0 || wait < next {
			next = max(wait, time.Second)
		}
	}
	return left, next, err
}

// begin gives the right to ask the CA; ErrBusy where somebody has it.
func (s *Search) begin(ctx context.Context) (release func(), err error) {
	if !s.looking.TryLock() {
		return nil, ErrBusy
	}
	give, ok, err := s.Ledger.Searching(ctx)
	if err == nil && !ok {
		err = ErrBusy
	}
	if err != nil {
		s.looking.Unlock()
		return nil, err
	}
	return func() { give(); s.looking.Unlock() }, nil
}

func anyOver(over map[int64]bool) bool {
	for _, o := range over {
		if o {
			return true
		}
	}
	return false
}

// settle binds and gives up rows by what the window shows.
func (s *Search) settle(ctx context.Context, w *window, lost []ledger.Row, over map[int64]bool, complete bool) (settled map[int64]bool, err error) {
	settled = map[int64]bool{}
	templates := map[string]Template{}
	for _, row := range lost {
		if _, ok := templates[row.Template]; !ok {
			templates[row.Template] = s.Template(ctx, row.Template)
		}
	}
	found := assign(lost, templates, w.unclaimed(), over, complete)
	for _, row := range lost {
		certificate, ok := found[row.ID]
		if !ok {
			continue
		}
		if template := templates[row.Template]; template.FromDirectory {
			contested, err := s.contested(ctx, row, templates, certificate)
			if err != nil {
				return settled, fmt.Errorf("bind request %d to ledger row %d: %w", certificate.reqID, row.ID, err)
			}
			if contested {
				continue
			}
		}
		if err := s.Found(ctx, row, certificate.reqID, certificate.certificate); err != nil {
			return settled, fmt.Errorf("bind request %d to ledger row %d: %w", certificate.reqID, row.ID, err)
		}
		settled[row.ID], w.known[certificate.reqID] = true, true
	}
	if !complete {
		return settled, nil
	}
	for _, row := range lost {
		if settled[row.ID] || !over[row.ID] {
			continue
		}
		if err := s.NotFound(ctx, row, w.candidates(row, templates[row.Template])); err != nil {
			return settled, fmt.Errorf("give up ledger row %d: %w", row.ID, err)
		}
		settled[row.ID] = true
	}
	return settled, nil
}

// contested tells whether a certificate whose names cannot be compared may be another
// row's: one whose POST somebody works on still, or one that was given up with this
// number among its candidates.
func (s *Search) contested(ctx context.Context, row ledger.Row, templates map[string]Template, c shown) (bool, error) {
	rows, err := s.Ledger.Lost(ctx)
	if err != nil {
		return false, err
	}
	for _, other := range rows {
		if _, ok := templates[other.Template]; !ok {
			templates[other.Template] = s.Template(ctx, other.Template)
		}
	}
	if rivals(rows, templates, row, c) > 0 {
		return true, nil
	}
	return s.Ledger.IsCandidate(ctx, c.reqID, row.ID)
}

// forget removes what was seen below the requests that are under way: nobody will
// ask for it. The highest number stays, as the floor of the next POST.
func (s *Search) forget(ctx context.Context) error {
	highest, err := s.Ledger.HighestReqID(ctx)
	if err != nil || highest == 0 || highest == s.memory.forgotten {
		return err
	}
	below := highest
	rows, err := s.Ledger.Lost(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		below = min(below, row.Floor)
	}
	if err := s.Ledger.ForgetSeen(ctx, below); err != nil {
		return err
	}
	s.memory = newMemory()
	s.memory.forgotten = highest
	return nil
}
