package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ciscora/config"
	"ciscora/internal/printable"
	"ciscora/ra/ledger"
)

// ledgerFlags say which ledger is meant.
type ledgerFlags struct {
	config, dsn string
	asJSON      bool
}

func (c *cli) ledgerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Show what was asked of the CA, what it issued and what reached its client",
		Long: `ledger reads the RA's ledger, also while the RA runs. Nothing is changed, but by
resolve.

An orphan is a certificate that the CA has issued, or may have issued, and that
nobody has collected.`,
		Example: `  ra ledger list --config lab/ra.yaml
  ra ledger list --cn SEP001122334455 --json
  ra ledger orphans
  ra ledger export --format csv > ledger.csv`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.ledgerListCommand(), c.ledgerShowCommand(), c.ledgerOrphansCommand(), c.ledgerExportCommand(), c.ledgerResolveCommand(), c.ledgerReplicasCommand())
	return cmd
}

func (f *ledgerFlags) add(cmd *cobra.Command, withJSON bool) {
	cmd.Flags().StringVar(&f.config, "config", "ra.yaml", "the RA's configuration `file`, whose ledger.dsn is read")
	cmd.Flags().StringVar(&f.dsn, "dsn", "", "sqlite:FILE or postgres://..., instead of a configuration; a password belongs into PGPASSFILE")
	if withJSON {
		cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
	}
}

func (c *cli) ledgerDSN(f ledgerFlags) (string, error) {
	if f.dsn != "" {
		return f.dsn, nil
	}
	cfg, err := c.loadRA(f.config)
	if err != nil {
		return "", configError(err)
	}
	return cfg.Ledger.DSN, nil
}

func (c *cli) openLedger(ctx context.Context, f ledgerFlags) (*ledger.Ledger, error) {
	dsn, err := c.ledgerDSN(f)
	if err != nil {
		return nil, err
	}
	l, err := ledger.OpenReadOnly(ctx, dsn, ledger.Options{})
	if err != nil {
		return nil, err
	}
	if err := l.Ready(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (c *cli) ledgerListCommand() *cobra.Command {
	var f ledgerFlags
	var filter ledger.Filter
	var state, since, until string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List requests, newest first",
		Example: `  ra ledger list
  ra ledger list --state pending --template Supervised
  ra ledger list --since 24h --identity 'relay:lab\ciscora' --limit 1000`,
		Args: cobra.NoArgs,
	}
	f.add(cmd, true)
	flags := cmd.Flags()
	flags.StringVar(&state, "state", "", "only those in this `state`: "+stateNames())
	flags.StringVar(&filter.CN, "cn", "", "only this common `name`")
	flags.StringVar(&filter.Identity, "identity", "", `only those of this account, as the list shows it: relay:lab\ciscora`)
	flags.StringVar(&filter.Label, "label", "", "only those under this `label`")
	flags.StringVar(&filter.Template, "template", "", "only those for this `template`")
	flags.IntVar(&filter.ReqID, "req-id", 0, "only the one with this `number` of the CA's")
	flags.StringVar(&since, "since", "", "only those since this `time` (RFC 3339), or since so long ago (24h)")
	flags.StringVar(&until, "until", "", "only those before this `time`, or so long ago")
	flags.BoolVar(&filter.Uncertain, "uncertain", false, "only those whose POST ended without an answer")
	flags.Int64Var(&filter.Before, "before", 0, "only rows with a smaller `id`: the next page")
	flags.IntVar(&filter.Limit, "limit", 100, "at most so many `rows`, up to 1000")
	cmd.RunE = c.run(func(ctx context.Context, _ []string) error {
		var err error
		if filter.State, err = parseState(state); err != nil {
			return err
		}
		if filter.Since, err = parseTime("--since", since); err != nil {
			return err
		}
		if filter.Until, err = parseTime("--until", until); err != nil {
			return err
		}
		return c.printRows(ctx, f, filter)
	})
	return cmd
}

func (c *cli) ledgerOrphansCommand() *cobra.Command {
	var f ledgerFlags
	cmd := &cobra.Command{
		Use:   "orphans",
		Short: "List certificates that the CA has, or may have, issued and nobody collected",
		Example: `  ra ledger orphans
  ra ledger orphans --json | jq -r '.[].req_id'`,
		Args: cobra.NoArgs,
	}
	f.add(cmd, true)
	cmd.RunE = c.run(func(ctx context.Context, _ []string) error {
		return c.printRows(ctx, f, ledger.Filter{Orphans: true, Limit: 1000})
	})
	return cmd
}

func (c *cli) printRows(ctx context.Context, f ledgerFlags, filter ledger.Filter) error {
	l, err := c.openLedger(ctx, f)
	if err != nil {
		return err
	}
	defer l.Close()
	rows, err := l.List(ctx, filter)
	if err != nil {
		return err
	}
	if f.asJSON {
		out := make([]ledgerRow, 0, len(rows))
		for _, row := range rows {
			out = append(out, describeRow(row))
		}
		return writeJSON(c.env.Stdout, out)
	}
	if len(rows) == 0 {
		fmt.Fprintln(c.env.Stderr, "no such row")
		return nil
	}
	return writeRows(c.env.Stdout, rows)
}

func writeRows(w io.Writer, rows []ledger.Row) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tRECEIVED\tSTATE\tREQID\tCN\tIDENTITY\tTEMPLATE\tLABEL\tDELIVERIES\tNOTE")
	for _, row := range rows {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", row.ID, row.Received.Local().Format(time.DateTime), row.State, reqID(row),
			dash(inTable(row.CN)), inTable(row.Identity), inTable(row.Template), dash(inTable(row.Label)), row.Deliveries, dash(note(row, true)))
	}
	return table.Flush()
}

func reqID(row ledger.Row) string {
	if row.ReqID == 0 {
		return "-"
	}
	return strconv.Itoa(row.ReqID)
}

// foreign is text that came from outside as a terminal may have it: its escape sequences
// would do there what they say, and a line break would begin a row that is none.
func foreign(s string) string { return printable.Line(s, 0) }

// inTable is what came from outside in a column that has all rows' width: one client's
// long name must not make a table that nobody can read. ra ledger show has it whole.
func inTable(s string) string { return printable.Line(s, 64) }

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// note says in a word or two what is special about a row, and of its error, where that
// is wanted, the beginning.
func note(row ledger.Row, withError bool) string {
	var notes []string
	switch {
	case row.ByHand():
		notes = append(notes, "bound by hand, not collected yet")
	case row.Uncertain:
		notes = append(notes, "possible orphan")
	case row.State == ledger.StateIssued, row.ReqID != 0 && row.Orphan():
		notes = append(notes, "not collected")
	}
	if len(row.Candidates) > 0 && !row.ByHand() {
		notes = append(notes, "maybe ReqID "+numbers(row.Candidates))
	}
	if row.Error != "" && withError {
		notes = append(notes, printable.Line(row.Error, 60))
	}
	return strings.Join(notes, ": ")
}

// maxNumbers is how many ReqIDs a line of a table has room for.
const maxNumbers = 5

// numbers lists ReqIDs: 7, 9 or 12.
func numbers(all []int) string {
	var text []string
	for i, n := range all {
		if i == maxNumbers {
			text = append(text, fmt.Sprintf("%d more", len(all)-i))
			break
		}
		text = append(text, strconv.Itoa(n))
	}
	if last := len(text) - 1; last > 0 {
		return strings.Join(text[:last], ", ") + " or " + text[last]
	}
	return strings.Join(text, "")
}

func (c *cli) ledgerShowCommand() *cobra.Command {
	var f ledgerFlags
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show all of one request: each leg, each time, the certificate",
		Example: `  ra ledger show 12
  ra ledger show 12 --json`,
		Args: oneArg,
	}
	f.add(cmd, true)
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		id, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil {
			return usagef("%q is no row's number; see ra ledger list", args[0])
		}
		l, err := c.openLedger(ctx, f)
		if err != nil {
			return err
		}
		defer l.Close()
		row, err := l.Get(ctx, id)
		if errors.Is(err, ledger.ErrNotFound) {
			return fmt.Errorf("the ledger has no row %d; see ra ledger list", id)
		}
		if err != nil {
			return err
		}
		if f.asJSON {
			return writeJSON(c.env.Stdout, describeRow(row))
		}
		return printRow(c.env.Stdout, row)
	})
	return cmd
}

func printRow(w io.Writer, row ledger.Row) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(table, "%s\t%s\n", foreign(name), foreign(value))
		}
	}
	at := func(name string, t time.Time) {
		if !t.IsZero() {
			line(name, t.Local().Format("2006-01-02 15:04:05.000"))
		}
	}
	line("row", strconv.FormatInt(row.ID, 10))
	line("state", string(row.State))
	line("note", note(row, false)) // the error has a line of its own
	line("subject", row.Subject)
	line("identity", row.Identity)
	line("template", row.Template)
	line("label", row.Label)
	line("ReqID", strings.TrimPrefix(reqID(row), "-"))
	if row.HRESULT != 0 {
		line("HRESULT", fmt.Sprintf("0x%08x", row.HRESULT))
	}
	if row.Floor != 0 {
		line("sought above", "ReqID "+strconv.Itoa(row.Floor)+", the highest that was known when the request went out")
	}
	line("candidates", strings.Trim(fmt.Sprint(row.Candidates), "[]"))
	line("error", row.Error)
	line("enrollment", row.Enrollment)
	line("CSR", "sha256:"+hex.EncodeToString(row.CSR[:]))
	at("received", row.Received)
	at("submitted", row.Submitted)
	at("lost", row.Lost)
	at("issued", row.Issued)
	at("delivered", row.Delivered)
	line("deliveries", strconv.Itoa(row.Deliveries))
	line("polls", strconv.Itoa(row.Polls))
	at("next poll", row.NextPoll)
	line("replica", row.Replica)
	if row.Held {
		line("held", "it is at work on this row")
	}
	for _, leg := range row.Legs {
		line("leg "+leg.Name, strings.TrimSpace(fmt.Sprintf("%s  %s  %s", leg.Start.Local().Format("15:04:05.000"), leg.Took.Round(time.Millisecond/10), leg.Error)))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(row.Certificate) > 0 {
		return pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: row.Certificate})
	}
	return nil
}

// ledgerRow is a row as JSON.
type ledgerRow struct {
	ID          int64        `json:"id"`
	State       string       `json:"state"`
	Orphan      bool         `json:"orphan"`
	Uncertain   bool         `json:"uncertain"`
	ReqID       int          `json:"req_id,omitempty"`
	Floor       int          `json:"floor,omitempty"`
	Candidates  []int        `json:"candidates,omitempty"`
	HRESULT     string       `json:"hresult,omitempty"`
	CN          string       `json:"cn"`
	Subject     string       `json:"subject"`
	Identity    string       `json:"identity"`
	Template    string       `json:"template"`
	Label       string       `json:"label,omitempty"`
	Renewal     bool         `json:"renewal"`
	Enrollment  string       `json:"enrollment,omitempty"`
	CSR         string       `json:"csr_sha256"`
	Fingerprint string       `json:"certificate_sha256,omitempty"`
	Certificate string       `json:"certificate,omitempty"` // PEM
	Error       string       `json:"error,omitempty"`
	Received    *time.Time   `json:"received"`
	Submitted   *time.Time   `json:"submitted,omitempty"`
	Lost        *time.Time   `json:"lost,omitempty"`
	Issued      *time.Time   `json:"issued,omitempty"`
	Delivered   *time.Time   `json:"delivered,omitempty"`
	NextPoll    *time.Time   `json:"next_poll,omitempty"`
	Deliveries  int          `json:"deliveries"`
	Polls       int          `json:"polls"`
	Replica     string       `json:"replica"`
	Held        bool         `json:"held,omitempty"`
	Legs        []ledger.Leg `json:"legs"`
}

func describeRow(row ledger.Row) ledgerRow {
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	d := ledgerRow{
		ID: row.ID, State: string(row.State), Orphan: row.Orphan(), Uncertain: row.Uncertain, ReqID: row.ReqID,
		Floor: row.Floor, Candidates: row.Candidates, Lost: at(row.Lost), Held: row.Held,
		CN: row.CN, Subject: row.Subject, Identity: row.Identity, Template: row.Template, Label: row.Label, Renewal: row.Renewal,
		Enrollment: row.Enrollment, CSR: hex.EncodeToString(row.CSR[:]), Error: row.Error,
		Received: at(row.Received), Submitted: at(row.Submitted), Issued: at(row.Issued), Delivered: at(row.Delivered), NextPoll: at(row.NextPoll),
		Deliveries: row.Deliveries, Polls: row.Polls, Replica: row.Replica, Legs: row.Legs,
	}
	if row.HRESULT != 0 {
		d.HRESULT = fmt.Sprintf("0x%08x", row.HRESULT)
	}
	if len(row.Certificate) > 0 {
		sum := sha256.Sum256(row.Certificate)
		d.Fingerprint = hex.EncodeToString(sum[:])
		d.Certificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: row.Certificate}))
	}
	return d
}

func writeJSON(w io.Writer, v any) error {
	out := json.NewEncoder(printable.JSON(w))
	out.SetIndent("", "  ")
	return out.Encode(v)
}

func stateNames() string {
	names := make([]string, 0, len(ledger.States()))
	for _, s := range ledger.States() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

func parseState(text string) (ledger.State, error) {
	if text == "" {
		return "", nil
	}
	var names []string
	for _, s := range ledger.States() {
		if string(s) == text {
			return s, nil
		}
		names = append(names, string(s))
	}
	return "", usagef("--state: %q is not known, %s", text, config.Suggest(text, names, "want one of"))
}

// parseTime reads a moment, or how long ago it was.
func parseTime(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return time.Now().Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef("%s: %q is no time, write 2026-11-20T12:00:00Z, 2026-11-20 or 24h", flag, text)
}
