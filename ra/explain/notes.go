package explain

import (
	"cmp"
	"fmt"
	"time"
)

// notes are what a reader of the report should know of how the logs were read.
func (j *judgement) notes() (notes []string) {
	var reports, misfits, onePage, unkept int
	beyond := ""
	for _, d := range j.r.desks {
		beyond = cmp.Or(beyond, d.beyond)
		reports += d.reports
		misfits += d.misfits
		onePage += d.iis.onePage
		unkept += d.unkept
	}
	if misfits > 0 {
		notes = append(notes, fmt.Sprintf("%s like the IIS log's, with other fields than its default ones, and not read: put the line that begins with #Fields before them", countedLook(misfits)))
	}
	if reports > 0 {
		notes = append(notes, fmt.Sprintf("%s of a report of ra check or ra explain: it says itself what is wrong, and is no log; passed over", countedAre(reports)))
	}
	if s := j.r.seen[RA]; beyond != "" && (s == nil || s.records == 0) {
		notes = append(notes, "the NGINX log has an enrollment that was answered with "+beyond+", as CES answers none: it is of an RA in the profile modern, whose own log (JSON) tells each cause; read that alone")
	}
	if open := j.unfinished(); len(open) > 0 {
		them := "it"
		if len(open) > 1 {
			them = "them"
		}
		at := j.evidence(IIS, open[0].lines[len(open[0].lines)-1])
		notes = append(notes, fmt.Sprintf("%s not over where the IIS log ends (%s:%d): what became of %s is not in there", enrollmentsAre(len(open)), at.File, at.Line, them))
	}
	if unkept > 0 {
		notes = append(notes, fmt.Sprintf("there is more than is told: %d things that were tried are kept of one kind of log, and %d came behind them; read a part of the logs", maxIncidents, unkept))
	}
	if onePage > 0 {
		notes = append(notes, "the IIS log has requests for some pages alone, as grep leaves it: what followed them is not in it; the whole log tells more")
	}
	nginx := j.r.seen[NGINX]
	switch {
	case nginx == nil:
	case nginx.calls && !nginx.libest:
		notes = append(notes, "the NGINX error.log has none of libest's lines (***EST), which have no connection's number and say whether an enrollment failed: the whole log tells more")
	case !nginx.whole:
		notes = append(notes, "the NGINX error.log has its warnings and errors alone, as grep leaves it: that something is not in it says nothing; the whole log tells more")
	}
	if j.zone != nil && nginx != nil && nginx.hasOffset {
		notes = append(notes, "--zone was not used: the NGINX log's access lines tell the zone, "+offsetText(nginx.offset))
	}
	if iis := j.r.seen[IIS]; nginx != nil && iis != nil && nginx.from.date && iis.from.date {
		offset, known := j.offset(NGINX, nginx.from)
		if known && (nginx.to.ms-offset+near < iis.from.ms || iis.to.ms+near < nginx.from.ms-offset) {
			notes = append(notes, "the NGINX log and the IIS log have no time in common: they are of different times, a clock is wrong, or the zone is ("+offsetText(offset)+" was taken for the NGINX log)")
		}
	}
	if capf, iis := j.r.seen[CAPF], j.r.seen[IIS]; nginx == nil && j.zone != nil && capf != nil && iis != nil && capf.from.clock && iis.from.date {
		offset, known := j.offset(CAPF, capf.from)
		from := onDay(capf.from.ms-offset, iis.from.ms, day) // CAPF's times have no date
		to := from + timeOfDay(capf.to.ms-capf.from.ms, day)
		if known && (to+near < iis.from.ms || iis.to.ms+near < from) {
			notes = append(notes, "the CAPF trace and the IIS log have no time in common: they are of different times, a clock is wrong, or the zone is ("+offsetText(offset)+" was taken for the CAPF trace)")
		}
	}
	return notes
}

// zoneOf is the zone in which a log's times were taken; "" = the log has none.
func (j *judgement) zoneOf(log Log) string {
	switch log {
	case NGINX, CAPF, TSP:
		offset, known := j.offset(log, j.r.seen[log].from)
		if !known {
			return "zone not known"
		}
		return offsetText(offset)
	case IIS:
		return "UTC"
	}
	return ""
}

// offsetText is an offset in ms as UTC-05:00.
func offsetText(ms int64) string {
	return time.UnixMilli(0).In(time.FixedZone("", int(ms/1000))).Format("UTC-07:00")
}

// unfinished are enrollments of the IIS log, which has good ones, that its end cuts off, and
// that no other log tells of.
func (j *judgement) unfinished() (open []*incident) {
	for _, i := range j.byLog[IIS] {
		if i.mute && i.cut && !i.taken && len(i.lines) > 0 {
			open = append(open, i)
		}
	}
	return open
}

func enrollmentsAre(n int) string {
	if n == 1 {
		return "1 enrollment is"
	}
	return fmt.Sprintf("%d enrollments are", n)
}

func countedLook(n int) string {
	if n == 1 {
		return "1 line looks"
	}
	return fmt.Sprintf("%d lines look", n)
}

func countedAre(n int) string {
	if n == 1 {
		return "1 line is"
	}
	return fmt.Sprintf("%d lines are", n)
}
