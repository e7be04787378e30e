package explain

import (
	"slices"
	"strings"
)

// maxEvidence is how many lines of one log are shown as evidence.
const maxEvidence = 8

// evidenceOf are the lines of a case whose signature tells.
func (j *judgement) evidenceOf(k *affair, tells func(n int) bool) (all []Evidence) {
	for _, i := range k.incidents {
		var of []Evidence
		for _, m := range i.lines {
			r := record{raw: []byte(m.text)}
			// What libest returned is what people look for.
			if m.tells && slices.ContainsFunc(j.numbersOf(i.log, r.raw), tells) || i.log == CAPF && strings.Contains(m.text, string(rvWords)) {
				of = append(of, j.evidence(i.in(), m))
			}
		}
		if len(of) == 0 { // what it lacks tells
			for _, m := range i.lines[max(0, len(i.lines)-2):] {
				of = append(of, j.evidence(i.in(), m))
			}
		}
		all = append(all, of[:min(len(of), maxEvidence)]...)
	}
	return once(all)
}

// once are the lines without those that come again: a line of the RA's log has a page's
// words in it, too.
func once(all []Evidence) (lines []Evidence) {
	type place struct {
		file string
		line int
	}
	seen := map[place]bool{}
	for _, e := range all {
		at := place{e.File, e.Line}
		if !seen[at] {
			lines = append(lines, e)
		}
		seen[at] = true
	}
	return lines
}

// numbersOf are the signatures of one line.
func (j *judgement) numbersOf(log Log, raw []byte) []int {
	switch familyOf(log) {
	case familyIIS:
		// The order of the fields is not known here any more: the incident has it.
		return j.w3cNumbers(raw)
	case familyPlain:
		var found []int
		j.c.plain.each(squeeze(nil, raw), 0, func(n, _ int) { found = append(found, n) })
		return found
	}
	h, ok := headAt(raw)
	if !ok {
		return nil
	}
	return j.c.book.find(nil, familyOf(log), wordsOf(nil, h, raw))
}

func (j *judgement) w3cNumbers(raw []byte) []int {
	fields := parseFields(w3cDefault)
	var e w3cEntry
	if !fields.parse(raw, &e) {
		return nil
	}
	return j.c.book.entry(nil, e.canonical(nil), &e)
}

func (j *judgement) evidence(log Log, m mark) Evidence {
	name := ""
	if m.file < len(j.r.files) {
		name = show(j.r.files[m.file].Name)
	}
	return Evidence{File: name, Line: m.line, Log: log, Time: m.when.text(), Text: shown(log, m.text), at: m.when.ms, timed: m.when.clock}
}
