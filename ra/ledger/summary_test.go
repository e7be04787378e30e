package ledger_test

import (
	"testing"
	"time"

	"ciscora/ra/ledger"
)

func TestTheSummaryCountsWhatNeedsAPerson(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		empty, err := l.Summary(t.Context())
		must(t, err)
		if empty != (ledger.Summary{}) {
			t.Errorf("nothing is there: %+v", empty)
		}
		first := d.clock.now()
		for i, change := range []func(*ledger.Row){
			func(r *ledger.Row) { r.State = ledger.StatePending },
			func(r *ledger.Row) { r.State = ledger.StatePending },
			func(r *ledger.Row) { r.State = ledger.StateSubmitted },
			func(r *ledger.Row) { r.State, r.ReqID = ledger.StateIssued, 7 },
			func(r *ledger.Row) {
				r.State, r.Open, r.Uncertain, r.Candidates = ledger.StateFailed, false, true, []int{9}
			},
			func(r *ledger.Row) { r.State = ledger.StateDelivered },
		} {
			c := claim(t, l, request(string(rune('a'+i)), "x"))
			must(t, l.Finish(t.Context(), &c, change))
			d.clock.pass(time.Minute)
		}
		s, err := l.Summary(t.Context())
		must(t, err)
		if s.Orphans != 2 || s.Pending != 2 || !s.PendingSince.Equal(first) || s.Lost != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestWhatTheLedgerTakesIsTold(t *testing.T) {
	times := map[string]int{}
	l, err := ledger.Open(t.Context(), "sqlite::memory:", ledger.Options{Observe: func(operation string, took time.Duration) {
		if took <= 0 {
			t.Errorf("%s took %v", operation, took)
		}
		times[operation]++
	}})
	must(t, err)
	defer l.Close()
	c := claim(t, l, request("a", "x"))
	must(t, l.Finish(t.Context(), &c, func(r *ledger.Row) { r.State = ledger.StateDelivered }))
	_, err = l.List(t.Context(), ledger.Filter{})
	must(t, err)
	if times["write"] != 2 || times["read"] == 0 {
		t.Errorf("%v", times)
	}
}
