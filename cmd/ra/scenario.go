package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"ciscora/ra/scenario"
)

func (c *cli) scenarioCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scenario",
		Short: "Play the documented failures of CES and see the lines that its logs then hold",
		Long: `Each scenario is a card: a lab of its own, the faults that make it fail, what the
logs and the client then show, why, and how to mend it.`,
		Example: `  ra scenario list
  ra scenario show f7-slow-login
  ra scenario run f7-slow-login
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
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print the page of all failures")
	cmd.RunE = c.run(func(context.Context, []string) error {
		cards, err := scenario.Cards()
		if err != nil {
			return err
		}
		switch {
		case markdown:
			notes, err := scenario.Notes()
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(c.env.Stdout, scenario.Markdown(append(cards, notes...)))
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
			if from == "" {
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
		RunE: c.run(func(_ context.Context, args []string) error {
			chosen, err := chooseCards(args, false, scenario.Notes)
			if err != nil {
				return err
			}
			page := scenario.Markdown(chosen)
			_, body, _ := strings.Cut(page, "\n## ")
			_, err = fmt.Fprint(c.env.Stdout, "## "+body)
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
		card, err := scenario.Find(cards, name)
		if err != nil {
			return nil, usageError{err}
		}
		chosen = append(chosen, card)
	}
	return chosen, nil
}

func (c *cli) scenarioRunCommand() *cobra.Command {
	var all, asJSON bool
	var keep string
	cmd := &cobra.Command{
		Use:   "run NAME... | --all",
		Short: "Play scenarios in real time and compare the logs, line by line",
		Long: `run plays each scenario in a lab of its own, on loopback and free ports. One that
is named shows the lines as they come, then the verdict line by line, why it failed
and how to mend it. --all plays all at once and prints a table. The exit status is
1 if anything differs from the cards.`,
		Example: `  ra scenario run f7-slow-login
  ra scenario run f9-capf-timeout timers-race
  ra scenario run --all --keep ./logs`,
	}
	cmd.Flags().BoolVar(&all, "all", false, "play every scenario, in parallel")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the verdicts as JSON")
	cmd.Flags().StringVar(&keep, "keep", "", "leave the labs with their logs in this `folder`")
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		cards, err := chooseCards(args, all)
		if err != nil {
			return err
		}
		dir := keep
		if dir == "" {
			if dir, err = os.MkdirTemp("", "ra-scenario-"); err != nil {
				return fmt.Errorf("make a folder for the labs: %w", err)
			}
			defer os.RemoveAll(dir)
		} else if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("--keep: %w", err)
		}
		return c.playCards(ctx, cards, dir, all, asJSON)
	})
	return cmd
}

// playingAtOnce bounds how many labs run at a time: most of them wait, so more
// than there are processors.
func playingAtOnce() int { return 12 * runtime.GOMAXPROCS(0) }

// playingOrder is the order in which cards begin, by their indices: where all are
// played at once, those that wait for a timer come first.
func playingOrder(cards []scenario.Card, all bool) []int {
	order := make([]int, len(cards))
	for i := range order {
		order[i] = i
	}
	if all {
		slices.SortStableFunc(order, func(a, b int) int {
			switch {
			case cards[a].Waits() == cards[b].Waits():
				return 0
			case cards[a].Waits():
				return -1
			}
			return 1
		})
	}
	return order
}

func (c *cli) playCards(ctx context.Context, cards []scenario.Card, dir string, all, asJSON bool) error {
	keyDir, err := os.MkdirTemp("", "ra-scenario-keys-")
	if err != nil {
		return fmt.Errorf("make a folder for the CA's keys: %w", err)
	}
	defer os.RemoveAll(keyDir)
	keys, err := scenario.MakeKeys(keyDir)
	if err != nil {
		return err
	}
	began := time.Now()
	results := make([]scenario.Result, len(cards))
	var group errgroup.Group
	group.SetLimit(1)
	if all {
		group.SetLimit(playingAtOnce())
	}
	var mu sync.Mutex // one line at a time
	for _, i := range playingOrder(cards, all) {
		card := cards[i]
		group.Go(func() error {
			o := scenario.Options{Dir: filepath.Join(dir, card.Name), Keys: keys}
			if err := freshFolder(o.Dir); err != nil {
				return err
			}
			if !all && !asJSON {
				o.Line = func(log, line string) {
					mu.Lock()
					defer mu.Unlock()
					fmt.Fprintf(c.env.Stdout, "%-7s | %s\n", log, line)
				}
				fmt.Fprintf(c.env.Stdout, "%s: %s\n\n", card.Name, card.Title)
			}
			results[i] = scenario.Run(ctx, card, o)
			if !all && !asJSON {
				c.printVerdict(results[i])
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	passed := 0
	for _, r := range results {
		if r.Passed {
			passed++
		}
	}
	switch {
	case asJSON:
		out := json.NewEncoder(c.env.Stdout)
		out.SetIndent("", "  ")
		if err := out.Encode(results); err != nil {
			return err
		}
	case all:
		if err := c.printTable(results); err != nil {
			return err
		}
		fmt.Fprintf(c.env.Stdout, "\n%d of %d as their cards say, in %s\n", passed, len(results), time.Since(began).Round(time.Second/10))
	}
	if passed < len(results) {
		return quietIf(asJSON || all, fmt.Errorf("%d of %d scenarios differ from their cards", len(results)-passed, len(results)))
	}
	return nil
}

func quietIf(quiet bool, err error) error {
	if quiet {
		return quietError{err}
	}
	return err
}

// freshFolder refuses to mix a lab's logs with those of an earlier one.
func freshFolder(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return fmt.Errorf("--keep: %s is there already: name another folder, or remove it", dir)
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (c *cli) printTable(results []scenario.Result) error {
	table := tabwriter.NewWriter(c.env.Stdout, 0, 8, 2, ' ', 0)
	for _, r := range results {
		verdict := "ok"
		switch {
		case r.Error != "":
			verdict = "NOT PLAYED"
		case !r.Passed:
			verdict = fmt.Sprintf("%d DIFFER", r.Differs)
		}
		fmt.Fprintf(table, "%s\t%s\t%d checks\t%s\t%s\n", verdict, r.Name, len(r.Checks), r.Took.Round(time.Second/10), r.Card.Title)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		if !r.Passed {
			c.printVerdict(r)
		}
	}
	return nil
}

// printVerdict compares line by line, then tells why and what to do.
func (c *cli) printVerdict(r scenario.Result) {
	fmt.Fprintf(c.env.Stdout, "\nverdict on %s:\n", r.Name)
	if r.Error != "" {
		fmt.Fprintf(c.env.Stdout, "  it could not be played: %s\n", r.Error)
	}
	for _, check := range r.Checks {
		mark := "ok      "
		if !check.OK {
			mark = "DIFFERS "
		}
		fmt.Fprintf(c.env.Stdout, "  %s %s\n    expected  %s\n    seen      %s\n", mark, check.What, orNothing(check.Expected), orNothing(check.Seen))
	}
	fmt.Fprintf(c.env.Stdout, "\nwhy:      %s\nmend it:  %s\n", strings.TrimSpace(r.Card.Explanation), strings.TrimSpace(r.Card.Fix))
}

func orNothing(s string) string {
	if s == "" {
		return "(no such line)"
	}
	return s
}
