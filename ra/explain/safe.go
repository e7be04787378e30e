package explain

import (
	"bytes"
	"slices"
	"strings"

	"ciscora/internal/printable"
)

// maxShown bounds a line that is shown, in bytes.
const maxShown = 300

// show is a line as it may be printed: without what a terminal would obey, without
// secrets, and of bounded length.
func show(text string) string { return shown("", text) }

// shown is a line of a log; what the RA's own log says stands at the end of its records.
func shown(log Log, text string) string {
	most := maxShown
	if log == RA {
		most = maxLineKept
	}
	text = strings.ToValidUTF8(printable.Cut(text, 4*maxLineKept), "?")
	// Small letters, as the forms fold them: the long s is an s to them.
	may := maskGate.look([]byte(strings.ReplaceAll(strings.ToLower(text), "\u017f", "s")))
	for i := range masks {
		if masks[i].what == "" || may&(1<<i) != 0 { // what is not told of has no words
			text = masks[i].hide(text)
		}
	}
	return printable.Line(text, most)
}

// Secret is a kind of secret that stands in a file.
type Secret struct {
	What  string `json:"what"`
	File  string `json:"file"`
	Line  int    `json:"line"`  // the first
	Lines []int  `json:"lines"` // the first ones
	Count int    `json:"count"`
}

// maxSecretLines is how many lines are named of one kind of secret in a file.
const maxSecretLines = 20

type secretsIn struct {
	what string
	file int
}

type secrets struct {
	seen  map[secretsIn]*Secret
	order []secretsIn
	// passed are lines that may have more, and that were not looked at: there are too many.
	passed int64
}

func (s *secrets) saw(what string, file, line int) {
	in := secretsIn{what, file}
	have := s.seen[in]
	if have == nil {
		if s.seen == nil {
			s.seen = map[secretsIn]*Secret{}
		}
		have = &Secret{What: what, Line: line}
		s.seen[in] = have
		s.order = append(s.order, in)
	}
	if len(have.Lines) < maxSecretLines {
		have.Lines = append(have.Lines, line)
	}
	have.Count++
}

// strangers are the lines that speak of an error and that no card knows.
type strangers struct {
	shapes map[string]*stranger
	more   int64 // of further shapes
	mute   bool  // the file is no text: words in it say nothing
}

type stranger struct {
	log   Log
	mark  mark
	count int64
}

const maxStrangers = 64

var errorWords = [][]byte{[]byte("error"), []byte("fail"), []byte("[crit]"), []byte("[alert]"), []byte("[emerg]"), []byte("fatal")}

func speaksOfError(raw []byte) bool {
	raw = raw[:min(len(raw), 2<<10)]
	if bytes.Contains(raw, errorWords[0]) || bytes.Contains(raw, errorWords[1]) { // most do, as they are
		return true
	}
	lower := bytes.ToLower(raw)
	return slices.ContainsFunc(errorWords, func(w []byte) bool { return bytes.Contains(lower, w) })
}

func (s *strangers) add(log Log, r *record) {
	if log != IIS && !speaksOfError(r.raw) {
		return
	}
	s.keep(log, r, r.raw[min(r.head.text, len(r.raw)):])
}

// keep keeps a line, whatever its words; like has what lines of its shape share.
func (s *strangers) keep(log Log, r *record, like []byte) {
	if s.mute {
		return
	}
	shape := withoutNumbers(like)
	if s.shapes == nil {
		s.shapes = map[string]*stranger{}
	}
	if have := s.shapes[shape]; have != nil {
		have.count++
		return
	}
	if len(s.shapes) >= maxStrangers {
		s.more++
		return
	}
	s.shapes[shape] = &stranger{log: log, count: 1, mark: mark{file: r.file, line: r.line, when: r.head.when, text: string(r.raw[:min(len(r.raw), maxLineKept)])}}
}

// withoutNumbers is how lines are told apart: those that differ in numbers alone are one.
func withoutNumbers(b []byte) string {
	b = b[:min(len(b), 200)]
	out := make([]byte, 0, len(b))
	for _, c := range b {
		if digit(c) {
			if n := len(out); n > 0 && out[n-1] == '0' {
				continue
			}
			c = '0'
		}
		out = append(out, c)
	}
	return string(out)
}
