package explain_test

import (
	"strings"
	"testing"

	"ciscora/ra/explain"
	"ciscora/ra/explain/explaintest"
)

const (
	ownAnswer = `{"level":"info","ts":"2026-11-27T00:29:23Z","msg":"answered","enrollment":"5212053a198ad8de","method":"POST","path":"/.well-known/est/simpleenroll","label":"","client":"127.0.0.1:53474","status":STATUS,"bytes":71,"took":"193.569µs"REASON}` + "\n"
	ownLeg    = `{"level":"warn","ts":"2026-11-27T00:29:23Z","msg":"ca leg","enrollment":"5212053a198ad8de","phase":"login","url":"https://ca.example.com/certsrv","took":"1ms","status":401,"bytes":0,"kind":"auth-rejected","error":"x"}` + "\n"
)

func ownLine(status, reason string) string {
	if reason != "" {
		reason = `,"reason":"` + reason + `"`
	}
	return strings.NewReplacer("STATUS", status, "REASON", reason).Replace(ownAnswer)
}

func TestAnErrorThatTheRAAnsweredIsNotNothing(t *testing.T) {
	c := catalog(t)
	wrapped := strings.Replace(ownLine("400", "the body is x"), `,"status"`, ",\n\"status\"", 1)
	for _, test := range []struct {
		name, text       string
		strangers, found int
	}{
		{"400", ownLine("400", "the body has no end"), 1, 0},
		{"403", ownLine("403", "not allowed here"), 1, 0},
		{"500, no word for an error", ownLine("500", "encrypt the key that was made: none can sign"), 1, 0},
		{"504 without a reason", ownLine("504", ""), 1, 0},
		{"401, a header that nobody can use", ownLine("401", "the header is odd"), 1, 0},
		{"two lines of one mail", wrapped, 1, 0},
		{"the same twice is one", ownLine("400", "the body has no end") + strings.ReplaceAll(ownLine("400", "the body has no end"), "5212053a198ad8de", "ffffffffffffffff"), 1, 0},
		{"two reasons are two", ownLine("400", "the body has no end") + strings.ReplaceAll(ownLine("400", "the key is short"), "5212053a198ad8de", "ffffffffffffffff"), 2, 0},
		{"one enrollment is one, however many lines speak of it", strings.Replace(ownLeg, "auth-rejected", "forbidden", 1) + ownLine("502", "CA login: forbidden"), 1, 0},
		{"a line that tells a failure is not listed besides", strings.Replace(strings.Replace(ownLeg, "auth-rejected", "service-down", 1), `"status":401`, `"status":503`, 1), 0, 1},
		{"the failure that a lab has made is no failure by itself", `{"level":"warn","ts":"x","logger":"fault","msg":"fault","fault":"certsrv.submit:denied=0x80094811","of":"all","hits":1,"enrollment":""}` + "\n", 0, 0},
		{"what a card explains is not told again", ownLeg + ownLine("401", "the CA refuses the account"), 0, 1},
		{"a start says once more what a card explains", strings.Replace(ownLeg, `,"enrollment":"5212053a198ad8de"`, "", 1) +
			`{"level":"error","ts":"x","msg":"start failed, no chain; trying again","attempt":1,"in":"5s","error":"CA login: auth-rejected at https://ca.example.com/certsrv"}` + "\n", 0, 1},
		{"a start that no card explains is told", `{"level":"error","ts":"x","msg":"start failed, no chain; trying again","attempt":1,"in":"5s","error":"CA login: forbidden"}` + "\n", 1, 0},
		{"but that of another enrollment is", ownLeg + strings.Replace(ownLine("401", "the CA refuses the account"), "5212053a198ad8de", "ffffffffffffffff", 1), 1, 1},
		{"an orphan", `{"level":"warn","ts":"x","msg":"possible orphan: a POST ended without an answer"}` + "\n", 1, 0},
		{"an orphan of an enrollment that is listed already", strings.Replace(ownLeg, "auth-rejected", "forbidden", 1) +
			`{"level":"error","ts":"x","msg":"possible orphan: a POST ended without an answer","enrollment":"5212053a198ad8de","row":2}` + "\n", 2, 0},
		{"200", ownLine("200", ""), 0, 0},
		{"202", ownLine("202", "pending"), 0, 0},
		{"who has not logged in yet", ownLine("401", "no credentials: send the CA account's user name and password with HTTP Basic"), 0, 0},
		{"no enrollment", strings.Replace(ownLine("404", "x"), "/.well-known/est/simpleenroll", "/favicon.ico", 1), 0, 0},
		{"a path that speaks of a status", strings.Replace(ownLine("200", ""), "simpleenroll", `x\",\"status\":500`, 1), 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			report := read(t, c, explaintest.Input("ra.log", []byte(test.text)))
			if len(report.NotUnderstood) != test.strangers || len(report.Findings) != test.found {
				t.Errorf("%s", printed(t, report))
			}
			for _, s := range report.NotUnderstood {
				if s.Log != explain.RA || s.Line == 0 {
					t.Errorf("it stands at %s:%d of %q", s.File, s.Line, s.Log)
				}
			}
		})
	}
}
