package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/pflag"

	"ciscora/est/capf"
)

// swarmFlags are those of ra enroll --count.
type swarmFlags struct {
	over, retryWait            time.Duration
	arrival                    string
	retries                    int
	duplicates, wrongPasswords float64 // percent
	seed                       uint64
	report                     string
}

func (f *swarmFlags) register(fl *pflag.FlagSet) {
	fl.DurationVar(&f.over, "over", 0, "with --count: the time over which the phones arrive (0 = all at once)")
	fl.StringVar(&f.arrival, "arrival", "even", "with --over: even, random, or peak (most in the middle)")
	fl.IntVar(&f.retries, "retries", 0, "with --count: how often a phone without a certificate comes again, with the same key and CSR")
	fl.DurationVar(&f.retryWait, "retry-wait", 30*time.Second, "with --retries: the first wait, then twice as long each time; Retry-After counts before it")
	fl.Float64Var(&f.duplicates, "duplicates", 0, "with --count: `PERCENT` of the phones whose request is sent twice at once")
	fl.Float64Var(&f.wrongPasswords, "wrong-passwords", 0, "with --count: `PERCENT` of the phones that ask with a wrong password first")
	fl.Uint64Var(&f.seed, "seed", 0, "with --count: draws arrivals, kinds of key, duplicates and wrong passwords; the same seed draws the same")
	fl.StringVar(&f.report, "report", "", "with --count: write a report with a picture of the latencies to this `file`: .html, or the picture alone as .svg")
}

var arrivals = map[string]capf.Arrival{"even": capf.Evenly, "random": capf.AtRandom, "peak": capf.Peak}

func (f *swarmFlags) check(count int) error {
	_, known := arrivals[f.arrival]
	switch {
	case count == 1 && (f.over != 0 || f.retries != 0 || f.duplicates != 0 || f.wrongPasswords != 0 || f.report != ""):
		return usagef("--over, --retries, --duplicates, --wrong-passwords and --report are for many phones: give --count, too")
	case !known:
		return usagef("--arrival %q: want even, random or peak", f.arrival)
	case f.over < 0 || f.retryWait < 0 || f.retries < 0:
		return usagef("--over, --retry-wait and --retries: want 0 or more")
	case f.duplicates < 0 || f.duplicates > 100 || f.wrongPasswords < 0 || f.wrongPasswords > 100:
		return usagef("--duplicates and --wrong-passwords: want 0 to 100 percent")
	case f.report != "" && !strings.HasSuffix(f.report, ".svg") && !strings.HasSuffix(f.report, ".html"):
		return usagef("--report %q: want a name that ends in .html or .svg", f.report)
	}
	return nil
}

// keyShares reads rsa2048=90,ec256=10; nil for one kind alone.
func keyShares(s string) (shares []capf.KeyShare, err error) {
	if !strings.Contains(s, "=") {
		if err := capf.CheckKeyType(s); err != nil {
			return nil, usageError{fmt.Errorf("--key-type: %w", err)}
		}
		return nil, nil
	}
	sum := 0
	for part := range strings.SplitSeq(s, ",") {
		kind, weight, _ := strings.Cut(part, "=")
		n, err := strconv.Atoi(weight)
		if err != nil || n < 0 {
			return nil, usagef("--key-type %q: want one kind, or several with their shares, as rsa2048=90,ec256=10", s)
		}
		if err := capf.CheckKeyType(kind); err != nil {
			return nil, usageError{fmt.Errorf("--key-type %q: %w", s, err)}
		}
		sum += n
		shares = append(shares, capf.KeyShare{KeyType: kind, Weight: n})
	}
	if sum == 0 {
		return nil, usagef("--key-type %q: no kind has a share above 0", s)
	}
	return shares, nil
}

// swarmSummary is what `ra enroll --count` prints.
type swarmSummary struct {
	Count        int                     `json:"count"`
	OK           int                     `json:"ok"`
	Failed       int                     `json:"failed"`
	Stopped      bool                    `json:"stopped,omitempty"` // by a signal, with what was done till then
	Seconds      float64                 `json:"seconds"`
	Rate         float64                 `json:"rate"` // certificates a second
	P50          float64                 `json:"p50_ms"`
	P95          float64                 `json:"p95_ms"`
	Most         float64                 `json:"max_ms"`
	Errors       map[string]int          `json:"errors"`
	Retries      int                     `json:"retries,omitempty"`
	Again        map[string]int          `json:"retried_after,omitempty"`
	Wrong        int                     `json:"wrong_passwords_refused,omitempty"`
	WrongTaken   int                     `json:"wrong_passwords_taken,omitempty"`
	Doubled      int                     `json:"duplicates,omitempty"`
	DoubledApart int                     `json:"duplicates_with_two_certificates,omitempty"`
	ByKey        map[string]swarmLatency `json:"by_key,omitempty"`
}

type swarmLatency struct {
	OK     int     `json:"ok"`
	Failed int     `json:"failed"`
	P50    float64 `json:"p50_ms"`
	P95    float64 `json:"p95_ms"`
	Most   float64 `json:"max_ms"`
}

func inMs(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// untried are the phones that a swarm that was stopped has not come to.
func untried(s capf.Summary) int { return s.Count - s.OK - s.Failed }

func newSwarmSummary(s capf.Summary) swarmSummary {
	out := swarmSummary{
		Count: s.Count, OK: s.OK, Failed: s.Failed, Stopped: untried(s) > 0 || s.Errors["canceled"] > 0, Seconds: s.Elapsed.Seconds(), Rate: s.Rate, P50: inMs(s.P50), P95: inMs(s.P95), Most: inMs(s.Most),
		Errors: s.Errors, Retries: s.Retries, Again: s.Again, Wrong: s.Wrong, WrongTaken: s.WrongTaken, Doubled: s.Doubled, DoubledApart: s.DoubledApart,
	}
	if len(s.ByKey) > 1 {
		out.ByKey = map[string]swarmLatency{}
		for key, l := range s.ByKey {
			out.ByKey[key] = swarmLatency{l.OK, l.Failed, inMs(l.P50), inMs(l.P95), inMs(l.Most)}
		}
	}
	return out
}

// swarm enrolls many phones; the summary is the result, and any failure among
// them fails the command.
func (c *cli) swarm(ctx context.Context, f enrollFlags, options capf.Options) error {
	client, err := capf.New(options)
	if err != nil {
		return usageError{err}
	}
	shares, err := keyShares(f.keyType)
	if err != nil {
		return err
	}
	o := capf.SwarmOptions{
		Client: client, Count: f.count, Concurrency: f.concurrency, KeyType: f.keyType, KeyTypes: shares,
		Over: f.swarm.over, Arrival: arrivals[f.swarm.arrival], Retry: capf.Retry{Times: f.swarm.retries, Wait: f.swarm.retryWait},
		Duplicates: f.swarm.duplicates / 100, WrongPasswords: f.swarm.wrongPasswords / 100, Seed: f.swarm.seed,
	}
	if f.swarm.wrongPasswords > 0 {
		if options.User == "" {
			return usagef("--wrong-passwords needs --user and --password-file: without a password there is no wrong one")
		}
		wrong := options
		wrong.Password = "wrong " + wrong.Password
		if o.Wrong, err = capf.New(wrong); err != nil {
			return usageError{err}
		}
	}
	var report *os.File
	if f.swarm.report != "" { // a swarm may take hours
		if report, err = os.Create(f.swarm.report); err != nil {
			return fmt.Errorf("--report: %w", err)
		}
		defer report.Close()
	}
	began := time.Now()
	watch, done := c.watch(f.count)
	o.Watch = watch
	s := capf.Swarm(ctx, o)
	done()
	if f.asJSON {
		if err := json.NewEncoder(c.env.Stdout).Encode(newSwarmSummary(s)); err != nil {
			return err
		}
	} else {
		c.printSwarm(s)
	}
	if report != nil {
		page, err := swarmReport(report.Name(), options.URL, began, s)
		if err == nil {
			_, err = report.Write(page)
		}
		if err = errors.Join(err, report.Close()); err != nil {
			return fmt.Errorf("--report: %w", err)
		}
	}
	if s.OK != s.Count {
		return fmt.Errorf("%d of %d phones have no certificate", s.Count-s.OK, s.Count)
	}
	if s.WrongTaken > 0 {
		return fmt.Errorf("the server took %d wrong passwords", s.WrongTaken)
	}
	return nil
}

func short(d time.Duration) time.Duration { return d.Round(time.Millisecond / 10) }

func (c *cli) printSwarm(s capf.Summary) {
	say := func(format string, args ...any) { fmt.Fprintf(c.env.Stdout, format+"\n", args...) }
	say("enrolled  %d of %d in %s\nrate      %.1f/s\np50       %s\np95       %s\nlongest   %s", s.OK, s.Count, s.Elapsed.Round(time.Millisecond), s.Rate, short(s.P50), short(s.P95), short(s.Most))
	if n := untried(s); n > 0 {
		say("stopped   %d phones never asked", n)
	}
	if len(s.ByKey) > 1 {
		for _, key := range slices.Sorted(maps.Keys(s.ByKey)) {
			l := s.ByKey[key]
			say("%-9s %d enrolled, %d failed, p50 %s, p95 %s", key, l.OK, l.Failed, short(l.P50), short(l.P95))
		}
	}
	if s.Retries > 0 {
		say("retries   %d%s", s.Retries, kinds(s.Again))
	}
	if s.Doubled > 0 {
		say("doubled   %d, of which %d got two certificates", s.Doubled, s.DoubledApart)
	}
	if s.Wrong+s.WrongTaken > 0 {
		say("wrong     %d passwords refused, %d taken", s.Wrong, s.WrongTaken)
	}
	for _, kind := range slices.Sorted(maps.Keys(s.Errors)) {
		say("failed    %d  %s", s.Errors[kind], kind)
	}
}

func kinds(counts map[string]int) string {
	var all []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, fmt.Sprintf("%d after %s", counts[kind], kind))
	}
	if len(all) == 0 {
		return ""
	}
	return ": " + strings.Join(all, ", ")
}

// watch returns what draws a bar with the numbers of the moment on a terminal, and
// nothing elsewhere, and what ends it.
func (c *cli) watch(total int) (step func(capf.Live), end func()) {
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
	var described time.Duration
	step = func(l capf.Live) {
		if l.Elapsed-described > 100*time.Millisecond {
			described = l.Elapsed
			text := fmt.Sprintf("enrolling, %d ask", l.Asking)
			if l.Waiting > 0 {
				text += fmt.Sprintf(", %d come again", l.Waiting)
			}
			if l.Failed > 0 {
				text += fmt.Sprintf(", %d failed", l.Failed)
			}
			bar.Describe(text)
		}
		_ = bar.Set(l.Done) // a bar that cannot be drawn stops nothing
	}
	return step, func() { _ = bar.Finish() }
}
