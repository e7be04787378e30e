package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"ciscora/ra/ledger"
)

// hostile makes a ledger with a row all of whose names a client chose badly.
func hostile(t *testing.T) (dsn string) {
	t.Helper()
	dsn = "sqlite:" + filepath.Join(t.TempDir(), "ra.db")
	l, err := ledger.Open(t.Context(), dsn, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := l.Claim(t.Context(), ledger.Request{
		Identity: "relay:\x1b]0;owned\x07ann", Template: "CiscoRA", Label: "@SUM(1)",
		Subject: "=HYPERLINK(\"http://evil.example\")\x1b[2J", CN: "-2+3\x1b[31m\nID 7\u009b1m\u202egnp.exe", Enrollment: "+1",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Update(t.Context(), &c, func(r *ledger.Row) {
		r.Error = "\t;;=the CA says \x1b[5mdenied; ＝1+1"
		r.Legs = []ledger.Leg{{Name: "submit", Error: "reset\x1b[0m"}}
	}); err != nil {
		t.Fatal(err)
	}
	return dsn
}

func ran(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if status := Main(t.Context(), args, Environment{Stdout: &out, Stderr: &errs, LookupEnv: func(string) (string, bool) { return "", false }}); status != 0 {
		t.Fatalf("ra %s: status %d, %s", strings.Join(args, " "), status, errs.String())
	}
	return out.String()
}

func TestTheLedgersTextCannotSteerATerminal(t *testing.T) {
	dsn := hostile(t)
	for _, args := range [][]string{{"list"}, {"show", "1"}} {
		out := ran(t, append(append([]string{"ledger"}, args...), "--dsn", dsn)...)
		if strings.ContainsAny(out, "\x1b\x07\u009b\u202e") {
			t.Errorf("%s: %q", args[0], out)
		}
		if !strings.Contains(out, "ann") || !strings.Contains(out, "denied") {
			t.Errorf("%s does not show what there is: %q", args[0], out)
		}
		if strings.Contains(out, "\nID 7") {
			t.Errorf("%s: a name began a line: %q", args[0], out)
		}
	}
	var rows []struct{ CN, Identity string }
	text := ran(t, "ledger", "list", "--json", "--dsn", dsn)
	if strings.ContainsAny(text, "\x1b\x07\x7f\u009b\u202e") {
		t.Errorf("JSON has raw characters that steer a terminal: %q", text)
	}
	if err := json.Unmarshal([]byte(text), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1 || rows[0].CN != "-2+3\x1b[31m\nID 7\u009b1m\u202egnp.exe" || rows[0].Identity != "relay:\x1b]0;owned\x07ann" {
		t.Errorf("JSON has other names: %q", rows)
	}
}

func TestNoCellOfAnExportIsAFormula(t *testing.T) {
	records, err := csv.NewReader(strings.NewReader(ran(t, "ledger", "export", "--dsn", hostile(t)))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	defused := 0
	for _, cell := range records[1] {
		if strings.ContainsFunc(cell, unicode.IsControl) {
			t.Errorf("%q steers a terminal", cell)
		}
		for piece := range strings.SplitSeq(cell, ";") {
			if piece = strings.TrimSpace(piece); piece != "" && strings.ContainsAny(string([]rune(piece)[:1]), "=+-@＝＋－＠") {
				t.Errorf("%q begins a formula in %q", piece, cell)
			}
		}
		if strings.HasPrefix(cell, "'") {
			defused++
		}
	}
	if defused != 5 {
		t.Errorf("%d cells were defused, want CN, subject, label, enrollment and error: %q", defused, records[1])
	}
}

func TestALongNameDoesNotWidenTheTable(t *testing.T) {
	long := strings.Repeat("A", 1000)
	var out bytes.Buffer
	if err := writeRows(&out, []ledger.Row{{ID: 1, Request: ledger.Request{CN: long, Identity: long, Template: long, Label: long}}, {ID: 2, Request: ledger.Request{CN: "SEP001122334455"}}}); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > 500 {
			t.Errorf("%d columns: %.80s", len(line), line)
		}
	}
	if !strings.Contains(out.String(), "SEP001122334455") {
		t.Error(out.String())
	}
}
