package search

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"ciscora/msca"
	"ciscora/ra/ledger"
)

const (
	// The CA ends where that many numbers in a row are unknown and so are those at
	// the doubled distances up to farthest: it may skip some after a restart.
	gap      = 8
	farthest = 1024

	// pendingAgain is how often a request that waits for a manager is asked for.
	pendingAgain = time.Minute
	// endStep is how soon the number behind the newest is asked for again, and endAgain
	// how seldom at most.
	endStep  = 4 * time.Second
	endAgain = 8 * time.Second
	// stubborn is after how many failures a number is passed over that the CA answers
	// with an error of its server.
	stubborn = 3
	// hiddenRun is how many hidden numbers in a row make one doubt that the CA shows
	// anything to this account.
	hiddenRun = 64
)

// window is what is known of the numbers above the lowest floor.
type window struct {
	floor int // all above are in the window
	end   int // the highest number that the CA is known to have given
	known map[int]bool
	seen  map[int]ledger.Seen
	shown map[int]*x509.Certificate
}

// memory is what a process remembers between two rounds, to ask each number once.
type memory struct {
	forgotten int
	missed    map[int]missed // asked, and unknown to the CA then
	failures  map[int]int    // of a number
	floor     *int           // of rows that were sent before any number was known
	there     ledger.Seen    // the highest that exists, of a look for the newest that did not end
}

// missed is how often a number was unknown to the CA, and when last.
type missed struct {
	times int
	at    time.Time
}

// tooSoon tells that the CA need not be asked again: the longer it has given no new
// number the longer it is left alone.
func (m missed) tooSoon() bool {
	return m.times > 0 && time.Since(m.at) < min(time.Duration(m.times)*endStep, endAgain)
}

func newMemory() memory { return memory{missed: map[int]missed{}, failures: map[int]int{}} }

// window reads what the ledger knows of the numbers that may be of these rows, and
// gives those without a floor one.
func (s *Search) window(ctx context.Context, ca Looker, lost []ledger.Row) (*window, error) {
	w := &window{floor: -1, known: map[int]bool{}, seen: map[int]ledger.Seen{}, shown: map[int]*x509.Certificate{}}
	for i := range lost {
		if lost[i].Floor == 0 {
			// Rows come oldest first: what holds for the first holds for the others.
			if s.memory.floor == nil {
				floor, err := s.floorByTime(ctx, ca, lost[i])
				if err != nil {
					return nil, err
				}
				s.memory.floor = &floor
			}
			lost[i].Floor = *s.memory.floor
		}
		if floor := lost[i].Floor; w.floor < 0 || floor < w.floor {
			w.floor = floor
		}
	}
	known, err := s.Ledger.KnownReqIDs(ctx, w.floor+1)
	if err != nil {
		return nil, err
	}
	for _, n := range known {
		w.known[n] = true
		w.end = max(w.end, n)
	}
	seen, err := s.Ledger.SeenFrom(ctx, w.floor+1)
	if err != nil {
		return nil, err
	}
	for _, one := range seen {
		if err := w.add(one); err != nil {
			return nil, err
		}
	}
	w.end = max(w.end, w.floor)
	return w, nil
}

func (w *window) add(one ledger.Seen) error {
	if one.What == ledger.SeenUnknown {
		return nil
	}
	if one.What == ledger.SeenCertificate {
		c, err := x509.ParseCertificate(one.Certificate)
		if err != nil {
			return fmt.Errorf("the certificate of request %d in the ledger cannot be read: %w", one.ReqID, err)
		}
		w.shown[one.ReqID] = c
	}
	w.seen[one.ReqID] = one
	w.end = max(w.end, one.ReqID)
	return nil
}

// unclaimed are the certificates that no row has.
func (w *window) unclaimed() []shown {
	var list []shown
	for n, c := range w.shown {
		if !w.known[n] {
			list = append(list, shown{n, c})
		}
	}
	slices.SortFunc(list, func(a, b shown) int { return a.reqID - b.reqID })
	return list
}

// candidates are the numbers that may be a row's and show no key, or a key and not
// enough else.
func (w *window) candidates(row ledger.Row, template Template) []int {
	var list []int
	for n, one := range w.seen {
		if n <= row.Floor || w.known[n] {
			continue
		}
		if c := w.shown[n]; c != nil && !mayMatch(row, template, n, c) {
			continue
		}
		if one.What == ledger.SeenRevoked {
			continue
		}
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

// scan asks for each number in the window that is not known yet, up to the CA's end:
// thoroughly where a row is to be given up by what it finds, else up to the first
// number that the CA does not know.
func (s *Search) scan(ctx context.Context, ca Looker, w *window, thorough bool) error {
	hidden := 0
	for n := w.floor + 1; ; n++ {
		if w.known[n] {
			hidden = 0
			continue
		}
		if one, ok := w.seen[n]; ok && (one.What != ledger.SeenPending || s.Now().Sub(one.At) < pendingAgain) {
			continue
		}
		if missed := s.memory.missed[n]; !thorough {
			if n < w.end && missed.times > 0 {
				continue
			}
			if n > w.end && missed.tooSoon() {
				return nil
			}
		}
		exists, err := s.ask(ctx, ca, w, n)
		switch {
		case err != nil:
			return err
		case exists && w.seen[n].What == ledger.SeenHidden:
			if hidden++; hidden == hiddenRun {
				if err := s.showsAnything(ctx, ca); err != nil {
					return err
				}
			}
			continue
		case exists || n < w.end:
			hidden = 0
			continue
		case !thorough:
			return nil
		}
		// Is this the end?
		beyond, err := s.beyond(ctx, ca, w, n)
		if err != nil || !beyond {
			return err
		}
	}
}

// beyond tells whether the CA has given numbers above n, which it does not know.
func (s *Search) beyond(ctx context.Context, ca Looker, w *window, n int) (bool, error) {
	for d := 1; d <= farthest; {
		exists, err := s.ask(ctx, ca, w, n+d)
		if err != nil || exists {
			return exists, err
		}
		if d < gap {
			d++
		} else {
			d *= 2
		}
	}
	return false, nil
}

// errBlind says that the CA does not show this account what there is.
var errBlind = errors.New("the CA does not tell this account which request ids it has given")

// showsAnything fails where even a number that the CA cannot have given is hidden.
func (s *Search) showsAnything(ctx context.Context, ca Looker) error {
	one, err := s.look(ctx, ca, 1<<30)
	if err == nil && one.What != ledger.SeenUnknown {
		err = errBlind
	}
	return err
}

// ask looks under a number and writes down what it sees; exists tells whether the CA
// has given it.
func (s *Search) ask(ctx context.Context, ca Looker, w *window, n int) (exists bool, err error) {
	one, err := s.look(ctx, ca, n)
	if err != nil {
		return false, err
	}
	if one.What == ledger.SeenUnknown {
		s.memory.missed[n] = missed{s.memory.missed[n].times + 1, time.Now()}
		return false, nil
	}
	delete(s.memory.missed, n)
	if err := s.Ledger.See(ctx, one); err != nil {
		return true, err
	}
	return true, w.add(one)
}

// look asks the CA for one number. The error is one that says nothing of the number:
// the CA is away, or not well.
func (s *Search) look(ctx context.Context, ca Looker, n int) (ledger.Seen, error) {
	one := ledger.Seen{ReqID: n, At: s.Now()}
	if err := s.limit.Wait(ctx); err != nil {
		return one, err
	}
	certificate, err := ca.Look(ctx, n)
	if err == nil {
		one.What, one.Certificate = ledger.SeenCertificate, certificate.Raw
		delete(s.memory.failures, n)
		return one, nil
	}
	e, ok := errors.AsType[*msca.Error](err)
	if !ok {
		return one, err
	}
	const badRequestStatus = 0x80094003 // CERTSRV_E_BAD_REQUESTSTATUS: there is one, and it is not shown
	switch e.Kind {
	case msca.KindPending:
		one.What = ledger.SeenPending
	case msca.KindDenied, msca.KindBadCSR:
		one.What = ledger.SeenDenied
	case msca.KindRevoked:
		one.What = ledger.SeenRevoked
	case msca.KindUnknownRequest:
		one.What = ledger.SeenUnknown
		if e.HRESULT == badRequestStatus {
			one.What = ledger.SeenHidden
		}
	case msca.KindForbidden, msca.KindNotFound, msca.KindParse, msca.KindUnclear, msca.KindRedirect:
		one.What = ledger.SeenHidden
	case msca.KindHTTP:
		// It may be the server's trouble, or this number's.
		if s.memory.failures[n]++; s.memory.failures[n] < stubborn {
			return one, err
		}
		one.What = ledger.SeenHidden
	default:
		return one, err
	}
	if one.What == ledger.SeenHidden {
		s.Logger.Debug("the CA does not show a request", zap.Int("req_id", n), zap.Error(err))
	}
	return one, nil
}
