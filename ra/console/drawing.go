package console

import (
	"fmt"
	"time"
)

// drawing is the story as a picture: client, RA and CA as columns, time downwards to
// scale. A leg has at least the height of its words.
type drawing struct {
	Title         string
	Linked        bool // legs lead to what is told of them on the same page
	Width, Height int
	Legs          []drawn
	Gaps          []drawn // between legs, where the CA was not asked
	Client        *drawn  // the whole of it, between client and RA
	Ticks         []tick
}

// drawn is a leg as a bar between two columns.
type drawn struct {
	Place             int
	Y, Height, Middle int
	Bottom            int
	Label             string
	Bad, UnderWay     bool
	Answered          bool   // an arrow leads back
	Limit             string // that it hit; "" = none
	Error             string
}

type tick struct {
	Y    int
	Text string
}

const (
	drawWidth  = 720
	drawTop    = 52
	drawScale  = 440 // height of the whole time
	leastLeg   = 24
	leastGap   = 16
	ticksAtAll = 5
)

// draw places the legs in the order in which they began. One that would lie over
// another goes below it: the times stand beside it.
func draw(s story, linked bool) drawing {
	d := drawing{Title: s.Title, Width: drawWidth, Linked: linked}
	whole := max(s.Took, time.Millisecond)
	at := func(t time.Duration) int { return drawTop + int(float64(t)/float64(whole)*drawScale) }
	next := drawTop + leastLeg
	var told time.Duration // up to which the legs tell
	for _, l := range s.Legs {
		y := max(at(l.After), next)
		if gap := l.After - told; y-next >= leastGap && gap > 0 {
			d.Gaps = append(d.Gaps, drawn{Y: next, Height: y - next - 2, Middle: next + (y-next)/2 + 4, Label: took(gap)})
		}
		height := max(at(l.After+l.Took)-at(l.After), leastLeg)
		label := fmt.Sprintf("%s  %s", l.Name, took(l.Took))
		if l.Status != 0 {
			label += fmt.Sprintf("  %d", l.Status)
		}
		leg := drawn{Place: l.Place, Y: y, Height: height, Middle: y + height/2 + 4, Bottom: y + height, Label: label, Bad: l.Error != "", Answered: l.Status != 0, Error: l.Error}
		if l.Limit > 0 {
			leg.Limit = "limit " + took(l.Limit)
		}
		d.Legs = append(d.Legs, leg)
		next, told = y+height+2, max(told, l.After+l.Took)
	}
	if !s.Finished {
		// The leg that it waits for is told when it ends.
		height := max(at(s.Took)-next, leastLeg)
		d.Legs = append(d.Legs, drawn{Place: -1, Y: next, Height: height, Middle: next + height/2 + 4, Bottom: next + height, Label: "under way  " + took(s.Took-told), UnderWay: true})
		next += height + 2
	}
	end := max(at(s.Took), next+leastLeg-2)
	label := s.State + "  " + took(s.Took)
	if s.Status != 0 {
		label += fmt.Sprintf("  %d", s.Status)
	}
	d.Client = &drawn{Y: drawTop, Height: end - drawTop, Middle: drawTop + (end-drawTop)/2 + 4, Bottom: end, Label: label, Bad: s.Error != "", Answered: s.Status != 0, Error: s.Error}
	for i := range ticksAtAll + 1 {
		t := whole * time.Duration(i) / ticksAtAll
		d.Ticks = append(d.Ticks, tick{at(t) + 4, took(t)})
	}
	d.Height = max(end, drawTop+drawScale) + 24
	return d
}
