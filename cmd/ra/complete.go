package main

import (
	"cmp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ciscora/config"
	"ciscora/ra/check/endpoint"
	"ciscora/ra/exam"
	"ciscora/ra/fault"
	"ciscora/ra/ledger"
	"ciscora/ra/scenario"
)

// keyTypes are those of phones.
var keyTypes = []string{"rsa2048", "rsa3072", "rsa4096", "ec256", "ec384", "ec521"}

// completed are the values that a shell offers for flags, by the flags' names: one name
// takes the same values in whichever command.
func completed() map[string]func() []string {
	fixed := func(values ...string) func() []string { return func() []string { return values } }
	return map[string]func() []string{
		"profile":   fixed(string(config.ProfileCUCM), string(config.ProfileModern)),
		"log-level": fixed("debug", "info", "warn", "error"),
		"key-type":  fixed(keyTypes...),
		"client":    fixed("capf", "globalsign"),
		"as":        endpoint.ClientNames,
		"fault":     faultNames,
		// of ra exam
		"case":       caseNames,
		"level":      func() []string { return examWords(exam.Levels()) },
		"operations": exam.Operations,
		"can":        exam.Abilities,
		"state":      states,
	}
}

func faultNames() []string {
	var names []string
	for _, e := range fault.Catalog() {
		for _, place := range e.Places {
			kind := e.Kind
			if e.Value != "" && !strings.HasPrefix(e.Value, "[") {
				kind += "=" // its value comes next
			}
			names = append(names, cobra.CompletionWithDesc(string(place)+":"+kind, e.Help))
		}
	}
	return names
}

func caseNames() []string {
	cards, err := exam.Cards()
	if err != nil {
		return nil
	}
	var names []string
	for _, c := range cards {
		names = append(names, cobra.CompletionWithDesc(c.ID, c.Title))
	}
	return names
}

func examWords(levels []exam.Level) []string {
	var words []string
	for _, l := range levels {
		words = append(words, string(l))
	}
	return words
}

func states() []string {
	var names []string
	for _, s := range ledger.States() {
		names = append(names, string(s))
	}
	return names
}

// completeFlags lets the shell offer values in a command and those below it.
func completeFlags(cmd *cobra.Command) {
	for name, values := range completed() {
		if cmd.Flags().Lookup(name) == nil {
			continue
		}
		err := cmd.RegisterFlagCompletionFunc(name, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			directive := cobra.ShellCompDirectiveNoFileComp
			if name == "fault" {
				directive |= cobra.ShellCompDirectiveNoSpace // parameters may follow
			}
			return values(), directive
		})
		if err != nil {
			panic(err) // the flag is there: a mistake in this function
		}
	}
	for _, sub := range cmd.Commands() {
		completeFlags(sub)
	}
}

// completeCards offers scenarios, each once, or files for one's own.
func completeCards(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if strings.ContainsAny(begun, `./\`) {
		return []string{"yaml"}, cobra.ShellCompDirectiveFilterFileExt
	}
	cards, err := chooseCards(nil, true, scenario.Probed)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, c := range cards {
		if !slices.Contains(args, c.Name) {
			names = append(names, cobra.CompletionWithDesc(c.Name, cmp.Or(c.Document, "inferred")+": "+c.Title))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
