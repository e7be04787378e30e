package sim

// nothingWaits: once all is well, each client gets its answer in bounded time, and
// nothing broke that never may. That no goroutine is left is the bubble's to say.
func nothingWaits(h *History) []string {
	var bad []string
	for _, who := range h.Waiting {
		bad = append(bad, "still waits: "+who)
	}
	return append(bad, h.Broken...)
}
