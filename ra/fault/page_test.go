package fault_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"ciscora/ra/fault"
)

var update = flag.Bool("update", false, "write the table of docs/faults.md anew")

// table is the catalog as docs/faults.md has it.
func table() string {
	var b strings.Builder
	b.WriteString("| fault | at | what happens |\n|---|---|---|\n")
	for _, e := range fault.Catalog() {
		places := make([]string, len(e.Places))
		for i, p := range e.Places {
			places[i] = "`" + string(p) + "`"
		}
		name := e.Kind
		switch {
		case strings.HasPrefix(e.Value, "["):
			name += "[=" + strings.Trim(e.Value, "[]") + "]"
		case e.Value != "":
			name += "=" + e.Value
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, strings.Join(places, " "), e.Help)
	}
	return b.String()
}

func TestThePageOfFaultsHasTheWholeCatalog(t *testing.T) {
	const page, begin, end = "../../docs/faults.md", "<!-- catalog -->\n", "<!-- end of catalog -->"
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the catalog", page)
	}
	want := before + begin + table() + end + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(data) != want {
		t.Error("docs/faults.md is not what the catalog says: go test ./ra/fault -update")
	}
}
