package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"

	"ciscora/est/capf"
)

// swarmSummary is what `ra enroll --count` prints.
type swarmSummary struct {
	Count   int            `json:"count"`
	OK      int            `json:"ok"`
	Failed  int            `json:"failed"`
	Seconds float64        `json:"seconds"`
	Rate    float64        `json:"rate"` // certificates a second
	P50     float64        `json:"p50_ms"`
	P95     float64        `json:"p95_ms"`
	Errors  map[string]int `json:"errors"`
}

// swarm enrolls many phones; the summary is the result, and any failure among
// them fails the command.
func (c *cli) swarm(ctx context.Context, f enrollFlags, options capf.Options) error {
	client, err := capf.New(options)
	if err != nil {
		return usageError{err}
	}
	progress, done := c.progress(f.count)
	s := capf.Swarm(ctx, capf.SwarmOptions{
		Client: client, Count: f.count, Concurrency: f.concurrency, KeyType: f.keyType, Progress: progress,
	})
	done()
	if f.asJSON {
		err = json.NewEncoder(c.env.Stdout).Encode(swarmSummary{
			Count: s.Count, OK: s.OK, Failed: s.Failed, Seconds: s.Elapsed.Seconds(), Rate: s.Rate,
			P50: float64(s.P50) / float64(time.Millisecond), P95: float64(s.P95) / float64(time.Millisecond), Errors: s.Errors,
		})
		if err != nil {
			return err
		}
	} else {
		fmt.Fprintf(c.env.Stdout, "enrolled  %d of %d in %s\nrate      %.1f/s\np50       %s\np95       %s\n",
			s.OK, s.Count, s.Elapsed.Round(time.Millisecond), s.Rate, s.P50.Round(time.Millisecond/10), s.P95.Round(time.Millisecond/10))
		for _, kind := range slices.Sorted(maps.Keys(s.Errors)) {
			fmt.Fprintf(c.env.Stdout, "failed    %d  %s\n", s.Errors[kind], kind)
		}
	}
	if s.OK != s.Count {
		return fmt.Errorf("%d of %d phones have no certificate", s.Count-s.OK, s.Count)
	}
	return nil
}

// progress returns what draws a bar on a terminal, and nothing elsewhere, and
// what ends it.
func (c *cli) progress(total int) (step func(done, failed, total int), end func()) {
	if !isTerminal(c.env.Stderr) {
		return nil, func() {}
	}
	bar := progressbar.NewOptions(total,
		progressbar.OptionSetWriter(c.env.Stderr),
		progressbar.OptionSetDescription("enrolling"),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("phones"),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
	step = func(done, failed, _ int) {
		if failed > 0 {
			bar.Describe(fmt.Sprintf("enrolling, %d failed", failed))
		}
		_ = bar.Set(done) // a bar that cannot be drawn stops nothing
	}
	return step, func() { _ = bar.Finish() }
}
