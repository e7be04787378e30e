package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ciscora/ra/fault"
)

// orderFaults makes a registry with the faults of a command line.
func orderFaults(specs []string, o fault.Options) (*fault.Registry, error) {
	registry := fault.NewRegistry(o)
	for _, spec := range specs {
		if _, err := registry.Order(spec); err != nil {
			return nil, usagef("--fault: %w", err)
		}
	}
	return registry, nil
}

func (c *cli) faultsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "faults",
		Short: "List the faults that there are",
		Example: `  ra lab faults
  ra lab faults | grep certsrv.login`,
		Args: cobra.NoArgs,
	}
	cmd.RunE = c.run(func(context.Context, []string) error {
		table := tabwriter.NewWriter(c.env.Stdout, 0, 8, 2, ' ', 0)
		for _, e := range fault.Catalog() {
			places := make([]string, len(e.Places))
			for i, p := range e.Places {
				places[i] = string(p)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\n", e.Kind+valueOf(e), e.Help, strings.Join(places, " "))
		}
		return table.Flush()
	})
	return cmd
}

// valueOf writes what a kind takes behind its name.
func valueOf(e fault.Entry) string {
	switch {
	case e.Value == "":
		return ""
	case strings.HasPrefix(e.Value, "["):
		return "[=" + strings.Trim(e.Value, "[]") + "]"
	}
	return "=" + e.Value
}
