package exam_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"ciscora/internal/peertest"
	"ciscora/ra/exam"
	"ciscora/ra/exam/wrongclient"
)

// only is for whoever works on a case: ids or globs.
var only = flag.String("only", "*", "prove these cases alone: ids or globs, with commas between")

// theClient is the client of package wrongclient; defect says what is wrong with it in a
// case.
func theClient(t *testing.T, defect func(exam.Card) string) exam.Client {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exam.Client{
		Name: "wrongclient", Command: []string{self}, Operations: exam.Operations(), Abilities: exam.Abilities(),
		Env: []string{asClient + "=1"},
		EnvOf: func(c exam.Card) []string {
			env := []string{wrongclient.Defect + "=" + defect(c)}
			if c.Group == "robust" {
				env = append(env, wrongclient.Hasty+"=1")
			}
			for _, ability := range c.Needs {
				env = append(env, wrongclient.Can+"="+ability)
			}
			return env
		},
	}
}

func cards(t *testing.T) []exam.Card {
	t.Helper()
	all, err := exam.Cards()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Each case is proven twice: a client that does right passes it, and one with exactly its
// defect fails it. A case that no wrong client can fail would be none.
func TestEachCaseIsPassedByARightClientAndFailedByAWrongOne(t *testing.T) {
	peertest.Long(t, "EachCase")
	for name, test := range map[string]struct {
		defect func(exam.Card) string
		want   exam.Verdict
	}{
		"right": {func(exam.Card) string { return "" }, exam.Pass},
		"wrong": {func(c exam.Card) string { return c.ID }, exam.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := some(t, strings.Split(*only, ",")...)
			if test.want == exam.Fail {
				all = slices.DeleteFunc(all, func(c exam.Card) bool { return len(c.Declares) > 0 }) // no defect of what runs
			}
			results, err := exam.Run(t.Context(), exam.Options{Client: theClient(t, test.defect), Cards: all, Limit: 45 * time.Second, Parallel: 2, Dir: t.TempDir(), Keys: keys(t), Wire: true})
			if err != nil || len(results) != len(all) {
				t.Fatalf("%d results of %d, %v", len(results), len(all), err)
			}
			for _, r := range results {
				if r.Verdict == test.want {
					t.Logf("%5.1f s %s: %s", r.Took.Seconds(), r.Card.ID, r.Reason)
					continue
				}
				t.Errorf("%s: %s, %s; want %s", r.Card.ID, r.Verdict, r.Reason, test.want)
				for _, one := range r.Runs {
					t.Logf("%s: %s\n%s", one.Stage, one.Problem, one.Wire)
				}
			}
		})
	}
}

func TestAClientThatLacksAnOperationOfAllClientsHasFailed(t *testing.T) {
	for name, test := range map[string]struct {
		operations []string
		want       exam.Verdict
		reason     string
	}{
		"it enrolls alone":        {[]string{exam.Enroll, exam.Reenroll}, exam.Fail, "it is not declared to do cacerts:"},
		"it fetches alone":        {[]string{exam.CACerts}, exam.Fail, "it is not declared to do enroll:"},
		"it does neither":         {[]string{exam.CSRAttrs}, exam.Fail, "it is not declared to do cacerts, enroll:"},
		"it enrolls, and fetches": {[]string{exam.CACerts, exam.Enroll}, exam.Pass, ""},
	} {
		t.Run(name, func(t *testing.T) {
			client := shell("exit 1")
			client.Operations = test.operations
			r := one(t, client, 20*time.Second, "missing-operation")
			if r.Verdict != test.want || !strings.Contains(r.Reason, test.reason) {
				t.Errorf("%s: %s; want %s: %s", r.Verdict, r.Reason, test.want, test.reason)
			}
		})
	}
}

func TestAClientThatWaitsForLeaveToSendItsBodyIsJudgedByTheBody(t *testing.T) {
	client := theClient(t, func(exam.Card) string { return "" })
	client.Env = append(client.Env, wrongclient.Expect+"=1")
	for _, id := range []string{"http-request", "enroll-csr", "reenroll-names", "auth-challenged"} {
		r := one(t, client, 20*time.Second, id)
		if r.Verdict != exam.Pass {
			t.Errorf("%s: %s, %s", id, r.Verdict, r.Reason)
		}
	}
}

// What a case is not about does not fail it, and what it did not show does not pass it.
func TestACaseIsSilentAboutAnotherDefect(t *testing.T) {
	for _, test := range []struct {
		defect, id string
		want       exam.Verdict
	}{
		{"auth-challenged", "auth-unknown-first", exam.Inconclusive}, // its password goes out unasked
		{"auth-challenged", "auth-scheme-case", exam.Inconclusive},
		{"tls-12", "tls-renegotiate", exam.Pass}, // TLS 1.3 has no renegotiation
		{"tls-12", "tls-renegotiate-begun", exam.Pass},
		{"tls-12", "pop-unique", exam.Inconclusive}, // nor tls-unique
		{"tls-12", "pop-fresh", exam.Inconclusive},
	} {
		r := one(t, theClient(t, func(exam.Card) string { return test.defect }), 20*time.Second, test.id)
		if r.Verdict != test.want {
			t.Errorf("%s with the defect of %s: %s, %s; want %s", test.id, test.defect, r.Verdict, r.Reason, test.want)
		}
	}
}
