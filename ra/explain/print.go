package explain

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Print writes the report for people, on lines as long as they are.
func (r *Report) Print(w io.Writer) error { return r.PrintWide(w, 0) }

// PrintWide writes the report for people, on lines of at most width columns where their
// words allow it; 0 = of any length.
func (r *Report) PrintWide(w io.Writer, width int) error {
	p := &printer{w: w, width: width}
	for i, f := range r.Findings {
		if i > 0 {
			p.line("")
		}
		p.finding(f)
	}
	if len(r.Findings) == 0 && r.Readable() {
		switch {
		case len(r.NotUnderstood) == 0 && r.Unfinished > 0:
			p.line("Nothing wrong was found, but what is not over where the log ends: see the note below.")
		case len(r.NotUnderstood) == 0:
			p.line("Nothing wrong was found.")
		default:
			p.line("No failure that is known was found, but there are lines that speak of an error. What they are of can be asked itself: `ra check ca` the CA, `ra check est` the EST server.")
		}
	}
	if !r.Readable() {
		p.line("Nothing in the input is a log that ra explain knows: ra explain --help says what it reads.")
	}
	if len(r.NotUnderstood) > 0 {
		p.line("")
		p.line("Not understood:")
		for _, s := range r.NotUnderstood {
			p.line("  %s:%d: %s%s", s.File, s.Line, s.Text, timesOf(s.Count))
			if len(s.Of) > 0 {
				p.line("    stands in logs of %s, with others that are not here: ra scenario show NAME", strings.Join(s.Of, ", "))
			}
		}
		if r.NotListed > 0 {
			p.line("  and %s more", counted(r.NotListed))
		}
	}
	if len(r.Secrets) > 0 {
		p.line("")
		p.line("Secrets stand in the input, and are not shown here. Take them out before you pass it on, and change them if you have:")
		for _, s := range r.Secrets {
			lines := strings.Trim(strings.Join(strings.Fields(fmt.Sprint(s.Lines)), ", "), "[]")
			more := ""
			if n := s.Count - len(s.Lines); n > 0 {
				more = fmt.Sprintf(", and in %s more", counted(int64(n)))
			}
			p.line("  %s:%s: %s%s", show(s.File), lines, s.What, more)
		}
	}
	if r.NotSought > 0 {
		p.line("")
		p.line("Not looked for secrets: %s more that name passwords or the like, too many to look for one in each; what is shown here was looked at.", counted(r.NotSought))
	}
	p.line("")
	p.line("Read:")
	for _, l := range r.Read {
		when := ""
		if l.From != "" {
			when = fmt.Sprintf(", %s to %s", l.From, l.To)
			if l.Zone != "" {
				when += ", " + l.Zone
			}
		}
		good := ""
		if l.Good > 0 {
			good = ", " + went(l.Log, l.Good)
		}
		p.line("  %s: %s%s%s", l.Title, l.counted(), good, when)
	}
	for _, f := range r.Files {
		note := ": no log that is known"
		if len(f.Logs) > 0 {
			note = ": " + titlesOf(f.Logs)
		}
		switch {
		case f.Lines == 0 && f.Error == "":
			note = ""
		case f.Error != "":
			note = ": " + show(f.Error)
		case f.Binary && !r.Readable():
			note = ": it looks like binary data"
		}
		what := counted(int64(f.Lines))
		if f.Lines == 0 && f.Error != "" {
			what = "nothing"
		}
		if f.Decoded {
			what += " of decoded text"
		}
		p.line("  %s, %s%s", show(f.Name), what, note)
	}
	for _, note := range r.Notes {
		p.line("  note: %s", note)
	}
	return p.err
}

// counted is how much was read of a log: IIS's has a head besides.
func (l LogRead) counted() string {
	switch {
	case l.Log != IIS:
		return counted(l.Records)
	case l.Records == 1:
		return "1 request"
	}
	return fmt.Sprintf("%d requests", l.Records)
}

// went is how often all went well in a log.
func went(log Log, n int64) string {
	what := "enrollment"
	if log == NGINX {
		what = "request"
	}
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d good %s", n, what)
}

func titlesOf(logs []Log) string {
	var titles []string
	for _, l := range logs {
		titles = append(titles, l.Title())
	}
	return strings.Join(titles, ", ")
}

// counted is a number of lines.
func counted(n int64) string {
	if n == 1 {
		return "1 line"
	}
	return fmt.Sprintf("%d lines", n)
}

func timesOf(n int64) string {
	if n < 2 {
		return ""
	}
	return fmt.Sprintf(" (%d times)", n)
}

type printer struct {
	w     io.Writer
	width int
	err   error
}

func (p *printer) line(format string, args ...any) {
	if p.err != nil {
		return
	}
	_, p.err = io.WriteString(p.w, folded(fmt.Sprintf(format, args...), p.width)+"\n")
}

// hanging is by how much what goes on stands to the right of what it goes on with.
const hanging = 4

// folded breaks a line at blanks. What goes on stands to the right of the line's
// beginning: behind the name of a field, where it has one.
func folded(line string, width int) string {
	if width <= 0 || utf8.RuneCountInString(line) <= width {
		return line
	}
	indent := len(line) - len(strings.TrimLeft(line, " "))
	if field := fieldName.FindString(line); field != "" {
		indent = len(field)
	} else {
		indent += hanging
	}
	if width-indent < 20 {
		return line // too narrow for anything
	}
	var out strings.Builder
	column, begun := 0, false
	for rest := line; rest != ""; {
		gap := len(rest) - len(strings.TrimLeft(rest, " "))
		end := strings.IndexByte(rest[gap:], ' ')
		if end < 0 {
			end = len(rest) - gap
		}
		word := rest[gap : gap+end]
		length := utf8.RuneCountInString(word)
		switch {
		case begun && column+gap+length > width:
			out.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		default:
			out.WriteString(rest[:gap])
			column += gap
		}
		out.WriteString(word)
		column += length
		begun = begun || word != ""
		rest = rest[gap+end:]
	}
	return out.String()
}

// fieldName is the name of a finding's field, with the blanks behind it.
var fieldName = regexp.MustCompile(`^  [a-z][a-z ]{2,7}: +`)

func (p *printer) finding(f *Finding) {
	name := ""
	if f.Name != "" {
		name = " (" + f.Name + ")"
	}
	p.line("%s%s", f.Headline, name)
	switch {
	case f.Count > 1 && f.First != "":
		p.line("  seen:     %d times, first %s, last %s", f.Count, f.First, f.Last)
	case f.Count > 1:
		p.line("  seen:     %d times", f.Count)
	case f.First != "":
		p.line("  seen:     once, %s", f.First)
	}
	if len(f.Who) > 0 {
		more := ""
		if f.MoreWho > 0 {
			more = fmt.Sprintf(" and %d more", f.MoreWho)
		}
		p.line("  who:      %s%s", strings.Join(f.Who, ", "), more)
	}
	p.line("  how sure: %s: %s", f.Sure, f.Why)
	p.line("  evidence:")
	for _, e := range f.Evidence {
		p.line("    %s:%d: %s", e.File, e.Line, e.Text)
	}
	if so := ""; f.Cause != "" {
		if f.Sure == Possible {
			so = "if it is " + f.Name + ": "
		}
		p.line("  why:      %s%s", so, oneLine(f.Cause))
	}
	if f.Fix != "" {
		label := "mend it: "
		if f.Sure == Unknown {
			label = "find out:"
		}
		so := ""
		if f.Sure == Possible {
			so = "if it is so: "
		}
		p.line("  %s %s%s", label, so, oneLine(f.Fix))
	}
	if len(f.Variants) > 0 {
		show := "ra scenario show " + f.Variants[0]
		for _, v := range f.Variants[1:] {
			show += ", or " + v
		}
		p.line("  see also: %s: the same failure in another form", show)
	}
	if f.Play != "" {
		p.line("  play it:  %s", f.Play)
	}
	if len(f.Others) > 0 {
		p.line("  it could also be:")
		for _, o := range f.Others {
			note := ""
			if o.Lab {
				note = " (seen in tests alone)"
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
			title += " of one"
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
