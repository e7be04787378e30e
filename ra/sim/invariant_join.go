package sim

import (
	"fmt"
	"time"
)

// joinsEnd: the same certificate is given again for a while after it was first read,
// however often it is asked for meanwhile. Of a delivery that could not be recorded
// nothing is known once the process was killed.
func joinsEnd(h *History) []string {
	var bad []string
	for wish, asks := range h.Asks {
		first := map[string]time.Duration{}
		for _, ask := range asks {
			if ask.Certificate == nil {
				continue
			}
			key := string(ask.Certificate.Raw)
			if at, ok := first[key]; ok && ask.At > at+h.Plan.join()+clockSlack && (h.Kills == 0 || !h.Plan.ledgerTroubleAt(at)) {
				bad = append(bad, fmt.Sprintf("%s at %s: the certificate that it has had since %s", wishName(wish), ask.At, at))
			}
			if _, ok := first[key]; !ok && ask.Read {
				first[key] = ask.Ended
			}
		}
	}
	return bad
}
