package explain_test

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ciscora/ra/explain"
	"ciscora/ra/explain/explaintest"
)

// grepped is what grep leaves of a log.
func grepped(pattern string, data []byte) []byte {
	re := regexp.MustCompile(pattern)
	var out strings.Builder
	for line := range strings.Lines(string(data)) {
		if re.MatchString(line) {
			out.WriteString(line)
		}
	}
	return []byte(out.String())
}

// named are the failures that a report names, as what it was, may have been, or with what
// would tell.
func named(report *explain.Report) (names []string) {
	for _, f := range report.Findings {
		names = append(append(names, f.Name), f.Variants...)
		for _, o := range f.Others {
			names = append(append(names, o.Name), o.Variants...)
		}
		for _, a := range f.Apart {
			names = append(names, a.Names...)
		}
	}
	return names
}

// What people do first, and paste: of a log without its other lines nothing is concluded from
// what is not in it, with the other logs or alone.
func TestOfWhatGrepLeavesOfCESsLogNothingIsTakenForAnotherFailure(t *testing.T) {
	t.Parallel()
	logs := recorded(t)
	c := catalog(t)
	for _, pattern := range []string{`(?i)warn|error`, `WARNING|ERROR`, `ERROR`, `(?i)error|fail`, `rc=`} {
		t.Run(pattern, func(t *testing.T) {
			as := func(log string, data []byte) []explain.Input {
				if log == "nginx" {
					data = grepped(pattern, data)
				}
				return []explain.Input{explaintest.Input(log, data)}
			}
			for _, card := range cards(t) {
				if card.Name == "est-hang" { // which tests make, and an access line alone tells
					continue
				}
				nginx := grepped(pattern, logs[card.Name]["nginx"])
				report := read(t, c, explaintest.Input("nginx", nginx))
				if bytes.Contains(nginx, []byte("EST_ERR_")) && !slices.Contains(named(report), card.Name) {
					t.Errorf("%s is not named in %s", card.Name, printed(t, report))
				}
				outcomes, err := explaintest.Outcomes(t.Context(), c, card, logs[card.Name], as)
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range outcomes {
					if o.Log != "nginx" && strings.HasPrefix(o.How, explaintest.Wrong) && o.How != explaintest.Wrong+": nothing found" {
						t.Errorf("%s, %s: %s %v", o.Card, o.Log, o.How, o.Also)
					}
				}
			}
		})
	}
	t.Run("the end of it alone", func(t *testing.T) {
		for _, card := range cards(t) {
			lines := strings.SplitAfter(string(logs[card.Name]["nginx"]), "\n")
			for n := range lines {
				if card.Name == "est-hang" {
					continue
				}
				nginx := strings.Join(lines[n:], "")
				report := read(t, c, explaintest.Input("nginx", []byte(nginx)))
				asCurlSays := slices.ContainsFunc(report.Findings, func(f *explain.Finding) bool { return f.Name == "" && strings.Contains(f.Title, "curl's return code") })
				if strings.Contains(nginx, "(EST_ERR_") && !asCurlSays && !slices.Contains(named(report), card.Name) {
					t.Errorf("%s is not named where %d lines are left: %s", card.Name, len(lines)-n-1, printed(t, report))
				}
			}
		}
	})
	t.Run("one connection of it", func(t *testing.T) {
		nginx := grepped(`#0: \*\d+ `, logs["timers-race"]["nginx"])
		if out := printed(t, read(t, c, explaintest.Input("nginx", nginx))); len(nginx) == 0 || !strings.Contains(out, "has none of libest's lines") {
			t.Error(out)
		}
	})
	t.Run("a line of CAPF's", func(t *testing.T) {
		for _, card := range cards(t) {
			for _, words := range []string{"Enrollment rv =", "Return value"} {
				capf := grepped(words, logs[card.Name]["capf"])
				report := read(t, c, explaintest.Input("capf", capf))
				good := bytes.Contains(capf, []byte("rv = 0 ")) || bytes.Contains(capf, []byte(" : 0"))
				if _, tells := card.Tells["capf"]; tells && len(capf) > 0 && !good && !slices.Contains(named(report), card.Name) && !slices.Contains(named(report), card.Like) {
					t.Errorf("%s is not named in %s", card.Name, printed(t, report))
				}
			}
		}
	})
	t.Run("what libest says last of three requests", func(t *testing.T) {
		const code = "***EST [ERROR][est_mg_handler:1234]--> EST error response code: 22 (EST_ERR_AUTH_FAIL)\n"
		const rv = "***EST [WARNING][handle_request:1267]--> Incoming request failed rv=22 (EST_ERR_AUTH_FAIL)\n"
		denied := strings.Replace(rv, "rv=22 (EST_ERR_AUTH_FAIL)", "rv=25 (EST_ERR_CA_ENROLL_FAIL)", 1)
		if report := read(t, c, explaintest.Input("nginx", []byte(code+rv+denied))); len(report.Findings) != 2 || !slices.Contains(named(report), "denied-by-policy") {
			t.Errorf("a refusal and a denial: %s", printed(t, report))
		}
		for _, text := range []string{code + rv + rv + rv, code + code + code + rv, code + rv + code + rv + code + rv} {
			if report := read(t, c, explaintest.Input("nginx", []byte(text))); len(report.Findings) != 1 || report.Findings[0].Count != 3 {
				t.Errorf("%s: %s", text, printed(t, report))
			}
		}
	})
	t.Run("one page of IIS's log", func(t *testing.T) {
		for _, page := range []string{"certfnsh", "certrqxt"} {
			report := read(t, c, explaintest.Input("iis", grepped(page, append(logs["good-enrollment"]["iis"], moved(logs["good-enrollment"]["iis"], time.Hour, "+0000")...))))
			if out := printed(t, report); report.Failed() || !strings.Contains(out, "for some pages alone") {
				t.Errorf("%s: %s", page, out)
			}
		}
	})
	t.Run("an enrollment that went well", func(t *testing.T) {
		nginx := logs["good-enrollment"]["nginx"]
		for _, pattern := range []string{`(?i)warn|error`, `(?i)error|fail`} {
			report := read(t, c, explaintest.Input("nginx", grepped(pattern, nginx)))
			if report.Failed() {
				t.Errorf("after grep %s: %s", pattern, printed(t, report))
			}
		}
	})
}
