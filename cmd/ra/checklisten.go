package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ciscora/ra/check"
	"ciscora/ra/check/endpoint"
)

func (c *cli) checkListenCommand() *cobra.Command {
	f := newOutsideFlags()
	var lasts time.Duration
	var most int
	cmd := &cobra.Command{
		Use:   "listen ADDR",
		Short: "Who connects, with which TLS versions and ciphers",
		Long: `listen waits at an address for TLS clients, reads their Client Hellos and closes the
connections without an answer: what a client offers shows there, whatever the server
would have made of it. Each client is told at once on standard error, and all of them
in the report, the same one once with how often it came. Ctrl-C, --for or --count ends
it.

Let the client that is asked about connect to this machine in place of the server.`,
		Example: `  ra check listen :8443
  ra check listen 0.0.0.0:443 --for 10m
  ra check listen 127.0.0.1:8443 --count 1 --json`,
		Args: oneArg,
	}
	f.timeoutFlag(cmd)
	cmd.Flags().DurationVar(&lasts, "for", 0, "end after this `time` (default: at Ctrl-C)")
	cmd.Flags().IntVar(&most, "count", 0, "end after so many connections (default: any number)")
	c.reporting(cmd, func(ctx context.Context, args []string, r *check.Report) error {
		outside, err := f.outside()
		if err != nil {
			return err
		}
		for name, positive := range map[string]bool{"for": lasts > 0, "count": most > 0} {
			if cmd.Flags().Changed(name) && !positive {
				return usagef("--%s is to be more than 0; without it Ctrl-C ends it", name)
			}
		}
		if _, _, err := net.SplitHostPort(args[0]); err != nil {
			return usagef("%q: want ADDRESS:PORT, such as :8443 for all addresses", args[0])
		}
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", args[0])
		if err != nil {
			return usagef("listen at %s: %w", args[0], err)
		}
		if lasts > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, lasts)
			defer cancel()
		}
		r.Target = listener.Addr().String()
		r.Interrupted = nil // Ctrl-C is how it ends
		fmt.Fprintf(c.env.Stderr, "waiting for clients at %s\n", r.Target)
		return endpoint.Listen(ctx, endpoint.ListenOptions{
			Listener: listener, Timeout: outside.Timeout, Most: most,
			Heard: func(f check.Finding) {
				who, _, _ := strings.Cut(f.Seen, "; ") // the report has it whole
				fmt.Fprintf(c.env.Stderr, "%-4s  %s\n", f.State, who)
			},
		}, r)
	})
	return cmd
}
