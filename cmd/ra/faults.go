package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

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
		Use:   "faults [PLACE]",
		Short: "List the faults that there are, by their places",
		Long: `faults lists what can be put behind a place: a fault is PLACE:KIND, or PLACE:KIND=VALUE.
With a place it lists those of that place alone, as they are typed.`,
		Example: `  ra lab faults
  ra lab faults certsrv.login
  ra lab --fault certsrv.login:delay=12s,count=1`,
		ValidArgs: placeNames(),
	}
	cmd.RunE = c.run(func(_ context.Context, args []string) error {
		if len(args) > 1 {
			return usagef("one place is taken, not %d: ra lab faults [PLACE]", len(args))
		}
		columns := cmp.Or(min(width(c.env.Stdout), 120), 80)
		if len(args) == 1 {
			return listFaultsAt(c.env.Stdout, args[0], columns)
		}
		return listFaults(c.env.Stdout, columns)
	})
	return cmd
}

// listFaults prints the catalog by places: those that have the same kinds together.
func listFaults(w io.Writer, columns int) error {
	var order []string
	kinds := map[string][]fault.Entry{}
	for _, e := range fault.Catalog() {
		places := strings.Join(names(e.Places), " ")
		if kinds[places] == nil {
			order = append(order, places)
		}
		kinds[places] = append(kinds[places], e)
	}
	var out strings.Builder
	for _, places := range order {
		fmt.Fprintf(&out, "%s\n", folded(places, "", columns))
		for _, e := range kinds[places] {
			writeFault(&out, ":"+e.Kind+valueOf(e), e.Help, columns)
		}
		out.WriteString("\n")
	}
	out.WriteString(folded("A fault is PLACE:KIND, as certsrv.login:delay=12s. Each takes count=N, skip=N, for=DURATION, probability=P with seed=N, label=NAME and cn=NAME behind a comma. The faults of one place: ra lab faults PLACE.", "", columns) + "\n")
	_, err := io.WriteString(w, out.String())
	return err
}

// listFaultsAt prints the faults of a place.
func listFaultsAt(w io.Writer, place string, columns int) error {
	var out strings.Builder
	for _, e := range fault.Catalog() {
		if slices.Contains(names(e.Places), place) {
			writeFault(&out, place+":"+e.Kind+valueOf(e), e.Help, columns)
		}
	}
	if out.Len() == 0 {
		return usagef("there is no place %q: want one of %s", place, strings.Join(placeNames(), ", "))
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// writeFault writes a fault and behind it what it does, or below it where it is long.
func writeFault(out *strings.Builder, name, help string, columns int) {
	const left = 32
	indent := strings.Repeat(" ", left)
	text := folded(help, indent, columns)
	if len(name) > left-2 {
		// A list of words is broken behind a bar.
		name = strings.ReplaceAll(folded(strings.ReplaceAll(name, "|", "| "), "      ", columns), "| ", "|")
		fmt.Fprintf(out, "%s\n%s%s\n", name, indent, text)
		return
	}
	fmt.Fprintf(out, "%-*s%s\n", left, name, text)
}

func names(places []fault.Place) []string {
	words := make([]string, len(places))
	for i, p := range places {
		words[i] = string(p)
	}
	return words
}

func placeNames() []string { return names(fault.Places()) }

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
