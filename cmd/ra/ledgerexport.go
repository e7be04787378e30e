package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ciscora/config"
	"ciscora/ra/ledger"
)

func (c *cli) ledgerExportCommand() *cobra.Command {
	var f ledgerFlags
	var format string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write all rows, newest first, as CSV or JSON lines",
		Long: `export writes all rows, newest first, as CSV or as one JSON object a line.

A program for tables takes a CSV's cell for a formula that begins with =, +, -, @, a
tab or a line break. Clients choose names, so such a cell has a ' before it here: take
one away from each cell that begins with ' and one of these, or take --format json,
which has the names as they are.`,
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
			out := json.NewEncoder(c.env.Stdout)
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

// spreadsheet keeps a name that a client chose from being a formula where the
// file is opened (OWASP, CSV Injection).
func spreadsheet(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n", rune(s[0])) {
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
