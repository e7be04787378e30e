package explain_test

import (
	"bytes"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // not every machine has it

	"ciscora/ra/explain"
	"ciscora/ra/explain/explaintest"
)

// CAPF writes no date: summer time is that of the other logs' day.
func TestATraceWithoutADateIsOfTheOtherLogsDay(t *testing.T) {
	t.Parallel()
	logs := recorded(t)["timers-race"]
	const july = 182 * 24 * time.Hour // behind the day of the recordings
	for _, c := range []struct {
		zone  string
		day   time.Duration
		ahead time.Duration
		said  string
	}{
		{"Europe/Berlin", july, 2 * time.Hour, "UTC+02:00"},
		{"Europe/Berlin", 0, time.Hour, "UTC+01:00"},
		{"Europe/London", july, time.Hour, "UTC+01:00"},
		{"Europe/London", 0, 0, "UTC+00:00"},
		{"America/New_York", july, -4 * time.Hour, "UTC-04:00"},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		var nginx []byte // without the lines that tell their zone
		for line := range bytes.Lines(moved(logs["nginx"], c.day+c.ahead, "+0000")) {
			if !bytes.Contains(line, []byte("[log_access")) {
				nginx = append(nginx, line...)
			}
		}
		inputs := []explain.Input{
			explaintest.Input("nginx", nginx), explaintest.Input("capf", moved(logs["capf"], c.day+c.ahead, "+0000")), explaintest.Input("iis", moved(logs["iis"], c.day, "+0000")),
		}
		report, err := explain.Explain(t.Context(), catalog(t), inputs, explain.Options{Zone: zone})
		if err != nil {
			t.Fatal(err)
		}
		if out := printed(t, report); len(report.Findings) != 1 || report.Findings[0].Name != "timers-race" || strings.Count(out, c.said) < 2 || len(report.Notes) != 0 {
			t.Errorf("%s: %s", c.zone, out)
		}
	}
}
