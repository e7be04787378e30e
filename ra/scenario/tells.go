package scenario

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ciscora/internal/nearest"
	"ciscora/ra/explain"
)

// missingMark begins a line that a log does not have.
const missingMark = "! "

// told are the lines of a log that tell the card's failure.
func (c Card) told(log string) (t explain.Tells) {
	for _, line := range lines([]byte(c.Tells[log])) {
		if lacks, ok := strings.CutPrefix(line, missingMark); ok {
			t.Lacks = append(t.Lacks, lacks)
		} else if line != "" {
			t.Has = append(t.Has, line)
		}
	}
	return t
}

// checkTells reports logs that there are not, and lines that cannot be read.
func (c Card) checkTells(file string) (problems []error) {
	for _, field := range []struct {
		name string
		logs map[string]string
	}{{"tells", c.Tells}, {"known", c.Known}} {
		for _, log := range slices.Sorted(maps.Keys(field.logs)) {
			if explain.Log(log).Title() == "" {
				near := ""
				if n := nearest.Name(log, explain.LogNames()); n != "" {
					near = ", did you mean " + n + "?"
				}
				problems = append(problems, fmt.Errorf("%s: %s.%s: there is no such log%s", file, field.name, log, near))
			}
			for i, line := range lines([]byte(field.logs[log])) {
				if _, err := compileLine(line); err != nil {
					problems = append(problems, fmt.Errorf("%s: %s.%s[%d]: %w", file, field.name, log, i, err))
				}
			}
		}
	}
	return problems
}

// toldBy checks that the lines that tell the failure stand in its logs: a run keeps
// them true. That others are missing is for one enrollment, and not for a whole log.
func (c Card) toldBy(of func(log string) []string) (checks []Check) {
	for _, log := range append(slices.Clone(logNames), string(explain.RA)) {
		for _, line := range c.told(log).Has {
			check := Check{What: log + ", tells", Expected: line}
			for _, seen := range of(log) {
				if explain.Same(explain.Log(log), line, c.hosts(), seen) {
					check.Seen, check.OK = seen, true
					break
				}
			}
			checks = append(checks, check)
		}
	}
	return checks
}

// hosts are the names of the lab's CA in the lines.
func (c Card) hosts() []string {
	hosts := slices.Clone(c.Lab.CANames)
	_, rest, _ := strings.Cut(c.Lab.CAURL, "://")
	if host, _, ok := strings.Cut(rest, ":"); ok && !slices.Contains(hosts, host) {
		hosts = append(hosts, host)
	}
	return hosts
}

var commonness = map[string]explain.Often{"common": explain.Common, "": explain.Usual, "rare": explain.Rare}

// Failures makes of cards what package explain looks for. So a new card teaches it.
func Failures(cards []Card) []explain.Failure {
	var all []explain.Failure
	for _, c := range cards {
		f := explain.Failure{
			Name: c.Name, Title: c.Title, Document: c.Document, Cause: strings.TrimSpace(c.Explanation), Fix: strings.TrimSpace(c.Fix),
			Like: c.Like, Often: commonness[c.Commonness], Harmless: c.Harmless, Lab: c.LabOnly, Elsewhere: strings.TrimSpace(c.Elsewhere), Hosts: c.hosts(),
			FromTool: explain.Words{Title: c.FromTool.Title, Cause: strings.TrimSpace(c.FromTool.Explanation), Fix: strings.TrimSpace(c.FromTool.Fix)},
			Chains:   c.Chains,
			Tells:    map[explain.Log]explain.Tells{}, Known: map[explain.Log][]string{},
		}
		if c.Kind == "" || c.probed() {
			f.Play = "ra scenario run " + c.Name
		}
		told := Expect{Wait: cmp.Or(c.TellsWait, c.Expect.Wait)}
		if least, most, err := told.wait(); err == nil && told.Wait != "" {
			f.WaitLeast, f.WaitMost = least, most
		}
		for log := range c.Tells {
			f.Tells[explain.Log(log)] = c.told(log)
		}
		for _, of := range []map[string]string{c.Expect.Logs.all(), c.Known} {
			for log, text := range of {
				for _, line := range lines([]byte(text)) {
					if line != others && line != "" {
						f.Known[explain.Log(log)] = append(f.Known[explain.Log(log)], line)
					}
				}
			}
		}
		all = append(all, f)
	}
	return all
}

// Catalog is what all cards and notes know, for package explain.
func Catalog() (*explain.Catalog, error) {
	cards, err := Cards()
	if err != nil {
		return nil, err
	}
	notes, err := Notes()
	if err != nil {
		return nil, err
	}
	return explain.NewCatalog(Failures(append(cards, notes...)))
}
