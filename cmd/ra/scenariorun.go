package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"ciscora/ra/scenario"
)

// playFlags are those of ra scenario run.
type playFlags struct {
	all, asJSON, verbose bool
	keep                 string
}

func (c *cli) scenarioRunCommand() *cobra.Command {
	var f playFlags
	cmd := &cobra.Command{
		Use:   "run NAME|FILE... | --all",
		Short: "Play scenarios in real time and compare the logs, line by line",
		Long: `run plays each scenario in a lab of its own, on loopback and free ports; for the
failures of other products (TMS, Expressway, TSP, VPN phones) it runs ra check against
a server, a client or a file that is made to be as the document has it. One that
is named shows the lines as they come, then the verdict: why it failed, how to mend
it, and what differs from its card, if anything does (-v: all that was compared).
F1 to F9, and the beginning of a name, will do; ./FILE.yaml is a card of one's own.
--all plays them all, several at a time, and shows each as it ends; Ctrl-C ends that
with what has been seen so far. The exit status is 1 if anything differs from the
cards.`,
		Example: `  ra scenario run f7-slow-login
  ra scenario run f9 timers-race
  ra scenario run ./mine.yaml
  ra scenario run --all --keep ./logs`,
		ValidArgsFunction: completeCards,
	}
	cmd.Flags().BoolVar(&f.all, "all", false, "play every scenario, several at a time")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print the verdicts as JSON")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "show all that was compared, not only what differs")
	cmd.Flags().StringVar(&f.keep, "keep", "", "leave the labs with their logs in this `folder`")
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		cards, err := chooseCards(args, f.all, scenario.Probed)
		if err != nil {
			return err
		}
		dir := f.keep
		if dir == "" {
			if dir, err = os.MkdirTemp("", "ra-scenario-"); err != nil {
				return fmt.Errorf("make a folder for the labs: %w", err)
			}
			defer os.RemoveAll(dir)
		} else if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("--keep: %w", err)
		}
		p := &playing{
			flags: f, dir: dir, cards: cards, results: make([]*scenario.Result, len(cards)),
			verdicts: verdicts{w: c.env.Stdout, width: width(c.env.Stdout), paint: newPaint(c.env.Stdout, c.env.LookupEnv)},
		}
		wait := countdown("waiting, most of these timers are of 10 s")
		if f.all {
			began := time.Now()
			wait = func(time.Duration) string { return p.progress(time.Since(began)) }
		}
		p.verdicts.idle = newIdle(c.env.Stderr, isTerminal(c.env.Stderr), wait)
		defer p.verdicts.idle.end()
		return p.play(ctx)
	})
	return cmd
}

// playing is one run of ra scenario run.
type playing struct {
	flags playFlags
	dir   string // of the labs
	cards []scenario.Card
	keys  *scenario.Keys

	ended    atomic.Int64       // how many cards have
	mu       sync.Mutex         // guards both, so that one speaks at a time
	results  []*scenario.Result // by card; nil = not played yet
	verdicts verdicts
}

func (p *playing) play(ctx context.Context) error {
	keyDir, err := os.MkdirTemp("", "ra-scenario-keys-")
	if err != nil {
		return fmt.Errorf("make a folder for the CA's keys: %w", err)
	}
	defer os.RemoveAll(keyDir)
	if p.keys, err = scenario.MakeKeys(keyDir); err != nil {
		return err
	}
	began := time.Now()
	if err := p.playAll(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	played, passed := 0, 0
	for _, r := range p.results {
		if r == nil {
			continue
		}
		played++
		if r.Passed {
			passed++
		}
	}
	if p.flags.asJSON {
		if err := p.json(); err != nil {
			return err
		}
	} else if p.flags.all {
		p.verdicts.end(p.results, played, passed, ctx.Err() != nil, time.Since(began), p.flags.verbose)
	}
	switch {
	case ctx.Err() != nil:
		return quietIf(p.flags.all && !p.flags.asJSON, fmt.Errorf("stopped when %d of %d scenarios were played", played, len(p.cards)))
	case passed < len(p.cards):
		return quietIf(p.flags.asJSON || p.flags.all, fmt.Errorf("%d of %d scenarios differ from their cards", len(p.cards)-passed, len(p.cards)))
	}
	return nil
}

// Several labs at a time would take the processors from each other, and the 10 s of
// one's timers go on meanwhile: of those that work there are as many as processors,
// of those that wait for a timer, and so use none, several times as many.
const waitersPerProcessor = 4

// lingering is how long the labs have to end once the run is stopped.
const lingering = time.Second

// playAll plays the cards: one after another where they are named, in two lanes where
// they are all.
func (p *playing) playAll(ctx context.Context) error {
	var group errgroup.Group
	lane := func(cards []int, players int) {
		queue := make(chan int, len(cards))
		for _, i := range cards {
			queue <- i
		}
		close(queue)
		for range players {
			group.Go(func() error {
				for i := range queue {
					if err := p.one(ctx, i); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	if p.flags.all {
		var waiting, working []int
		for i, card := range p.cards {
			if card.Waits() {
				waiting = append(waiting, i)
			} else {
				working = append(working, i)
			}
		}
		lane(waiting, waitersPerProcessor*runtime.GOMAXPROCS(0))
		lane(working, runtime.GOMAXPROCS(0))
	} else {
		all := make([]int, len(p.cards))
		for i := range all {
			all[i] = i
		}
		lane(all, 1)
	}
	ended := make(chan error, 1)
	go func() { ended <- group.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	// Whoever stops it does not want to wait for what labs still have in flight.
	select {
	case err := <-ended:
		return err
	case <-time.After(lingering):
		return nil
	}
}

// one plays a card, unless the run was stopped.
func (p *playing) one(ctx context.Context, i int) error {
	if stopped(ctx) {
		return nil
	}
	card := p.cards[i]
	o := scenario.Options{Dir: filepath.Join(p.dir, card.Name), Keys: p.keys}
	if err := freshFolder(o.Dir); err != nil {
		return err
	}
	speaks := !p.flags.all && !p.flags.asJSON
	if speaks {
		p.locked(func() { p.verdicts.begin(card) })
		o.Mend = func() { p.locked(func() { p.verdicts.mend(card) }) }
		o.Line = func(log, line string) { p.locked(func() { p.verdicts.line(log, line) }) }
	}
	result := scenario.Run(ctx, card, o)
	if stopped(ctx) {
		return nil // it was cut short
	}
	p.locked(func() {
		p.results[i] = &result
		p.ended.Add(1)
		switch {
		case speaks:
			p.verdicts.full(result, p.flags.verbose)
		case !p.flags.asJSON:
			p.verdicts.row(result)
		}
	})
	return nil
}

// stopped tells whether Ctrl-C ended the run: that is no failure of a scenario.
func stopped(ctx context.Context) bool { return ctx.Err() != nil }

func (p *playing) locked(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// progress is how far the run has come, while all that is left waits.
func (p *playing) progress(since time.Duration) string {
	return fmt.Sprintf("%d of %d played, the others wait for timers: %d s", p.ended.Load(), len(p.cards), int(since/time.Second))
}

// json prints the verdicts of what was played.
func (p *playing) json() error {
	played := []scenario.Result{}
	for _, r := range p.results {
		if r != nil {
			played = append(played, *r)
		}
	}
	out := json.NewEncoder(p.verdicts.w)
	out.SetIndent("", "  ")
	return out.Encode(played)
}

func quietIf(quiet bool, err error) error {
	if quiet {
		return quietError{err}
	}
	return err
}

// freshFolder refuses to mix a lab's logs with those of an earlier one.
func freshFolder(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return fmt.Errorf("--keep: %s is there already: name another folder, or remove it", dir)
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
