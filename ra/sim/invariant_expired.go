package sim

import "fmt"

// noneExpired: a certificate that a client gets is valid when it gets it.
func noneExpired(h *History) []string {
	var bad []string
	for wish, asks := range h.Asks {
		for _, ask := range asks {
			if ask.Certificate == nil {
				continue
			}
			if end := h.at(ask.Certificate.NotAfter); end <= ask.Ended {
				bad = append(bad, fmt.Sprintf("%s at %s: a certificate that ended at %s", wishName(wish), ask.Ended, end))
			}
		}
	}
	return bad
}
