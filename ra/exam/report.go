package exam

import (
	"bufio"
	"bytes"
	_ "embed" // the page of reports
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html/template"
	"io"
	"os"
	"slices"
	"strings"
)

// Report is what an examination came to.
type Report struct {
	Schema  int          `json:"schema"` // 1
	Client  Client       `json:"client"`
	Limit   string       `json:"limit"` // of one run of the client
	TookMS  int64        `json:"took_ms"`
	Stopped bool         `json:"stopped,omitempty"` // not all cases were examined
	Summary Summary      `json:"summary"`
	Cases   []CaseReport `json:"cases"`
}

// Summary counts verdicts.
type Summary struct {
	Pass          int `json:"pass"`
	Fail          int `json:"fail"`
	Inconclusive  int `json:"inconclusive"`
	NotApplicable int `json:"not_applicable"`
}

// CaseReport is one case in a report.
type CaseReport struct {
	ID      string      `json:"id"`
	Group   string      `json:"group"`
	Title   string      `json:"title"`
	Ref     string      `json:"ref"`
	Level   Level       `json:"level"`
	Says    string      `json:"says"`
	Verdict Verdict     `json:"verdict"`
	Reason  string      `json:"reason,omitempty"`
	News    string      `json:"news,omitempty"` // against a baseline: known, new, or passes now
	TookMS  int64       `json:"took_ms"`
	Runs    []RunReport `json:"runs"`
}

// NewReport makes the report of results.
func NewReport(client Client, limit string, tookMS int64, results []Result) Report {
	r := Report{Schema: 1, Client: client, Limit: limit, TookMS: tookMS, Cases: []CaseReport{}}
	for _, one := range results {
		runs := one.Runs
		if runs == nil {
			runs = []RunReport{}
		}
		r.Cases = append(r.Cases, CaseReport{
			ID: one.Card.ID, Group: one.Card.Group, Title: one.Card.Title, Ref: one.Card.Ref, Level: one.Card.Level, Says: one.Card.Says,
			Verdict: one.Verdict, Reason: one.Reason, TookMS: one.Took.Milliseconds(), Runs: runs,
		})
		switch one.Verdict {
		case Pass:
			r.Summary.Pass++
		case Fail:
			r.Summary.Fail++
		case Inconclusive:
			r.Summary.Inconclusive++
		case NotApplicable:
			r.Summary.NotApplicable++
		}
	}
	return r
}

// The words of [CaseReport.News].
const (
	KnownFailure = "known"
	NewFailure   = "new"
	PassesNow    = "passes now"
)

// Against compares the report with a baseline.
func (r *Report) Against(baseline []string) {
	for i := range r.Cases {
		c := &r.Cases[i]
		known := slices.Contains(baseline, c.ID)
		switch {
		case c.Verdict == Fail && known:
			c.News = KnownFailure
		case c.Verdict == Fail:
			c.News = NewFailure
		case c.Verdict == Pass && known:
			c.News = PassesNow
		}
	}
}

// Failed are the cases that count as failed at a level: those that a baseline does not
// know, where there was one.
func (r Report) Failed(level Level) []CaseReport {
	var failed []CaseReport
	for _, c := range r.Cases {
		if c.Verdict == Fail && c.News != KnownFailure && level.Includes(c.Level) {
			failed = append(failed, c)
		}
	}
	return failed
}

// ReadBaseline reads the ids of cases that are known to fail: one a line, with what is
// behind # for people. known tells whether there is such a case.
func ReadBaseline(file string, known func(id string) bool) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read the baseline: %w", err)
	}
	defer f.Close()
	var ids []string
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		id, _, _ := strings.Cut(strings.TrimPrefix(lines.Text(), "\ufeff"), "#") // Windows' editors begin a file so
		if id = strings.TrimSpace(id); id == "" {
			continue
		}
		if !known(id) {
			return nil, fmt.Errorf("%s:%d: there is no case %q: see ra exam --list", file, n, id)
		}
		ids = append(ids, id)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the baseline %s: %w", file, err)
	}
	return ids, nil
}

// Baseline is the report's fails as [ReadBaseline] reads them.
func (r Report) Baseline() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# What is known to fail of %s %s. Written by ra exam --write-baseline.\n", r.Client.Name, r.Client.Version)
	for _, c := range r.Cases {
		if c.Verdict == Fail {
			fmt.Fprintf(&b, "%-22s # %s: %s\n", c.ID, c.Level, oneLine(c.Reason))
		}
	}
	return b.Bytes()
}

func oneLine(text string) string { return shorten(strings.Join(strings.Fields(text), " "), 160) }

// JSON writes the report.
func (r Report) JSON(w io.Writer) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(r)
}

type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Name    string       `xml:"name,attr"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure,omitempty"`
	Error   *junitMessage `xml:"error,omitempty"`
	Skipped *junitMessage `xml:"skipped,omitempty"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitMessage struct {
	Type    string `xml:"type,attr,omitempty"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the report for a CI's test page. A fail that does not count at the level
// passes there, and says so in its output.
func (r Report) JUnit(w io.Writer, level Level) error {
	suites := junitSuites{Name: "EST client " + r.Client.Name}
	for _, c := range r.Cases {
		i := slices.IndexFunc(suites.Suites, func(s junitSuite) bool { return s.Name == c.Group })
		if i < 0 {
			suites.Suites = append(suites.Suites, junitSuite{Name: c.Group})
			i = len(suites.Suites) - 1
		}
		s := &suites.Suites[i]
		s.Tests++
		one := junitCase{Class: "est-client." + c.Group, Name: c.ID, Time: seconds(c.TookMS)}
		evidence := c.evidence()
		switch {
		case c.Verdict == Fail && c.News != KnownFailure && level.Includes(c.Level):
			s.Failures++
			one.Failure = &junitMessage{strings.ToUpper(string(c.Level)), c.Reason, evidence}
		case c.Verdict == Fail:
			one.Output = "failed, which does not count here: " + c.Reason + "\n" + evidence
		case c.Verdict == Inconclusive:
			s.Errors++
			one.Error = &junitMessage{"", c.Reason, evidence}
		case c.Verdict == NotApplicable:
			s.Skipped++
			one.Skipped = &junitMessage{"", c.Reason, ""}
		}
		s.Cases = append(s.Cases, one)
	}
	for i := range suites.Suites {
		var total int64
		for _, c := range r.Cases {
			if c.Group == suites.Suites[i].Name {
				total += c.TookMS
			}
		}
		suites.Suites[i].Time = seconds(total)
	}
	if r.Stopped { // it is not to look like a whole one
		suites.Suites = append(suites.Suites, junitSuite{Name: "examination", Tests: 1, Errors: 1, Time: seconds(0), Cases: []junitCase{{
			Class: "est-client.examination", Name: "stopped", Time: seconds(0), Error: &junitMessage{Message: "stopped before all cases were examined"},
		}}})
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	out := xml.NewEncoder(w)
	out.Indent("", "  ")
	if err := out.Encode(suites); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(ms int64) string { return fmt.Sprintf("%.3f", float64(ms)/1000) }

// evidence is what stands behind a verdict, for a person.
func (c CaseReport) evidence() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", c.Ref, c.Says)
	for _, r := range c.Runs {
		fmt.Fprintf(&b, "%s: exit %d %s after %.1f s, %d connections\n", r.Name(), r.Exit, r.Signal, float64(r.TookMS)/1000, r.Connections)
		for _, q := range r.Requests[:min(len(r.Requests), 20)] {
			fmt.Fprintf(&b, "  %s\n", q)
		}
	}
	return b.String()
}

//go:embed report.html
var page string

// HTML writes the report as one page that needs nothing else.
func (r Report) HTML(w io.Writer) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"class":   func(v Verdict) string { return strings.ReplaceAll(string(v), " ", "-") },
		"seconds": func(ms int64) string { return fmt.Sprintf("%.1f s", float64(ms)/1000) },
		"command": func(args []string) string { return strings.Join(args, " ") },
	}).Parse(page)
	if err != nil {
		return err
	}
	return t.Execute(w, r)
}
