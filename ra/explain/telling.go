package explain

import (
	"fmt"
	"slices"
	"strings"
)

// apartBy says which other log, or what else, would tell the candidates apart.
func (j *judgement) apartBy(k *affair, candidates []*entry) (all []TellApart) {
	if len(candidates) < 2 {
		return nil
	}
	for _, log := range logs {
		if log == CiscoRA || log == RA && !j.mayHaveRA() || slices.ContainsFunc(k.incidents, func(i *incident) bool { return i.log == log && !i.abridged }) {
			continue
		}
		if j.told(k, candidates, log) {
			continue
		}
		where := log.Title()
		if k.has(log) {
			where = whole(log)
		}
		var keys []string
		by := map[string][]string{}
		for _, e := range candidates {
			key := j.lines(e, log)
			if by[key] == nil {
				keys = append(keys, key)
			}
			by[key] = append(by[key], e.Name)
		}
		if len(keys) < 2 {
			continue
		}
		for _, key := range keys {
			what := key
			if what == "" {
				what = "nothing of its own"
			}
			all = append(all, TellApart{Where: where, What: what, Names: by[key]})
		}
	}
	if k.vague() && !k.incidents[0].start {
		t := TellApart{Where: NGINX.Title(), What: "`failed with return code`, and curl's words"}
		if k.bare() {
			t.Where = whole(NGINX)
		}
		waited := k.waitedOut() || k.bare() && k.incidents[0].inVain()
		if waited {
			t.What = "`failed with return code 28`"
		}
		curls := func(n int) bool {
			line := j.c.lineOf(n)
			asks := strings.HasPrefix(line, "submit_cert_request: ") || strings.HasPrefix(line, "retrieve_cert: ")
			return j.ofCurl(n) && (!waited || strings.Contains(line, "return code 28 ")) && (!k.bare() || waited || asks == !k.unauthorized())
		}
		for _, e := range j.c.failures {
			if tells, ok := e.tells[NGINX]; ok && slices.ContainsFunc(tells.has, curls) && (k.bare() || len(e.tells[CAPF].has) == 0) && !e.Lab && !slices.Contains(candidates, e) {
				t.Names = append(t.Names, e.Name)
			}
		}
		// Below what the candidates have in that log, if they differ in it.
		at := len(all)
		for i := range all {
			if all[i].Where == t.Where {
				at = i + 1
			}
		}
		all = slices.Insert(all, at, t)
	}
	for n, e := range candidates {
		same := func(o *entry) bool { return o.Elsewhere == e.Elsewhere }
		if e.Elsewhere == "" || slices.ContainsFunc(candidates[:n], same) {
			continue
		}
		t := TellApart{Where: "elsewhere", What: e.Elsewhere}
		for _, o := range candidates {
			if same(o) {
				t.Names = append(t.Names, o.Name)
			}
		}
		all = append(all, t)
	}
	return all
}

// told tells whether a log was read, and has nothing of any candidate that leaves something in it:
// who is pointed to it has looked there already.
func (j *judgement) told(k *affair, candidates []*entry, log Log) bool {
	leaves := false
	for _, e := range candidates {
		if len(e.tells[log].has) == 0 {
			continue
		}
		if in, missed := j.missedIn(k, e); !missed || in != log {
			return false
		}
		leaves = true
	}
	return leaves
}

// whole is the name of a log of which a part was read.
func whole(log Log) string { return "the whole " + strings.TrimPrefix(log.Title(), "the ") }

// mayHaveRA tells whether this product's own log may be there: a site of which logs of
// CUCM and CES were read, and no such log, has CES.
func (j *judgement) mayHaveRA() bool {
	return j.r.seen[RA] != nil || j.r.seen[NGINX] == nil && j.r.seen[CiscoRA] == nil && j.r.seen[CAPF] == nil
}

// lines are the lines that a failure leaves in a log, in words.
func (j *judgement) lines(e *entry, log Log) string {
	t := e.tells[log]
	var words []string
	for _, n := range t.has {
		words = append(words, "`"+brief(j.c.lineOf(n))+"`")
	}
	for _, n := range t.lacks {
		words = append(words, "no `"+brief(j.c.lineOf(n))+"`")
	}
	if log == CAPF && e.WaitMost > 0 {
		words = append(words, fmt.Sprintf("after %v to %v", e.WaitLeast, e.WaitMost))
	}
	return strings.Join(words, ", ")
}

// brief is a card's line without its head; what differs from site to site is an ellipsis.
func brief(line string) string {
	m := []byte(line)
	if h, ok := headAt(m); ok && h.form != formW3C {
		m = messageOf(h, m)
	}
	return show(string(m))
}
