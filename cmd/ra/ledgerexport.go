package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ciscora/config"
	"ciscora/internal/printable"
	"ciscora/ra/ledger"
)

func (c *cli) ledgerExportCommand() *cobra.Command {
	var f ledgerFlags
	var format string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write all rows, newest first, as CSV or JSON lines",
		Long: `export writes all rows, newest first, as CSV or as one JSON object a line.

A program for tables takes a CSV's cell for a formula that begins with =, +, -, @ or
their full-width forms, and in some countries ends a cell at a semicolon. Clients choose
names, so such a cell has a ' before it here, and a blank for a control character and for
a semicolon before one of these. --format json has the names as they are.`,
		Example: `  ra ledger export > ledger.csv
  ra ledger export --format json | jq 'select(.orphan)'`,
		Args: cobra.NoArgs,
	}
	f.add(cmd, false)
	cmd.Flags().StringVar(&format, "format", "csv", "csv or json (one object a line)")
	cmd.RunE = c.run(func(ctx context.Context, _ []string) error {
		if format != "csv" && format != "json" {
			return usagef("--format: %q is not known, %s", format, config.Suggest(format, []string{"csv", "json"}, "want one of"))
		}
		l, err := c.openLedger(ctx, f)
		if err != nil {
			return err
		}
		defer l.Close()
		if format == "json" {
			out := json.NewEncoder(printable.JSON(c.env.Stdout))
			for row, err := range allRows(ctx, l) {
				if err != nil {
					return err
				}
				if err := out.Encode(describeRow(row)); err != nil {
					return err
				}
			}
			return nil
		}
		return exportCSV(ctx, c.env.Stdout, l)
	})
	return cmd
}

func exportCSV(ctx context.Context, w io.Writer, l *ledger.Ledger) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{
		"id", "state", "orphan", "uncertain", "req_id", "hresult", "cn", "subject", "identity", "template", "label", "enrollment", "csr_sha256", "certificate_sha256",
		"received", "submitted", "issued", "delivered", "deliveries", "error", "candidates",
	}); err != nil {
		return err
	}
	for row, err := range allRows(ctx, l) {
		if err != nil {
			return err
		}
		d := describeRow(row)
		if err := out.Write([]string{
			strconv.FormatInt(d.ID, 10), d.State, strconv.FormatBool(d.Orphan), strconv.FormatBool(d.Uncertain), strconv.Itoa(d.ReqID), d.HRESULT,
			spreadsheet(d.CN), spreadsheet(d.Subject), spreadsheet(d.Identity), spreadsheet(d.Template), spreadsheet(d.Label), spreadsheet(d.Enrollment), d.CSR, d.Fingerprint,
			stamp(d.Received), stamp(d.Submitted), stamp(d.Issued), stamp(d.Delivered), strconv.Itoa(d.Deliveries), spreadsheet(d.Error),
			strings.Trim(fmt.Sprint(d.Candidates), "[]"),
		}); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// formula is what a formula begins with, and what may end a cell before it.
var formula = regexp.MustCompile(`^[=+\-@＝＋－＠]|;[;\s"']*[=+\-@＝＋－＠]`)

// spreadsheet keeps a name that a client chose from being a formula where the
// file is opened (OWASP, CSV Injection), or from steering the terminal that it is shown on.
func spreadsheet(s string) string {
	s = strings.TrimSpace(formula.ReplaceAllStringFunc(printable.Line(s, 0), func(found string) string {
		return strings.ReplaceAll(found, ";", " ")
	}))
	if formula.MatchString(s) {
		return "'" + s
	}
	return s
}

func stamp(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

// allRows pages through the ledger.
func allRows(ctx context.Context, l *ledger.Ledger) iter.Seq2[ledger.Row, error] {
	return func(yield func(ledger.Row, error) bool) {
		for before := int64(0); ; {
			rows, err := l.List(ctx, ledger.Filter{Before: before, Limit: 1000})
			if err != nil {
				yield(ledger.Row{}, err)
				return
			}
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
				before = row.ID
			}
			if len(rows) == 0 {
				return
			}
		}
	}
}
