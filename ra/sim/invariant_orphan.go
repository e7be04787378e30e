package sim

import (
	"crypto"
	"fmt"
	"slices"
	"time"

	"ciscora/msca/certsrv"
)

// orphansHaveAReason: a possible orphan is told only where something at the CA may
// indeed be the lost request, and cannot be told apart: a number that shows no key
// (it waits, was denied, is forbidden), or a certificate of the same key that others
// got, or one whose date does not go with a clock that was set by more than clocks may
// differ; that one's number is told. A POST that the CA takes late is no reason: it is
// waited for.
func orphansHaveAReason(h *History) []string {
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
			// What a manager decided since may have waited then.
			owner, ours := h.Owner[r.ID]
			if ours && h.Plan.Wishes[owner].Label == Supervised && h.Posted[r.ID] <= o.At {
				mine = true
			}
			if ours && owner == o.Wish && slices.Contains(o.Candidates, r.ID) && clocksDiffer(h.Plan) {
				mine = true
			}
			// Whose it is of two accounts with one key, names of the directory do not tell.
			if slices.Contains(o.Candidates, r.ID) && h.sameKey(r, o.Wish) && h.sharesKey(o.Wish) {
				mine = true
			}
			// The same key, enrolled by others, may be what cannot be told apart.
			if !ours && h.sameKey(r, o.Wish) {
				mine = true
			}
		}
		if !mine {
			bad = append(bad, fmt.Sprintf("row %d (%s) at %s: nothing at the CA may be it", o.Row, nameOf(o.Wish), o.At))
		}
	}
	return bad
}

// sharesKey tells whether another wish asks with the same key for names of the
// directory, too.
func (h *History) sharesKey(wish int) bool {
	key, ok := h.publicKey[wish].(interface{ Equal(crypto.PublicKey) bool })
	for other, w := range h.Plan.Wishes {
		if other != wish && ok && w.Label == Directory && h.Plan.Wishes[wish].Label == Directory && key.Equal(h.publicKey[other]) {
			return true
		}
	}
	return false
}

// clocksDiffer tells whether a replica's clock is so wrong that dates say nothing.
func clocksDiffer(p Plan) bool {
	const tolerated = 5 * time.Minute // docs/scale.md
	return slices.ContainsFunc(p.Disasters, func(d Disaster) bool { return d.Kind == Clock && d.Step.Abs() > tolerated })
}

func nameOf(wish int) string {
	if wish < 0 {
		return "nobody's"
	}
	return wishName(wish)
}
