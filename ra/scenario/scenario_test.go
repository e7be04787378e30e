package scenario_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"ciscora/ra/explain/explaintest"
	"ciscora/ra/lab"
	"ciscora/ra/scenario"
)

var update = flag.Bool("update", false, "write the pages of failures anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func cards(t *testing.T) []scenario.Card {
	t.Helper()
	all, err := scenario.Cards()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// play runs a card: in virtual time, unless an errno decides.
func play(t *testing.T, card scenario.Card, keys keys) (result scenario.Result) {
	t.Helper()
	return playIn(t, card, keys, filepath.Join(t.TempDir(), card.Name))
}

func playIn(t *testing.T, card scenario.Card, keys keys, dir string, mend ...func()) (result scenario.Result) {
	t.Helper()
	o := scenario.Options{Dir: dir, Keys: keys.virtual}
	for _, f := range mend {
		o.Mend = f // it has failed, and is not mended yet
	}
	if card.RealTime {
		o.Keys = keys.real
		return scenario.Run(t.Context(), card, o)
	}
	synctest.Test(t, func(t *testing.T) {
		o.Network = &lab.Memory{}
		result = scenario.Run(t.Context(), card, o)
	})
	return result
}

// keys are a CA's, for labs in real and in virtual time, which begins in 2000.
type keys struct{ real, virtual *scenario.Keys }

func makeKeys(t *testing.T) (k keys) {
	t.Helper()
	in := func(t *testing.T, dir string) *scenario.Keys {
		made, err := scenario.MakeKeys(dir)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	k.real = in(t, t.TempDir())
	virtual := t.TempDir()
	synctest.Test(t, func(t *testing.T) { k.virtual = in(t, virtual) })
	return k
}

// Each card's run is as it says, and what it leaves in its logs, each alone and all
// together, ra explain takes for that card.
func TestEveryCardIsAsItSays(t *testing.T) {
	keys := makeKeys(t)
	left := &leftBehind{logs: map[string]explaintest.Logs{}}
	defer left.explain(t)
	t.Run("play", func(t *testing.T) { playEvery(t, keys, left) })
}

func playEvery(t *testing.T, keys keys, left *leftBehind) {
	for _, card := range cards(t) {
		t.Run(card.Name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), card.Name)
			taken := false
			take := func() { // of the failure alone: what the fix leaves is a good run
				if !taken {
					left.take(t, card.Name, dir)
				}
				taken = true
			}
			result := playIn(t, card, keys, dir, take)
			take()
			if result.Error != "" {
				t.Error(result.Error)
			}
			for _, c := range result.Checks {
				if !c.OK {
					t.Errorf("%s\nexpected %s\nseen     %s", c.What, c.Expected, c.Seen)
				}
			}
			if len(result.Checks) < 2 {
				t.Errorf("only %d things were looked at", len(result.Checks))
			}
		})
	}
}

// Without its cause no card passes: what it looks for comes from its fault. The
// good flows, which have none, do not pass with one.
func TestEveryCardFailsWithoutItsCause(t *testing.T) {
	keys := makeKeys(t)
	for _, card := range cards(t) {
		without := card.WithoutCause()
		if strings.HasPrefix(card.Document, "good flow") {
			// Nothing is wrong there; but something could be.
			without.Steps = append([]scenario.Step{{Do: "fault", Fault: "certsrv.login:wrong-password"}}, without.Steps...)
		}
		t.Run(card.Name, func(t *testing.T) {
			t.Parallel()
			result := play(t, without, keys)
			if result.Error != "" {
				t.Fatalf("it could not be played: %s", result.Error)
			}
			if result.Passed {
				t.Error("it passes although nothing is wrong")
			}
		})
	}
}

// What a card's second part looks for comes from the fix.
func TestNoCardIsMendedWithoutItsFix(t *testing.T) {
	keys := makeKeys(t)
	documented := map[string]bool{}
	for _, card := range cards(t) {
		if len(card.Mended.Steps) == 0 {
			continue
		}
		documented[card.Document] = true
		t.Run(card.Name, func(t *testing.T) {
			t.Parallel()
			result := play(t, card.WithoutFix(), keys)
			if result.Error != "" {
				t.Fatalf("it could not be played: %s", result.Error)
			}
			first, second := 0, 0 // checks that differ
			for _, c := range result.Checks {
				switch {
				case c.OK:
				case strings.HasPrefix(c.What, "mended: "):
					second++
				default:
					first++
				}
			}
			if first != 0 || second == 0 {
				t.Errorf("%d checks of the failure differ, want none; %d of the mended lab, want some", first, second)
			}
		})
	}
	for n := range 9 {
		if d := fmt.Sprintf("F%d", n+1); !documented[d] {
			t.Errorf("no card plays the fix of %s", d)
		}
	}
}

func TestACardIsFoundByTheBeginningOfItsName(t *testing.T) {
	all := cards(t)
	for name, want := range map[string]string{"f7": "f7-slow-login", "F7": "f7-slow-login", "f7-slow-login": "f7-slow-login", "good-s": "good-start", "est-202": "est-202"} {
		if card, err := scenario.Find(all, name); err != nil || card.Name != want {
			t.Errorf("%s: %s, %v", name, card.Name, err)
		}
	}
	for name, want := range map[string]string{
		"f1": "say which: f1-missing-intermediate, f1-unknown-root", "f99": "there is no scenario", "": "there is no scenario", "est": "est-400, est-404, ...",
	} {
		if _, err := scenario.Find(all, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", name, err, want)
		}
	}
}

func TestOnesOwnCardNeedsStepsAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mine.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("steps: [start, enroll]\nexpect: {issued: 1}\nmended: {lab: {template: WiFiClient}, steps: [start]}\n")
	card, err := scenario.Load(file)
	if err != nil || card.Name != "mine" || card.Profile != "cucm-12.5" || card.Mended.Lab.Template != "WiFiClient" {
		t.Fatalf("%+v, %v", card, err)
	}
	if result := play(t, card, makeKeys(t)); !result.Passed {
		t.Errorf("%+v", result)
	}
	write("steps: [start]\nmended: {steps: [starte]}\n")
	if _, err := scenario.Load(file); err == nil || !strings.Contains(err.Error(), `mine.yaml:2:18: mended.steps[0]: unknown step "starte", did you mean start?`) {
		t.Errorf("a mistake in it: %v", err)
	}
	write("name: yours\nsteps: [start]\n")
	if _, err := scenario.Load(file); err == nil || !strings.Contains(err.Error(), "name, which is the file's") {
		t.Errorf("another name than the file's, which is its lab's folder: %v", err)
	}
}

// What the issue wants cards for; the names are the project's own.
func TestTheCardsThatMustBeThereAreThere(t *testing.T) {
	var documents, names []string
	for _, c := range cards(t) {
		documents = append(documents, c.Document)
		names = append(names, c.Name)
	}
	for _, d := range []string{"F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "F9", "good flow, start-up", "good flow, enrollment"} {
		if !slices.Contains(documents, d) {
			t.Errorf("no card for %s", d)
		}
	}
	for _, n := range []string{
		"timers-race", "wrong-password", "locked-account", "basic-refused", "service-stopped", "template-permission", "key-too-short", "pending",
		"denied-by-manager", "renewed-ca", "language-fr", "language-ja", "pool-stopped", "tls10-only", "client-certificate", "retry-makes-a-second", "retry-is-recovered",
	} {
		if !slices.Contains(names, n) {
			t.Errorf("no card %s", n)
		}
	}
}

func TestThePagesOfFailuresAreCurrent(t *testing.T) {
	const docs = "../../docs"
	notes, err := scenario.Notes()
	if err != nil {
		t.Fatal(err)
	}
	all := append(cards(t), notes...)
	pages := map[string]string{filepath.Join(docs, "failures.md"): scenario.Index(all)}
	for _, c := range all {
		pages[filepath.Join(docs, "failures", c.Name+".md")] = scenario.Page(c)
	}
	there, err := filepath.Glob(filepath.Join(docs, "failures", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range there {
		if _, ok := pages[page]; !ok {
			t.Errorf("%s: there is no such card", page)
		}
	}
	for page, want := range pages {
		if *update {
			if err := os.MkdirAll(filepath.Dir(page), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(page); err != nil || string(got) != want {
			t.Errorf("%s is not what the cards say: go test ./ra/scenario -update (%v)", page, err)
		}
	}
}

// From a line of a log to the failures that may be behind it.
func TestTheIndexNamesTheCandidatesOfALineAndWhatTellsThemApart(t *testing.T) {
	index := scenario.Index(cards(t))
	for _, want := range []string{
		"`Enrollment rv = 35 (EST_ERR_SSL_READ) with pkcs7 length = 0`\n\n- [f9-capf-timeout](failures/f9-capf-timeout.md): CAPF waits",
		"with return code 51 (SSL: certificate subject name 'lab-dc' does not match target host name 'lab-dc.michamen.com')`\n\n- [f3-wrong-name]",
	} {
		if !strings.Contains(index, want) {
			t.Errorf("not in the index: %s", want)
		}
	}
	for _, c := range cards(t) {
		if !strings.Contains(index, "["+c.Name+"](failures/"+c.Name+".md)") {
			t.Errorf("%s is not in the index", c.Name)
		}
	}
}

func TestAMistakeInACardNamesItsPlaceAndWhatWasMeant(t *testing.T) {
	const good = `name: x
title: t
document: F1
profile: cucm-12.5
steps:
  - start
expect: {rv: 0}
explanation: e
fix: f
`
	if _, err := scenario.Parse("x.yaml", []byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ old, new, want string }{
		{"title: t", "titel: t", "x.yaml:2:1: titel: unknown key, did you mean title?"},
		{"expect: {rv: 0}", "expect: {vr: 0}", "x.yaml:7:10: expect.vr: unknown key, did you mean rv?"},
		{"- start", "- starte", `x.yaml:6:5: steps[0]: unknown step "starte", did you mean start?`},
		{"- start", "- fault: certsrv.login:hangs", `x.yaml:6:12: steps[0]: fault "certsrv.login:hangs": certsrv.login has no kind "hangs", did you mean hang?`},
		{"- start", "- fault: certsrv.logn:hang", `unknown place "certsrv.logn", did you mean certsrv.login?`},
		{"- start", "- fault: certsrv.login:hang,cuont=2", `unknown parameter "cuont", did you mean count?`},
		{"document: F1", "source: guessed", "inferred at the beginning of source is missing"},
		{"document: F1\n", "", "document, or source"},
		{"profile: cucm-12.5", "profile: cucm", "profile, cucm-12.5 or modern, is missing"},
		{"name: x", "name: y", "name, which is the file's"},
		{"{rv: 0}", "{wait: soon}", `expect.wait: "soon" is no range`},
		{"{rv: 0}", `{logs: {nginx: "a {timme} b"}}`, "x.yaml:7:24: expect.logs.nginx[0]: unknown hole {timme}, did you mean time?"},
		{"name: x", "name: [", "x.yaml: "},
	} {
		_, err := scenario.Parse("x.yaml", []byte(strings.Replace(good, test.old, test.new, 1)))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.new, err, test.want)
		}
	}
	if _, err := scenario.Find(cards(t), "f7-slow-logon"); err == nil || !strings.Contains(err.Error(), "did you mean f7-slow-login?") {
		t.Errorf("a name that is not known: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("name: x\ntitle: t\nsteps: [start, {fault: \"certsrv.login:hang\"}]\nexpect: {logs: {nginx: \"{time} a\"}}\n"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = scenario.Parse("x.yaml", data) // must not panic
	})
}
