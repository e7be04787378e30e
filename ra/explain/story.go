package explain

import (
	"cmp"
	"slices"
	"strings"
)

// maxStory is how many lines are kept of a story.
const maxStory = 40

// story puts the lines of all logs of a case into one order.
func (j *judgement) story(f *Finding, k *affair) {
	dated := int64(0)
	for _, i := range k.incidents {
		if i.first.date && dated == 0 {
			dated = j.utc(i, i.first)
		}
	}
	for _, i := range k.incidents {
		answered := false
		var lines []Evidence
		for _, m := range i.lines {
			e := j.evidence(i.in(), m)
			answered = answered || familyOf(i.log) == familyCAPF && strings.Contains(m.text, string(rvWords))
			e.place = placeOf(i.log, answered)
			e.at = j.utc(i, m.when)
			if e.timed && !m.when.date && dated != 0 {
				e.at = onDay(e.at, dated, day)
			}
			lines = append(lines, e)
		}
		if i.log == CiscoRA { // what a start says stands in both logs
			lines = slices.DeleteFunc(lines, func(e Evidence) bool {
				return slices.ContainsFunc(f.Story, func(o Evidence) bool { return o.Log == NGINX && o.Text == e.Text })
			})
		}
		timeless(lines)
		f.Story = append(f.Story, lines...)
	}
	// NGINX and IIS write whole seconds: within one of them causes come before effects.
	slices.SortStableFunc(f.Story, func(a, b Evidence) int {
		return cmp.Or(cmp.Compare(a.at/1000, b.at/1000), cmp.Compare(a.place, b.place), cmp.Compare(a.at, b.at))
	})
	f.Story = once(f.Story)
	reached := int64(-1)
	for n := range f.Story {
		e := &f.Story[n]
		if e.at < 0 {
			continue
		}
		if reached >= 0 && e.at > reached && e.at-reached < day {
			e.After = e.at - reached
		}
		reached = max(reached, e.at)
	}
	if len(f.Story) > maxStory {
		f.Story = append(f.Story[:maxStory/2:maxStory/2], f.Story[len(f.Story)-maxStory/2:]...)
	}
}

// timeless gives lines without a time that of the next line of their log: libest writes them
// together with the access line. Behind the last time they have that one; -1 = there is none.
func timeless(lines []Evidence) {
	at := int64(-1)
	for n := range lines {
		e := &lines[len(lines)-1-n]
		if e.timed {
			at = e.at
		}
		e.at = at
	}
	for n := range lines {
		e := &lines[n]
		if e.at < 0 {
			e.at = at
		}
		at = max(at, e.at)
	}
}

// placeOf is where a line stands among those of the same second: CAPF asks CES, which asks
// IIS; IIS writes when it has answered, then CES, and CAPF last.
func placeOf(log Log, answered bool) int {
	switch {
	case familyOf(log) == familyCAPF && !answered:
		return 0
	case log == IIS:
		return 1
	case familyOf(log) == familyCAPF:
		return 3
	}
	return 2
}
