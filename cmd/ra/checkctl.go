package main

import (
	"context"

	"github.com/spf13/cobra"

	"ciscora/internal/printable"
	"ciscora/ra/check"
	"ciscora/ra/check/endpoint"
)

func (c *cli) checkCTLCommand() *cobra.Command {
	f := newOutsideFlags()
	cmd := &cobra.Command{
		Use:   "ctl DIR",
		Short: "Whether a TSP has fetched a cluster's certificates: ITLRECOVERY, CallManager, CAPF",
		Long: `ctl reads the files of the folder into which a TSP has put what it fetched (417b2018.0
and the like, also CTL and ITL files as they come from TFTP), and tells which of the
cluster's three kinds of certificates are there, which has expired, and whether the
TSP's own certificate is.`,
		Example: `  ra check ctl 'C:\ProgramData\Cisco\certificates\ciscotsp001'
  ra check ctl ./ciscotsp001 --json`,
		Args: oneArg,
	}
	f.daysFlag(cmd)
	c.reporting(cmd, func(ctx context.Context, args []string, r *check.Report) error {
		outside, err := f.outside()
		if err != nil {
			return err
		}
		r.Target = printable.Line(args[0], 0)
		return ended(ctx, endpoint.CTL(endpoint.CTLOptions{Outside: outside, Dir: args[0]}, r))
	})
	return cmd
}
