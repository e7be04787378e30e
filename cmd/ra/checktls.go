package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"ciscora/ra/check"
	"ciscora/ra/check/endpoint"
)

func (c *cli) checkTLSCommand() *cobra.Command {
	f := newOutsideFlags()
	var name, client string
	cmd := &cobra.Command{
		Use:   "tls HOST:PORT",
		Short: "Which TLS versions and ciphers a server takes, and with which certificates",
		Long: `tls asks a server, one connection each, for SSL 3.0 to TLS 1.3 and for every
cipher, also those that modern libraries no longer speak. It sends Client Hellos and
nothing else, some dozens of them, and finishes no handshake, but for one where
TLS 1.3 alone is taken, which encrypts the certificate.

Then it tells whether clients that are known get through, which are

` + endpoint.ClientsHelp() + `
One that does not is a warning; with --as it is a failure. Where RSA's ciphers and
ECDSA's come with different certificates, it tells both.`,
		Example: `  ra check tls 10.10.0.53:443
  ra check tls endpoint.example.com:443 --as tms
  ra check tls asa.example.com:443 --as 7962g --json`,
		Args: oneArg,
	}
	f.timeoutFlag(cmd)
	cmd.Flags().StringVar(&name, "name", "", "ask for this `name` (SNI) in place of HOST")
	cmd.Flags().StringVar(&client, "as", "", "the `client` that must get through: "+strings.Join(endpoint.ClientNames(), ", "))
	c.reporting(cmd, func(ctx context.Context, args []string, r *check.Report) error {
		outside, err := f.outside()
		if err != nil {
			return err
		}
		address, err := endpoint.Address(args[0], "")
		if err != nil {
			return usageError{err}
		}
		r.Target = address
		return ended(ctx, endpoint.TLS(ctx, endpoint.TLSOptions{Outside: outside, Address: address, Name: name, Client: client}, r))
	})
	return cmd
}
