package explain_test

import (
	"compress/gzip"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"go.uber.org/goleak"

	"ciscora/ra/explain"
	"ciscora/ra/explain/explaintest"
	"ciscora/ra/scenario"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// readCatalog reads all cards once: a catalog does not change.
var readCatalog = sync.OnceValues(scenario.Catalog)

func catalog(t testing.TB) *explain.Catalog {
	t.Helper()
	c, err := readCatalog()
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

func read(t testing.TB, c *explain.Catalog, inputs ...explain.Input) *explain.Report {
	t.Helper()
	report, err := explain.Explain(t.Context(), c, inputs, explain.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// recorded are the logs that a run of each card has left; ra/scenario records them
// (go test ./ra/scenario -run EveryCard -update), and asks the same of fresh ones.
func recorded(t testing.TB) map[string]explaintest.Logs {
	t.Helper()
	f, err := os.Open("testdata/runs.txtar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	packed, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(packed)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]explaintest.Logs{}
	for _, file := range txtar.Parse(data).Files {
		card, log, _ := strings.Cut(file.Name, "/")
		if all[card] == nil {
			all[card] = explaintest.Logs{}
		}
		all[card][log] = file.Data
	}
	return all
}
