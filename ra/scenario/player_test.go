package scenario_test

import (
	"strings"
	"testing"
	"time"

	"ciscora/ra/console"
	"ciscora/ra/scenario"
)

func TestAPageCanPlayACardAndWatchIt(t *testing.T) {
	player, err := scenario.NewPlayer()
	if err != nil {
		t.Fatal(err)
	}
	defer player.Close()
	var cards console.Cards = player
	if len(cards.List()) < 9 {
		t.Errorf("%d cards", len(cards.List()))
	}
	if _, err := cards.Play("nothing-like-it"); err == nil {
		t.Error("there is such a card")
	}
	id, err := cards.Play("f4")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cards.Play("f5"); err == nil {
		t.Error("two cards at a time")
	}
	var play console.Play
	for !play.Done {
		play, _ = cards.Played(id)
		select {
		case <-time.After(20 * time.Millisecond): // as the page looks again
		case <-t.Context().Done():
			t.Fatal("it does not end")
		}
	}
	if !play.Good || play.Failed != "" || play.Cause == "" || play.Fix == "" {
		t.Errorf("%s: %s, differs %q", play.Card.Name, play.Failed, play.Differs)
	}
	var text strings.Builder
	for _, l := range play.Lines {
		text.WriteString(l.Log + " " + l.Text + "\n")
	}
	if !strings.Contains(text.String(), "nginx ") {
		t.Errorf("no line of NGINX in\n%s", text.String())
	}
	if plays := cards.Plays(); len(plays) != 1 || plays[0].ID != id {
		t.Errorf("%d plays", len(plays))
	}
}
