package explain

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Catalog is what is known of failures.
type Catalog struct {
	book     *book
	plain    plainIndex
	failures []*entry
	topicsOf map[int][]topic  // of the signatures that tell
	beside   map[int][]string // the failures in whose logs such a line stands beside those
}

type entry struct {
	Failure

	order int
	tells map[Log]numbers
	// alarms are those of tells in NGINX's log that are warnings or errors, or speak of errors;
	// warnings those of them that are so by their level.
	alarms, warnings numbers
}

type numbers struct{ has, lacks []int }

// NewCatalog compiles the lines of failures.
func NewCatalog(failures []Failure) (*Catalog, error) {
	c := &Catalog{book: newBook(), topicsOf: map[int][]topic{}, beside: map[int][]string{}}
	var problems []error
	for _, f := range failures {
		e := &entry{Failure: f, tells: map[Log]numbers{}}
		add := func(log Log, line string) int {
			if _, ok := titles[log]; !ok {
				problems = append(problems, fmt.Errorf("%s: there is no log %q", f.Name, log))
				return -1
			}
			n := c.book.add(log, line, f.Hosts)
			if n < 0 {
				problems = append(problems, fmt.Errorf("%s: the line %q of %s says too little", f.Name, line, log))
			}
			return n
		}
		for log, tells := range f.Tells {
			var n numbers
			for _, line := range tells.Has {
				n.has = append(n.has, add(log, line))
			}
			for _, line := range tells.Lacks {
				n.lacks = append(n.lacks, add(log, line))
			}
			e.tells[log] = n
			if log == NGINX {
				e.alarms = c.only(n, alarming)
				e.warnings = c.only(n, func(line string) bool { return alarming(line) && !strings.HasPrefix(line, answerPrefix) })
			}
		}
		for log, lines := range f.Known {
			for _, line := range lines {
				if len(strings.TrimSpace(line)) > 3 {
					if n := c.book.add(log, line, f.Hosts); n >= 0 {
						c.beside[n] = append(c.beside[n], f.Name)
					}
				}
			}
		}
		c.failures = append(c.failures, e)
	}
	c.group()
	c.plain.build(c.book)
	// What only a test makes comes last. Of the others those that are met often come first,
	// and of these those that a document tells of before those that are inferred.
	slices.SortStableFunc(c.failures, func(a, b *entry) int {
		return cmp.Or(before(!a.Lab, !b.Lab), cmp.Compare(a.Often, b.Often), before(a.Document != "", b.Document != ""))
	})
	for i, e := range c.failures {
		e.order = i
	}
	return c, errors.Join(problems...)
}

// group finds which failures share a line of a log without records of its own: what
// of them stands there is one incident, and that of others another.
func (c *Catalog) group() {
	groups := 0
	for _, log := range logs {
		of := map[int]int{} // a signature's group
		for _, e := range c.failures {
			t := e.tells[log]
			all := slices.Concat(t.has, t.lacks)
			g := -1
			for _, n := range all {
				if have, ok := of[n]; ok {
					g = have
				}
			}
			if g < 0 {
				g = groups
				groups++
			}
			for _, n := range all {
				if have, ok := of[n]; ok && have != g {
					for m, other := range of { // they are one
						if other == have {
							of[m] = g
						}
					}
				}
				of[n] = g
			}
		}
		for n, g := range of {
			c.topicsOf[n] = append(c.topicsOf[n], topic{log, g})
		}
	}
	for _, topics := range c.topicsOf {
		slices.SortFunc(topics, func(a, b topic) int { return cmp.Or(cmp.Compare(a.log, b.log), a.group-b.group) })
	}
}

// tellsOf are the tells of a log; those of CES's own log are NGINX's.
func (e *entry) tellsOf(log Log) (numbers, bool) {
	n, ok := e.tells[log]
	if !ok && log == CiscoRA {
		n, ok = e.tells[NGINX]
	}
	return n, ok && len(n.has)+len(n.lacks) > 0
}

// tellsIn are the tells that an incident can have.
func (e *entry) tellsIn(i *incident) (numbers, bool) {
	switch {
	case i.abridged && slices.ContainsFunc(i.lines, func(m mark) bool { return strings.Contains(m.text, answerPrefix) }):
		return e.alarms, len(e.alarms.has) > 0
	case i.abridged:
		return e.warnings, len(e.warnings.has) > 0
	}
	return e.tellsOf(i.log)
}

// answerPrefix begins the line, of level INFO, in which libest says how it has answered.
const answerPrefix = "[Error "

// only leaves of the lines that a failure leaves those that are so.
func (c *Catalog) only(t numbers, is func(line string) bool) numbers {
	return numbers{has: slices.DeleteFunc(slices.Clone(t.has), func(n int) bool { return n >= 0 && !is(c.lineOf(n)) }), lacks: t.lacks}
}

// lineOf is the line that tells, for people.
func (c *Catalog) lineOf(n int) string { return c.book.signatures[n].text }
