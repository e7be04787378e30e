package search

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"ciscora/ra/ledger"
)

// establishWait is how long a client waits for another one's look at the numbers.
const (
	establishWait = 5 * time.Second
	establishLook = 200 * time.Millisecond
)

// endless is a number that no CA has given.
const endless = 1 << 30

// newest finds the CA's newest number by doubling and halving, some forty looks at
// most. It may be too low where numbers were skipped, never too high; its ReqID is 0
// where the CA has none, or does not tell. A look that the CA's end cut short goes on
// where it was.
func (s *Search) newest(ctx context.Context, ca Looker) (there ledger.Seen, err error) {
	there = s.memory.there
	defer func() {
		if err != nil {
			s.memory.there = there
		}
	}()
	absent := max(1, 2*there.ReqID)
	for ; ; absent *= 2 {
		one, err := s.look(ctx, ca, absent)
		if err != nil {
			return there, err
		}
		if one.What == ledger.SeenUnknown {
			break
		}
		if there = one; absent >= endless {
			return ledger.Seen{}, nil // it answers so to whatever is asked
		}
	}
	for absent-there.ReqID > 1 {
		one, err := s.look(ctx, ca, there.ReqID+(absent-there.ReqID)/2)
		if err != nil {
			return there, err
		}
		if one.What == ledger.SeenUnknown {
			absent = one.ReqID
		} else {
			there = one
		}
	}
	return there, nil
}

// Establish makes sure that the ledger knows a number of this CA's before the first
// POST: what comes of a POST is sought above it. It asks a CA once, where the ledger
// knows of none; a CA that has given none, or does not tell, leaves it at that. An
// error says why nothing may be sent yet: ErrBusy, where another client or replica
// has been looking for long.
func (s *Search) Establish(ctx context.Context, ca Looker) error {
	for began := time.Now(); !s.established.Load(); {
		highest, err := s.Ledger.HighestReqID(ctx)
		if err != nil {
			return err
		}
		if highest > 0 {
			break
		}
		// The first client looks, the others wait for what it finds.
		if err := s.establish(ctx, ca); !errors.Is(err, ErrBusy) || time.Since(began) >= establishWait {
			return err
		}
		timer := time.NewTimer(establishLook)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	s.established.Store(true)
	return nil
}

func (s *Search) establish(ctx context.Context, ca Looker) error {
	release, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer release()
	newest, err := s.newest(ctx, ca)
	if err != nil {
		return err
	}
	s.empty.Store(newest.ReqID == 0)
	if newest.ReqID > 0 {
		if newest.What == ledger.SeenHidden {
			newest.What = ledger.SeenDenied // it exists, and shows no key: all that matters of a floor
		}
		if err := s.Ledger.See(ctx, newest); err != nil {
			return err
		}
	}
	s.established.Store(true)
	return nil
}

// fewNumbers are sooner asked for than sought among.
const fewNumbers = 64

// floorByTime is the floor of a row that was sent before any number was known: the
// highest below which certificates are too old to be its own. A CA numbers its
// requests as they come, and dates its certificates so.
func (s *Search) floorByTime(ctx context.Context, ca Looker, row ledger.Row) (int, error) {
	if s.empty.Load() {
		return 0, nil
	}
	newest, err := s.Ledger.HighestReqID(ctx)
	if err == nil && newest == 0 {
		var one ledger.Seen
		one, err = s.newest(ctx, ca)
		newest = one.ReqID
	}
	if err != nil || newest <= fewNumbers {
		return 0, err
	}
	oldest := row.Submitted.Add(-backdating - clockTolerance)
	old, late := 0, newest+1
	for late-old > 1 {
		middle := old + (late-old)/2
		isOld, err := s.olderThan(ctx, ca, middle, late, oldest)
		if err != nil {
			return 0, err
		}
		if isOld {
			old = middle
		} else {
			late = middle
		}
	}
	return old, nil
}

// olderThan tells whether the first certificate that the CA shows from n on, below
// end, was made before t. Where it shows none soon, n counts as young: that makes the
// search longer, and takes nothing from it.
func (s *Search) olderThan(ctx context.Context, ca Looker, n, end int, t time.Time) (bool, error) {
	const near = 16
	for last := min(end, n+near); n < last; n++ {
		one, err := s.look(ctx, ca, n)
		if err != nil {
			return false, err
		}
		if one.What != ledger.SeenCertificate {
			continue
		}
		c, err := x509.ParseCertificate(one.Certificate)
		if err != nil {
			return false, err
		}
		return c.NotBefore.Before(t), nil
	}
	return false, nil
}
