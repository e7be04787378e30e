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

// A terminal of 80 columns suffices, whatever went wrong.
func TestTheDiagramHas80Columns(t *testing.T) {
	var out bytes.Buffer
	v := &legView{w: &out, diagram: true}
	v.start()
	long := "certsrv login: curl 28 (Operation timed out after 10000 milliseconds with 0 bytes received) at https://lab-dc.michamen.com:443/certsrv"
	v.show(lab.Step{From: lab.PartyPhone, To: lab.PartyRA, Text: "POST /" + strings.Repeat("simplereenroll", 5)})
	v.show(lab.Step{From: lab.PartyRA, To: lab.PartyPhone, Text: "401 Unauthorized", Took: 1500 * time.Microsecond, Detail: "who are you?"})
	v.show(lab.Step{From: lab.PartyRA, To: lab.PartyCA, Text: "GET certsrv (NTLM log-in)", Took: 10001 * time.Millisecond, Detail: long, Failed: true})
	v.show(lab.Step{From: lab.PartyRA, To: lab.PartyPhone, Text: "200 OK", Took: 10 * time.Second, Detail: "2031 bytes"})
	got := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
	for _, line := range got {
		if n := utf8.RuneCountInString(line); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if text := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(text, long) {
		t.Errorf("the reason is cut:\n%s", out.String())
	}
	for i, want := range map[int]string{2: "who are you?", 3: "GET certsrv (NTLM log-in)"} {
		if !strings.Contains(got[i], want) {
			t.Errorf("line %d has no %q: %s", i+1, want, got[i])
		}
	}
}

func TestColourIsForTerminalsThatWantIt(t *testing.T) {
	if got := paint(true).bad("x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("%q", got)
	}
	if got := paint(false).bad("x"); got != "x" {
		t.Errorf("%q", got)
	}
	if newPaint(new(bytes.Buffer), func(string) (string, bool) { return "", false }) {
		t.Error("colour in what is no terminal")
	}
}

func TestLinesOfTheLogWaitUntilTheDiagramIsDrawn(t *testing.T) {
	var out bytes.Buffer
	h := &held{w: &out}
	write := func(text string) {
		if _, err := h.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	write("1")
	h.hold()
	write("2")
	if out.String() != "1" {
		t.Errorf("written while the diagram is drawn: %q", out.String())
	}
	h.release()
	write("3")
	if out.String() != "123" {
		t.Errorf("%q", out.String())
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
