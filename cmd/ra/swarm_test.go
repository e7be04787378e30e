package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"ciscora/est/capf"
)

// Whoever finds the report later must not take phones that never asked for some that wait.
func TestASwarmThatWasStoppedSaysSo(t *testing.T) {
	stopped := capf.Summary{Count: 400, OK: 78, Failed: 2, Elapsed: 4 * time.Second, Errors: map[string]int{"canceled": 2}}
	whole := capf.Summary{Count: 80, OK: 78, Failed: 2, Elapsed: 4 * time.Second, Errors: map[string]int{"EST_ERR_AUTH_FAIL": 2}}
	for want, s := range map[bool]capf.Summary{true: stopped, false: whole} {
		told, err := json.Marshal(newSwarmSummary(s))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(told), `"stopped":true`); got != want {
			t.Errorf("%s", told)
		}
		page, err := swarmReport("swarm.html", "https://est.example", time.Unix(0, 0), s)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(string(page), "stopped before 320 had asked"); got != map[bool]int{true: 2}[want] || !strings.Contains(string(page), "How long 80 phones waited") {
			t.Errorf("%d times in %.1500s", got, page)
		}
		var out bytes.Buffer
		(&cli{env: Environment{Stdout: &out}}).printSwarm(s)
		if got := strings.Contains(out.String(), "stopped   320 phones never asked"); got != want {
			t.Error(out.String())
		}
	}
}

func TestAKindOfKeyThatThereIsNotIsFoundBeforeTheFirstPhone(t *testing.T) {
	for text, want := range map[string]string{
		"rsa2048=50,bogus=50": `"bogus"`, "bogus": "use rsa2048", "rsa2048=0": "no kind has a share", "rsa2048=1,ec256=-1": "want one kind",
		"rsa2048=90,ec256=10": "", "ec521": "",
	} {
		_, err := keyShares(text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
