package ledger_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"ciscora/ra/ledger"
)

// A model of the ledger: what is known of each row, and who has a live claim.
type modelRow struct {
	id        int64
	request   int // of which request it is
	open      bool
	state     ledger.State
	reqID     int
	delivered int
	holder    int // index of the claim that is live; -1 = none
}

type modelClaim struct {
	claim ledger.Claim
	by    *ledger.Ledger
	row   *modelRow
}

// A random walk over the operations, of several processes, compared with the
// model after each step.
func TestARandomWalkDoesWhatTheModelDoes(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		seed := uint64(time.Now().UnixNano())
		random := rand.New(rand.NewPCG(seed, 1))
		step := 0
		defer func() {
			if t.Failed() {
				t.Logf("seed %d, step %d", seed, step)
			}
		}()
		ctx := t.Context()
		ledgers := []*ledger.Ledger{d.open("a")}
		if d.several {
			ledgers = append(ledgers, d.open("b"), d.open("c"))
		}
		var rows []*modelRow
		var claims []modelClaim
		live := func(r *modelRow) bool { return r.holder >= 0 }
		hold := func(r *modelRow, l *ledger.Ledger, c ledger.Claim) {
			claims = append(claims, modelClaim{c, l, r})
			r.holder = len(claims) - 1
		}
		for step = range 600 {
			l := ledgers[random.IntN(len(ledgers))]
			switch op := random.IntN(8); {
			case op <= 1: // claim
				n := random.IntN(6)
				c, err := l.Claim(ctx, request(fmt.Sprint("phone", n), "x"))
				must(t, err)
				var open *modelRow
				for _, r := range rows {
					if r.request == n && r.open {
						open = r
					}
				}
				switch {
				case open == nil:
					if !c.Fresh || !c.Mine {
						t.Fatalf("no row is open, yet %+v", c)
					}
					open = &modelRow{id: c.Row.ID, request: n, open: true, state: ledger.StateReceived, holder: -1}
					rows = append(rows, open)
				case c.Fresh || c.Row.ID != open.id:
					t.Fatalf("row %d is open, yet %+v", open.id, c)
				case c.Mine == live(open):
					t.Fatalf("live %v, mine %v", live(open), c.Mine)
				}
				if c.Mine {
					hold(open, l, c)
				}
			case op <= 4 && len(claims) > 0: // work with a claim, maybe a lost one
				i := random.IntN(len(claims))
				m := &claims[i]
				if !slices.Contains(ledgers, m.by) {
					continue // its process has ended
				}
				ours, l := m.row.holder == i, m.by
				switch random.IntN(4) {
				case 0:
					err := l.Verify(ctx, m.claim)
					if ours != (err == nil) || err != nil && !errors.Is(err, ledger.ErrLost) {
						t.Fatalf("verify: ours %v, %v", ours, err)
					}
				case 1:
					must(t, l.Release(ctx, m.claim))
					if ours {
						m.row.holder = -1
					}
				default:
					state := ledger.States()[random.IntN(7)]
					open, reqID := state != ledger.StateFailed && m.row.open, random.IntN(100)
					last, write := random.IntN(4) == 0, l.Update
					if last {
						write = l.Finish
					}
					err := write(ctx, &m.claim, func(r *ledger.Row) { r.State, r.Open, r.ReqID = state, open, reqID })
					if ours != (err == nil) || err != nil && !errors.Is(err, ledger.ErrLost) {
						t.Fatalf("update: ours %v, %v", ours, err)
					}
					if ours {
						m.row.state, m.row.open, m.row.reqID = state, open, reqID
						if state == ledger.StateIssued && m.row.delivered > 0 {
							m.row.state = ledger.StateDelivered
						}
						if last {
							m.row.holder = -1
						}
					}
				}
			case op == 5 && len(rows) > 0: // take
				r := rows[random.IntN(len(rows))]
				c, err := l.Take(ctx, r.id)
				must(t, err)
				if c.Mine == live(r) {
					t.Fatalf("take: live %v, mine %v", live(r), c.Mine)
				}
				if c.Mine {
					hold(r, l, c)
				}
			case op == 6 && len(rows) > 0: // deliver
				r := rows[random.IntN(len(rows))]
				must(t, l.Delivered(ctx, r.id, d.clock.now()))
				r.delivered++
				if r.state == ledger.StateIssued {
					r.state = ledger.StateDelivered
				}
			case op == 7 && random.IntN(4) == 0 && d.several: // a process ends, and a new one comes
				i := random.IntN(len(ledgers))
				must(t, ledgers[i].Close())
				for j := range claims {
					if claims[j].by == ledgers[i] && claims[j].row.holder == j {
						claims[j].row.holder = -1
					}
				}
				ledgers[i] = d.open(fmt.Sprint("again", step))
			default: // the clock is set, back, too
				d.clock.pass(time.Duration(random.IntN(600)-300) * time.Second)
			}
			if len(rows) == 0 {
				continue
			}
			r := rows[random.IntN(len(rows))]
			got, err := ledgers[random.IntN(len(ledgers))].Get(ctx, r.id)
			must(t, err)
			if got.State != r.state || got.Open != r.open || got.ReqID != r.reqID || got.Deliveries != r.delivered {
				t.Fatalf("row %d: %s open %v ReqID %d deliveries %d, the model says %+v", r.id, got.State, got.Open, got.ReqID, got.Deliveries, *r)
			}
		}
	})
}
