package exam_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ciscora/ra/exam"
)

var (
	update  = flag.Bool("update", false, "write docs/clients.md anew from -results")
	results = flag.String("results", "", "folder with the reports of ra exam --json, NAME.json each")
)

const clientsPage = "../../docs/clients.md"

// examined are the clients of the page, in its order.
var examined = []string{"curl", "strongswan", "globalsign", "bouncycastle", "capf"}

// docs/clients.md names each known fail of each client's baseline.
func TestTheClientsPageHasEachKnownFail(t *testing.T) {
	if *update {
		if err := os.WriteFile(clientsPage, []byte(clientsText(t)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(clientsPage)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, c := range cards(t) {
		ids[c.ID] = true
	}
	for _, name := range examined {
		_, section, ok := strings.Cut(string(data), "\n## "+name+"\n")
		if !ok {
			t.Errorf("the page has no section of %s", name)
			continue
		}
		section, _, _ = strings.Cut(section, "\n## ")
		known, err := exam.ReadBaseline("baselines/"+name+".txt", func(id string) bool { return ids[id] })
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range known {
			if !strings.Contains(section, "| `"+id+"` |") {
				t.Errorf("%s: %s is known to fail and is not on the page: see .ci/run for how it is made", name, id)
			}
		}
	}
}

func clientsText(t *testing.T) string {
	t.Helper()
	var reports []exam.Report
	for _, name := range examined {
		data, err := os.ReadFile(filepath.Join(*results, name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var r exam.Report
		if err := json.Unmarshal(data, &r); err != nil {
			t.Fatal(err)
		}
		reports = append(reports, r)
	}
	var b strings.Builder
	b.WriteString(`# EST clients, examined

What [ra exam](exam.md) says of clients that people use, in the versions named here: made by ` + "`.ci/run`" + `, which examines each of
them against its baseline in ra/exam/baselines. A verdict is about a client as its preset runs it (ra/exam/clients), not about what it could be
told to do. libest's estclient has a preset too; it is in no distribution, so it was not examined here.

| client | version | pass | fail | inconclusive | not applicable | seconds |
|---|---|---|---|---|---|---|
`)
	for _, r := range reports {
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %.0f |\n", r.Client.Name, r.Client.Version, r.Summary.Pass, r.Summary.Fail, r.Summary.Inconclusive, r.Summary.NotApplicable, float64(r.TookMS)/1000)
	}
	fmt.Fprintf(&b, "\nEach run of a client was ended after %s; the seconds are of two processors, and of all cases.\n", reports[0].Limit)
	b.WriteString("\n## Where they differ\n\n`x` fails, `.` passes, `?` is inconclusive, a blank is not applicable. Cases that all pass are left out.\n\n| case | level |")
	for _, r := range reports {
		b.WriteString(" " + r.Client.Name + " |")
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(reports)) + "\n")
	for i, c := range reports[0].Cases {
		if !slices.ContainsFunc(reports, func(r exam.Report) bool { return r.Cases[i].Verdict == exam.Fail }) {
			continue
		}
		fmt.Fprintf(&b, "| `%s` | %s |", c.ID, c.Level)
		for _, r := range reports {
			b.WriteString(map[exam.Verdict]string{exam.Fail: " x |", exam.Pass: " . |", exam.Inconclusive: " ? |", exam.NotApplicable: " |"}[r.Cases[i].Verdict])
		}
		b.WriteString("\n")
	}
	for _, r := range reports {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| case | level | what was seen |\n|---|---|---|\n", r.Client.Name, r.Client.Version)
		for _, c := range r.Cases {
			if c.Verdict == exam.Fail {
				fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.ID, c.Level, cell(c.Reason))
			}
		}
	}
	return b.String()
}

// cell is a text in a table of Markdown, without what differs from run to run.
func cell(text string) string {
	words := strings.Fields(text)
	for i, w := range words {
		if before, _, ok := strings.Cut(w, "localhost:"); ok {
			words[i] = before + "localhost"
		}
	}
	text = strings.Join(words, " ")
	if runes := []rune(text); len(runes) > 200 {
		text = string(runes[:200]) + "..."
	}
	return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(text)
}
