package explain_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"ciscora/internal/peertest"
	"ciscora/ra/explain"
	"ciscora/ra/explain/explaintest"
)

// oneAfterTheOther are the logs of one CES and one CA to which phones come, each of which
// meets what a card has, or nothing: so many seconds apart, from the first card's start on.
func oneAfterTheOther(logs map[string]explaintest.Logs, apart time.Duration, runs ...string) explaintest.Logs {
	all := shared{}
	for n, card := range runs {
		all.come(logs[card], time.Duration(n)*apart, n)
	}
	return explaintest.Logs(all)
}

// shared are logs of one CES and one CA.
type shared explaintest.Logs

// come adds the phone n, which comes so long after the first.
func (s shared) come(run explaintest.Logs, at time.Duration, n int) {
	for _, f := range explaintest.Files {
		before, lines := enrollmentOf(f.Log, string(run[f.Log]))
		text := []byte(strings.Join(lines, ""))
		if n == 0 {
			text = append([]byte(before), text...)
		}
		text = moved(text, at, "+0000")
		text = connection.ReplaceAll(text, fmt.Appendf(nil, "#0: *%d$1 ", n+1))
		text = device.ReplaceAll(text, fmt.Appendf(nil, "SEP0000000000%02X", n))
		s[f.Log] = append(s[f.Log], text...)
	}
}

// The other phones' lines in the same minute make nothing surer that they do not tell, and
// no line of theirs is evidence.
func TestPhonesThatFailOneAfterTheOtherAreToldApart(t *testing.T) {
	c := catalog(t)
	failing := []string{"f6-template-typo", "denied-by-policy", "wrong-password", "key-too-short", "pool-stopped", "denied-by-manager"}
	var runs []string
	for i, card := range failing {
		runs = append(runs, "good-enrollment", card)
		if i%2 == 0 {
			runs = append(runs, "good-enrollment")
		}
	}
	runs = append(runs, "good-enrollment", "good-enrollment")
	for _, apart := range []time.Duration{3 * time.Second, 8 * time.Second, 40 * time.Second} {
		all := oneAfterTheOther(recorded(t), apart, runs...)
		for _, which := range [][]string{{"nginx", "capf", "iis"}, {"nginx", "capf"}, {"capf", "iis"}, {"nginx", "iis"}, {"nginx"}, {"iis"}} {
			t.Run(fmt.Sprint(apart, " apart, ", strings.Join(which, " and ")), func(t *testing.T) {
				var inputs []explain.Input
				for _, log := range which {
					inputs = append(inputs, explaintest.Input(log, bytes.Clone(all[log])))
				}
				report := read(t, c, inputs...)
				possible := map[string]bool{}
				for _, f := range report.Findings {
					possible[f.Name] = true
					fit := slices.Concat([]string{f.Name}, f.Variants)
					for _, o := range f.Others {
						possible[o.Name] = true
						fit = append(append(fit, o.Name), o.Variants...)
					}
					for _, name := range fit {
						possible[name] = true
					}
					certain := f.Sure == explain.Certain || f.Sure == explain.Likely
					if certain && !slices.Contains(failing, f.Name) && f.Name != "pending" {
						t.Errorf("%s is %s: %s", f.Name, f.Sure, f.Why)
					}
					if len(f.Evidence) > 1 && spread(f) > 2*time.Second && f.Count == 1 {
						t.Errorf("%s: its evidence is of several phones: %+v", f.Name, f.Evidence)
					}
				}
				for _, card := range failing {
					if slices.Contains(which, "capf") && !possible[card] {
						t.Errorf("%s is nowhere", card)
					}
				}
				if t.Failed() {
					var out bytes.Buffer
					_ = report.Print(&out)
					t.Log(out.String())
				}
			})
		}
	}
}

// CAPF's trace has no dates: however many have failed before, a phone's lines in it are found.
func TestHoweverManyFailTheirLogsAreJoined(t *testing.T) {
	c, logs := catalog(t), recorded(t)
	for _, card := range []string{"submit-hangs", "asp-timeout", "wrong-password"} {
		all := oneAfterTheOther(logs, 40*time.Second, slices.Repeat([]string{card}, 500)...)
		var inputs []explain.Input
		for _, f := range explaintest.Files {
			inputs = append(inputs, explaintest.Input(f.Log, all[f.Log]))
		}
		findings := read(t, c, inputs...).Findings
		if len(findings) == 0 {
			t.Errorf("%s 500 times is nothing", card)
		}
		for _, f := range findings {
			if f.Count != 500 || len(f.Logs) != 3 {
				t.Errorf("%s 500 times is %s %d times, in %v", card, f.Name, f.Count, f.Logs)
			}
		}
	}
}

// As above, in any order and at any time, so that none of them stands nearer to a line than the
// phone whose it is.
func TestPhonesInAnyOrderAreToldApart(t *testing.T) {
	c, logs := catalog(t), recorded(t)
	cards := []string{
		"f6-template-typo", "denied-by-policy", "wrong-password", "key-too-short", "pool-stopped", "denied-by-manager", "login-reset", "login-no-answer",
		"submit-reset", "submit-500", "service-stopped", "service-stopped-at-template", "template-permission", "no-domain-controller",
		"certificate-for-another-key", "pending", "f9-capf-timeout", "timers-race", "submit-hangs", "asp-timeout", "f7-slow-login",
	}
	for seed := range uint64(peertest.Many("AnyOrder", 30, 300)) {
		random := rand.New(rand.NewPCG(seed, 1))
		all, failing := shared{}, map[string]bool{}
		at := time.Duration(0)
		for n := range 12 {
			card := "good-enrollment"
			if n > 0 && random.IntN(2) == 0 {
				card = cards[random.IntN(len(cards))]
				failing[card] = true
				failing["pending"] = failing["pending"] || card == "denied-by-manager" // which it was before
			}
			all.come(logs[card], at, n)
			at += time.Duration(1+random.IntN(30)) * time.Second
			if logs[card]["capf"] != nil && bytes.Contains(logs[card]["capf"], []byte("35 (EST_ERR_SSL_READ)")) {
				at += 15 * time.Second // it has waited
			}
		}
		for _, which := range [][]string{{"nginx", "capf", "iis"}, {"nginx", "capf"}, {"capf", "iis"}, {"nginx", "iis"}} {
			var inputs []explain.Input
			for _, log := range which {
				inputs = append(inputs, explaintest.Input(log, all[log]))
			}
			for _, f := range read(t, c, inputs...).Findings {
				if f.Sure == explain.Possible {
					continue
				}
				if !slices.ContainsFunc(append([]string{f.Name}, f.Variants...), func(name string) bool { return failing[name] }) {
					t.Errorf("seed %d, %v: %q is %s, and was not there: %s", seed, which, f.Name, f.Sure, f.Why)
				}
			}
		}
	}
}

// Whatever fails within the log-in is libest's 22: what IIS wrote at that second is the
// cause, also where no card knows it.
func TestWhatIISRefusedAtThatVerySecondIsTheCause(t *testing.T) {
	c, logs := catalog(t), recorded(t)
	for _, x := range []struct{ card, line, becomes, want string }{
		{"wrong-password", "401 1 2148074252", "403 4 5", "iis-tls-required"},
		{"wrong-password", "401 1 2148074252", "500 0 99", ""},
		{"certificate-for-another-key", "ReqID=1&ENC=b64 443 LAB\\ciscora 127.0.0.1 CiscoRA+1.0 - 200 0 0", "ReqID=1&ENC=b64 443 LAB\\ciscora 127.0.0.1 CiscoRA+1.0 - 404 0 2", ""},
	} {
		iis := strings.Replace(string(logs[x.card]["iis"]), x.line, x.becomes, 1)
		if iis == string(logs[x.card]["iis"]) {
			t.Fatalf("%s has no %s", x.card, x.line)
		}
		for _, which := range [][]string{{"nginx", "capf"}, {"nginx"}, {"capf"}} {
			inputs := []explain.Input{explaintest.Input("iis", []byte(iis))}
			for _, log := range which {
				inputs = append(inputs, explaintest.Input(log, logs[x.card][log]))
			}
			report := read(t, c, inputs...)
			if len(report.Findings) != 1 || report.Findings[0].Name != x.want || len(report.Findings[0].Logs) != len(which)+1 {
				t.Errorf("%s, %s, IIS and %v: %s", x.card, x.becomes, which, printed(t, report))
			}
		}
	}
}

// curl's words in NGINX's log are the cause, and what CAPF and IIS have of that moment came of
// it, though the card names NGINX's log alone.
func TestWhatCameOfACallThatFailedIsNoFailureOfItsOwn(t *testing.T) {
	c, logs := catalog(t), recorded(t)
	refused := strings.Replace(string(logs["wrong-password"]["nginx"]), "***EST [WARNING][est_enroll_auth:394]-->",
		"2000/01/01 00:00:00 [warn] 16765#0: *2 login_to_certsrv_ca: Curl call for MS CA login failed with return code 60 (SSL certificate problem: certificate has expired) while SSL EST handshaking, client: 127.0.0.1, server: 127.0.0.1:8084\n***EST [WARNING][est_enroll_auth:394]-->", 1)
	for _, x := range []struct {
		name, want string
		logs       []explain.Input
	}{
		{"NGINX and CAPF of a handshake that failed", "expired", []explain.Input{explaintest.Input("nginx", []byte(refused)), explaintest.Input("capf", logs["wrong-password"]["capf"])}},
		{"CAPF and IIS of a log-in without an answer", "login-no-answer", []explain.Input{explaintest.Input("capf", logs["login-no-answer"]["capf"]), explaintest.Input("iis", logs["login-no-answer"]["iis"])}},
		{"all of it", "login-no-answer", []explain.Input{explaintest.Input("capf", logs["login-no-answer"]["capf"]), explaintest.Input("iis", logs["login-no-answer"]["iis"]), explaintest.Input("nginx", logs["login-no-answer"]["nginx"])}},
	} {
		report := read(t, c, x.logs...)
		if len(report.Findings) != 1 || report.Findings[0].Name != x.want && !slices.ContainsFunc(report.Findings[0].Others, func(o explain.Other) bool { return o.Name == x.want }) || len(report.Findings[0].Logs) != len(x.logs) {
			t.Errorf("%s: %s", x.name, printed(t, report))
		}
	}
}

// A clock that is minutes off makes nothing likely, and nobody is told that nothing has to be
// mended whom the logs do not name.
func TestClocksThatAreOffMakeNothingSurer(t *testing.T) {
	logs := oneAfterTheOther(recorded(t), 10*time.Second, "good-enrollment", "denied-by-policy", "wrong-password", "good-enrollment", "key-too-short", "good-enrollment")
	iis := moved(logs["iis"], 3*time.Minute, "+0000")
	for _, f := range read(t, catalog(t), explaintest.Input("capf", logs["capf"]), explaintest.Input("iis", iis)).Findings {
		if slices.Contains(f.Logs, explain.CAPF) && f.Sure != explain.Possible {
			t.Errorf("%s is %s: %s", f.Name, f.Sure, f.Why)
		}
		if f.Harmless || strings.HasPrefix(f.Name, "est-") {
			t.Errorf("%s stands first", f.Name)
		}
	}
}

// A log that was cut begins with the end of a request.
func TestTheEndOfAChallengeAloneIsNoFailure(t *testing.T) {
	text := string(recorded(t)["good-enrollment"]["nginx"])
	at := strings.Index(text, `***EST [INFO][log_access:1298]-->`)
	if report := read(t, catalog(t), explaintest.Input("nginx", []byte(text[at:]))); report.Failed() {
		t.Error(printed(t, report))
	}
}

// Two clients wait for one certificate, and one of them has gone: which answer is written
// first is chance.
func TestAnAnswerInVainIsTheSameBeforeAndBehindAGoodOne(t *testing.T) {
	logs := recorded(t)["retry-is-recovered"]
	text := string(logs["nginx"])
	at := strings.Index(text, "***EST [WARNING][est_http_request:1435]--> Enrollment failed with rc=10")
	vain, good, ok := strings.Cut(text[at:], "Cisco EST client 1.0\"\n")
	if at < 0 || !ok {
		t.Fatal("the recording has no answer in vain")
	}
	for _, nginx := range []string{text, text[:at] + good + vain + "Cisco EST client 1.0\"\n"} {
		report := read(t, catalog(t), explaintest.Input("nginx", []byte(nginx)), explaintest.Input("capf", logs["capf"]), explaintest.Input("iis", logs["iis"]))
		if len(report.Findings) != 1 || report.Findings[0].Name != "retry-is-recovered" || !report.Failed() {
			t.Error(printed(t, report))
		}
	}
}

// Who denies shows in the IIS log alone: what was pending is collected, and nothing posted.
func TestADenialByTheManagerIsToldFromOneByThePolicyHoweverSoonItComes(t *testing.T) {
	logs := recorded(t)["denied-by-manager"]
	report := read(t, catalog(t), explaintest.Input("nginx", logs["nginx"]), explaintest.Input("capf", logs["capf"]), explaintest.Input("iis", logs["iis"]))
	var names []string
	for _, f := range report.Findings {
		names = append(names, f.Name+" "+string(f.Sure))
	}
	if !slices.Contains(names, "denied-by-manager likely") || slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "denied-by-policy") }) {
		t.Error(printed(t, report))
	}
}

// spread is how far apart the times of a finding's evidence are.
func spread(f *explain.Finding) time.Duration {
	var least, most time.Time
	for _, e := range f.Evidence {
		text := e.Time
		if len(text) > 12 {
			text = text[len(text)-8:]
		}
		at, err := time.Parse("15:04:05", text[:min(len(text), 8)])
		if err != nil {
			continue
		}
		if least.IsZero() || at.Before(least) {
			least = at
		}
		if most.IsZero() || at.After(most) {
			most = at
		}
	}
	return most.Sub(least)
}

// Of the names of its fields nobody knows where they end, where the file does.
func TestAnIISLogOfOneEntryIsRead(t *testing.T) {
	report := read(t, catalog(t), explaintest.Input("u_ex.log", []byte("#Software: Microsoft Internet Information Services 10.0\n"+
		"#Fields: date time cs-method cs-uri-stem sc-status sc-substatus sc-win32-status\n2019-01-16 14:05:02 GET /certsrv 401 1 2148074252\n")))
	if len(report.Findings) != 1 || report.Findings[0].Name != "wrong-password" {
		t.Error(printed(t, report))
	}
}
