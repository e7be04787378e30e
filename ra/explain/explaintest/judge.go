// Package explaintest says what package explain made of the logs that a scenario's run
// has left: ra/scenario asks it of fresh runs, ra/explain of recorded ones that have
// been through mail, browsers and terminals.
package explaintest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ciscora/ra/explain"
	"ciscora/ra/scenario"
)

// Logs are the logs of one run, by their names.
type Logs map[string][]byte

// Files are the logs in their order, and where a lab has them.
var Files = []struct{ Log, Glob string }{
	{"capf", "logs/capf.log"}, {"nginx", "logs/nginx-error.log"}, {"ciscora", "logs/ciscora.log"}, {"iis", "logs/iis/*.log"},
}

// Own is the RA's own structured log, and where a card's run leaves it. A site with CES has none:
// it is judged alone.
var Own = struct{ Log, Glob string }{"ra", "ra.log"}

// Collect reads the logs of a lab.
func Collect(dir string) (Logs, error) {
	logs := Logs{}
	for _, f := range append(slices.Clone(Files), Own) {
		paths, err := filepath.Glob(filepath.Join(dir, f.Glob))
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			logs[f.Log] = append(logs[f.Log], data...)
		}
	}
	return logs, nil
}

// Input is a text under a name.
func Input(name string, data []byte) explain.Input {
	return explain.Input{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}
}

// Outcome is what the logs of a card were taken for.
type Outcome struct {
	Card, Log string
	// How is sure, likely, or one of N; nothing; or begins with Wrong.
	How  string
	Also []string // the other candidates, or the first where the card is not
}

// Wrong begins an outcome that is not the card's.
const Wrong = "WRONG"

// All stands for all logs together.
const All = "all together"

// The same as a log that ends while somebody enrolls: nothing can be said of it.
var silent = map[string]bool{"denied-by-manager, iis": true}

// Judge compares a report on a card's log, or on all of them, with the card.
func Judge(card scenario.Card, log string, report *explain.Report) Outcome {
	o := Outcome{Card: card.Name, Log: log}
	_, tells := card.Tells[log]
	switch log {
	case "ciscora":
		tells = strings.Contains("\n"+card.Tells["nginx"], "\nlogin_to_certsrv_ca: Curl") && card.Tells["capf"] == "" // it has starts alone
	case All:
		tells = len(card.Tells) > 0
	}
	if len(report.Findings) == 0 {
		o.How = "nothing"
		switch {
		case report.Failed() && log == Own.Log && !tells:
			o.How = "in its words"
		case report.Failed():
			o.How = Wrong + ": not understood: " + report.NotUnderstood[0].Text
		case tells && !silent[card.Name+", "+log]:
			o.How = Wrong + ": nothing found"
		}
		return o
	}
	for _, f := range report.Findings {
		if f.Name == card.Name || f.Name == card.Like || slices.Contains(f.Variants, card.Name) {
			o.How = string(f.Sure)
			if n := len(f.Others); n > 0 {
				o.How = fmt.Sprintf("%s, one of %d", f.Sure, n+1)
			}
			for _, other := range f.Others {
				o.Also = append(o.Also, other.Name)
			}
			return o
		}
		for _, other := range f.Others {
			if other.Name != card.Name && !slices.Contains(other.Variants, card.Name) {
				continue
			}
			o.How = fmt.Sprintf("one of %d", len(f.Others)+1)
			o.Also = append(o.Also, f.Name)
			if len(f.Apart) == 0 {
				o.How = Wrong + ": nothing would tell it from " + f.Name
			}
			return o
		}
	}
	o.How = Wrong + ": taken for " + report.Findings[0].Name + ", " + report.Findings[0].Why
	return o
}

// Outcomes judges each log of a card alone, and all together.
func Outcomes(ctx context.Context, c *explain.Catalog, card scenario.Card, logs Logs, as func(log string, data []byte) []explain.Input) (all []Outcome, err error) {
	var together []explain.Input
	for _, f := range Files {
		data := logs[f.Log]
		if len(data) == 0 {
			continue
		}
		inputs := as(f.Log, data)
		together = append(together, inputs...)
		report, err := explain.Explain(ctx, c, inputs, explain.Options{})
		if err != nil {
			return nil, err
		}
		all = append(all, Judge(card, f.Log, report))
	}
	report, err := explain.Explain(ctx, c, as(Own.Log, logs[Own.Log]), explain.Options{})
	if err != nil {
		return nil, err
	}
	if all = append(all, Judge(card, Own.Log, report)); len(logs[Own.Log]) == 0 {
		all = all[:len(all)-1]
	}
	report, err = explain.Explain(ctx, c, together, explain.Options{})
	if err != nil {
		return nil, err
	}
	return append(all, Judge(card, All, report)), nil
}

// AsTheyAre hands a log on as it is.
func AsTheyAre(log string, data []byte) []explain.Input { return []explain.Input{Input(log, data)} }
