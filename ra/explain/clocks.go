package explain

import (
	"cmp"
	"iter"
	"slices"
	"sort"
	"time"
)

const (
	// near is how far apart, in ms, two logs may write of the same thing: their clocks
	// differ, and one writes when a thing begins, the other when it ends.
	near = 20 * 1000
	// sameSecond is within how many ms the times tell no order: NGINX and IIS write whole
	// seconds.
	sameSecond = 1000
	// longest is how much earlier than the others one log may begin with a thing.
	longest = 4 * near
	day     = 24 * 3600 * 1000
)

// text is the time as the log has it, without a zone.
func (s stamp) text() string {
	switch {
	case !s.clock:
		return ""
	case s.date:
		return time.UnixMilli(s.ms).UTC().Format("2006-01-02 15:04:05")
	}
	return time.UnixMilli(s.ms).UTC().Format("15:04:05.000")
}

// utc is a time as ms since 1970 in UTC, as far as the log tells it.
func (j *judgement) utc(i *incident, at stamp) int64 {
	offset, _ := j.offset(i.log, at)
	return at.ms - offset
}

// offset is a log's zone; false = not known.
func (j *judgement) offset(log Log, at stamp) (int64, bool) {
	switch log {
	case NGINX, CAPF, CiscoRA, TSP:
		if s := j.r.seen[NGINX]; s != nil && s.hasOffset {
			return s.offset, true
		}
		if j.zone != nil {
			return j.zoneAt(at)
		}
		return 0, false
	}
	return 0, true // IIS writes UTC
}

// zoneAt is how far the zone of --zone is ahead; false = summer time decides, and no log has a date.
func (j *judgement) zoneAt(at stamp) (ms int64, known bool) {
	offset := func(ms int64) int64 {
		_, seconds := time.UnixMilli(ms).In(j.zone).Zone()
		return int64(seconds) * 1000
	}
	if at.date {
		return offset(at.ms), true
	}
	for _, log := range logs { // CAPF writes none: it is of the other logs' days
		if s := j.r.seen[log]; s != nil && s.from.date {
			return offset(s.from.ms), true
		}
	}
	const january, july = 1767225600000, 1782864000000 // of 2026
	return offset(january), offset(january) == offset(july)
}

// sameClock tells whether the times of two logs can be compared: both zones are known, or
// they have one, whichever it is.
func (j *judgement) sameClock(a, b Log, at stamp) bool {
	_, knownA := j.offset(a, at)
	_, knownB := j.offset(b, at)
	return knownA && knownB || ofCES(a) == ofCES(b)
}

// ofCES tells the logs of CES and CAPF, which have one clock.
func ofCES(l Log) bool { return l == NGINX || l == CAPF || l == CiscoRA }

// apart is how far apart two incidents are, in ms; ok is false where they cannot
// belong together.
func (j *judgement) apart(a, b *incident) (ms int64, ok bool) {
	if !a.first.clock || !b.first.clock {
		return 0, true // nothing speaks against it
	}
	fromA, toA := j.utc(a, a.first), j.utc(a, a.last)
	fromB, toB := j.utc(b, b.first), j.utc(b, b.last)
	ms = max(fromB-toA, fromA-toB, 0)
	if ms <= near && a.first.date == b.first.date {
		return ms, true
	}
	every := int64(day)
	if !j.sameClock(a.log, b.log, a.first) {
		every = 15 * 60 * 1000 // zones differ by quarters of an hour
	} else if a.first.date && b.first.date {
		return 0, false
	}
	// Without a date, or with an unknown zone, what is left of the difference counts.
	ahead := onDay(fromB, fromA, every) - fromA
	lengthA, lengthB := max(toA-fromA, 0), max(toB-fromB, 0) // past midnight that is not known
	ms = max(ahead-lengthA, -ahead-lengthB, 0)
	return ms, ms <= near
}

// onDay moves a time by days, or by whatever else it repeats after, to where it is nearest
// to another one.
func onDay(at, other, every int64) int64 {
	difference := timeOfDay(at-other, every)
	if difference > every/2 {
		difference -= every
	}
	return other + difference
}

// timeOfDay is what is left of a time without its days, or whatever else it repeats after.
func timeOfDay(ms, every int64) int64 { return (ms%every + every) % every }

// inOrder sorts incidents of a log by their times.
func (j *judgement) inOrder(list []*incident) {
	slices.SortStableFunc(list, func(a, b *incident) int {
		if order := cmp.Compare(j.utc(a, a.first), j.utc(b, b.first)); order != 0 || a.file != b.file || len(a.lines) == 0 || len(b.lines) == 0 {
			return order
		}
		return cmp.Compare(a.lines[0].line, b.lines[0].line) // they were told when it was clear what they are
	})
}

// byClock sorts incidents of a log by their times of day, those without one first: not all
// logs have dates.
func (j *judgement) byClock(list []*incident) []*incident {
	return slices.SortedStableFunc(slices.Values(list), func(a, b *incident) int {
		return cmp.Or(before(!a.first.clock, !b.first.clock), cmp.Compare(j.clockOf(a), j.clockOf(b)))
	})
}

func (j *judgement) clockOf(i *incident) int64 { return timeOfDay(j.utc(i, i.first), day) }

// around yields the incidents of a log that may be of one time with another: those that
// nobody knows the time of, and where the clocks can be compared, those near it.
func (j *judgement) around(log Log, base *incident) iter.Seq[*incident] {
	list := j.clocks[log]
	timed := sort.Search(len(list), func(n int) bool { return list[n].first.clock })
	timeless, list := list[:timed], list[timed:]
	at, length := 0, int64(day)
	from := j.utc(base, base.first) - longest
	if base.first.clock && j.sameClock(log, base.log, base.first) {
		length = longest + max(base.last.ms-base.first.ms, 0) + near
		at = sort.Search(len(list), func(n int) bool { return j.clockOf(list[n]) >= timeOfDay(from, day) })
	}
	return func(yield func(*incident) bool) {
		for _, i := range timeless {
			if !yield(i) {
				return
			}
		}
		for n := range list {
			i := list[(at+n)%len(list)]
			if timeOfDay(j.utc(i, i.first)-from, day) > length || !yield(i) {
				return
			}
		}
	}
}
