package sim

import (
	"fmt"

	"ciscora/ra/ledger"
)

// noneLost: what the CA has issued for the RA is in the ledger, or a possible orphan
// was told. Where another got the same for the same key, a row may have that one's.
func noneLost(h *History) []string {
	held := map[int]ledger.Row{}
	for _, row := range h.Rows {
		if row.ReqID != 0 {
			held[row.ReqID] = row
		}
	}
	var bad []string
	for wish := range h.Plan.Wishes {
		left := h.orphans(wish)
		for _, id := range h.twins(wish) {
			if _, ok := held[id]; ok && h.Plan.Wishes[wish].Label != Directory {
				left++
			}
		}
		for _, r := range h.issued(wish) {
			if _, ok := held[r.ID]; ok {
				continue
			}
			if left--; left < 0 {
				bad = append(bad, fmt.Sprintf("%s: ReqID %d is in no row, and no orphan told", wishName(wish), r.ID))
			}
		}
	}
	return bad
}
