package ledger_test

import (
	"testing"

	"ciscora/ra/ledger"
)

func TestANumberIsACandidateOfWhatWasGivenUp(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		var ids []int64
		for i, candidates := range [][]int{{7}, {11, 12, 113}, nil} {
			c := claim(t, l, request("phone"+string(rune('a'+i)), "x"))
			ids = append(ids, c.Row.ID)
			must(t, l.Finish(t.Context(), &c, func(r *ledger.Row) {
				r.State, r.Open, r.Uncertain, r.Candidates = ledger.StateFailed, false, len(candidates) > 0, candidates
			}))
		}
		for n, want := range map[int]bool{7: true, 11: true, 12: true, 113: true, 1: false, 3: false, 13: false, 112: false, 77: false} {
			if is, err := l.IsCandidate(t.Context(), n, ids[2]); err != nil || is != want {
				t.Errorf("%d: %v, %v", n, is, err)
			}
		}
		if is, err := l.IsCandidate(t.Context(), 7, ids[0]); err != nil || is {
			t.Errorf("a row's own candidate: %v, %v", is, err)
		}
	})
}
