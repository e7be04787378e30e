package explain

import (
	"slices"
	"strings"
	"time"
)

// caseOrder is which logs cases begin with: those that say most come first.
var caseOrder = []Log{NGINX, CiscoRA, CAPF, IIS, RA, Page, Phone, ASA, Expressway, TMS, TSP, Tool}

type judgement struct {
	c          *Catalog
	r          *reading
	zone       *time.Location
	byLog      map[Log][]*incident // in the order of their times
	clocks     map[Log][]*incident // in the order of their times of day
	candidates map[*incident][]*entry
	parts      []*companion // of failures, of which the rest is missing
	stray      map[*entry]map[Log]bool
}

// judge says what the incidents mean.
func judge(c *Catalog, r *reading, o Options) *Report {
	j := &judgement{c: c, r: r, zone: o.Zone, byLog: map[Log][]*incident{}, clocks: map[Log][]*incident{}, candidates: map[*incident][]*entry{}}
	for _, i := range r.incidents {
		if i.cut && !i.late && i.log == IIS && r.seen[IIS] != nil && r.seen[IIS].good > 0 {
			i.mute = true // the log ends while somebody enrolls
		}
		candidates := j.candidatesOf(i)
		if (i.cut || familyOf(i.log) == familyPlain) && len(candidates) == 0 {
			j.part(i) // a line of a failure that needs more than that
			continue
		}
		j.candidates[i] = candidates
		j.byLog[i.log] = append(j.byLog[i.log], i)
	}
	for log, list := range j.byLog {
		j.inOrder(list)
		j.clocks[log] = j.byClock(list)
	}
	var cases []*affair
	for _, log := range caseOrder {
		for _, i := range j.byLog[log] {
			if log == IIS && i.cut && len(cases) > 0 {
				continue // where it ends it tells nothing that the others do not
			}
			if !i.taken && !i.mute {
				cases = append(cases, j.gather(i))
			}
		}
	}
	j.stray = j.strays(cases)
	return j.report(cases)
}

// part keeps what is a part of a failure's lines alone, where these lines are of failures.
func (j *judgement) part(i *incident) {
	switch i.log {
	case Phone, ASA, Expressway, TMS, TSP, RA:
	default:
		return
	}
	var of []string
	for _, e := range j.c.failures {
		if t, ok := e.tellsOf(i.log); ok && slices.ContainsFunc(t.has, i.has) {
			of = append(of, e.Name)
		}
	}
	for _, m := range i.lines[:min(len(i.lines), maxStrangers-len(j.parts))] {
		j.parts = append(j.parts, &companion{of: of, stranger: stranger{log: i.log, mark: m, count: 1}})
	}
}

// candidatesOf are the failures that leave such an incident. Where curl has failed, none is
// of which it does not say that; but whether curl's time for the request itself is over before
// CAPF's is a race.
func (j *judgement) candidatesOf(i *incident) (fit []*entry) {
	curl := familyOf(i.log) == familyCES && i.transport() != "" && !i.slowSubmit()
	for _, e := range j.c.failures {
		tells, ok := e.tellsIn(i)
		if !ok || !i.fits(tells) || !e.sends(i.chain) || curl && !slices.ContainsFunc(tells.has, j.ofCurl) {
			continue
		}
		if i.wait >= 0 && e.WaitMost > 0 {
			wait := time.Duration(i.wait) * time.Millisecond
			if wait < e.WaitLeast-time.Second || wait > e.WaitMost+2*time.Second {
				continue
			}
		}
		fit = append(fit, e)
	}
	return fit
}

// ofCurl tells whether a signature is curl's word for a call that failed.
func (j *judgement) ofCurl(n int) bool { return strings.Contains(j.c.lineOf(n), "return code") }
