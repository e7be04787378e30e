package explain

import (
	"fmt"
	"io"
	"strings"
)

// Print writes the report for people.
func (r *Report) Print(w io.Writer) error {
	p := &printer{w: w}
	for i, f := range r.Findings {
		if i > 0 {
			p.line("")
		}
		p.finding(f)
	}
	if len(r.Findings) == 0 && r.Readable() {
		if len(r.NotUnderstood) == 0 {
			p.line("Nothing wrong was found.")
		} else {
			p.line("No failure that is known was found, but there are lines that speak of an error.")
		}
	}
	if !r.Readable() {
		p.line("Nothing in the input is a log that ra explain knows.")
	}
	if len(r.NotUnderstood) > 0 {
		p.line("")
		p.line("Not understood:")
		for _, s := range r.NotUnderstood {
			p.line("  %s:%d: %s%s", s.File, s.Line, s.Text, timesOf(s.Count))
		}
		if r.NotListed > 0 {
			p.line("  and %d lines more", r.NotListed)
		}
	}
	if len(r.Secrets) > 0 {
		p.line("")
		p.line("Secrets stand in the input, and are not shown here. Take them out before you pass it on, and change them if you have:")
		for _, s := range r.Secrets {
			p.line("  %s:%d: %s%s", show(s.File), s.Line, s.What, timesOf(int64(s.Count)))
		}
	}
	p.line("")
	p.line("Read:")
	for _, l := range r.Read {
		when := ""
		if l.From != "" {
			when = fmt.Sprintf(", %s to %s", l.From, l.To)
		}
		good := ""
		if l.Good > 0 {
			good = fmt.Sprintf(", %d good", l.Good)
		}
		p.line("  %s: %d lines%s%s", l.Title, l.Records, good, when)
	}
	for _, f := range r.Files {
		note := ""
		if f.Error != "" {
			note = ": " + show(f.Error)
		}
		p.line("  %s, %d lines%s", show(f.Name), f.Lines, note)
	}
	return p.err
}

func timesOf(n int64) string {
	if n < 2 {
		return ""
	}
	return fmt.Sprintf(" (%d times)", n)
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err != nil {
		return
	}
	_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
}

func (p *printer) finding(f *Finding) {
	name := ""
	if f.Name != "" {
		name = " (" + f.Name + ")"
	}
	p.line("%s%s", f.Title, name)
	switch {
	case f.Count > 1 && f.First != "":
		p.line("  seen:     %d times, first %s, last %s", f.Count, f.First, f.Last)
	case f.Count > 1:
		p.line("  seen:     %d times", f.Count)
	}
	p.line("  how sure: %s: %s", f.Sure, f.Why)
	p.line("  evidence:")
	for _, e := range f.Evidence {
		p.line("    %s:%d: %s", e.File, e.Line, e.Text)
	}
	if f.Cause != "" {
		p.line("  why:      %s", oneLine(f.Cause))
		p.line("  mend it:  %s", oneLine(f.Fix))
	}
	if len(f.Variants) > 0 {
		p.line("  the same: %s", strings.Join(f.Variants, ", "))
	}
	if f.Play != "" {
		p.line("  play it:  %s", f.Play)
	}
	if len(f.Others) > 0 {
		p.line("  it could also be:")
		for _, o := range f.Others {
			note := ""
			if o.Lab {
				note = " (made by tests)"
			}
			p.line("    %s: %s%s", o.Name, o.Title, note)
		}
	}
	if len(f.Apart) > 0 {
		p.line("  what would tell:")
		before := ""
		for _, t := range f.Apart {
			if t.Where == "elsewhere" {
				p.line("    %s: %s", strings.Join(t.Names, ", "), oneLine(t.What))
				continue
			}
			if t.Where != before {
				p.line("    in the %s:", strings.TrimPrefix(t.Where, "the "))
				before = t.Where
			}
			p.line("      %s: %s", strings.Join(t.Names, ", "), t.What)
		}
	}
	if len(f.Story) > len(f.Evidence) {
		title := "the story"
		if f.Count > 1 {
			title += " of the first"
		}
		p.line("  %s:", title)
		for _, e := range f.Story {
			after := ""
			if e.After >= 1000 {
				after = fmt.Sprintf(" [+%.1f s]", float64(e.After)/1000)
			}
			p.line("    %-8s %s:%d%s: %s", e.Log, e.File, e.Line, after, e.Text)
		}
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
