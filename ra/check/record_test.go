package check_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ciscora/config"
	"ciscora/ra/check"
)

func record(t *testing.T, c *ca, change ...func(*check.CAOptions)) *check.Recording {
	t.Helper()
	o := c.options(config.ProfileModern)
	for _, f := range change {
		f(&o)
	}
	r, err := check.Record(t.Context(), o, "v0 test")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func text(t *testing.T, r *check.Recording) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestARecordingHasNoNamesAndNoSecrets(t *testing.T) {
	c := startCA(t, func(cfg *config.Certsrv) {
		cfg.Domain = "HUSHDOM"
		cfg.Hosts = []string{"localhost", "hush-dc.hushdom.example"}
		cfg.Users[0].Name = `HUSHDOM\hushaccount`
		cfg.Templates[0].Name, cfg.Templates[0].FriendlyName = "HushTemplate", "Hush, a template"
		cfg.Basic = true
	})
	for _, authentication := range []string{"ntlm", "basic"} {
		r := record(t, c, func(o *check.CAOptions) {
			o.Credentials.User, o.CA.Template, o.CA.Authentication = `HUSHDOM\hushaccount`, "HushTemplate", authentication
		})
		written := text(t, r)
		port := c.url[strings.LastIndex(c.url, ":")+1 : strings.LastIndex(c.url, "/")]
		for _, secret := range []string{"hush", "localhost", port, password, "correct", "TlRMTVNTUA", "Basic SF", "MII", "BEGIN"} {
			if strings.Contains(strings.ToLower(written), strings.ToLower(secret)) {
				t.Errorf("%s: %q is in the recording:\n%s", authentication, secret, written)
			}
		}
		for _, s := range r.Steps {
			if s.Failed != "" {
				t.Errorf("%s: %s: %s", authentication, s.Step, s.Failed)
			}
		}
		if !slices.ContainsFunc(r.Steps, func(s check.Step) bool {
			return s.Step == "denied request" && strings.Contains(s.Body["codes"], "0x80094800")
		}) {
			t.Errorf("%s: the request for a template that there is not:\n%s", authentication, written)
		}
	}
	// One request each, which was denied.
	if n := c.loggedLines(t, "POST"); n != 2 {
		t.Errorf("%d POSTs", n)
	}
}

func TestTheBuiltInCADoesNotDifferFromItself(t *testing.T) {
	first, second := record(t, startCA(t)), record(t, startCA(t))
	if d := check.Compare(first, second); len(d) > 0 {
		t.Errorf("%+v", d)
	}
	again, err := check.ReadRecording(strings.NewReader(text(t, first)))
	if err != nil {
		t.Fatal(err)
	}
	if d := check.Compare(again, second); len(d) > 0 {
		t.Errorf("as read: %+v", d)
	}
}

func TestWhatARealCADoesOtherwiseIsListed(t *testing.T) {
	built := record(t, startCA(t))
	for _, x := range []struct {
		spec       string
		vary       int
		step, what string
	}{
		{"certsrv.template:404", 0, "template list", "status"},
		{"certsrv.fetch:service-stopped", 0, "unknown request", "body, codes"},
		{"certsrv.submit:500", 0, "missing template", "status"},
		{"certsrv.chain:close", 0, "chain, first, DER", "answer"},
		{"certsrv.login:redirect", 0, "log-in", "Location"},
		{"", 5, "anonymous", "heads"},
	} {
		c := startCA(t, func(cfg *config.Certsrv) { cfg.Vary = x.vary })
		if x.spec != "" {
			if _, err := c.faults.Order(x.spec); err != nil {
				t.Fatal(err)
			}
		}
		differences := check.Compare(record(t, c), built)
		if !slices.ContainsFunc(differences, func(d check.Difference) bool { return d.Step == x.step && d.What == x.what }) {
			t.Errorf("%s %d: no %s of %s in %+v", x.spec, x.vary, x.what, x.step, differences)
		}
	}
}

// A CA that ends its connections is recorded to the end, and an account that is refused
// is not tried again.
func TestARecordingEndsWhateverTheCADoes(t *testing.T) {
	for seed := 1; seed <= 12; seed++ {
		r := record(t, startCA(t, func(cfg *config.Certsrv) { cfg.Vary = seed }))
		if len(r.Steps) < 4 {
			t.Errorf("seed %d: %d steps", seed, len(r.Steps))
		}
	}
	c := startCA(t)
	r := record(t, c, func(o *check.CAOptions) { o.Credentials.Password = "not it" })
	if last := r.Steps[len(r.Steps)-1]; last.Step != "log-in" || last.Status != 401 {
		t.Errorf("%+v", last)
	}
	if n := c.loggedLines(t, "2148074252"); n != 1 {
		t.Errorf("%d wrong passwords", n)
	}
}

// What docs/reference/adcs-assumptions.md calls assumed has a line in each recording.
func TestEveryAssumptionHasALine(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", "adcs-assumptions.md"))
	if err != nil {
		t.Fatal(err)
	}
	r := record(t, startCA(t))
	var lines []string
	for _, a := range r.Assumptions {
		if a.Seen == "" || !slices.Contains([]string{"yes", "no", "not told"}, a.Holds) {
			t.Errorf("%+v", a)
		}
		lines = append(lines, a.Assumed)
	}
	found := 0
	for row := range strings.Lines(string(page)) {
		cells := strings.Split(row, "|")
		if len(cells) < 4 || !strings.Contains(cells[2], "assumed") {
			continue
		}
		found++
		if text := strings.TrimSpace(cells[1]); !slices.Contains(lines, text) {
			t.Errorf("no line in the recording for: %s", text)
		}
	}
	if found < 15 {
		t.Errorf("only %d rows of the page are read", found)
	}
}

func TestWhatIsNoRecordingIsRefused(t *testing.T) {
	for _, s := range []string{"", "hello", "format: 7\nsteps: [{step: a}]\n", "format: 1\n", "format: 1\nother: 2\n", "format: 1\nsteps: " + strings.Repeat("[", 2000)} {
		if _, err := check.ReadRecording(strings.NewReader(s)); err == nil {
			t.Errorf("%.40q is taken", s)
		}
	}
	if _, err := check.ReadRecording(strings.NewReader(strings.Repeat("# long\n", 1<<18))); err == nil || !strings.Contains(err.Error(), "longer") {
		t.Errorf("a long one: %v", err)
	}
}

func FuzzReadRecording(f *testing.F) {
	f.Add("format: 1\nby: x\nsteps:\n- step: anonymous\n  status: 401\n  head: ['Server: x']\n  body: {kind: page}\n")
	f.Add("format: 1\nsteps: [{step: a, interim: [103]}]\nassumptions: [{assumed: a, holds: b}]\n")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := check.ReadRecording(strings.NewReader(s))
		if err != nil {
			return
		}
		check.Compare(r, r)
		var b bytes.Buffer
		if err := r.Write(&b); err != nil {
			t.Fatal(err)
		}
	})
}
