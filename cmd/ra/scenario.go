package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ciscora/ra/scenario"
)

func (c *cli) scenarioCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scenario",
		Short: "Play the documented failures of CES and see the lines that its logs then hold",
		Long: `Each scenario is a card: a lab of its own, the faults that make it fail, what the
logs and the client then show, why, and how to mend it. F1 to F9 are the failures in
Cisco's "Troubleshooting CAPF Online CA" for CUCM 12.5; inferred are those that no
document shows, and each such card says from what.`,
		Example: `  ra scenario list
  ra scenario show f7
  ra scenario run f7-slow-login
  ra scenario run ./mine.yaml          a card of one's own
  ra scenario run --all`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.scenarioListCommand(), c.scenarioShowCommand(), c.scenarioRunCommand())
	return cmd
}

func (c *cli) scenarioListCommand() *cobra.Command {
	var asJSON, markdown bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the scenarios, one a line: name, where it is documented, what it is",
		Example: `  ra scenario list
  ra scenario list --markdown > docs/failures.md`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print the index of all failures, by what the logs say")
	cmd.RunE = c.run(func(context.Context, []string) error {
		more := scenario.Probed
		if markdown {
			more = scenario.Notes
		}
		cards, err := chooseCards(nil, true, more)
		if err != nil {
			return err
		}
		switch {
		case markdown:
			_, err = fmt.Fprint(c.env.Stdout, scenario.Index(cards))
			return err
		case asJSON:
			type entry struct {
				Name     string `json:"name"`
				Title    string `json:"title"`
				Document string `json:"document,omitempty"`
				Source   string `json:"source,omitempty"`
				Profile  string `json:"profile"`
			}
			list := make([]entry, len(cards))
			for i, card := range cards {
				list[i] = entry{card.Name, card.Title, card.Document, strings.TrimSpace(card.Source), card.Profile}
			}
			return writeJSON(c.env.Stdout, list)
		}
		table := tabwriter.NewWriter(c.env.Stdout, 0, 8, 2, ' ', 0)
		for _, card := range cards {
			from := card.Document
			switch {
			case card.Kind == "note":
				from = "ra check"
			case from == "":
				from = "inferred"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\n", card.Name, from, card.Title)
		}
		return table.Flush()
	})
	return cmd
}

func (c *cli) scenarioShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME",
		Short:   "Show a scenario: its steps, the lines it expects, why, and how to mend it",
		Example: "  ra scenario show f6-template-typo",
		Args:    oneArg,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return completeCards(cmd, args, begun)
		},
		RunE: c.run(func(_ context.Context, args []string) error {
			chosen, err := chooseCards(args, false, scenario.Notes)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(c.env.Stdout, scenario.Page(chosen[0]))
			return err
		}),
	}
}

// chooseCards returns the cards of these names, or all; more are looked up besides.
func chooseCards(names []string, all bool, more ...func() ([]scenario.Card, error)) ([]scenario.Card, error) {
	cards, err := scenario.Cards()
	if err != nil {
		return nil, err
	}
	for _, of := range more {
		further, err := of()
		if err != nil {
			return nil, err
		}
		cards = append(cards, further...)
	}
	switch {
	case all && len(names) > 0:
		return nil, usagef("name scenarios, or say --all, not both")
	case all:
		return cards, nil
	case len(names) == 0:
		return nil, usagef("name a scenario, or say --all; see ra scenario list")
	}
	var chosen []scenario.Card
	for _, name := range names {
		find := func(name string) (scenario.Card, error) { return scenario.Find(cards, name) }
		if strings.ContainsRune(name, filepath.Separator) || strings.HasSuffix(name, ".yaml") {
			find = scenario.Load // one's own
		}
		card, err := find(name)
		if err != nil {
			return nil, usageError{err}
		}
		if !slices.ContainsFunc(chosen, func(c scenario.Card) bool { return c.Name == card.Name }) {
			chosen = append(chosen, card)
		}
	}
	return chosen, nil
}
