package explain

import (
	"iter"
	"slices"
)

// affair is one thing that went wrong, as one or more logs have it.
type affair struct {
	incidents  []*incident // the first is of the log that says most
	candidates []*entry
}

// has tells whether a case has an incident of a log.
func (k *affair) has(log Log) bool {
	return slices.ContainsFunc(k.incidents, func(i *incident) bool { return i.log == log })
}

// cut tells whether more of the case may have followed: its first log ends within it, and
// no other has a failure.
func (k *affair) cut() bool {
	return k.incidents[0].cut && !slices.ContainsFunc(k.incidents[1:], func(i *incident) bool { return !i.cut && !i.mute })
}

// take adds an incident to a case.
func (k *affair) take(i *incident) {
	i.taken = true
	k.incidents = append(k.incidents, i)
}

// maxLooks is how many incidents of another log are looked at for each.
const maxLooks = 200

// free yields the incidents of a log that are of no case yet and may belong to one of another
// log, and how far apart the two are, in ms.
func (j *judgement) free(log Log, base *incident) iter.Seq2[*incident, int64] {
	return func(yield func(*incident, int64) bool) {
		looks := 0
		for i := range j.around(log, base) {
			if i.taken {
				continue
			}
			if looks++; looks > maxLooks {
				return
			}
			if apart, ok := j.apart(base, i); ok && !yield(i, apart) {
				return
			}
		}
	}
}

// gather takes up what the other logs say of an incident.
func (j *judgement) gather(base *incident) *affair {
	k := &affair{candidates: j.candidates[base]}
	k.take(base)
	for _, log := range caseOrder {
		if log != base.log && len(k.candidates) > 0 {
			j.join(k, log)
		}
	}
	j.against(k)
	j.after(k)
	return k
}

// join adds the incident of a log that leaves most of a case's candidates, the nearest one
// that is not rather another's.
func (j *judgement) join(k *affair, log Log) {
	base := k.incidents[0]
	var best *incident
	var bestApart int64
	for i, apart := range j.free(log, base) {
		if i.mute && !i.cut { // one that has failed by itself is likelier
			apart += atOnce
		}
		// Within one second the order tells.
		if ofCES(log) && ofCES(base.log) && i.start != base.start { // CES's own, or a phone's
			continue
		}
		if best != nil && (apart >= bestApart || bestApart <= sameSecond) {
			continue
		}
		if meet(k.candidates, j.candidates[i]) && !j.rather(i, base, apart) {
			best, bestApart = i, apart
		}
	}
	if best != nil {
		k.take(best)
		k.candidates = intersection(k.candidates, j.candidates[best])
	}
}

// rather tells whether an incident belongs rather to another one of the log that base is of:
// to one that it is nearer to, or that no card knows. At the same second nobody can tell.
func (j *judgement) rather(i, base *incident, apart int64) bool {
	if apart <= sameSecond {
		return false
	}
	for o, nearer := range j.free(base.log, i) { // base is not free any more
		if nearer < apart && (len(j.candidates[o]) == 0 || meet(j.candidates[o], j.candidates[i])) {
			return true
		}
	}
	return false
}

// against takes up what IIS has refused to CES, or what the RA says of it, at the very time of
// a case, though none of the case's candidates leaves that: what CES and CAPF say came of
// it, but where curl has failed. They have few words for much: whatever fails within the
// log-in is libest's 22.
func (j *judgement) against(k *affair) {
	base := k.incidents[0]
	vague := base.log == CAPF || base.log == NGINX && len(k.candidates) > 0
	if !vague || base.transport() != "" || base.start || k.has(IIS) {
		return
	}
	i := j.closest(k, IIS, func(i *incident) bool {
		return i.enrolls && !i.mute && !i.cut && (!i.torn || len(j.candidates[i]) > 0) // who went away has been refused nothing
	})
	if i == nil && !k.has(RA) {
		i = j.closest(k, RA, func(i *incident) bool { return len(j.candidates[i]) > 0 })
	}
	if i == nil {
		return
	}
	k.take(i)
	if !i.dangles || len(k.candidates) == 0 { // what CES says weighs more than what IIS lacks
		k.candidates = ofEnrollments(j.candidates[i])
	}
}

// ofEnrollments are the candidates without those that only a start of CES meets, which leave
// nothing in CAPF's trace; all, where there is no other.
func ofEnrollments(all []*entry) []*entry {
	some := slices.DeleteFunc(slices.Clone(all), func(e *entry) bool {
		_, starts := e.tells[NGINX]
		_, phone := e.tells[CAPF]
		return starts && !phone
	})
	if len(some) == 0 {
		return all
	}
	return some
}

// after takes up what came of a case in the logs of those who have waited for it, and have
// no words of their own for it. Where no card knows the case, it would look like the failure
// of something else alone: a wrong password, for one.
func (j *judgement) after(k *affair) {
	base := k.incidents[0]
	unknown := len(k.candidates) == 0
	switch {
	case base.start:
		return
	case base.log == NGINX:
	case base.log == RA && !unknown:
	case base.log == IIS && unknown && base.enrolls:
	default:
		return
	}
	if i := j.closest(k, CAPF, func(*incident) bool { return true }); i != nil {
		k.take(i)
	}
	if base.log != NGINX || !unknown && base.transport() == "" && !base.inVain() {
		return
	}
	left := func(i *incident) bool {
		return i.torn && (unknown || len(j.candidates[i]) == 0 || base.transport() != "") || unknown && i.enrolls && len(j.candidates[i]) == 0
	}
	if i := j.closest(k, IIS, left); i != nil {
		k.take(i)
	}
}

// closest is the incident of a log that is within two seconds of a case, and that no other
// one needs; nil = none, or the case has one of that log.
func (j *judgement) closest(k *affair, log Log, fits func(*incident) bool) (best *incident) {
	if k.has(log) {
		return nil
	}
	least := int64(2*sameSecond + 1)
	for i, apart := range j.free(log, k.incidents[0]) {
		if apart < least && fits(i) && !j.needed(i) {
			best, least = i, apart
		}
	}
	return best
}

// needed tells whether an incident is one of another case that goes with it.
func (j *judgement) needed(i *incident) bool {
	for _, log := range [...]Log{NGINX, CAPF} {
		if log == i.log {
			continue
		}
		for o, apart := range j.free(log, i) {
			if apart <= 2*sameSecond && meet(j.candidates[o], j.candidates[i]) {
				return true
			}
		}
	}
	return false
}

// meet tells whether two incidents have a candidate in common.
func meet(a, b []*entry) bool {
	return slices.ContainsFunc(a, func(e *entry) bool { return slices.Contains(b, e) })
}

func intersection(a, b []*entry) (both []*entry) {
	for _, e := range a {
		if slices.Contains(b, e) {
			both = append(both, e)
		}
	}
	return both
}
