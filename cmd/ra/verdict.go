package main

import (
	"cmp"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"ciscora/internal/printable"
	"ciscora/ra/scenario"
)

// verdicts tells how scenarios went.
type verdicts struct {
	w     io.Writer
	width int // of a terminal's line, in columns; 0 = lines may be of any length
	paint paint
	idle  *idle // nil = nothing is drawn
}

func (v verdicts) begin(card scenario.Card) {
	fmt.Fprintf(v.w, "%s: %s\n\n", card.Name, card.Title)
	if len(card.Mended.Steps) > 0 {
		fmt.Fprint(v.w, "== the failure ==\n\n")
	}
}

// mend stands between the failure and its fix.
func (v verdicts) mend(card scenario.Card) {
	v.idle.touch()
	fmt.Fprintf(v.w, "\n== that was the failure; now it is mended: %s ==\n\n", mendedBy(card))
}

// mendedBy is what a card's second part has otherwise: what was done, and not what its
// reader is told to do.
func mendedBy(card scenario.Card) string {
	var did []string
	for _, s := range card.Steps {
		if s.Do == "fault" {
			did = append(did, "the fault "+s.Fault+" is taken back")
		}
	}
	was, is := card.Lab, card.Mended.Lab
	changed := func(name string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			did = append(did, fmt.Sprintf("%s is %s", name, strings.Trim(fmt.Sprint(b), "[]")))
		}
	}
	changed("the CA's URL", was.CAURL, is.CAURL)
	changed("the CA's name", was.CANames, is.CANames)
	changed("the template", cmp.Or(was.Template, "the lab's"), cmp.Or(is.Template, "the lab's"))
	changed("what the account may enroll for", was.Enroll, is.Enroll)
	changed("the smallest key", was.MinKeySize, is.MinKeySize)
	changed("est.patience in seconds", was.Patience, is.Patience)
	changed("the phone's key", was.Key, is.Key)
	if was.Password != is.Password {
		did = append(did, "the password is the right one")
	}
	if len(did) == 0 {
		return "what it takes is done"
	}
	return strings.Join(did, ", ")
}

// line is one of a log's, as it comes.
func (v verdicts) line(log, line string) {
	v.idle.touch()
	fmt.Fprintf(v.w, "%-7s | %s\n", log, line)
}

// row is one line on a scenario, of many.
func (v verdicts) row(r scenario.Result) {
	row := fmt.Sprintf("%-10s  %-27s  %6s  %s", verdictOf(r), r.Name, seconds(r.Took), r.Card.Title)
	if v.width > 0 {
		row = printable.Shorten(row, v.width)
	}
	v.idle.touch()
	if r.Passed {
		fmt.Fprintln(v.w, v.paint.good(row[:2])+row[2:])
		return
	}
	fmt.Fprintln(v.w, v.paint.bad(row))
}

// verdictOf is a scenario's in a word or two.
func verdictOf(r scenario.Result) string {
	switch {
	case r.Error != "":
		return "NOT PLAYED"
	case !r.Passed:
		return fmt.Sprintf("%d DIFFER", r.Differs)
	}
	return "ok"
}

func seconds(d time.Duration) string { return d.Round(time.Second / 10).String() }

// end sums up a run of many.
func (v verdicts) end(results []*scenario.Result, played, passed int, stopped bool, took time.Duration, all bool) {
	for _, r := range results {
		if r != nil && (all || !r.Passed) {
			fmt.Fprintf(v.w, "\n%s: ", r.Name)
			v.full(*r, all)
		}
	}
	switch {
	case stopped:
		fmt.Fprintf(v.w, "\nstopped: %d of %d played, %d as their cards say, in %s\n", played, len(results), passed, seconds(took))
	default:
		fmt.Fprintf(v.w, "\n%d of %d as their cards say, in %s\n", passed, len(results), seconds(took))
	}
}

// full tells how a scenario went, why it is as it is, what to do, and what differs
// from its card; all tells of what does not, too.
func (v verdicts) full(r scenario.Result, all bool) {
	v.idle.touch()
	switch {
	case r.Error != "":
		fmt.Fprintf(v.w, "\n%s: %s\n", v.paint.bad("NOT PLAYED"), r.Error)
	case r.Passed:
		fmt.Fprintf(v.w, "\n%s: %d checks, in %s\n", v.paint.good("as the card says"), len(r.Checks), seconds(r.Took))
	default:
		fmt.Fprintf(v.w, "\n%s: %d of %d checks differ, in %s\n", v.paint.bad("NOT AS THE CARD SAYS"), r.Differs, len(r.Checks), seconds(r.Took))
	}
	if r.Card.Explanation != "" || r.Card.Fix != "" { // a card of one's own may say neither
		fmt.Fprintf(v.w, "\nwhy:      %s\nmend it:  %s\n", v.folded(r.Card.Explanation), v.folded(r.Card.Fix))
	}
	told := false
	for _, check := range r.Checks {
		if check.OK && !all {
			continue
		}
		if !told {
			fmt.Fprintln(v.w)
			told = true
		}
		mark := v.paint.good("ok     ")
		if !check.OK {
			mark = v.paint.bad("DIFFERS")
		}
		fmt.Fprintf(v.w, "  %s  %s\n    expected  %s\n    seen      %s\n", mark, check.What, cmp.Or(check.Expected, "(no such line)"), cmp.Or(check.Seen, "(no such line)"))
	}
}

func (v verdicts) folded(text string) string { return folded(text, "          ", v.width) }
