package explain

import "slices"

// maxEvidence is how many lines of one log are shown as evidence.
const maxEvidence = 8

// evidenceOf are the lines of a case whose signature tells.
func (j *judgement) evidenceOf(k *affair, tells func(n int) bool) (all []Evidence) {
	for _, i := range k.incidents {
		var of []Evidence
		for _, m := range i.lines {
			r := record{raw: []byte(m.text)}
			if m.tells && slices.ContainsFunc(j.numbersOf(i.log, r.raw), tells) {
				of = append(of, j.evidence(i.log, m))
			}
		}
		if len(of) == 0 { // what it lacks tells
			for _, m := range i.lines[max(0, len(i.lines)-2):] {
				of = append(of, j.evidence(i.log, m))
			}
		}
		for _, e := range of[:min(len(of), maxEvidence)] { // one line may be in two logs: the RA's, and a page's words in it
			if !slices.ContainsFunc(all, func(o Evidence) bool { return o.File == e.File && o.Line == e.Line }) {
				all = append(all, e)
			}
		}
	}
	return all
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
	return Evidence{File: name, Line: m.line, Log: log, Time: m.when.text(), Text: show(m.text), at: m.when.ms, timed: m.when.clock}
}
