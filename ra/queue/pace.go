package queue

import "time"

// pace is the smoothed time from one that comes back from the CA to the next, while
// all places are taken: only then is it the CA that sets it, and not who comes.
type pace struct {
	window   int // places; the smoothing spans two rounds of them
	smoothed time.Duration
	samples  int
	since    time.Time // of the last one back, or of when the places were all taken
}

// leastSamples is how many must have come back before the pace counts as known,
// where there are few places.
const leastSamples = 8

// begin starts an interval that says nothing of what was before.
func (p *pace) begin(now time.Time) { p.since = now }

// add ends an interval and begins the next one.
func (p *pace) add(now time.Time) {
	took := max(0, now.Sub(p.since)) // a clock may be set back
	p.since = now
	p.samples = min(p.samples+1, p.span())
	// A plain mean until there are enough for a moving one.
	p.smoothed += (took - p.smoothed) / time.Duration(p.samples)
}

// span is how many intervals the mean stands for: those of places that come back all
// at once are nearly nothing, but for one.
func (p *pace) span() int { return 2 * max(leastSamples, p.window) }

func (p *pace) known() bool { return p.samples >= p.span()/2 }

// expect is how long the place-th, counted from 1, has to wait. What the next one back
// is overdue counts besides: a CA that hangs has no pace.
func (p *pace) expect(place int, now time.Time) (wait time.Duration, known bool) {
	overdue := max(0, now.Sub(p.since)-p.smoothed)
	return time.Duration(place)*p.smoothed + overdue, p.known()
}
