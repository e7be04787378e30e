package scenario

import (
	"cmp"
	"fmt"
	"strings"

	"ciscora/ra/explain"
)

// Page writes the page of one failure, in docs/failures.
func Page(c Card) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s. ", c.Name, c.Title)
	switch {
	case c.Kind == "note":
		b.WriteString("A note: no lab plays it")
		if c.Document != "" {
			fmt.Fprintf(&b, "; it is from %s", c.Document)
		} else {
			fmt.Fprintf(&b, "; source: %s", strings.TrimSpace(c.Source))
		}
		fmt.Fprintf(&b, ".\n\n**Why:** %s\n\n**Mend it:** %s\n", strings.TrimSpace(c.Explanation), strings.TrimSpace(c.Fix))
		c.writeTells(&b)
		if c.probed() {
			fmt.Fprintf(&b, "\n`%s` tells it, by the finding `%s`. `ra scenario run %s` makes what it needs and runs it, with the failure and mended.\n", c.Probe.Command(), c.Probe.Finds, cmp.Or(c.Path, c.Name))
		}
		return b.String()
	case c.Document != "":
		fmt.Fprintf(&b, "Documented by Cisco as %s (see [all failures](%s)).", c.Document, "../failures.md")
	default:
		fmt.Fprintf(&b, "Source: %s.", strings.TrimSpace(c.Source))
	}
	fmt.Fprintf(&b, " Profile %s. Play it: `ra scenario run %s`.\n\n**Why:** %s\n\n**Mend it:** %s\n",
		c.Profile, cmp.Or(c.Path, c.Name), strings.TrimSpace(c.Explanation), strings.TrimSpace(c.Fix))
	b.WriteString("\n## The failure\n\n")
	writePart(&b, c.Steps, c.Expect)
	if len(c.Mended.Steps) > 0 {
		b.WriteString("\n## Mended\n\n")
		writePart(&b, c.Mended.Steps, c.Mended.Expect)
	}
	return b.String()
}

// writeTells writes the lines by which ra explain knows a note's failure.
func (c Card) writeTells(b *strings.Builder) {
	for _, name := range explain.LogNames() {
		if t := c.told(name); len(t.Has) > 0 {
			fmt.Fprintf(b, "\n%s:\n\n```\n%s\n```\n", explain.Log(name).Title(), strings.Join(t.Has, "\n"))
		}
	}
}

// writePart writes what is done and what is then seen.
func writePart(b *strings.Builder, steps []Step, e Expect) {
	for _, s := range steps {
		if s.Do == "fault" {
			fmt.Fprintf(b, "- fault `%s`\n", s.Fault)
		} else {
			fmt.Fprintf(b, "- %s\n", s.Do)
		}
	}
	for _, what := range outcome(steps, e) {
		fmt.Fprintf(b, "- %s\n", what)
	}
	for _, log := range logNames {
		if text := e.Logs.all()[log]; text != "" {
			fmt.Fprintf(b, "\n%s:\n\n```\n%s```\n", logTitles[log], text)
		}
	}
}

var logTitles = map[string]string{"nginx": "NGINX error.log", "ciscora": "CiscoRA log", "capf": "CAPF trace", "iis": "IIS log"}

var yesNo = map[bool]string{true: "yes", false: "no"}

func (c Card) origin() string {
	switch {
	case c.Kind == "note":
		return "note"
	case c.Document != "":
		return c.Document
	}
	return "inferred"
}

// outcome says in words what is expected besides the logs.
func outcome(steps []Step, e Expect) []string {
	var out []string
	for _, s := range steps {
		if s.Do == "enroll" {
			line := "the client's return value: " + capfStatus(e.RV)
			if e.Wait != "" {
				line += ", after " + strings.Replace(e.Wait, "..", " to ", 1)
			}
			out = append(out, line)
			break
		}
	}
	if e.Certificate != nil {
		out = append(out, fmt.Sprintf("a certificate that the phone can use: %s", yesNo[*e.Certificate]))
	}
	if e.Says != "" {
		out = append(out, fmt.Sprintf("the answer says %q", e.Says))
	}
	if e.Verifies != nil {
		out = append(out, fmt.Sprintf("the certificate fits the chain of /cacerts: %s", yesNo[*e.Verifies]))
	}
	if e.Issued != nil {
		out = append(out, fmt.Sprintf("certificates issued by the CA: %d", *e.Issued))
	}
	if e.Orphans != nil {
		out = append(out, fmt.Sprintf("certificates that nobody has collected: %d", *e.Orphans))
	}
	return out
}
