package explain

import "slices"

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
		if log == NGINX && (!s.from.clock || !s.whole || k.incidents[0].log == CiscoRA) {
			continue // it is the CiscoRA log, which has starts alone and no times; or abridged
		}
		if j.covers(log, k) && !k.has(log) && !j.mayStand(log, k.incidents[0], e) {
			return log, true
		}
	}
	return "", false
}

// belied tells whether the IIS log, which was read, speaks against each candidate of a start of
// CES that has no word for why it has no chain: it has nothing of what any of them leaves there.
func (j *judgement) belied(k *affair, candidates []*entry) bool {
	base := k.incidents[0]
	if len(candidates) == 0 || !base.start || base.transport() != "" || k.cut() || k.has(IIS) {
		return false
	}
	return !slices.ContainsFunc(candidates, func(e *entry) bool { return !j.lacking(k, e) })
}

// lacking tells whether the IIS log, which was read, has nothing of a failure that the others
// speak for: it may be another, of which IIS writes nothing.
func (j *judgement) lacking(k *affair, e *entry) bool {
	log, missed := j.missedIn(k, e)
	return missed && log == IIS
}

// mayStand tells whether a log has lines of a failure at the time of a case, though they were
// taken for another's, or at another time, where no other log has anything.
func (j *judgement) mayStand(log Log, base *incident, e *entry) bool {
	if j.stray[e][log] {
		return true
	}
	looks := 0
	for i := range j.around(log, base) {
		if looks++; looks > maxLooks {
			break
		}
		if _, ok := j.apart(base, i); ok && slices.Contains(j.candidates[i], e) {
			return true
		}
	}
	return false
}

// strays are the logs that have lines of a failure of which no other log has anything at that
// time: a clock, or a zone, may be wrong.
func (j *judgement) strays(cases []*affair) map[*entry]map[Log]bool {
	strays := map[*entry]map[Log]bool{}
	add := func(i *incident) {
		for _, e := range j.candidates[i] {
			if strays[e] == nil {
				strays[e] = map[Log]bool{}
			}
			strays[e][i.log] = true
		}
	}
	for _, k := range cases {
		if len(k.incidents) == 1 {
			add(k.incidents[0])
		}
	}
	for _, i := range j.byLog[IIS] { // where it ends nobody knows what was to follow
		if i.mute && !i.taken {
			add(i)
		}
	}
	return strays
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
	of, _ := j.offset(log, s.to)
	return log, j.sameClock(log, i.log, i.last) && s.to.ms-of >= j.utc(i, i.last)+abandoned
}

// covers tells whether a log was written while a case happened, as far as its times
// can be compared.
func (j *judgement) covers(log Log, k *affair) bool {
	s := j.r.seen[log]
	i := k.incidents[0]
	if !s.from.date || !i.first.date {
		return true
	}
	if !j.sameClock(log, i.log, i.first) {
		return true
	}
	of, _ := j.offset(log, s.from)
	at := j.utc(i, i.first)
	return at >= s.from.ms-of-near && at <= s.to.ms-of+near
}
