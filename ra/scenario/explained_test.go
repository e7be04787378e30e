package scenario_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"ciscora/ra/explain/explaintest"
	"ciscora/ra/scenario"
)

// leftBehind are the logs that the runs of all cards have left.
type leftBehind struct {
	mu   sync.Mutex
	logs map[string]explaintest.Logs
}

func (l *leftBehind) take(t *testing.T, card, dir string) {
	t.Helper()
	logs, err := explaintest.Collect(dir)
	if err != nil {
		t.Error(err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.logs[card] = logs
}

// explain has the logs of each card explained. With -update it writes the table of
// docs/explain.md, and the logs for the tests of ra/explain.
func (l *leftBehind) explain(t *testing.T) {
	t.Helper()
	catalog, err := scenario.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	var table []explaintest.Outcome
	for _, card := range cards(t) {
		logs, ok := l.logs[card.Name]
		if !ok {
			continue // -run has left it out
		}
		outcomes, err := explaintest.Outcomes(t.Context(), catalog, card, logs, explaintest.AsTheyAre)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range outcomes {
			if strings.HasPrefix(o.How, explaintest.Wrong) {
				t.Errorf("ra explain on %s, %s: %s %v", o.Card, o.Log, o.How, o.Also)
			}
		}
		table = append(table, outcomes...)
	}
	if len(l.logs) < len(cards(t)) {
		return
	}
	if *update {
		l.record(t)
		writeTable(t, table)
		return
	}
	page, err := os.ReadFile(explainPage)
	if err != nil {
		t.Fatal(err)
	}
	rows := rowsOf(table)
	for i, card := range cards(t) {
		// What an errno decides may differ from run to run.
		if !card.RealTime && !strings.Contains(string(page), rows[i]) {
			t.Errorf("docs/explain.md does not have this row; go test ./ra/scenario -run EveryCard -update\n%s", rows[i])
		}
	}
}

// record keeps the logs for ra/explain, which plays nothing.
func (l *leftBehind) record(t *testing.T) {
	t.Helper()
	var archive txtar.Archive
	for card, logs := range l.logs {
		for log, data := range logs {
			archive.Files = append(archive.Files, txtar.File{Name: card + "/" + log, Data: data})
		}
	}
	slices.SortFunc(archive.Files, func(a, b txtar.File) int { return cmp.Compare(a.Name, b.Name) })
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(txtar.Format(&archive)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("../explain/testdata/runs.txtar.gz", packed.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

const (
	explainPage = "../../docs/explain.md"
	tableBegins = "<!-- The table is written by: go test ./ra/scenario -run EveryCard -update -->\n"
)

// writeTable writes the table at the end of docs/explain.md.
func writeTable(t *testing.T, outcomes []explaintest.Outcome) {
	t.Helper()
	page, err := os.ReadFile(explainPage)
	if err != nil {
		t.Fatal(err)
	}
	before, _, ok := strings.Cut(string(page), tableBegins)
	if !ok {
		t.Fatalf("%s has no line %q", explainPage, tableBegins)
	}
	var out strings.Builder
	out.WriteString(before + tableBegins + "\n| card | CAPF trace | NGINX error.log | CiscoRA log | IIS log | all together | the RA's own log |\n|---|---|---|---|---|---|---|\n")
	for _, row := range rowsOf(outcomes) {
		out.WriteString(row + "\n")
	}
	if err := os.WriteFile(explainPage, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// rowsOf are the table's rows, one a card.
func rowsOf(outcomes []explaintest.Outcome) (rows []string) {
	by := map[string]map[string]string{}
	var names []string
	for _, o := range outcomes {
		if by[o.Card] == nil {
			by[o.Card] = map[string]string{}
			names = append(names, o.Card)
		}
		by[o.Card][o.Log] = o.How
	}
	for _, name := range names {
		row := fmt.Sprintf("| [%s](failures/%s.md) |", name, name)
		for _, log := range []string{"capf", "nginx", "ciscora", "iis", explaintest.All, explaintest.Own.Log} {
			row += " " + cmp.Or(by[name][log], "no such log") + " |"
		}
		rows = append(rows, row)
	}
	return rows
}
