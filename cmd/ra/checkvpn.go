package main

import (
	"context"

	"github.com/spf13/cobra"

	"ciscora/internal/printable"
	"ciscora/ra/check"
	"ciscora/ra/check/endpoint"
)

func (c *cli) checkVPNCommand() *cobra.Command {
	f := newOutsideFlags()
	var o endpoint.VPNOptions
	cmd := &cobra.Command{
		Use:   "vpn URL",
		Short: "Whether a VPN phone gets into its gateway: hash, host-ID, ciphers, redirects",
		Long: `vpn checks a VPN gateway (ASA) as a phone does: the hash of its certificate against
those in the phone's configuration, the URL's host against the certificate by the
phones' own rule, the ciphers of a 7962G, whether who offers curves is shown another
certificate, whether the URL is redirected to another host, and whether a page comes at
all. It sends Client Hellos and a few GETs, and no credentials.

The phone's configuration comes from TFTP: tftp -i CUCM get SEP8CB64F576113.cnf.xml`,
		Example: `  ra check vpn https://vpn.example.com/VPNPhone --phone-config SEP8CB64F576113.cnf.xml
  ra check vpn https://10.198.16.140/VPNPhone`,
		Args: oneArg,
	}
	f.timeoutFlag(cmd)
	f.daysFlag(cmd)
	cmd.Flags().StringVar(&o.PhoneConfig, "phone-config", "", "the phone's `file` from TFTP")
	c.reporting(cmd, func(ctx context.Context, args []string, r *check.Report) error {
		outside, err := f.outside()
		if err != nil {
			return err
		}
		o.Outside, o.URL, r.Target = outside, args[0], printable.Line(args[0], 0)
		return ended(ctx, endpoint.VPN(ctx, o, r))
	})
	return cmd
}
