package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"ciscora/ra/fault"
	"ciscora/ra/lab"
	"ciscora/ra/server"
)

func (c *cli) serveCommand() *cobra.Command {
	var path string
	var specs []string
	var allowed bool
	cmd := &cobra.Command{
		Use:   "serve --config ra.yaml",
		Short: "Run the RA in front of a Microsoft CA",
		Long: `serve runs the RA that the configuration describes: EST clients on one side, a
Microsoft CA's Web Enrollment pages on the other. It starts even while the CA is
away, says why on /readyz of the admin port, and tries again.

Each key of the configuration that has a single value can come from the
environment: ca.template as RA_CA_TEMPLATE. SIGINT or SIGTERM end it: it says so on
/servingz and /readyz for est.drain_delay, closes its ports and finishes what is in
flight. SIGHUP opens the logs anew and looks at certificates, trust stores, users and
credentials, which count soon after they change without it too; ra.yaml itself takes a
restart.`,
		Example: `  ra config default > ra.yaml     then edit the required keys
  ra serve --config ra.yaml
  RA_LOGS_LEVEL=debug ra serve --config ra.yaml`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&path, "config", "ra.yaml", "configuration `file`")
	cmd.Flags().BoolVar(&allowed, "allow-faults", false, "let the configuration, --fault, the admin port, labels and names order faults: never in production")
	cmd.Flags().StringArrayVar(&specs, "fault", nil, "a fault that is on from the start, `PLACE:KIND`; repeatable; needs --allow-faults")
	cmd.RunE = c.run(func(ctx context.Context, _ []string) error {
		hangups := catchHangups()
		defer hangups.stop()
		cfg, err := c.loadRA(path)
		if err != nil {
			return configError(err)
		}
		log, err := newLogger(c.env.Stderr, cfg.Logs.Level)
		if err != nil {
			return err
		}
		options := server.Options{Logger: log, Version: buildVersion().name()}
		switch {
		case allowed:
			faults, err := orderFaults(specs, fault.Options{Logger: log.Named("fault"), ForeignCA: true})
			if err != nil {
				return err
			}
			if err := lab.OrderFaults(faults, cfg.Faults, cfg.Problem); err != nil {
				return err
			}
			options.Hooks, options.Faults = lab.FaultHooks(faults, nil), lab.AdminFaults(faults)
			log.Warn("faults are allowed: anybody may order them by the admin port, a label or a name in a CSR; never run this in production", zap.Int("on", len(faults.List())))
		case len(specs) > 0:
			return usagef("--fault needs --allow-faults: faults are for labs, never for production")
		case len(cfg.Faults) > 0:
			return usageError{cfg.Problem("faults", errors.New("faults need --allow-faults on the command line: they are for labs, never for production"))}
		}
		s, err := server.New(ctx, cfg, options)
		if err != nil {
			return err
		}
		defer hangups.reload(ctx, s.Reload)()
		return s.Run(ctx)
	})
	return cmd
}

// configError makes a configuration that cannot be read an error of the command
// line: exit status 2, as for one that is wrong.
func configError(err error) error { return usageError{err} }
