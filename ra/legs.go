package ra

import (
	"context"
	"sync"

	"ciscora/msca"
	"ciscora/ra/ledger"
)

// legs collects the exchanges with the CA of one request, for its row in the
// ledger.
type legs struct {
	mu  sync.Mutex // guards new
	new []ledger.Leg
}

type legsKey struct{}

func withLegs(ctx context.Context) context.Context {
	return context.WithValue(ctx, legsKey{}, &legs{})
}

func legsOf(ctx context.Context) *legs {
	l, _ := ctx.Value(legsKey{}).(*legs)
	return l
}

func (l *legs) add(leg msca.Leg) {
	if l == nil {
		return
	}
	x := ledger.Leg{Name: string(leg.Phase), Start: leg.Start, Took: leg.Duration}
	if leg.Err != nil {
		x.Error = leg.Err.Error()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.new = append(l.new, x)
}

// take returns the legs since the last take.
func (l *legs) take() []ledger.Leg {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.new
	l.new = nil
	return taken
}
