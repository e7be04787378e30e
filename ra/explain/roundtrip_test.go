package explain_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"ciscora/ra/explain"
	"ciscora/ra/lab"
	"ciscora/ra/scenario"
)

// logsOf are the files of a run's logs, by the log's name.
type runLogs map[string][]byte

var logFiles = []struct{ log, glob string }{
	{"capf", "logs/capf.log"}, {"nginx", "logs/nginx-error.log"}, {"ciscora", "logs/ciscora.log"}, {"iis", "logs/iis/*.log"},
}

func catalog(t testing.TB) *explain.Catalog {
	t.Helper()
	c, err := scenario.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func cards(t testing.TB) []scenario.Card {
	t.Helper()
	all, err := scenario.Cards()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func input(name string, data []byte) explain.Input {
	return explain.Input{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}
}

func read(t testing.TB, c *explain.Catalog, inputs ...explain.Input) *explain.Report {
	t.Helper()
	report, err := explain.Explain(t.Context(), c, inputs, explain.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// played are the logs of all cards, each played once for all tests of this package.
var played = struct {
	once sync.Once
	logs map[string]runLogs
	err  error
}{}

func recorded(t *testing.T) map[string]runLogs {
	t.Helper()
	played.once.Do(func() {
		logs := map[string]runLogs{}
		var mu sync.Mutex
		t.Run("play", func(t *testing.T) {
			virtual, real := t.TempDir(), t.TempDir()
			synctest.Test(t, func(t *testing.T) { makeKeys(t, virtual) })
			makeKeys(t, real)
			for _, card := range cards(t) {
				t.Run(card.Name, func(t *testing.T) {
					t.Parallel()
					made := play(t, card, filepath.Join(virtual, "ca"), filepath.Join(real, "ca"))
					mu.Lock()
					defer mu.Unlock()
					logs[card.Name] = made
				})
			}
		})
		played.logs = logs
	})
	return played.logs
}

func makeKeys(t *testing.T, dir string) {
	t.Helper()
	if _, err := scenario.MakeKeys(dir); err != nil {
		t.Fatal(err)
	}
}

func play(t *testing.T, card scenario.Card, virtual, real string) runLogs {
	t.Helper()
	dir := filepath.Join(t.TempDir(), card.Name)
	o := scenario.Options{Dir: dir, Keys: virtual}
	var result scenario.Result
	if card.RealTime {
		o.Keys = real
		result = scenario.Run(t.Context(), card, o)
	} else {
		synctest.Test(t, func(t *testing.T) {
			o.Network = &lab.Memory{}
			result = scenario.Run(t.Context(), card, o)
		})
	}
	if result.Error != "" {
		t.Fatal(result.Error)
	}
	made := runLogs{}
	for _, f := range logFiles {
		paths, err := filepath.Glob(filepath.Join(dir, f.glob))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			made[f.log] = append(made[f.log], data...)
		}
	}
	return made
}

// outcome is what the logs of a card were taken for.
type outcome struct {
	card, log string
	how       string // first, one of N, silent, or what is wrong
	also      []string
	tell      string
}

func judge(card scenario.Card, log string, report *explain.Report) outcome {
	o := outcome{card: card.Name, log: log}
	_, tells := card.Tells[log]
	if log == "ciscora" {
		_, tells = card.Tells["nginx"]
		tells = tells && strings.Contains(card.Tells["nginx"], "login_to_certsrv_ca: Curl") // it has starts alone
	}
	if log == "all" {
		tells = len(card.Tells) > 0
	}
	if len(report.Findings) == 0 {
		o.how = "nothing"
		if tells {
			o.how = "WRONG: nothing found"
		}
		if report.Failed() {
			o.how = "WRONG: not understood: " + report.NotUnderstood[0].Text
		}
		return o
	}
	for _, f := range report.Findings {
		if f.Name == card.Name || slices.Contains(f.Variants, card.Name) {
			o.how = string(f.Sure)
			for _, other := range f.Others {
				o.also = append(o.also, other.Name)
			}
			return o
		}
		for _, other := range f.Others {
			if other.Name == card.Name || slices.Contains(other.Variants, card.Name) {
				o.how = fmt.Sprintf("one of %d", len(f.Others)+1)
				o.also = append(o.also, f.Name)
				if len(f.Apart) == 0 {
					o.how = "WRONG: nothing would tell it from " + f.Name
				}
				return o
			}
		}
	}
	o.how = "WRONG: taken for " + report.Findings[0].Name + " " + report.Findings[0].Why
	return o
}

// What a run of each card leaves, each log alone and all together, is taken for the
// card, or the card is among those that the log cannot tell apart.
func TestWhatARunLeavesIsTakenForItsCard(t *testing.T) {
	logs := recorded(t)
	c := catalog(t)
	var table []outcome
	for _, card := range cards(t) {
		var all []explain.Input
		for _, f := range logFiles {
			data := logs[card.Name][f.log]
			if len(data) == 0 {
				continue
			}
			in := input(f.log+".log", data)
			all = append(all, in)
			table = append(table, judge(card, f.log, read(t, c, in)))
		}
		table = append(table, judge(card, "all", read(t, c, all...)))
	}
	for _, o := range table {
		if strings.HasPrefix(o.how, "WRONG") {
			t.Errorf("%s, %s: %s %v", o.card, o.log, o.how, o.also)
		}
	}
}
