package explain

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

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
	stranger := func(s *stranger, of []string) {
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
		for _, what := range slices.Sorted(maps.Keys(d.secrets.first)) {
			p := d.secrets.first[what]
			report.Secrets = append(report.Secrets, Secret{What: what, File: j.r.files[p.file].Name, Line: p.line, Count: d.secrets.count[what]})
		}
	}
	for _, c := range companions {
		if !report.tells(c.of) {
			stranger(&c.stranger, c.of)
		}
	}
	slices.SortStableFunc(report.NotUnderstood, func(a, b Stranger) int { return cmp.Compare(b.Count, a.Count) })
}
