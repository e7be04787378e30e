package scenario_test

import (
	"os"
	"strings"
	"testing"

	"ciscora/ra/scenario"
)

// The excerpts are Cisco's, one line a record: each of their lines stands in the
// card, in the same order, with holes at the most where two labs differ.
func TestTheCardsOfTheDocumentHaveTheDocumentsLines(t *testing.T) {
	const shared = "../../testdata/document/" // with ra/tracelog
	for _, test := range []struct{ card, log, excerpt string }{
		{"f1-missing-intermediate", "nginx", shared + "nginx-start-f1-f2.log"},
		{"f1-unknown-root", "nginx", shared + "nginx-start-f1-f2.log"},
		{"f2-self-signed", "nginx", shared + "nginx-start-f1-f2.log"},
		{"f3-wrong-name", "nginx", shared + "nginx-start-f3.log"},
		{"f4-unknown-host", "nginx", shared + "nginx-start-f4.log"},
		{"f5-not-yet-valid", "nginx", shared + "nginx-start-f5.log"},
		{"f6-template-typo", "nginx", shared + "nginx-f6.log"},
		{"f7-slow-login", "nginx", shared + "nginx-start-f7.log"},
		{"f8-slow-chain", "nginx", shared + "nginx-start-f8.log"},
		{"f9-capf-timeout", "capf", shared + "capf-bad.log"},
		{"good-enrollment", "capf", "testdata/good-enrollment.capf.log"},
		{"good-enrollment", "iis", shared + "iis-enrollment.log"},
		{"good-start", "capf", "testdata/good-start.capf.log"},
		{"good-start", "ciscora", shared + "ciscora-start.log"},
		{"good-start", "iis", shared + "iis-start.log"},
		{"good-start", "nginx", "testdata/good-start.nginx.log"},
	} {
		t.Run(test.card+", "+test.log, func(t *testing.T) {
			card, err := scenario.Find(cards(t), test.card)
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(test.excerpt)
			if err != nil {
				t.Fatal(err)
			}
			var excerpt []string
			for line := range strings.Lines(string(text)) {
				if line = strings.TrimSpace(line); line != "[…]" { // left out by the document
					excerpt = append(excerpt, line)
				}
			}
			for _, line := range scenario.NotIn(card, test.log, excerpt) {
				t.Errorf("the document's line is not in the card:\n%s", line)
			}
		})
	}
}
