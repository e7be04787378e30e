package main

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/spf13/cobra"

	"ciscora/ra/check/endpoint"
)

// outsideFlags are those of each check of an endpoint: how long a connection may take,
// and how long before its end a certificate is warned of.
type outsideFlags struct {
	timeout time.Duration
	days    int
	asked   func() bool // for days
}

func newOutsideFlags() outsideFlags { return outsideFlags{timeout: 5 * time.Second} }

func (f *outsideFlags) timeoutFlag(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.timeout, "timeout", f.timeout, "how long one connection may take")
}

func (f *outsideFlags) daysFlag(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.days, "warn-days", 30, "warn so many `days` before a certificate expires; without it, of one that lasts no longer than that, in its last third")
	f.asked = func() bool { return cmd.Flags().Changed("warn-days") }
}

// outside is the network, or a usage error.
func (f *outsideFlags) outside() (endpoint.Outside, error) {
	if f.timeout <= 0 {
		return endpoint.Outside{}, usagef("--timeout %s: want more than nothing, such as 5s", f.timeout)
	}
	if f.days < 0 {
		return endpoint.Outside{}, usagef("--warn-days %d: want 0 or more", f.days)
	}
	return endpoint.Outside{
		Dial: (&net.Dialer{}).DialContext, Timeout: f.timeout, Now: time.Now, Soon: time.Duration(f.days) * 24 * time.Hour,
		Exactly: f.asked != nil && f.asked(),
	}, nil
}

// ended tells how a check of an endpoint ended: what it could not begin with is a
// mistake of the command line, and who was stopped has no verdict.
func ended(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return errors.New("stopped before it was done")
	case err != nil:
		return usageError{err}
	}
	return nil
}
