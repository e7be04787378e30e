package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ciscora/ra/ledger"
)

// replicaRow is a replica as JSON.
type replicaRow struct {
	Number  int64             `json:"number"`
	Name    string            `json:"name"`
	Live    bool              `json:"live"`
	Version string            `json:"version,omitempty"`
	Offset  string            `json:"clock_offset,omitempty"` // of its clock from the database's
	Agree   map[string]string `json:"agree,omitempty"`
}

func (c *cli) ledgerReplicasCommand() *cobra.Command {
	var f ledgerFlags
	cmd := &cobra.Command{
		Use:   "replicas",
		Short: "List the RAs on this ledger, and what is not alike in them and must be",
		Long: `replicas lists the RAs on this ledger: version, and how far their clocks are from
the database's. What must be alike in all (the CA, templates, labels, policies, join)
they compare by fingerprints; what is not is told on standard error, and the exit
status is then 1.`,
		Example: `  ra ledger replicas --config ra.yaml
  ra ledger replicas --json | jq -r '.[] | select(.live) | .version'`,
		Args: cobra.NoArgs,
	}
	f.add(cmd, true)
	cmd.RunE = c.run(func(ctx context.Context, _ []string) error {
		l, err := c.openLedger(ctx, f)
		if err != nil {
			return err
		}
		defer l.Close()
		all, err := l.Replicas(ctx)
		if err != nil {
			return err
		}
		if err := c.printReplicas(all, f.asJSON); err != nil {
			return err
		}
		found := ledger.Disagreements(all)
		for _, d := range found {
			fmt.Fprintln(c.env.Stderr, foreign(d.Text))
		}
		if len(found) > 0 {
			return quietError{fmt.Errorf("%d disagreements", len(found))}
		}
		return nil
	})
	return cmd
}

func (c *cli) printReplicas(all []ledger.Replica, asJSON bool) error {
	offset := func(r ledger.Replica) string {
		if !r.Told {
			return ""
		}
		return r.Offset.Round(time.Millisecond).String()
	}
	if asJSON {
		out := make([]replicaRow, 0, len(all))
		for _, r := range all {
			out = append(out, replicaRow{r.Number, r.Name, r.Live, r.Version, offset(r), r.Agree})
		}
		return writeJSON(c.env.Stdout, out)
	}
	table := tabwriter.NewWriter(c.env.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "NUMBER\tNAME\tLIVE\tVERSION\tCLOCK")
	for _, r := range all {
		live := "no"
		if r.Live {
			live = "yes"
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\n", r.Number, foreign(r.Name), live, dash(foreign(r.Version)), dash(offset(r)))
	}
	return table.Flush()
}
