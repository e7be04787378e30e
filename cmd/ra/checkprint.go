package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"ciscora/ra/check"
)

// errCheckFailed ends a check with exit status 1; the report has said why.
var errCheckFailed = errors.New("a check failed")

// reporting runs a check that fills a report, prints it, and fails where a finding does.
// It defines --json.
func (c *cli) reporting(cmd *cobra.Command, probe func(ctx context.Context, args []string, r *check.Report) error) {
	asJSON := cmd.Flags().Bool("json", false, "print the report as JSON")
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		return c.report(ctx, *asJSON, func(r *check.Report) error { return probe(ctx, args, r) })
	})
}

// report prints what a check finds, as it comes or, as JSON, in the end. The error is
// the check's own, or that a finding fails, or that it was interrupted.
func (c *cli) report(ctx context.Context, asJSON bool, probe func(*check.Report) error) error {
	report := check.Report{Findings: []check.Finding{}, Interrupted: func() bool { return ctx.Err() != nil }}
	lines := findingLines{print: func(f check.Finding) { c.printFinding(c.env.Stdout, f) }}
	if !asJSON {
		report.Added = lines.add
	}
	err := probe(&report)
	lines.flush()
	switch {
	case err != nil:
		return err
	case asJSON:
		if err := writeJSON(c.env.Stdout, report); err != nil {
			return err
		}
	default:
		printCounts(c.env.Stdout, report)
	}
	switch {
	case report.Interrupted != nil && report.Interrupted():
		return errors.New("interrupted: what is skipped for it was not looked at")
	case report.Failed():
		return quietError{errCheckFailed}
	}
	return nil
}

// findingLines prints findings as they come. Skips of one reason that follow each other
// share a line: what could not be looked at is not what is read first.
type findingLines struct {
	print  func(check.Finding)
	skip   check.Finding // the first of them
	others []string      // the names of the others
}

func (l *findingLines) add(f check.Finding) {
	switch {
	case f.State == check.Skip && f.Seen == l.skip.Seen:
		l.others = append(l.others, f.Name)
	case f.State == check.Skip:
		l.flush()
		l.skip = f
	default:
		l.flush()
		l.print(f)
	}
}

// flush prints the skips that are kept.
func (l *findingLines) flush() {
	if l.skip.Seen == "" {
		return
	}
	if len(l.others) > 0 {
		l.skip.Seen += "; likewise " + strings.Join(l.others, ", ")
	}
	l.print(l.skip)
	*l = findingLines{print: l.print}
}

// printFinding writes a line, and under what is wrong its symptom, reason and fix.
func (c *cli) printFinding(w io.Writer, f check.Finding) {
	p, columns := newPaint(w, c.env.LookupEnv), width(w)
	mark := fmt.Sprintf("%-4s", f.State)
	switch f.State {
	case check.Fail:
		mark = p.bad(mark)
	case check.OK:
		mark = p.good(mark)
	}
	fmt.Fprintf(w, "%s  %-22s %s\n", mark, f.Name, folded(f.Seen, strings.Repeat(" ", 29), columns))
	for _, part := range []struct{ name, text string }{{"seen as", f.Symptom}, {"because", f.Reason}, {"fix", f.Fix}} {
		if part.text != "" {
			fmt.Fprintf(w, "      %-8s %s\n", part.name, folded(part.text, strings.Repeat(" ", 15), columns))
		}
	}
}

// printCounts is the last line of a report.
func printCounts(w io.Writer, r check.Report) {
	counts := map[check.State]int{}
	for _, f := range r.Findings {
		counts[f.State]++
	}
	fmt.Fprintf(w, "\n%s: %d ok, %d warn, %d FAIL, %d skip\n", r.Target,
		counts[check.OK], counts[check.Warn], counts[check.Fail], counts[check.Skip])
}
