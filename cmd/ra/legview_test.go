package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"ciscora/ra/lab"
)

func TestAnEnrollmentIsDrawnBetweenThreeLines(t *testing.T) {
	var out bytes.Buffer
	v := &legView{w: &out, diagram: true}
	for _, s := range []lab.Step{
		{From: lab.PartyPhone, To: lab.PartyRA, Text: "POST /simpleenroll"},
		{From: lab.PartyRA, To: lab.PartyCA, Text: "GET " + strings.Repeat("long", 20), Took: 3 * time.Millisecond},
		{From: lab.PartyRA, To: lab.PartyPhone, Text: "200 Ökay", Took: 12 * time.Millisecond, Detail: "ReqID 1"},
	} {
		v.show(s)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines, want 3:\n%s", len(lines), out.String())
	}
	for i, want := range []string{"─ POST /simpleenroll ─", "─ GET longlong", "◀─ 200 Ökay ─"} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d: %q, want %q in it", i+1, lines[i], want)
		}
	}
	for i, line := range lines {
		line = strings.TrimPrefix(line, "  ")
		if last := strings.LastIndex(line, "│"); utf8.RuneCountInString(line[:last]) != phoneGap+caGap+2 {
			t.Errorf("line %d: the CA's lifeline is in column %d, want %d: %q", i+1, utf8.RuneCountInString(line[:last]), phoneGap+caGap+2, line)
		}
	}
	if !strings.HasSuffix(lines[2], "  12 ms  ReqID 1") {
		t.Errorf("no time and detail: %q", lines[2])
	}
}

func TestLaterEnrollmentsAreOneLineEach(t *testing.T) {
	var out bytes.Buffer
	v := &legView{w: &out}
	v.show(lab.Step{From: lab.PartyRA, To: lab.PartyCA, Text: "GET certrqxt.asp", Took: time.Millisecond})
	v.further()
	out.Reset()
	v.show(lab.Step{From: lab.PartyRA, To: lab.PartyCA, Text: "GET certrqxt.asp", Took: time.Millisecond})
	v.show(lab.Step{From: lab.PartyRA, To: lab.PartyPhone, Text: "200 OK", Operation: "simpleenroll", Device: "SEP001122334455", ReqID: 7, Took: 5 * time.Millisecond})
	if got := out.String(); got != "  SEP001122334455   simpleenroll    200 OK                  ReqID 7  5.0 ms\n" {
		t.Errorf("%q", got)
	}
}

func TestAClientCannotSteerTheTerminal(t *testing.T) {
	var out bytes.Buffer
	v := &legView{w: &out}
	v.show(lab.Step{From: lab.PartyPhone, To: lab.PartyRA, Text: "POST /\x1b[2J\r\nspoof"})
	if got := out.String(); strings.ContainsAny(strings.TrimSuffix(got, "\n"), "\x1b\r\n") || !strings.Contains(got, "POST / [2J spoof") {
		t.Errorf("%q", got)
	}
}
