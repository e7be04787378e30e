package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ciscora/config"
	"ciscora/ra/check"
)

func (c *cli) checkESTCommand() *cobra.Command {
	var cacert, labels []string
	var server, user, passwordFile, enroll string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "est https://HOST:8084",
		Short: "Probe an EST server: what libest, strongSwan and others would stumble over",
		Long: `check est looks at an EST server, ra's or any other: TLS (versions, chain, name,
dates), /cacerts against the server's own chain, the challenge byte for byte,
/csrattrs, labels, and the rules of libest's client one by one, L1 to L12, which
docs/reference/libest.md explains. The URL may have the path /.well-known/est, and a
label behind it, under which all is asked then; those of --label are looked for besides.

Nothing is enrolled: the body that is posted to simpleenroll is no CSR, and carries no
credentials. With --enroll a certificate is asked for as CAPF does, once.`,
		Example: `  ra check est https://127.0.0.1:8084 --cacert lab/trust.pem
  ra check est https://ra.example.com:8084 --cacert root.pem --label wifi --json
  ra check est https://127.0.0.1:8084 --cacert lab/trust.pem --enroll=phone1 --password-file lab/credentials.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case server == "" && len(args) == 1:
				server = args[0]
			case server != "" && len(args) == 0:
			case len(args) > 0 && enroll != "":
				return usagef("one https://HOST:8084 is taken; the name of --enroll stands behind an equals sign: --enroll=NAME")
			case len(args) == 0:
				return usagef("https://HOST:8084 is missing: ra check est https://HOST:8084 [flags]")
			default:
				return usagef("one https://HOST:8084 is taken: ra check est https://HOST:8084 [flags]")
			}
			return nil
		},
	}
	fl := cmd.Flags()
	// As check ca has it: who has just asked that types it here, too.
	fl.StringVar(&server, "url", "", "the server")
	_ = fl.MarkHidden("url") // it is there
	// As the CA's trust store is called: who has just asked that types it here, too.
	fl.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "trust" {
			name = "cacert"
		}
		return pflag.NormalizedName(name)
	})
	fl.StringArrayVar(&cacert, "cacert", nil, "PEM `file` with the trust anchors of the server's certificate; repeatable")
	fl.StringArrayVar(&labels, "label", nil, "an additional path `segment` that should be there; repeatable")
	fl.StringVar(&enroll, "enroll", "", "ask for a certificate, too, of this common `name` (--enroll=NAME)")
	fl.Lookup("enroll").NoOptDefVal = "ra-check"
	fl.StringVar(&user, "user", "", "with --enroll: the account")
	fl.StringVar(&passwordFile, "password-file", "", "with --enroll: `file` with its password, mode 0600; or a credentials.yaml, which names the user too")
	fl.DurationVar(&timeout, "timeout", defaultStep, "for each step")
	c.reporting(cmd, func(ctx context.Context, _ []string, r *check.Report) error {
		switch {
		case timeout <= 0:
			return usagef("--timeout %s: want a time above 0", timeout)
		case enroll != "" && (passwordFile == "" || len(cacert) == 0):
			return usagef("--enroll needs --cacert and --password-file: no password goes to a server that is not verified")
		case enroll == "" && (user != "" || passwordFile != ""):
			return usagef("--user and --password-file go with --enroll")
		}
		url, label, err := splitESTURL(server)
		if err != nil {
			return usageError{err}
		}
		r.Target = server
		o := check.ESTOptions{URL: url, Label: label, Labels: labels, Enroll: enroll, Options: check.Options{Timeout: timeout}}
		if o.Trust, err = readAnchors("--cacert", cacert); err != nil {
			return err
		}
		if passwordFile != "" {
			creds, err := readPassword(user, passwordFile)
			if err != nil {
				return usagef("--password-file: %w", err)
			}
			o.User, o.Password = creds.User, creds.Password
		}
		if err := check.EST(ctx, o, r); err != nil {
			return usageError{err}
		}
		return nil
	})
	return cmd
}

// checkConfigured checks an RA by its configuration: its files, its CA, its EST port.
func (c *cli) checkConfigured(ctx context.Context, path string, timeout time.Duration, r *check.Report) error {
	cfg, err := c.loadRA(path)
	if err != nil {
		return configError(err)
	}
	files, ok := check.Files(cfg, time.Now(), r)
	if !ok {
		r.Skip("ca", "the files come first")
		r.Skip("est", "the files come first")
		return nil
	}
	ca, err := configuredCA(cfg)
	if err != nil {
		return err
	}
	ca.Timeout = timeout
	if err := check.CA(ctx, ca, r); err != nil {
		return usageError{cfg.Problem("ca", err)}
	}
	est, err := ownEST(cfg, files)
	if err != nil {
		return usageError{cfg.Problem("est.listen", err)}
	}
	est.Timeout = timeout
	if from, err := est.Resolve(ctx, ""); err == nil && behindBalancer(cfg, from) {
		r.Skip("est.tls.handshake", "est.proxy_protocol names this machine, so the port wants a balancer's header from it: ask through the balancer, ra check est URL")
		return nil
	}
	if err := check.EST(ctx, est, r); err != nil {
		return err
	}
	if cfg.EST.TLS.Min > tls.VersionTLS12 {
		asConfigured(r, "L7", "est.tls.min has it so: libest's clients, and CAPF, cannot come")
	}
	return nil
}

// behindBalancer tells whether the RA takes whoever comes from one of these addresses for
// its balancer. A machine that asks itself comes from the address that it asks.
func behindBalancer(cfg *config.RA, addresses []netip.Addr) bool {
	networks, err := cfg.EST.ProxyNetworks()
	return err == nil && slices.ContainsFunc(networks, func(n netip.Prefix) bool {
		return slices.ContainsFunc(addresses, n.Contains)
	})
}

// asConfigured makes a warning of a failure that the configuration asks for.
func asConfigured(r *check.Report, name, why string) {
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Name == name && f.State == check.Fail {
			f.State, f.Reason = check.Warn, why
		}
	}
}

// ownEST is the EST port of a configuration, by the name in its own certificate.
func ownEST(cfg *config.RA, files config.Files) (check.ESTOptions, error) {
	host, port, err := net.SplitHostPort(cfg.EST.Listen)
	if err != nil {
		return check.ESTOptions{}, err
	}
	address, err := netip.ParseAddr(host)
	if err != nil || address.IsUnspecified() {
		address = netip.MustParseAddr("127.0.0.1")
		if host == "::" {
			address = netip.IPv6Loopback()
		}
	}
	leaf := files.EST.Certificates[0].Leaf
	name := address.String()
	switch {
	case leaf.VerifyHostname(name) == nil:
	case len(leaf.DNSNames) > 0:
		name = leaf.DNSNames[0]
	case len(leaf.IPAddresses) > 0:
		name = leaf.IPAddresses[0].String()
	}
	o := check.ESTOptions{
		URL: "https://" + net.JoinHostPort(name, port), Labels: slices.Sorted(maps.Keys(cfg.EST.Labels)), Called: "the trust stores of ra.yaml",
		Trust: slices.Concat(files.CATrust, files.EST.Trust),
	}
	for _, der := range files.EST.Certificates[0].Certificate[1:] {
		above, err := x509.ParseCertificate(der)
		if err != nil {
			return o, fmt.Errorf("est.certificate: %w", err)
		}
		o.Trust = append(o.Trust, above)
	}
	o.Resolve = func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{address}, nil }
	return o, nil
}
