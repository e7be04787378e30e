package scenario

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// holes are what differs from run to run. One that is bound is the same wherever
// its name stands in the logs of a card.
var holes = map[string]struct {
	pattern string
	bound   bool
}{
	"time":       {`\d{4}/\d\d/\d\d \d\d:\d\d:\d\d`, false},                    // NGINX
	"clock":      {`\d\d:\d\d:\d\d\.\d{3}`, false},                             // CAPF
	"date":       {`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`, false},                    // IIS
	"access":     {`\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}`, false}, // libest's access line
	"pid":        {`\d+`, true},
	"script":     {`\d+`, true}, // the process that EnrollmentService.sh names
	"connection": {`\d+`, true},
	"fields":     {`.*`, false}, // of a record in JSON
	"bytes":      {`\d+`, false},
	"ms":         {`\d+`, false},
	"limit":      {`10\d{3}`, false}, // milliseconds of a time-out of 10 s, and how late a busy machine noticed
	"soon":       {`\d{1,4}`, false}, // milliseconds of what ended before that time-out
	"address":    {`[0-9a-f.:]+`, true},
	"client":     {`[0-9a-f.:]+`, true},
	"server":     {`[0-9a-z.:\[\]]+`, true},
	"port":       {`\d+`, true},
	"account":    {`[A-Z]+\\[a-z]+`, true},
	"phone":      {`SEP[0-9A-F]{12}`, true},
	"index":      {`\d+`, true},
	"socket":     {`\d+`, false},    // of CAPF
	"root":       {`/[^()]+`, true}, // subject of the lab's root CA
	"subject":    {`/[^()]+`, false},
	"reqid":      {`\d+`, true},
	"length":     {`\d+`, false},
	"status":     {`\d+`, false},
	"key":        {`.*`, false},                        // a public key's bytes, as CAPF prints them
	"until":      {`\d{4}:\d\d:\d\d:\d\d:\d\d`, false}, // CAPF's times with a date
}

// others stands in expected lines for any number of lines, none included.
const others = "..."

// expected is one line that a log must have, or others.
type expected struct {
	text  string
	any   bool
	parts []string // literal, hole, literal, ...
}

var hole = regexp.MustCompile(`\{([a-z]+)\}`)

// compile reads expected lines. Holes stand in braces.
func compile(text string) ([]expected, error) {
	var all []expected
	for _, line := range lines([]byte(text)) {
		e, err := compileLine(line)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

func compileLine(line string) (expected, error) {
	e := expected{text: line, any: line == others}
	for {
		at := hole.FindStringSubmatchIndex(line)
		if at == nil {
			e.parts = append(e.parts, line)
			return e, nil
		}
		name := line[at[2]:at[3]]
		if _, ok := holes[name]; !ok {
			return e, fmt.Errorf("unknown hole {%s}%s", name, suggestHole(name, slices.Sorted(maps.Keys(holes))))
		}
		e.parts = append(e.parts, line[:at[0]], name)
		line = line[at[1]:]
	}
}

func suggestHole(name string, names []string) string {
	if s := suggest(name, names); strings.HasPrefix(s, ", did") {
		return s
	}
	return ""
}

// fits tells whether a line is the expected one, given what its holes are bound
// to, and binds those that were not.
func (e expected) fits(line string, bound map[string]string) bool {
	var pattern strings.Builder
	pattern.WriteString(`^`)
	var names []string
	for i, part := range e.parts {
		if i%2 == 0 {
			pattern.WriteString(regexp.QuoteMeta(part))
			continue
		}
		if value, ok := bound[part]; ok {
			pattern.WriteString(regexp.QuoteMeta(value))
			continue
		}
		pattern.WriteString(`(` + holes[part].pattern + `)`)
		names = append(names, part)
	}
	pattern.WriteString(`$`)
	found := regexp.MustCompile(pattern.String()).FindStringSubmatch(line)
	if found == nil {
		return false
	}
	for i, name := range names {
		if holes[name].bound {
			bound[name] = found[i+1]
		}
	}
	return true
}

// Check is one line of a verdict.
type Check struct {
	What     string `json:"what"` // the log, or what else was looked at
	Expected string `json:"expected"`
	Seen     string `json:"seen"` // "" where it is missing
	OK       bool   `json:"ok"`
}

// match compares a log with what is expected of it: the expected lines stand in it
// one after another, and other lines only where "..." stands. Where no place has
// all lines between two "...", the best one is shown. bound is what the holes hold
// already, from other logs of the same run.
func match(what, want string, got []string, bound map[string]string) []Check {
	wanted, err := compile(want)
	if err != nil {
		return []Check{{What: what, Expected: want, Seen: err.Error()}}
	}
	var checks []Check
	at, loose := 0, false
	for len(wanted) > 0 {
		if wanted[0].any {
			loose, wanted = true, wanted[1:]
			continue
		}
		end := slices.IndexFunc(wanted, func(e expected) bool { return e.any })
		if end < 0 {
			end = len(wanted)
		}
		block := wanted[:end]
		wanted = wanted[end:]
		start := at
		if loose {
			start = place(block, got, at, bound)
		}
		for i, e := range block {
			c := Check{What: what, Expected: e.text}
			if start+i < len(got) {
				c.Seen = got[start+i]
				c.OK = e.fits(c.Seen, bound)
			}
			checks = append(checks, c)
		}
		at, loose = min(start+len(block), len(got)), false
	}
	if !loose {
		for _, line := range got[at:] {
			checks = append(checks, Check{What: what, Seen: line})
		}
	}
	return checks
}

// place finds where a block of lines stands, from a line on: where all of them
// fit, or else most.
func place(block []expected, got []string, from int, bound map[string]string) int {
	best, most := from, -1
	for start := from; start < len(got); start++ {
		trial, fit := maps.Clone(bound), 0
		for i, e := range block {
			if start+i < len(got) && e.fits(got[start+i], trial) {
				fit++
			}
		}
		if fit > most {
			best, most = start, fit
		}
		if fit == len(block) {
			break
		}
	}
	return best
}
