package main

import (
	"strings"
	"testing"

	"ciscora/ra/scenario"
)

// What was done to mend a card's failure is told, and not what its reader ought to do.
func TestEveryMendedCardSaysWhatWasDone(t *testing.T) {
	cards, err := scenario.Cards()
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for _, card := range cards {
		if len(card.Mended.Steps) == 0 {
			continue
		}
		told[card.Name] = mendedBy(card)
		if strings.Contains(told[card.Name], "what it takes") {
			t.Errorf("%s: nothing is said of how it was mended", card.Name)
		}
	}
	if got := told["f7-slow-login"]; got != "the fault certsrv.login:hang is taken back" {
		t.Errorf("f7: %q", got)
	}
}
