package scenario

import (
	"fmt"
	"strings"

	"ciscora/ra/explain"
)

// Markdown writes the page of all failures, docs/failures.md.
func Markdown(cards []Card) string {
	var b strings.Builder
	b.WriteString(`# Failures, as the logs show them

This page is written by ` + "`ra scenario list --markdown`" + ` from the cards; each failure can be played with
` + "`ra scenario run NAME`" + `, but for the notes, which tell of failures that nothing plays. In the lines, what stands in braces differs from run to run, and ` + "`...`" + ` stands for other lines.

| failure | from | what it is |
|---|---|---|
`)
	for _, c := range cards {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", c.Name, c.Name, c.origin(), c.Title)
	}
	for _, c := range cards {
		fmt.Fprintf(&b, "\n## %s\n\n%s. ", c.Name, c.Title)
		if c.Document != "" {
			fmt.Fprintf(&b, "%s%s.", documentPrefix[c.Kind], c.Document)
		} else {
			fmt.Fprintf(&b, "Source: %s.", strings.TrimSpace(c.Source))
		}
		if c.Kind == "note" {
			b.WriteString(" A note: nothing plays it.\n")
			c.writeTells(&b)
		} else {
			fmt.Fprintf(&b, " Profile %s.\n\n", c.Profile)
		}
		for _, s := range c.Steps {
			if s.Do == "fault" {
				fmt.Fprintf(&b, "- fault `%s`\n", s.Fault)
			} else {
				fmt.Fprintf(&b, "- %s\n", s.Do)
			}
		}
		for _, what := range c.outcome() {
			fmt.Fprintf(&b, "- %s\n", what)
		}
		for _, log := range logNames {
			if text := c.Expect.Logs.all()[log]; text != "" {
				fmt.Fprintf(&b, "\n%s:\n\n```\n%s```\n", logTitles[log], text)
			}
		}
		fmt.Fprintf(&b, "\n**Why:** %s\n\n**Mend it:** %s\n", strings.TrimSpace(c.Explanation), strings.TrimSpace(c.Fix))
	}
	return b.String()
}

// documentPrefix names the document of the cards; notes name theirs.
var documentPrefix = map[string]string{"": "Cisco's document: "}

// writeTells writes the lines by which ra explain knows a note's failure.
func (c Card) writeTells(b *strings.Builder) {
	for _, name := range explain.LogNames() {
		if t := c.told(name); len(t.Has) > 0 {
			fmt.Fprintf(b, "\n%s:\n\n```\n%s\n```\n", explain.Log(name).Title(), strings.Join(t.Has, "\n"))
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
func (c Card) outcome() []string {
	var out []string
	e := c.Expect
	for _, s := range c.Steps {
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
