package sim

import (
	"fmt"

	"ciscora/msca/certsrv"
)

// orphansHaveAReason: a possible orphan is told only where something at the CA may
// indeed be the lost request: a number that shows no key (it waits, was denied, is
// forbidden), or a certificate that nobody holds.
func orphansHaveAReason(h *History) []string {
	held := map[int]bool{}
	for _, row := range h.Rows {
		held[row.ReqID] = true
	}
	reason := h.Plan.Hidden
	for _, r := range h.Requests {
		if r.Disposition != certsrv.DispositionIssued {
			reason = true
		}
	}
	var bad []string
	for _, o := range h.Orphans {
		mine := reason
		for _, r := range h.Requests {
			// The same key, or the same name where the directory gives it, may be
			// what cannot be told apart.
			if owner, ours := h.Owner[r.ID]; ours && owner == o.Wish && !held[r.ID] || !ours && h.sameKey(r, o.Wish) {
				mine = true
			}
		}
		if !mine {
			bad = append(bad, fmt.Sprintf("row %d (%s) at %s: nothing at the CA may be it", o.Row, nameOf(o.Wish), o.At))
		}
	}
	return bad
}

func nameOf(wish int) string {
	if wish < 0 {
		return "nobody's"
	}
	return wishName(wish)
}
