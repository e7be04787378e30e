package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// mostFetches is how often the CA may be asked for a ReqID that is decided: once in
// the search, once for its owner.
const mostFetches = 2

// boundedFetches: a number is asked for once in a search and once for its owner.
// What a process knew dies with it; an answer that did not come is asked for again;
// what waits is polled. Where the CA shows no number each replica looks once where they
// end, and once more before the next POST.
func boundedFetches(h *History) []string {
	var bad, often []string
	unknown, all := 0, 0
	for _, id := range slices.Sorted(maps.Keys(h.Fetched)) {
		f := h.Fetched[id]
		unknown += f.Unknown
		n := f.Given + f.Denied + f.Hidden
		all += n
		most := mostFetches + h.Kills + f.Failed
		if f.Hidden > 0 {
			most += h.Plan.replicas() + 1
		}
		if n > most {
			often = append(often, fmt.Sprintf("%d (%d times)", id, n))
		}
	}
	if len(often) > 0 {
		bad = append(bad, fmt.Sprintf("%d of %d ReqIDs were asked for too often, %d fetches in all: %s",
			len(often), len(h.Requests), all, strings.Join(often[:min(len(often), 5)], ", ")))
	}
	// Beyond the CA's end: a search looks a few numbers ahead, every few seconds,
	// for as long as a POST may be under way.
	if most := 20 + int(h.Took.Seconds()); unknown > most {
		bad = append(bad, fmt.Sprintf("%d fetches of numbers that the CA has not given, in %s", unknown, h.Took))
	}
	return bad
}
