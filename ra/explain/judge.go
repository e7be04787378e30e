package explain

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"
)

// near is how far apart, in ms, two logs may write of the same thing: their clocks
// differ, and one writes when a thing begins, the other when it ends.
const near = 20 * 1000

// affair is one thing that went wrong, as one or more logs have it.
type affair struct {
	incidents  []*incident
	candidates []*entry
}

// judge says what the incidents mean.
func judge(c *Catalog, r *reading, o Options) *Report {
	j := &judgement{c: c, r: r, zone: o.Zone, byLog: map[Log][]*incident{}, candidates: map[*incident][]*entry{}, used: map[*incident]bool{}}
	for _, i := range r.incidents {
		if i.cut && i.log == IIS && r.seen[IIS] != nil && r.seen[IIS].good > 0 {
			i.mute = true // the log ends while somebody enrolls
		}
		if (i.cut || familyOf(i.log) == familyPlain) && len(j.candidatesOf(i)) == 0 {
			j.part(i) // a line of a failure that needs more than that
			continue
		}
		j.byLog[i.log] = append(j.byLog[i.log], i)
	}
	for _, list := range j.byLog {
		for _, i := range list {
			j.candidates[i] = j.candidatesOf(i)
		}
		slices.SortStableFunc(list, func(a, b *incident) int {
			order := cmp.Compare(j.utc(a, a.first), j.utc(b, b.first))
			if order == 0 && a.file == b.file && len(a.lines) > 0 && len(b.lines) > 0 {
				order = cmp.Compare(a.lines[0].line, b.lines[0].line) // they were told when it was clear what they are
			}
			return order
		})
	}
	var cases []*affair
	for _, log := range caseOrder {
		for _, i := range j.byLog[log] {
			if !j.used[i] && !i.mute {
				cases = append(cases, j.gather(i))
			}
		}
	}
	return j.report(cases)
}

// part keeps what is a part of a failure's lines alone, where these lines are of failures.
func (j *judgement) part(i *incident) {
	switch i.log {
	case Phone, ASA, Expressway, TMS, TSP:
	default:
		return
	}
	var of []string
	for _, e := range j.c.failures {
		if t, ok := e.tellsOf(i.log); ok && slices.ContainsFunc(t.has, i.has) {
			of = append(of, e.Name)
		}
	}
	for _, m := range i.lines {
		j.parts = append(j.parts, companion{of: of, stranger: stranger{log: i.log, mark: m, count: 1}})
	}
}

// caseOrder is which logs cases begin with: those that say most come first.
var caseOrder = []Log{NGINX, CiscoRA, CAPF, IIS, RA, Page, Phone, ASA, Expressway, TMS, TSP, Tool}

type judgement struct {
	c          *Catalog
	r          *reading
	zone       *time.Location
	byLog      map[Log][]*incident
	candidates map[*incident][]*entry
	used       map[*incident]bool
	parts      []companion // of failures, of which the rest is missing
	alone      []*incident // of which no other log has anything
	apartFrom  map[*entry]map[Log]bool
}

// candidatesOf are the failures that leave such an incident.
func (j *judgement) candidatesOf(i *incident) (fit []*entry) {
	for _, e := range j.c.failures {
		tells, ok := e.tellsOf(i.log)
		if !ok || !i.fits(tells) {
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
			_, seconds := time.UnixMilli(at.ms).In(j.zone).Zone()
			return int64(seconds) * 1000, true
		}
		return 0, false
	}
	return 0, true // IIS writes UTC
}

// sameHost tells whether two logs have one zone, whichever it is.
func sameHost(a, b Log) bool {
	ces := func(l Log) bool { return l == NGINX || l == CAPF || l == CiscoRA }
	return ces(a) == ces(b)
}

const day = 24 * 3600 * 1000

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
	_, knownA := j.offset(a.log, a.first)
	_, knownB := j.offset(b.log, b.first)
	if !sameHost(a.log, b.log) && (!knownA || !knownB) {
		every = 15 * 60 * 1000 // zones differ by quarters of an hour
	} else if a.first.date && b.first.date {
		return 0, false
	}
	// Without a date, or with an unknown zone, what is left of the difference counts.
	ahead := ((fromB-fromA)%every + every) % every
	if ahead > every/2 {
		ahead -= every
	}
	lengthA, lengthB := max(toA-fromA, 0), max(toB-fromB, 0) // past midnight that is not known
	ms = max(ahead-lengthA, -ahead-lengthB, 0)
	return ms, ms <= near
}

// gather takes up what the other logs say of an incident.
func (j *judgement) gather(base *incident) *affair {
	k := &affair{incidents: []*incident{base}, candidates: j.candidates[base]}
	j.used[base] = true
	if len(k.candidates) == 0 && (base.log == NGINX || base.log == IIS && base.enrolls) {
		j.consequences(k)
		return k
	}
	for _, log := range caseOrder {
		if log == base.log || len(k.candidates) == 0 {
			continue
		}
		var best *incident
		var bestApart int64
		var both []*entry
		looked := 0
		for _, i := range j.window(log, base) {
			if j.used[i] {
				continue
			}
			if looked++; looked > maxLooks {
				break
			}
			apart, ok := j.apart(base, i)
			if i.mute && !i.cut { // one that has failed by itself is likelier
				apart += atOnce
			}
			// NGINX and IIS write whole seconds: within one the order tells.
			if !ok || best != nil && (apart >= bestApart || bestApart <= sameSecond) {
				continue
			}
			common := intersection(k.candidates, j.candidates[i])
			if len(common) == 0 || j.rather(i, base, apart) {
				continue
			}
			best, bestApart, both = i, apart, common
		}
		if best != nil {
			j.used[best] = true
			k.incidents = append(k.incidents, best)
			k.candidates = both
		}
	}
	j.against(k)
	j.after(k)
	if len(k.incidents) == 1 {
		j.alone = append(j.alone, base)
	}
	return k
}

// rather tells whether an incident belongs rather to another one of the log that base is of:
// to one that it is nearer to. At the same second nobody can tell.
func (j *judgement) rather(i, base *incident, apart int64) bool {
	if apart <= sameSecond {
		return false
	}
	for n, o := range j.window(base.log, i) {
		if n > maxLooks {
			break
		}
		if j.used[o] { // base is
			continue
		}
		if nearer, ok := j.apart(o, i); ok && nearer < apart && len(intersection(j.candidates[o], j.candidates[i])) > 0 {
			return true
		}
	}
	return false
}

const (
	sameSecond = 1000 // ms
	maxLooks   = 200  // at incidents of another log
)

// consequences takes up what came of a failure that no card knows: alone it would look like
// the failure of something else, as libest calls whatever fails within the log-in 22, a
// wrong password among them.
func (j *judgement) consequences(k *affair) {
	base := k.incidents[0]
	for _, log := range [...]Log{CAPF, IIS} {
		if log == base.log {
			continue
		}
		i := j.closest(k, log, func(i *incident) bool { return log != IIS || i.torn || i.enrolls && len(j.candidates[i]) == 0 })
		if i != nil {
			j.used[i] = true
			k.incidents = append(k.incidents, i)
		}
	}
}

// against takes up what IIS has refused to CES, or what the RA says of it, at the very time of
// a case, though none of the case's candidates leaves that: what CES and CAPF say came of
// it, but where curl has failed. They have few words for much: whatever fails within the
// log-in is libest's 22.
func (j *judgement) against(k *affair) {
	base := k.incidents[0]
	if base.log != NGINX && base.log != CAPF || base.transport() != "" || strings.HasPrefix(base.who, startOfCES) {
		return
	}
	for _, log := range [...]Log{IIS, RA} {
		if k.has(log) {
			return
		}
		i := j.closest(k, log, func(i *incident) bool { return log == RA && len(j.candidates[i]) > 0 || i.enrolls && !i.mute && !i.cut })
		if i != nil {
			j.used[i] = true
			k.incidents, k.candidates = append(k.incidents, i), j.candidates[i]
			return
		}
	}
}

// after takes up what came of a case in the logs of those who have waited for it, and have
// no words of their own for it.
func (j *judgement) after(k *affair) {
	base := k.incidents[0]
	if base.log != NGINX && base.log != RA || strings.HasPrefix(base.who, startOfCES) {
		return
	}
	for _, log := range [...]Log{CAPF, IIS} {
		if k.has(log) || log == IIS && base.transport() == "" {
			continue
		}
		if i := j.closest(k, log, func(i *incident) bool { return log != IIS || i.torn }); i != nil {
			j.used[i] = true
			k.incidents = append(k.incidents, i)
		}
	}
}

// has tells whether a case has an incident of a log.
func (k *affair) has(log Log) bool {
	return slices.ContainsFunc(k.incidents, func(i *incident) bool { return i.log == log })
}

// closest is the incident of a log that is within two seconds of a case, and that no other
// one needs.
func (j *judgement) closest(k *affair, log Log, fits func(*incident) bool) (best *incident) {
	base := k.incidents[0]
	least := int64(2 * sameSecond)
	for n, i := range j.window(log, base) {
		if n > maxLooks {
			break
		}
		if j.used[i] || !fits(i) {
			continue
		}
		if apart, ok := j.apart(base, i); ok && apart <= least && (best == nil || apart < least) && !j.needed(i, k) {
			best, least = i, apart
		}
	}
	return best
}

// needed tells whether an incident is one of another case that goes with it.
func (j *judgement) needed(i *incident, k *affair) bool {
	for _, log := range [...]Log{NGINX, CAPF} {
		if log == i.log {
			continue
		}
		for n, o := range j.window(log, i) {
			if n > maxLooks {
				break
			}
			if j.used[o] || slices.Contains(k.incidents, o) || len(intersection(j.candidates[o], j.candidates[i])) == 0 {
				continue
			}
			if apart, ok := j.apart(o, i); ok && apart <= 2*sameSecond {
				return true
			}
		}
	}
	return false
}

// window are the incidents of a log that may belong to one of another: where times
// are known, those near it.
func (j *judgement) window(log Log, base *incident) []*incident {
	list := j.byLog[log]
	_, known := j.offset(log, base.first)
	_, knownBase := j.offset(base.log, base.first)
	if len(list) < 200 || !base.first.date || (!known || !knownBase) && !sameHost(log, base.log) {
		return list
	}
	from := j.utc(base, base.first) - 4*near
	at := sort.Search(len(list), func(n int) bool { return j.utc(list[n], list[n].first) >= from })
	return list[at:]
}

func intersection(a, b []*entry) (both []*entry) {
	for _, e := range a {
		if slices.Contains(b, e) {
			both = append(both, e)
		}
	}
	return both
}

// specific is how many lines speak for a failure.
func (k *affair) specific(e *entry) (n int) {
	for _, i := range k.incidents {
		t, _ := e.tellsOf(i.log)
		n += len(t.has) + len(t.lacks)
	}
	return n
}

// shared is by how many of the candidates that line of a failure is told which fewest
// tell: who alone tells a line that is there stands before those who share all of theirs.
func (k *affair) shared(e *entry) int {
	fewest := len(k.candidates)
	for _, i := range k.incidents {
		t, _ := e.tellsOf(i.log)
		for _, line := range t.has {
			n := 0
			for _, other := range k.candidates {
				if o, _ := other.tellsOf(i.log); slices.Contains(o.has, line) {
					n++
				}
			}
			fewest = min(fewest, n)
		}
	}
	return fewest
}

// missed tells whether a failure would have left lines in a log that was read, and
// that has none.
func (j *judgement) missed(k *affair, e *entry) bool {
	_, missed := j.missedIn(k, e)
	return missed
}

// missedIn is the first log that should have lines of a failure, and has none.
func (j *judgement) missedIn(k *affair, e *entry) (Log, bool) {
	for _, log := range [...]Log{NGINX, IIS} {
		s := j.r.seen[log]
		_, tells := e.tells[log]
		if s == nil || s.records == 0 || !tells {
			continue
		}
		if log == NGINX && (!s.from.clock || k.incidents[0].log == CiscoRA) {
			continue // it is the CiscoRA log, which has starts alone and no times
		}
		if j.covers(log, k) && !k.has(log) && !j.mayStand(log, k.incidents[0], e) {
			return log, true
		}
	}
	return "", false
}

// mayStand tells whether a log has lines of a failure at the time of a case, though they were
// taken for another's, or at another time, where no other log has anything: a clock, or a
// zone, may be wrong.
func (j *judgement) mayStand(log Log, base *incident, e *entry) bool {
	if j.apartFrom == nil { // all cases are gathered
		j.apartFrom = map[*entry]map[Log]bool{}
		alone := slices.Clone(j.alone)
		for _, i := range j.byLog[IIS] { // where it ends nobody knows what was to follow
			if i.mute && !j.used[i] {
				alone = append(alone, i)
			}
		}
		for _, i := range alone {
			for _, e := range j.candidates[i] {
				if j.apartFrom[e] == nil {
					j.apartFrom[e] = map[Log]bool{}
				}
				j.apartFrom[e][i.log] = true
			}
		}
	}
	if j.apartFrom[e][log] {
		return true
	}
	for n, i := range j.window(log, base) {
		if n > maxLooks {
			break
		}
		if _, ok := j.apart(base, i); ok && slices.Contains(j.candidates[i], e) {
			return true
		}
	}
	return false
}

// contradicted is the log that was read, goes on for long after a case, and has nothing of
// what the failure leaves there. IIS writes a line when its request is over.
func (j *judgement) contradicted(k *affair, e *entry) (Log, bool) {
	log, missed := j.missedIn(k, e)
	if !missed {
		return "", false
	}
	s, i := j.r.seen[log], k.incidents[0]
	if !s.to.date || !i.last.date {
		return "", false
	}
	of, known := j.offset(log, s.to)
	_, knownCase := j.offset(i.log, i.last)
	return log, (sameHost(log, i.log) || known && knownCase) && s.to.ms-of >= j.utc(i, i.last)+abandoned
}

// covers tells whether a log was written while a case happened, as far as its times
// can be compared.
func (j *judgement) covers(log Log, k *affair) bool {
	s := j.r.seen[log]
	i := k.incidents[0]
	if !s.from.date || !i.first.date {
		return true
	}
	of, known := j.offset(log, s.from)
	_, knownCase := j.offset(i.log, i.first)
	if !sameHost(log, i.log) && (!known || !knownCase) {
		return true
	}
	at := j.utc(i, i.first)
	return at >= s.from.ms-of-near && at <= s.to.ms-of+near
}

// rank orders the candidates, the likeliest first, and folds variants.
func (j *judgement) rank(k *affair) (first []*entry, variants map[*entry][]string) {
	variants = map[*entry][]string{}
	byName := map[string]*entry{}
	for _, e := range k.candidates {
		byName[e.Name] = e
	}
	for _, e := range k.candidates {
		if of := byName[e.Like]; of != nil {
			variants[of] = append(variants[of], e.Name)
			continue
		}
		first = append(first, e)
	}
	// A line that is there and that one failure alone leaves says more than one that is
	// not there: what IIS has not written yet, or in another file, is missed as well.
	missed, shared := map[*entry]bool{}, map[*entry]int{}
	for _, e := range first {
		missed[e], shared[e] = j.missed(k, e), k.shared(e)
	}
	slices.SortStableFunc(first, func(a, b *entry) int {
		return cmp.Or(
			before(shared[a] == 1, shared[b] == 1),
			before(!a.Lab, !b.Lab),
			before(!a.Harmless, !b.Harmless), // who is told that nothing is to be mended looks no further
			before(!missed[a], !missed[b]),
			cmp.Compare(shared[a], shared[b]),
			cmp.Compare(k.specific(b), k.specific(a)),
			cmp.Compare(a.order, b.order))
	})
	return first, variants
}

// before puts that of which something is true before that of which it is not.
func before(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// report makes findings of the cases; the same ones are counted.
func (j *judgement) report(cases []*affair) *Report {
	report := &Report{Files: j.r.files, Findings: []*Finding{}, Read: []LogRead{}, NotUnderstood: []Stranger{}, Secrets: []Secret{}}
	same := map[string]*Finding{}
	for _, k := range cases {
		candidates, variants := j.rank(k)
		key := "?" + unknownKey(k)
		if len(candidates) > 0 {
			key = strings.Join(names(candidates), ",") + "|" + strings.Join(logsOf(k), ",")
		}
		if f := same[key]; f != nil {
			f.Count++
			f.until(j, k)
			continue
		}
		f := j.finding(k, candidates, variants)
		same[key] = f
		report.Findings = append(report.Findings, f)
	}
	slices.SortStableFunc(report.Findings, func(a, b *Finding) int {
		return cmp.Or(cmp.Compare(a.severity, b.severity), cmp.Compare(b.Count, a.Count))
	})
	j.rest(report)
	return report
}

func unknownKey(k *affair) string {
	var lines []string
	for _, i := range k.incidents {
		for _, m := range i.lines {
			lines = append(lines, withoutNumbers([]byte(m.text)))
		}
	}
	return strings.Join(lines, "\n")
}

func names(entries []*entry) (n []string) {
	for _, e := range entries {
		n = append(n, e.Name)
	}
	return n
}

func logsOf(k *affair) (n []string) {
	for _, i := range k.incidents {
		n = append(n, string(i.log))
	}
	slices.Sort(n)
	return n
}

// rest adds what was read, what was not understood, and the secrets.
func (j *judgement) rest(report *Report) {
	for _, log := range logs {
		if s := j.r.seen[log]; s != nil && s.records > 0 {
			report.Read = append(report.Read, LogRead{Log: log, Title: log.Title(), Records: s.records, Good: s.good, From: s.from.text(), To: s.to.text()})
		}
	}
	for _, c := range j.parts[:min(len(j.parts), maxStrangers)] {
		if !report.tells(c.of) {
			report.NotUnderstood = append(report.NotUnderstood, Stranger{Evidence: j.evidence(c.log, c.mark), Count: c.count, Of: c.of})
		}
	}
	for _, d := range j.r.desks {
		for _, shape := range slices.Sorted(maps.Keys(d.strangers.shapes)) {
			s := d.strangers.shapes[shape]
			report.NotUnderstood = append(report.NotUnderstood, Stranger{Evidence: j.evidence(s.log, s.mark), Count: s.count})
		}
		for _, n := range slices.Sorted(maps.Keys(d.companions)) {
			if c := d.companions[n]; !report.tells(c.of) {
				report.NotUnderstood = append(report.NotUnderstood, Stranger{Evidence: j.evidence(c.log, c.mark), Count: c.count, Of: c.of})
			}
		}
		report.NotListed += d.strangers.more
		report.NotSought += d.secrets.passed
		for _, what := range slices.Sorted(maps.Keys(d.secrets.first)) {
			p := d.secrets.first[what]
			report.Secrets = append(report.Secrets, Secret{What: what, File: j.r.files[p.file].Name, Line: p.line, Count: d.secrets.count[what]})
		}
	}
	slices.SortStableFunc(report.NotUnderstood, func(a, b Stranger) int { return cmp.Compare(b.Count, a.Count) })
}
