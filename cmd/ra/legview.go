package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"ciscora/ra/lab"
)

// legView shows the steps of enrollments as they happen: on a terminal as a
// small sequence diagram, elsewhere as plain lines.
type legView struct {
	w       io.Writer
	diagram bool

	mu sync.Mutex // guards w and headed
}

func newLegView(w io.Writer) *legView {
	return &legView{w: w, diagram: isTerminal(w)}
}

// Widths of the diagram's two gaps, in columns.
const (
	phoneGap = 28
	caGap    = 34
)

// start prints the parties' names.
func (v *legView) start() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.diagram {
		fmt.Fprintf(v.w, "phone%*s%*s\n", phoneGap, "RA", caGap+1, "CA")
	}
}

// heading prints a line of its own.
func (v *legView) heading(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.diagram {
		fmt.Fprintf(v.w, "\n%s\n", text)
	}
}

func (v *legView) show(s lab.Step) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.diagram {
		fmt.Fprintln(v.w, diagramLine(s))
		return
	}
	fmt.Fprintln(v.w, plainLine(s))
}

func plainLine(s lab.Step) string {
	names := map[lab.Party]string{lab.PartyPhone: "phone", lab.PartyRA: "ra", lab.PartyCA: "ca"}
	line := fmt.Sprintf("%-5s -> %-5s  %s", names[s.From], names[s.To], s.Text)
	if s.Took > 0 {
		line += "  " + took(s.Took)
	}
	if s.Detail != "" {
		line += "  " + s.Detail
	}
	return line
}

// diagramLine draws one arrow between two of the three lifelines.
func diagramLine(s lab.Step) string {
	left, right := strings.Repeat(" ", phoneGap), strings.Repeat(" ", caGap)
	switch {
	case s.From == lab.PartyPhone:
		left = arrow(s.Text, phoneGap, true)
	case s.To == lab.PartyPhone:
		left = arrow(s.Text, phoneGap, false)
	default:
		right = arrow(s.Text, caGap, true)
	}
	line := "  │" + left + "│" + right + "│"
	if s.Took > 0 {
		line += fmt.Sprintf(" %8s", took(s.Took))
	}
	if s.Detail != "" {
		line += "  " + s.Detail
	}
	return line
}

// arrow draws text on an arrow of the given width in columns.
func arrow(text string, width int, toRight bool) string {
	if len(text) > width-4 {
		text = text[:width-4]
	}
	line := "─ " + text + " " + strings.Repeat("─", width-4-len(text))
	if toRight {
		return line + "▶"
	}
	return "◀" + line
}

func took(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.0f ms", float64(d)/float64(time.Millisecond))
}
