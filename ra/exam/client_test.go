package exam_test

import (
	"testing"
	"time"

	"ciscora/ra/exam"
)

// shell is a client that is a script.
func shell(script string) exam.Client {
	return exam.Client{Name: "script", Command: []string{"sh", "-c", script}, Operations: []string{exam.Enroll}, Abilities: []string{"label"}}
}

func some(t *testing.T, ids ...string) []exam.Card {
	t.Helper()
	chosen, err := exam.Choice{IDs: ids}.Choose(cards(t))
	if err != nil {
		t.Fatal(err)
	}
	return chosen
}

func one(t *testing.T, client exam.Client, limit time.Duration, id string) exam.Result {
	t.Helper()
	all, err := exam.Run(t.Context(), exam.Options{Client: client, Cards: some(t, id), Limit: limit, Dir: t.TempDir(), Keys: keys(t), Wire: true})
	if err != nil || len(all) != 1 {
		t.Fatalf("%d results, %v", len(all), err)
	}
	return all[0]
}
