package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"ciscora/internal/printable"
	"ciscora/ra/check"
	"ciscora/ra/check/endpoint"
)

func (c *cli) checkCertificateCommand() *cobra.Command {
	f := newOutsideFlags()
	var o endpoint.CertificateOptions
	cmd := &cobra.Command{
		Use:   "certificate FILE|HOST:PORT...",
		Short: "What a certificate file is, and whether its chain, names and dates fit",
		Long: `certificate tells what each file is by what is in it (PEM, DER, PKCS#7, PFX, a CSR, a
key, a trust list, a page of HTML, ...) and gives the command that makes PEM of it.
Then, for a certificate: the issuers that are missing in --trust, those that are only
there because the server sends them, the names that a peer, Jabber (--domain) or a VPN
phone (--url) looks for, whether it is a phone's LSC or MIC, and its dates. Where an
argument is no file but HOST:PORT, the chain is fetched from that server.`,
		Example: `  ra check certificate expressway-e.cer
  ra check certificate expe.pem --trust trusted-cas.pem --name expe.example.com --domain example.com
  ra check certificate expc.example.com:7001 --trust trusted-cas.pem
  ra check certificate expc.pem --tomcat-trust tomcat.pem --callmanager-trust callmanager.pem
  ra check certificate asa.pem asa-new.pem --url https://vpn.example.com/VPNPhone`,
		Args: someArgs,
	}
	f.timeoutFlag(cmd)
	f.daysFlag(cmd)
	flags := cmd.Flags()
	flags.StringArrayVar(&o.Trust, "trust", nil, "a `file` of the trust store, such as Expressway's trusted CA list (repeatable)")
	flags.StringArrayVar(&o.Names, "name", nil, "a `name` that must be in it: peer address, TLS verify name (repeatable)")
	flags.StringVar(&o.Domain, "domain", "", "the `domain` of Jabber's users")
	flags.StringVar(&o.URL, "url", "", "the `URL` by which VPN phones reach it")
	flags.StringArrayVar(&o.TomcatTrust, "tomcat-trust", nil, "a `file` of CUCM's tomcat-trust (repeatable)")
	flags.StringArrayVar(&o.CallManagerTrust, "callmanager-trust", nil, "a `file` of CUCM's callmanager-trust (repeatable)")
	c.reporting(cmd, func(ctx context.Context, args []string, r *check.Report) error {
		outside, err := f.outside()
		if err != nil {
			return err
		}
		o.Outside, o.Targets = outside, args
		r.Target = printable.Line(strings.Join(args, ", "), 0)
		return ended(ctx, endpoint.Certificate(ctx, o, r))
	})
	return cmd
}
