package scenario_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ciscora/ra/scenario"
)

func probed(t *testing.T) []scenario.Card {
	t.Helper()
	all, err := scenario.Probed()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// probeKeys are of all stages here: to make RSA keys takes longer than to probe.
var probeKeys = new(scenario.Keys)

// What ra check says of a server, a client or a file that is as the document has it, is
// what the document's product says; mended, it finds nothing.
func TestRACheckTellsTheFailuresOfTheOtherDocuments(t *testing.T) {
	for _, card := range probed(t) {
		t.Run(card.Name, func(t *testing.T) {
			t.Parallel()
			mended := false
			var lines []string
			result := scenario.Run(t.Context(), card, scenario.Options{
				Dir: filepath.Join(t.TempDir(), card.Name), Keys: probeKeys, Mend: func() { mended = true },
				Line: func(log, line string) { lines = append(lines, log+": "+line) },
			})
			if result.Error != "" || !result.Passed || len(result.Checks) != 4 || !mended {
				t.Errorf("%+v\n%s", result, strings.Join(lines, "\n"))
			}
			if len(lines) == 0 || !strings.Contains(strings.Join(lines, "\n"), "check: FAIL  "+card.Probe.Finds) {
				t.Errorf("the lines are %q", lines)
			}
			if !strings.HasPrefix(card.Probe.Command(), "ra check "+card.Probe.Check+" ") {
				t.Error(card.Probe.Command())
			}
		})
	}
}

// Without its cause no probe passes: what it finds comes from that.
func TestNoProbePassesWithoutItsCause(t *testing.T) {
	for _, card := range probed(t) {
		t.Run(card.Name, func(t *testing.T) {
			t.Parallel()
			result := scenario.Run(t.Context(), card.WithoutCauseProbed(), scenario.Options{Dir: filepath.Join(t.TempDir(), card.Name), Keys: probeKeys})
			if result.Error != "" || result.Passed || result.Checks[0].OK {
				t.Errorf("%+v", result)
			}
		})
	}
}

// The rows of the other documents that a live check can see have such a card.
func TestTheOtherDocumentsFailuresAreProbed(t *testing.T) {
	seen := map[string]bool{}
	for _, card := range probed(t) {
		seen[card.Name] = true
	}
	for _, name := range []string{
		"tms-no-https-response", "tms-falls-back-to-http", "sql-security-library", "tsp-operation-pending",
		"expressway-not-pem", "expressway-unrecognized-ca", "expressway-tls-negotiation", "expressway-no-ssh-tunnels",
		"vpn-leaf-not-trusted", "vpn-host-id", "vpn-host-id-wildcard", "vpn-no-shared-cipher", "vpn-ec-certificate", "vpn-load-balancing",
	} {
		if !seen[name] {
			t.Errorf("%s has no probe", name)
		}
	}
}

func TestAMistakeInAProbeIsTold(t *testing.T) {
	const good = `name: x
kind: note
title: t
document: d
tells: {phone: "a line"}
explanation: e
fix: f
probe:
  check: vpn
  finds: vpn.hash
  stage:
    certificates: [{name: asa, cn: a}]
    server: {versions: ["1.0"], ciphers: [AES128-SHA], shows: [asa]}
  mended:
    phone: {trusts: [asa]}
`
	card, err := scenario.Parse("x.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if m := card.Probe.Mended; len(m.Phone.Trusts) != 1 || len(m.Server.Shows) != 1 || len(card.Probe.Stage.Phone.Trusts) != 0 {
		t.Errorf("mended is not the stage with its change: %+v", card.Probe)
	}
	for _, test := range []struct{ old, new, want string }{
		{"check: vpn", "check: vnp", `probe.check: there is no check "vnp", did you mean vpn?`},
		{"finds: vpn.hash", "", "probe.finds is missing"},
		{"server: {", "servr: {", "x.yaml:13:5: probe.stage.servr: unknown key, did you mean server?"},
		{"trusts: [asa]", "trusts: [asb]", `probe.mended: phone.trusts: there is no certificate "asb"`},
		{"AES128-SHA", "AES129-SHA", `there is no cipher "AES129-SHA"`},
		{"shows: [asa]", "shows: [asa], redirects: [asa]", "server.redirects: what sends one elsewhere speaks https"},
		{"shows: [asa]", "shows: [asa], refuses: rst", `server.refuses: "rst" is no way`},
		{`["1.0"]`, `["1.9"]`, `"1.9" is no version`},
		{"cn: a}", "cn: a, by: root}", `asa is issued by "root", which stands not before it`},
		{"kind: note\n", "profile: modern\nsteps: [start]\n", "a probe is a note's"},
	} {
		_, err := scenario.Parse("x.yaml", []byte(strings.Replace(good, test.old, test.new, 1)))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.new, err, test.want)
		}
	}
}

// The page's example is a card of one's own, as it is printed.
func TestTheProbeOfThePageCanBeRead(t *testing.T) {
	page, err := os.ReadFile("../../docs/check-endpoints.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("there is no example")
	}
	file := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(file, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	card, err := scenario.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if result := scenario.Run(t.Context(), card, scenario.Options{Dir: filepath.Join(t.TempDir(), "x")}); !result.Passed {
		t.Errorf("%+v", result)
	}
}
