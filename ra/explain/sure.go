package explain

import (
	"fmt"
	"slices"
	"strings"
)

// sure says how sure it is that the first candidate is it.
func (j *judgement) sure(k *affair, candidates []*entry) (Sure, string) {
	where := j.where(k)
	waited := ""
	for _, i := range k.incidents {
		if i.wait >= 1000 && candidates[0].WaitMost > 0 {
			waited = fmt.Sprintf(", and the client's wait of %.1f s fits", float64(i.wait)/1000)
		}
	}
	if c := k.incidents[0].chain; c != "" && len(candidates[0].Chains) > 0 {
		waited += ", and the server sends " + c.words()
	}
	if i := k.incidents[0]; i.abridged && j.r.seen[i.log].whole {
		waited += ", and " + i.log.Title() + " begins within it"
	}
	if k.cut() {
		end := "ends"
		if strings.Contains(where, " and ") {
			end = "end"
		}
		return Possible, fmt.Sprintf("%s %s there: what is missing may have followed", where, end)
	}
	var lab, silent int
	more := ""
	firstMissed := j.missed(k, candidates[0]) // a log without lines of any tells nothing
	for _, e := range candidates[1:] {
		switch {
		case e.Lab:
			lab++
		case !firstMissed && j.missed(k, e):
			silent++
			if in, _ := j.missedIn(k, e); more == "" {
				more = fmt.Sprintf(" in the %s, which has nothing of it", strings.TrimPrefix(in.Title(), "the "))
			}
		}
	}
	rest := len(candidates) - 1 - lab - silent
	against, contradicted := j.contradicted(k, candidates[0])
	switch {
	case len(candidates) == 1 && contradicted:
		return Likely, fmt.Sprintf("no other failure that is known leaves these lines in %s%s, but the %s of that time has nothing of what it leaves there: is that of another server?", where, waited, strings.TrimPrefix(against.Title(), "the "))
	case len(candidates) == 1 && slices.ContainsFunc(k.incidents, func(i *incident) bool { return i.borrows(candidates[0]) }):
		return Likely, fmt.Sprintf("no other failure that is known leaves these lines in %s%s, but one of IIS's may be another phone's of the same moment", where, waited)
	case len(candidates) == 1 && slices.ContainsFunc(k.incidents, func(i *incident) bool { return i.quoted }):
		return Likely, fmt.Sprintf("no other failure that is known leaves these lines in %s%s, but one of them stands within a sentence or a request, where anybody may have written it", where, waited)
	case len(candidates) == 1:
		return Certain, fmt.Sprintf("no other failure that is known leaves these lines in %s%s", where, waited)
	case rest == 0 && !candidates[0].Lab:
		return Likely, fmt.Sprintf("of what leaves these lines in %s, the others are made by tests alone or would have left more%s%s", where, more, waited)
	}
	if k.vague() && k.incidents[0].start {
		return Possible, fmt.Sprintf("one of %d that %s alone cannot tell apart, nor from whatever else IIS may have answered in place of the log-in: its log, or ra check ca, tells", len(candidates), where)
	}
	if k.waitedOut() {
		return Possible, fmt.Sprintf("one of %d that %s alone cannot tell apart, nor from whatever else CES has waited for, such as its log-in: CES's own log says what that was%s", len(candidates), where, waited)
	}
	if k.bare() && k.incidents[0].inVain() {
		return Possible, fmt.Sprintf("one of %d that these lines of %s alone cannot tell apart, nor from whatever else CES has waited for: the whole log says what that was%s", len(candidates), where, waited)
	}
	if k.bare() {
		return Possible, fmt.Sprintf("one of %d that these lines of %s alone cannot tell apart, nor from what else fails between CES and the CA, such as an expired certificate: the whole log has curl's words for that%s", len(candidates), where, waited)
	}
	if k.vague() {
		return Possible, fmt.Sprintf("one of %d that %s alone cannot tell apart, nor from what else fails between CES and the CA, such as an expired certificate: CES's own log has curl's words for that%s", len(candidates), where, waited)
	}
	if j.lacking(k, candidates[0]) {
		return Possible, fmt.Sprintf("one of %d that %s alone cannot tell apart%s, and the IIS log has nothing of what the first leaves there: it may be another, such as http.sys's 503 of a stopped pool, which no IIS log has", len(candidates), where, waited)
	}
	return Possible, fmt.Sprintf("one of %d that %s alone cannot tell apart%s", len(candidates), where, waited)
}

// unsure is how unsure that is: 0 = sure.
func (j *judgement) unsure(k *affair, candidates []*entry) int {
	if len(candidates) == 0 {
		return 0
	}
	sure, _ := j.sure(k, candidates)
	return slices.Index([]Sure{Certain, Likely, Possible}, sure)
}

func (j *judgement) where(k *affair) string {
	var titles []string
	for _, i := range k.incidents {
		if t := "the " + strings.TrimPrefix(i.in().Title(), "the "); !slices.Contains(titles, t) {
			titles = append(titles, t)
		}
	}
	if n := len(titles); n > 1 {
		return strings.Join(titles[:n-1], ", ") + " and " + titles[n-1]
	}
	return titles[0]
}
