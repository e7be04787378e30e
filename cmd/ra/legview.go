package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"ciscora/internal/printable"
	"ciscora/ra/lab"
)

// legView shows the steps of enrollments as they happen: on a terminal as a
// small sequence diagram, elsewhere as plain lines.
type legView struct {
	w       io.Writer
	diagram bool
	paint   paint
	idle    *idle // nil = nothing is drawn

	mu    sync.Mutex // guards w and brief
	brief bool       // one line an enrollment, since several may run at a time
}

func newLegView(w io.Writer) *legView {
	return &legView{w: w, diagram: isTerminal(w)}
}

// Widths of the diagram's two gaps, in columns: with the time and a short detail behind
// them a line has the diagram's width at the most.
const (
	phoneGap     = 24
	caGap        = 29
	diagramWidth = 80
)

// waits says what shows that something waits.
func (v *legView) waits(i *idle) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.idle = i
}

// start prints the parties' names.
func (v *legView) start() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.diagram {
		fmt.Fprintf(v.w, "phone%*s%*s\n", phoneGap, "RA", caGap+1, "CA")
	}
}

// further says that from now on enrollments are told in one line each.
func (v *legView) further() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.brief = true
	if v.diagram {
		fmt.Fprintln(v.w, "\nfurther enrollments, as they come:")
	}
}

func (v *legView) show(s lab.Step) {
	s.Text, s.Operation, s.Device, s.Detail = shown(s.Text), shown(s.Operation), shown(s.Device), shown(s.Detail)
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.brief && s.To == lab.PartyPhone:
		v.print(s, briefLine(s))
	case v.brief:
	case v.diagram:
		v.print(s, diagramLine(s))
	default:
		v.print(s, plainLine(s))
	}
}

// print writes a step's line; mu is held.
func (v *legView) print(s lab.Step, line string) {
	v.idle.touch()
	if s.Failed {
		line = v.paint.bad(line)
	}
	fmt.Fprintln(v.w, line)
}

func briefLine(s lab.Step) string {
	line := fmt.Sprintf("  %-16s  %-14s  %-22s", cmp.Or(s.Device, "-"), cmp.Or(s.Operation, "-"), s.Text)
	if s.ReqID != 0 {
		line += fmt.Sprintf("  ReqID %d", s.ReqID)
	}
	line += "  " + took(s.Took)
	if s.Failed {
		line += "  " + s.Detail
	}
	return line
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
		line += fmt.Sprintf(" %7s", took(s.Took))
	}
	const indent = "      "
	switch {
	case s.Detail == "":
	case utf8.RuneCountInString(line)+2+utf8.RuneCountInString(s.Detail) <= diagramWidth:
		line += "  " + s.Detail
	default:
		line += "\n" + indent + folded(s.Detail, indent, diagramWidth)
	}
	return line
}

// arrow draws text on an arrow of the given width in columns.
func arrow(text string, width int, toRight bool) string {
	letters := []rune(text)
	letters = letters[:min(len(letters), width-4)]
	line := "─ " + string(letters) + " " + strings.Repeat("─", width-4-len(letters))
	if toRight {
		return line + "▶"
	}
	return "◀" + line
}

// shown is text on one line without what could steer a terminal: paths and names come
// from clients.
func shown(text string) string { return printable.Line(text, 0) }

func took(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.0f ms", float64(d)/float64(time.Millisecond))
}
