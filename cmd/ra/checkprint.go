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
		report := check.Report{Findings: []check.Finding{}}
		if err := probe(ctx, args, &report); err != nil {
			return err
		}
		return c.show(report, *asJSON)
	})
}

// show prints a report; the error is that a finding fails.
func (c *cli) show(report check.Report, asJSON bool) error {
	if asJSON {
		if err := writeJSON(c.env.Stdout, report); err != nil {
			return err
		}
	} else {
		c.printReport(c.env.Stdout, report)
	}
	if report.Failed() {
		return quietError{errCheckFailed}
	}
	return nil
}

// printReport writes a line a finding, and under what is wrong its symptom, reason and fix.
func (c *cli) printReport(w io.Writer, r check.Report) {
	p, columns := newPaint(w, c.env.LookupEnv), width(w)
	counts := map[check.State]int{}
	for _, f := range r.Findings {
		counts[f.State]++
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
	fmt.Fprintf(w, "\n%s: %d ok, %d warn, %d FAIL, %d skip\n", r.Target,
		counts[check.OK], counts[check.Warn], counts[check.Fail], counts[check.Skip])
}
