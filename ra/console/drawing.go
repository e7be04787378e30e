package console

import (
	"fmt"
	"time"
)

// drawing is the story as a picture: client, RA and CA as columns, time downwards to
// scale. A leg has at least the height of its words.
type drawing struct {
	Title         string
	Width, Height int
	Legs          []drawn
	Client        *drawn // the whole of it, between client and RA
	Ticks         []tick
}

// drawn is a leg as a bar between two columns.
type drawn struct {
	Y, Height, Middle int
	Label             string
	Bad, UnderWay     bool
	Error             string
}

type tick struct {
	Y    int
	Text string
}

const (
	drawWidth  = 720
	drawTop    = 48
	drawScale  = 420 // height of the whole time
	leastLeg   = 20
	ticksAtAll = 5
)

// draw places the legs in the order in which they began. One that would lie over
// another goes below it: the times stand beside it.
func draw(s story) drawing {
	d := drawing{Title: s.Title, Width: drawWidth}
	whole := max(s.Took, time.Millisecond)
	at := func(t time.Duration) int { return drawTop + int(int64(t)*drawScale/int64(whole)) }
	next := drawTop
	for _, l := range s.Legs {
		y := max(at(l.After), next)
		height := max(at(l.After+l.Took)-at(l.After), leastLeg)
		label := fmt.Sprintf("%s  %s", l.Name, took(l.Took))
		if l.Status != 0 {
			label += fmt.Sprintf("  %d", l.Status)
		}
		d.Legs = append(d.Legs, drawn{Y: y, Height: height, Middle: y + height/2 + 4, Label: label, Bad: l.Error != "", Error: l.Error})
		next = y + height + 2
	}
	if last := len(s.Legs) - 1; last >= 0 && !s.Finished {
		// The leg that it waits for is told when it ends.
		rest := s.Took - s.Legs[last].After - s.Legs[last].Took
		height := max(at(s.Took)-next, leastLeg)
		d.Legs = append(d.Legs, drawn{Y: next, Height: height, Middle: next + height/2 + 4, Label: "under way  " + took(rest), UnderWay: true})
		next += height + 2
	}
	end := max(at(s.Took), next, drawTop+leastLeg)
	label := s.State + "  " + took(s.Took)
	if s.Status != 0 {
		label += fmt.Sprintf("  %d", s.Status)
	}
	d.Client = &drawn{Y: drawTop, Height: end - drawTop, Middle: drawTop + (end-drawTop)/2, Label: label, Bad: s.Error != "", Error: s.Error}
	for i := range ticksAtAll + 1 {
		t := whole * time.Duration(i) / ticksAtAll
		d.Ticks = append(d.Ticks, tick{at(t) + 4, took(t)})
	}
	d.Height = max(end, drawTop+drawScale) + 24
	return d
}
