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
		last := int64(-1)
		answered := false
		for _, m := range i.lines {
			e := j.evidence(i.log, m)
			answered = answered || familyOf(i.log) == familyCAPF && strings.Contains(m.text, string(rvWords))
			e.place = placeOf(i.log, answered)
			e.at = j.utc(i, m.when)
			if e.timed && !m.when.date && dated != 0 {
				e.at = onDay(e.at, dated, day)
			}
			if !e.timed { // it comes right behind the line before it
				e.at = last
			}
			last = e.at
			f.Story = append(f.Story, e)
		}
		// Lines before the first time stand right before it.
		for n := len(f.Story) - 1; n >= 0; n-- {
			if f.Story[n].at < 0 && n+1 < len(f.Story) && f.Story[n+1].at >= 0 && f.Story[n].Log == i.log {
				f.Story[n].at = f.Story[n+1].at
			}
		}
	}
	// NGINX and IIS write whole seconds: within one of them causes come before effects.
	slices.SortStableFunc(f.Story, func(a, b Evidence) int {
		return cmp.Or(cmp.Compare(a.at/1000, b.at/1000), cmp.Compare(a.place, b.place), cmp.Compare(a.at, b.at))
	})
	reached := int64(-1)
	for n := range f.Story {
		e := &f.Story[n]
		if !e.timed {
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
