package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// isTerminal tells whether a person may be watching w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// width is how many columns a line of w has; 0 where nobody watches.
func width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return columns
}

// paint colours text on a terminal, where it is wanted.
type paint bool

// newPaint follows NO_COLOR (https://no-color.org) and a terminal that says it is dumb.
func newPaint(w io.Writer, lookup func(string) (string, bool)) paint {
	no, _ := lookup("NO_COLOR")
	kind, _ := lookup("TERM")
	return paint(isTerminal(w) && no == "" && kind != "dumb")
}

func (p paint) bad(text string) string  { return p.in("31", text) } // red
func (p paint) good(text string) string { return p.in("32", text) } // green

func (p paint) in(colour, text string) string {
	if !p || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// folded is a text on lines of at most width columns, each behind indent but the first;
// width 0 leaves it as it is.
func folded(text, indent string, width int) string {
	text = strings.TrimSpace(text)
	width -= len(indent)
	if width < 20 {
		return text
	}
	var out strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		switch {
		case column == 0:
		case column+1+len(word) > width:
			out.WriteString("\n" + indent)
			column = 0
		default:
			out.WriteString(" ")
			column++
		}
		out.WriteString(word)
		column += len(word)
	}
	return out.String()
}

// held lets nothing through while something is drawn that must not be torn apart, and
// then all of it.
type held struct {
	w io.Writer

	mu      sync.Mutex // guards both
	holding bool
	kept    bytes.Buffer
}

// mostHeld bounds what is kept; what comes then is not waited for.
const mostHeld = 1 << 20

func (h *held) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.holding && h.kept.Len()+len(p) <= mostHeld {
		return h.kept.Write(p)
	}
	return h.w.Write(p)
}

func (h *held) hold() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holding = true
}

func (h *held) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holding = false
	_, _ = h.kept.WriteTo(h.w) // a log that cannot be written stops nothing
}
