package explain

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// group are the cases of one failure.
type group struct {
	cases      []*affair
	shown      *affair // the one that is surest, and of which most logs have lines
	candidates []*entry
	variants   map[*entry][]string
}

// report makes findings of the cases; the same ones are counted.
func (j *judgement) report(cases []*affair) *Report {
	report := &Report{Files: j.r.files, Findings: []*Finding{}, Read: []LogRead{}, NotUnderstood: []Stranger{}, Secrets: []Secret{}}
	same := map[string]*group{}
	var groups []*group
	for _, k := range cases {
		candidates, variants := j.rank(k)
		if j.belied(k, candidates) {
			candidates = nil
		}
		key := unknownKey(k)
		if len(candidates) > 0 {
			key = fmt.Sprint(strings.Join(names(candidates), ","), k.incidents[0].start, k.cut())
		}
		g := same[key]
		if g == nil {
			g = &group{shown: k, candidates: candidates, variants: variants}
			same[key] = g
			groups = append(groups, g)
		}
		g.cases = append(g.cases, k)
		if clearer := cmp.Or(j.unsure(g.shown, candidates)-j.unsure(k, candidates), len(k.incidents)-len(g.shown.incidents)); clearer > 0 {
			g.shown = k
		}
	}
	for _, g := range groups {
		report.Findings = append(report.Findings, j.finding(g))
	}
	slices.SortStableFunc(report.Findings, func(a, b *Finding) int {
		return cmp.Or(cmp.Compare(a.severity, b.severity), cmp.Compare(b.Count, a.Count))
	})
	j.rest(report, cases)
	return report
}

// place is where a line stands.
type place struct{ file, line int }

// toldLines are the lines that a failure was told by.
func toldLines(cases []*affair) map[place]bool {
	told := map[place]bool{}
	for _, k := range cases {
		for _, i := range k.incidents {
			for _, m := range i.lines {
				told[place{m.file, m.line}] = true
			}
		}
	}
	return told
}

// unknownKey is the same for what no card knows and has the same lines.
func unknownKey(k *affair) string {
	lines := []string{"?"}
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

// rest adds what was read, what was not understood, and the secrets.
func (j *judgement) rest(report *Report, cases []*affair) {
	for _, log := range logs {
		if s := j.r.seen[log]; s != nil && (s.records > 0 || log == IIS) {
			report.Read = append(report.Read, LogRead{Log: log, Title: log.Title(), Records: s.records, Good: s.good, From: s.from.text(), To: s.to.text(), Zone: j.zoneOf(log)})
		}
	}
	report.Notes, report.Unfinished = j.notes(), len(j.unfinished())
	told := toldLines(cases)
	stranger := func(s *stranger, of []string) {
		at := place{s.mark.file, s.mark.line}
		if told[at] {
			return
		}
		told[at] = true
		report.NotUnderstood = append(report.NotUnderstood, Stranger{Evidence: j.evidence(s.log, s.mark), Count: s.count, Of: of})
	}
	companions := j.parts
	for _, d := range j.r.desks {
		for _, shape := range slices.Sorted(maps.Keys(d.strangers.shapes)) {
			stranger(d.strangers.shapes[shape], nil)
		}
		for _, n := range slices.Sorted(maps.Keys(d.companions)) {
			companions = append(companions, d.companions[n])
		}
		report.NotListed += d.strangers.more
		report.NotSought += d.secrets.passed
		for _, in := range d.secrets.order {
			s := *d.secrets.seen[in]
			s.File = j.r.files[in.file].Name
			report.Secrets = append(report.Secrets, s)
		}
	}
	for _, c := range companions {
		if !report.tells(c.of) {
			stranger(&c.stranger, c.of)
		}
	}
	slices.SortStableFunc(report.NotUnderstood, func(a, b Stranger) int { return cmp.Compare(b.Count, a.Count) })
}
