package exam_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ciscora/ra/exam"
)

func TestAWrongCardSaysWhereAndWhat(t *testing.T) {
	const good = "cases:\n  - {id: a-b, title: t, level: must, ref: r, says: s, stages: [%]}\n"
	for stage, want := range map[string]string{
		`{expect: [refused]}`:                                       `case 1 a-b: stage 1: expect: unknown word "refused", did you mean refuse?`,
		`{expect: [pause]}`:                                         "want a time such as pause=3s",
		`{expect: [ok=1]}`:                                          "ok takes no value",
		`{expect: [at-most]}`:                                       "want a number such as at-most=5",
		`{expect: [ok], faults: ["op:chunkd"]}`:                     `did you mean chunked?`,
		`{expect: [ok], operation: enrol}`:                          `operation: unknown word "enrol", did you mean enroll?`,
		`{expect: [ok, kept-names]}`:                                "kept-names: there is no old certificate",
		`{expect: [new-key], operation: reenroll, no_cert: true}`:   "new-key: there is no old certificate",
		`{expect: [ok], clock: "1970-01-02 00:00:00"}`:              "clock: not every client can that: add needs: [clock]",
		`{expect: [ok], clock: yesterday}`:                          `clock: "yesterday": want a time such as 2006-01-02 15:04:05`,
		`{expect: [ok], host: a.b.est.test}`:                        "host: not every client can that: add needs: [resolve]",
		`{expect: [ok], host: ipp}`:                                 `host: "ipp": want ip, or a name of several labels`,
		`{expect: [ok], fingerprint: wrong}`:                        "fingerprint: not every client can that",
		`{expect: [ok], repeat: -3}`:                                "repeat: -3: want 0 to 100",
		`{expect: [ok], repeat: 101}`:                               "repeat: 101: want 0 to 100",
		`{expect: [ok], operation: enrol, faults: ["op:delay=3s"]}`: `operation: unknown word "enrol", did you mean enroll?`,
		`{}`:             "expect is missing",
		`{expcet: [ok]}`: "expcet",
	} {
		_, err := exam.ParseCards("mine.yaml", []byte(strings.Replace(good, "%", stage, 1)))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "mine.yaml") || strings.Contains(err.Error(), `unknown place ""`) {
			t.Errorf("%s: %v, want %s", stage, err, want)
		}
	}
	whole := strings.Replace(good, "%", "{expect: [ok], faults: [op:delay=3s], repeat: 2}", 1)
	if _, err := exam.ParseCards("mine.yaml", []byte(whole)); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"": "a file of cards begins with cases:",
		strings.Replace(good, "stages: [%]", "declares: [enrol]", 1):                            `there is no operation "enrol", did you mean enroll?`,
		strings.Replace(good, "stages: [%]", "declares: [enroll], stages: [{expect: [ok]}]", 1): "want either stages or declares",
		strings.Replace(good, ", stages: [%]", "", 1):                                           "want either stages or declares",
		whole + "---\n" + whole:  "a second document begins",
		whole + "---\ncases: [}": "a second document begins",
	} {
		if _, err := exam.ParseCards("mine.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "mine.yaml") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestEachCaseSaysWhatTheStandardSays(t *testing.T) {
	musts := 0
	for _, c := range cards(t) {
		if c.Level == exam.Must {
			musts++
		}
		if c.Level != exam.Robust && !strings.Contains(c.Ref, "§") {
			t.Errorf("%s: %q has no section", c.ID, c.Ref)
		}
	}
	if musts < 50 {
		t.Errorf("%d cases of what a client must do", musts)
	}
}

func TestThePageHasEachWordOfACardAndOfACommand(t *testing.T) {
	data, err := os.ReadFile("../../docs/exam.md")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, p := range exam.Placeholders() {
		words = append(words, "{"+p[0]+"}")
	}
	for _, word := range slices.Concat(words, exam.Words(), exam.Abilities()) {
		if !strings.Contains(string(data), "`"+word+"`") && !strings.Contains(string(data), "`"+word+"=") {
			t.Errorf("%s is not on the page", word)
		}
	}
}

func FuzzParseCards(f *testing.F) {
	f.Add([]byte("cases:\n  - {id: a-b, title: t, level: must, ref: r, says: s, stages: [{expect: [ok, pause=3s], faults: ['op:drip=2s']}]}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := exam.ParseCards("x.yaml", data)
		if err == nil && len(all) == 0 {
			t.Error("no case and no error")
		}
	})
}

func TestReportsTellWhatCountsAndWhatIsKnown(t *testing.T) {
	card := func(id string, level exam.Level) exam.Card {
		group, _, _ := strings.Cut(id, "-")
		return exam.Card{ID: id, Group: group, Level: level, Ref: "RFC 7030 §3", Says: `a < b & "c"`}
	}
	report := exam.NewReport(exam.Client{Name: "c", Command: []string{"c"}}, "1s", 5, []exam.Result{
		{Card: card("a-one", exam.Must), Verdict: exam.Fail, Reason: "seen"},
		{Card: card("a-two", exam.Must), Verdict: exam.Fail, Reason: "seen"},
		{Card: card("a-three", exam.Robust), Verdict: exam.Fail, Reason: "seen"},
		{Card: card("b-one", exam.Must), Verdict: exam.Pass},
		{Card: card("b-two", exam.Must), Verdict: exam.Inconclusive, Reason: "why"},
		{Card: card("b-three", exam.Must), Verdict: exam.NotApplicable, Reason: "why"},
	})
	report.Against([]string{"a-one", "b-one"})
	if report.Cases[0].News != exam.KnownFailure || report.Cases[1].News != exam.NewFailure || report.Cases[3].News != exam.PassesNow {
		t.Errorf("%+v", report.Cases)
	}
	if must, all := report.Failed(exam.Must), report.Failed(exam.Robust); len(must) != 1 || must[0].ID != "a-two" || len(all) != 2 {
		t.Errorf("%v, %v", must, all)
	}
	var junit, page bytes.Buffer
	if err := report.JUnit(&junit, exam.Must); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		`<testsuite name="a" tests="3" failures="1" errors="0" skipped="0"`, `<testsuite name="b" tests="3" failures="0" errors="1" skipped="1"`,
		`<testcase classname="est-client.a" name="a-two" time="0.000">`, `<failure type="MUST" message="seen">`, "failed, which does not count here",
	} {
		if !strings.Contains(junit.String(), want) {
			t.Errorf("JUnit lacks %s:\n%s", want, junit.String())
		}
	}
	if strings.Contains(junit.String(), "stopped") {
		t.Error("JUnit says that it was stopped")
	}
	report.Stopped = true
	junit.Reset()
	if err := report.JUnit(&junit, exam.Must); err != nil || !strings.Contains(junit.String(), `<testsuite name="examination" tests="1" failures="0" errors="1"`) {
		t.Errorf("%v, JUnit does not say that it was stopped:\n%s", err, junit.String())
	}
	if err := report.HTML(&page); err != nil || !strings.Contains(page.String(), "a &lt; b") || strings.Contains(page.String(), "src=") {
		t.Errorf("%v\n%s", err, page.String())
	}
}

func TestABaselineOfWindowsIsRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "known.txt")
	if err := os.WriteFile(file, []byte("\ufeffa-one # first\r\na-two\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ids, err := exam.ReadBaseline(file, func(id string) bool { return strings.HasPrefix(id, "a-") })
	if err != nil || !slices.Equal(ids, []string{"a-one", "a-two"}) {
		t.Errorf("%q, %v", ids, err)
	}
}
