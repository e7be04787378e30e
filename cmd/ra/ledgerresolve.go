package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"ciscora/ra/ledger"
)

func (c *cli) ledgerResolveCommand() *cobra.Command {
	var f ledgerFlags
	var reqID int
	cmd := &cobra.Command{
		Use:   "resolve ROW --req-id N",
		Short: "Say under which ReqID the CA has the request of a row",
		Long: `resolve binds a row to a request of the CA by hand, where the RA could not: the
answer to its POST was lost, and what the CA shows fits more than one request, or
shows no key since it waits for a manager or was denied. ra ledger orphans names the
ReqIDs that may be it; the CA's own console (certsrv.msc) shows whose they are.

A running RA fetches the certificate within seconds, else the next one that starts.
It refuses one whose key or subject is not that of the row.

A row that has its certificate or a ReqID, a ReqID that another row has, and one
under which the RA saw a certificate of another key are refused, and so is a row that
the RA is at work on.`,
		Example: `  ra ledger orphans
  ra ledger resolve 12 --req-id 345`,
		Args: oneArg,
	}
	f.add(cmd, false)
	cmd.Flags().IntVar(&reqID, "req-id", 0, "the CA's `number` of the request")
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		id, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil {
			return usagef("%q is no row's number; see ra ledger orphans", args[0])
		}
		if reqID <= 0 {
			return usagef("--req-id is missing: the number that the CA gave the request")
		}
		dsn, err := c.ledgerDSN(f)
		if err != nil {
			return err
		}
		row, err := ledger.Resolve(ctx, dsn, id, reqID, ledger.Options{})
		if errors.Is(err, ledger.ErrNotFound) {
			return fmt.Errorf("the ledger has no row %d; see ra ledger orphans", id)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(c.env.Stdout, "row %d (%s) has ReqID %d now; the RA fetches its certificate next\n", row.ID, dash(foreign(row.Subject)), row.ReqID)
		return nil
	})
	return cmd
}
