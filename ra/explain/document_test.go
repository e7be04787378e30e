package explain_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ciscora/ra/explain/explaintest"
)

// What the excerpts of the five documents are, by the document's own text. Where the
// lines alone leave several causes, the document's is among them.
var excerpts = []struct {
	file string
	want string // "" = nothing is wrong
	most int    // candidates
}{
	{"000-falls-back", "tms-falls-back-to-http", 1},
	{"000-sql", "sql-security-library", 1},
	{"000-telnet", "tms-telnet-not-allowed", 1},
	{"001-no-tunnels", "expressway-no-ssh-tunnels", 1},
	{"001-not-pem", "expressway-not-pem", 1},
	{"001-unrecognized-ca", "expressway-unrecognized-ca", 1},
	{"002-01", "", 0},
	{"002-02", "", 0},
	{"002-03", "", 0},
	{"002-04", "", 0},
	{"002-05", "", 0},
	{"002-06", "", 0},
	{"002-07", "", 0},
	{"002-08", "", 0},
	{"002-09", "", 0},
	{"002-10", "", 0},
	{"002-11", "f9-capf-timeout", 6}, // "check the other logs to narrow it down"
	{"002-12", "f1-missing-intermediate", 3},
	{"002-13", "f2-self-signed", 3}, // the same four lines as before
	{"002-14", "f3-wrong-name", 1},
	{"002-15", "f4-unknown-host", 1},
	{"002-16", "f5-not-yet-valid", 1},
	{"002-17", "f6-template-typo", 3},
	{"002-18", "f7-slow-login", 1},
	{"002-19", "f8-slow-chain", 1},
	{"003-tsp", "", 0},
	{"004-ciphers", "vpn-no-shared-cipher", 1},
	{"004-csd", "vpn-secure-desktop", 1},
	{"004-csd-config", "vpn-secure-desktop", 1},
	{"004-dap", "vpn-access-policy", 1},
	{"004-dap-good", "", 0},
	{"004-dtls", "vpn-ec-certificate", 1},
	{"004-group-policy", "vpn-group-policy", 1},
	{"004-hash", "vpn-leaf-not-trusted", 1},
	{"004-hash-asa", "vpn-leaf-not-trusted", 1},
	{"004-hash-phone", "vpn-leaf-not-trusted", 1},
	{"004-host-id", "vpn-host-id-wildcard", 1},
	{"004-license", "vpn-license", 1},
	{"004-license-8-0", "vpn-license-8-0", 1},
	{"004-redirect", "vpn-load-balancing", 1},
}

func TestTheExcerptsOfTheDocumentsAreExplained(t *testing.T) {
	c := catalog(t)
	files, err := filepath.Glob("testdata/document/*.log")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(excerpts) {
		t.Errorf("%d excerpts, %d expectations", len(files), len(excerpts))
	}
	for _, test := range excerpts {
		t.Run(test.file, func(t *testing.T) {
			data, err := os.ReadFile("testdata/document/" + test.file + ".log")
			if err != nil {
				t.Fatal(err)
			}
			report := read(t, c, explaintest.Input("mail", data))
			for _, s := range report.NotUnderstood {
				t.Errorf("not understood: %s", s.Text)
			}
			if test.want == "" {
				if len(report.Findings) > 0 {
					t.Errorf("taken for %s: %+v", report.Findings[0].Name, report.Findings[0].Evidence)
				}
				return
			}
			if len(report.Findings) != 1 {
				t.Fatalf("%d findings", len(report.Findings))
			}
			f := report.Findings[0]
			candidates := []string{f.Name}
			for _, o := range f.Others {
				candidates = append(candidates, o.Name)
			}
			if !slices.Contains(candidates, test.want) || test.most == 1 && f.Name != test.want {
				t.Errorf("taken for %s", strings.Join(candidates, ", "))
			}
			if len(candidates) > test.most {
				t.Errorf("%d candidates: %s", len(candidates), strings.Join(candidates, ", "))
			}
			if len(f.Evidence) == 0 {
				t.Error("without evidence")
			}
			if len(candidates) > 1 && len(f.Apart) == 0 {
				t.Error("it does not say what would tell them apart")
			}
		})
	}
}
