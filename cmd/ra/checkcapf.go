package main

import (
	"context"

	"github.com/spf13/cobra"

	"ciscora/ra/check"
	"ciscora/ra/check/endpoint"
)

func (c *cli) checkCAPFCommand() *cobra.Command {
	f := newOutsideFlags()
	cmd := &cobra.Command{
		Use:   "capf HOST[:3804]",
		Short: "Whether CAPF answers as a TSP or a phone wants it",
		Long: `capf checks CAPF's port on the publisher: that it is open, takes AES128-SHA, and shows
CAPF's certificate, which has not expired. It logs in to nothing: instance id and
authorization string cannot be seen from outside, and it says so.`,
		Example: `  ra check capf cucm-pub.example.com
  ra check capf 10.106.97.137:3804 --json`,
		Args: oneArg,
	}
	f.timeoutFlag(cmd)
	f.daysFlag(cmd)
	c.reporting(cmd, func(ctx context.Context, args []string, r *check.Report) error {
		outside, err := f.outside()
		if err != nil {
			return err
		}
		if r.Target, err = endpoint.Address(args[0], endpoint.CAPFPort); err != nil {
			return usageError{err}
		}
		endpoint.CAPF(ctx, endpoint.CAPFOptions{Outside: outside, Address: r.Target}, r)
		return ended(ctx, nil)
	})
	return cmd
}
