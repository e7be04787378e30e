package main

import (
	"context"

	"github.com/spf13/cobra"

	"ciscora/config"
	"ciscora/ra/server"
)

func (c *cli) serveCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "serve --config ra.yaml",
		Short: "Run the RA in front of a Microsoft CA",
		Long: `serve runs the RA that the configuration describes: EST clients on one side, a
Microsoft CA's Web Enrollment pages on the other. It starts even while the CA is
away, says why on /readyz of the admin port, and tries again.

Each key of the configuration that has a single value can come from the
environment: ca.template as RA_CA_TEMPLATE. SIGINT or SIGTERM finish what is in
flight and end it.`,
		Example: `  ra config default > ra.yaml     then edit the required keys
  ra serve --config ra.yaml
  RA_LOGS_LEVEL=debug ra serve --config ra.yaml`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&path, "config", "ra.yaml", "configuration `file`")
	cmd.RunE = c.run(func(ctx context.Context, _ []string) error {
		cfg, err := config.LoadRA(path, c.env.LookupEnv)
		if err != nil {
			return configError(err)
		}
		log, err := newLogger(c.env.Stderr, cfg.Logs.Level)
		if err != nil {
			return err
		}
		s, err := server.New(ctx, cfg, server.Options{Logger: log})
		if err != nil {
			return err
		}
		return s.Run(ctx)
	})
	return cmd
}

// configError makes a configuration that cannot be read an error of the command
// line: exit status 2, as for one that is wrong.
func configError(err error) error { return usageError{err} }
