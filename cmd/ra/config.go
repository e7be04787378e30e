package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"ciscora/config"
)

func (c *cli) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print a commented configuration, check one, or print its JSON Schema",
		Example: `  ra config default > ra.yaml
  ra config validate ra.yaml
  ra config schema > ra.schema.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:     "default",
			Short:   "Print ra.yaml with all keys, their defaults and what they mean",
			Example: "  ra config default > ra.yaml",
			Args:    cobra.NoArgs,
			RunE: c.run(func(context.Context, []string) error {
				_, err := io.WriteString(c.env.Stdout, config.DefaultYAML())
				return err
			}),
		},
		c.validateCommand(),
		&cobra.Command{
			Use:     "schema",
			Short:   "Print the JSON Schema of ra.yaml, for editors",
			Example: "  ra config schema > ra.schema.json",
			Args:    cobra.NoArgs,
			RunE: c.run(func(context.Context, []string) error {
				_, err := c.env.Stdout.Write(config.Schema())
				return err
			}),
		},
	)
	return cmd
}

func (c *cli) validateCommand() *cobra.Command {
	var certsrv bool
	cmd := &cobra.Command{
		Use:   "validate FILE",
		Short: "Check a configuration, and once its keys are good the files that it names",
		Long: `validate reports all problems of the keys at once, each with its line; where there
are none, all of the files that they name. A file called certsrv.yaml is the
built-in CA's. It warns where clients may ask for any name by a certificate of
whichever CA of est.trust: that is no mistake, and the exit status stays 0.`,
		Example: `  ra config validate ra.yaml
  ra config validate lab/certsrv.yaml
  ra config validate --certsrv ca2.yaml`,
		Args: oneArg,
	}
	cmd.Flags().BoolVar(&certsrv, "certsrv", false, "the file is the built-in CA's, whatever it is called")
	cmd.RunE = c.run(func(_ context.Context, args []string) error {
		if err := c.validate(args[0], certsrv); err != nil {
			return configError(err)
		}
		fmt.Fprintf(c.env.Stdout, "%s: good\n", args[0])
		return nil
	})
	return cmd
}

func (c *cli) validate(path string, certsrv bool) error {
	if certsrv || filepath.Base(path) == "certsrv.yaml" {
		cfg, err := c.loadCertsrv(path)
		if err != nil {
			return err
		}
		return cfg.Check()
	}
	cfg, err := c.loadRA(path)
	if err != nil {
		return err
	}
	for _, warning := range cfg.Warnings() {
		fmt.Fprintf(c.env.Stderr, "warning: %v\n", warning)
	}
	return cfg.Check()
}
