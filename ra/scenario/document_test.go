package scenario_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ciscora/ra/scenario"
)

// What CAPF logs of the phone's own protocol once it has sent the certificate, and
// of its database: no part of EST, and not emulated.
func ofThePhone(line string) bool {
	for _, part := range []string{"Select(", "capf_ui_set_ph_public_key", "pubKey"} {
		if strings.Contains(line, part) {
			return true
		}
	}
	return false
}

// The excerpts in testdata/document are Cisco's, one line a record: each of their
// lines stands in the card, in the same order, with holes at the most where two
// labs differ.
func TestTheCardsOfTheDocumentHaveTheDocumentsLines(t *testing.T) {
	excerpts, err := filepath.Glob("testdata/document/*.log")
	if err != nil || len(excerpts) < 16 {
		t.Fatalf("%d excerpts: %v", len(excerpts), err)
	}
	for _, path := range excerpts {
		name, log, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".log"), ".")
		t.Run(name+", "+log, func(t *testing.T) {
			card, err := scenario.Find(cards(t), name)
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var excerpt []string
			record := []string{} // one frame of CAPF's, which goes as a whole
			for line := range strings.Lines(string(text)) {
				line = strings.TrimSpace(line)
				if line == "[…]" {
					continue // left out by the document
				}
				record = append(record, line)
				if strings.HasSuffix(line, "|-->debug") || len(record) > 1 && !strings.HasSuffix(line, "|<--debug") {
					continue
				}
				if !ofThePhone(strings.Join(record, "\n")) {
					excerpt = append(excerpt, record...)
				}
				record = record[:0]
			}
			for _, line := range scenario.NotIn(card, log, excerpt) {
				t.Errorf("the document's line is not in the card:\n%s", line)
			}
		})
	}
}
