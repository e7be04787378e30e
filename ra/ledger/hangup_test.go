package ledger_test

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"ciscora/ra/ledger"
)

// A row may be taken, worked on and given back by others before the one that has made it
// hears of that: then it is not its own.
func TestAFreshClaimIsNobodyElsesHoweverManyHangUp(t *testing.T) {
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "ra.db"), ledger.Options{})
	must(t, err)
	defer l.Close()
	const clients, hangUp, times = 8, 3, 150
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			for range times {
				ctx, cancel := context.WithCancel(t.Context())
				if client < hangUp {
					time.AfterFunc(time.Duration(rand.IntN(3000))*time.Microsecond, cancel)
				}
				c, err := l.Claim(ctx, request("phone", "x"))
				cancel()
				switch {
				case err != nil && client >= hangUp:
					t.Errorf("claim: %v", err)
					continue
				case err != nil || !c.Mine:
					continue
				}
				if err := l.Update(t.Context(), &c, func(r *ledger.Row) { r.Open = false }); err != nil {
					t.Errorf("fresh %v: %v", c.Fresh, err)
				}
				must(t, l.Release(t.Context(), c))
			}
		})
	}
	all.Wait()
}
