package sim

import (
	"fmt"
	"maps"
	"slices"
)

// mostFetches is how often the CA may be asked for a ReqID that is decided: once in
// the search, once for its owner.
const mostFetches = 2

// boundedFetches: a number is asked for once in a search and once for its owner.
// What a process knew dies with it; an answer that did not come is asked for again;
// what waits is polled.
func boundedFetches(h *History) []string {
	var bad []string
	unknown := 0
	for _, id := range slices.Sorted(maps.Keys(h.Fetched)) {
		f := h.Fetched[id]
		unknown += f.Unknown
		if n := f.Given + f.Denied + f.Hidden; n > mostFetches+h.Kills+f.Failed {
			bad = append(bad, fmt.Sprintf("ReqID %d was asked for %d times (%+v)", id, n, f))
		}
	}
	// Beyond the CA's end: a search looks a few numbers ahead, every few seconds,
	// for as long as a POST may be under way.
	if most := 20 + int(h.Took.Seconds()); unknown > most {
		bad = append(bad, fmt.Sprintf("%d fetches of numbers that the CA has not given, in %s", unknown, h.Took))
	}
	return bad
}
