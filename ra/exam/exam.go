package exam

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"ciscora/ra/scenario"
)

// Verdict is what a case came to.
type Verdict string

// The verdicts.
const (
	Pass          Verdict = "pass"
	Fail          Verdict = "fail"
	Inconclusive  Verdict = "inconclusive"
	NotApplicable Verdict = "not applicable"
)

// Result is a case's verdict, with what it stands on.
type Result struct {
	Card    Card
	Verdict Verdict
	Reason  string // of all verdicts but pass, and a pass of a part
	Took    time.Duration
	Runs    []RunReport
}

// Options is how to examine.
type Options struct {
	Client   Client
	Cards    []Card
	Limit    time.Duration // of one run of the client; 0 = a minute
	Parallel int           // cases at a time; 0 = two a processor
	// Dir keeps the folders of all runs; "" = a temporary one, which is removed.
	Dir string
	// Keys are of the servers, for who examines more than once; nil = new ones.
	Keys *scenario.Keys
	// Adopt takes in what clients leave behind in sessions and with environments of its
	// own, and kills it when all is examined, on Linux. This process must have no other
	// children meanwhile.
	Adopt  bool
	Ended  func(Result) // each case as it ends, one at a time; nil = nobody is told
	Wire   bool         // keep requests and answers in the reports
	Logger *zap.Logger
}

// waitersPerLane is how many times more cases are under way of those that wait.
const waitersPerLane = 3

// Run examines a client. The results are in the order of the cards; those of cases that
// ctx ended before they did are not among them, and the error is ctx's then. Another
// error is that nothing could be examined at all.
func Run(ctx context.Context, o Options) ([]Result, error) {
	if err := o.Client.Check(); err != nil {
		return nil, err
	}
	if o.Limit <= 0 {
		o.Limit = time.Minute
	}
	if o.Parallel <= 0 {
		o.Parallel = 2 * runtime.GOMAXPROCS(0)
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "ra-exam-")
		if err != nil {
			return nil, fmt.Errorf("make a folder for the examination: %w", err)
		}
		defer os.RemoveAll(dir)
		o.Dir = dir
	}
	// A server's configuration is in it, and takes paths from where it stands.
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("the folder of the examination: %w", err)
	}
	o.Dir = dir
	if o.Keys == nil {
		if o.Keys, err = scenario.MakeKeys(filepath.Join(o.Dir, "keys")); err != nil {
			return nil, err
		}
	}
	x := &examination{Options: o, children: &children{adopts: o.Adopt, started: map[int]struct{}{}}, results: make([]*Result, len(o.Cards))}
	if o.Adopt {
		if err := adopt(true); err != nil {
			return nil, err
		}
		defer func() {
			x.children.killAdopted()
			_ = adopt(false) // what could be turned on can be turned off
		}()
	}
	err = x.all(ctx)
	var results []Result
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range x.results {
		if r != nil {
			results = append(results, *r)
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return results, cause
	}
	return results, err
}

type examination struct {
	Options
	children *children

	mu      sync.Mutex // guards results, and lets one speak at a time
	results []*Result
}

// lingeringAll is how long servers may take to end once the examination is stopped.
const lingeringAll = 700 * time.Millisecond

// all examines in two lanes: cases that wait use no processor.
func (x *examination) all(ctx context.Context) error {
	inner, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var group errgroup.Group
	lane := func(waits bool, many int) {
		queue := make(chan int, len(x.Cards))
		for i, card := range x.Cards {
			if card.Waits == waits {
				queue <- i
			}
		}
		close(queue)
		for range many {
			group.Go(func() error {
				for i := range queue {
					select {
					case <-inner.Done():
						return nil
					default:
					}
					if err := x.one(inner, i); err != nil {
						stop(err) // a command that cannot be started will not be in the next case
						return err
					}
				}
				return nil
			})
		}
	}
	lane(true, waitersPerLane*x.Parallel)
	lane(false, x.Parallel)
	done := make(chan error, 1)
	go func() { done <- group.Wait() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(lingeringAll):
		return nil
	}
}

// one examines a case. The error is one that no other case would be spared.
func (x *examination) one(ctx context.Context, i int) error {
	result, err := x.examine(ctx, x.Cards[i], "")
	if err != nil {
		return err
	}
	if result.Verdict == Fail {
		again, err := x.examine(ctx, x.Cards[i], "-again")
		if err != nil {
			return err
		}
		result.heldAgainst(again)
	}
	if ctx.Err() != nil {
		return nil // cut short
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.results[i] = &result
	if x.Ended != nil {
		x.Ended(result)
	}
	return nil
}

// heldAgainst compares a fail with a second go: what does not happen again proves nothing.
func (r *Result) heldAgainst(again Result) {
	r.Took += again.Took
	how := "passed once"
	switch again.Verdict {
	case Fail:
		return
	case Inconclusive:
		how = "inconclusive once (" + again.Reason + ")"
	}
	r.Verdict, r.Reason = Inconclusive, "failed once, "+how+"; the fail: "+r.Reason
	for _, run := range again.Runs {
		run.Again = true
		r.Runs = append(r.Runs, run)
	}
}

// declared judges by what a client is said to be able to do.
func (c Client) declared(operations []string) (Verdict, string) {
	lacks := slices.DeleteFunc(slices.Clone(operations), func(o string) bool { return slices.Contains(c.Operations, o) })
	if len(lacks) == 0 {
		return Pass, ""
	}
	return Fail, "it is not declared to do " + strings.Join(lacks, ", ") + ": name in --operations all that it can do"
}

// missing says what a client lacks for a case; "" = nothing.
func (c Client) missing(card Card) string {
	for _, need := range card.Needs {
		if !slices.Contains(c.Abilities, need) {
			return "needs --can " + need
		}
	}
	var lacks []string
	for _, s := range card.Stages {
		switch operation := s.operation(); {
		case slices.Contains(c.Operations, operation):
			if s.CACert != "previous" {
				return ""
			}
		case !slices.Contains(lacks, operation):
			lacks = append(lacks, operation)
		}
	}
	return "needs the operation " + strings.Join(lacks, ", ")
}

func (x *examination) examine(ctx context.Context, card Card, suffix string) (Result, error) {
	began := time.Now()
	result := Result{Card: card, Verdict: Pass}
	defer func() { result.Took = time.Since(began) }()
	if len(card.Declares) > 0 {
		result.Verdict, result.Reason = x.Client.declared(card.Declares)
		return result, nil
	}
	if lacks := x.Client.missing(card); lacks != "" {
		result.Verdict, result.Reason = NotApplicable, lacks
		return result, nil
	}
	rig, err := x.newRig(ctx, filepath.Join(x.Dir, card.ID+suffix), card)
	if err != nil {
		if ctx.Err() != nil {
			return result, nil
		}
		return result, err
	}
	defer func() { _ = rig.close() }() // of a server that was made to fail there is nothing to say
	client := x.Client
	if client.EnvOf != nil {
		client.Env = slices.Concat(client.Env, client.EnvOf(card))
	}
	t := trial{x, rig, client, map[string]verdict{}}
	err = t.stages(ctx, &result)
	var cannot *startError
	if errors.As(err, &cannot) {
		return result, err
	}
	if err != nil && ctx.Err() == nil {
		result.Verdict, result.Reason = Inconclusive, err.Error()
	}
	result.Took = time.Since(began)
	return result, nil
}

// trial is a case under way.
type trial struct {
	*examination
	rig      *rig
	client   Client
	controls map[string]verdict // by what was controlled
}

func (t trial) stages(ctx context.Context, result *Result) error {
	var previous *run
	skipped := ""
	for _, stage := range result.Card.Stages {
		if !slices.Contains(t.client.Operations, stage.operation()) {
			skipped = stage.operation()
			continue
		}
		if stage.CACert == "previous" && (previous == nil || previous.out == nil) {
			continue // it has taken nothing that it could trust now
		}
		if v, err := t.control(ctx, stage, result); err != nil || v.problem != "" {
			if v.problem != "" {
				result.Verdict, result.Reason = v.verdict, v.problem
			}
			return err
		}
		r, err := t.repeat(ctx, stage, previous)
		if err != nil {
			return err
		}
		v := judge(r)
		result.Runs = append(result.Runs, t.report(r, v.problem))
		if v.problem != "" {
			result.Verdict, result.Reason = v.verdict, stage.describe()+v.problem
		}
		if v.verdict == Fail {
			return nil
		}
		if stage.operation() == CACerts {
			previous = r
		}
	}
	if skipped != "" && result.Verdict == Pass {
		result.Reason = "without its stages of " + skipped
	}
	return nil
}

// verdict is what a control comes to; no problem = the case goes on.
type verdict struct {
	verdict Verdict
	problem string
}

// control runs a stage without its faults, once for each kind of stage. A client that
// crashes there has failed: it did wrong, whatever the case is about.
func (t trial) control(ctx context.Context, stage Stage, result *Result) (verdict, error) {
	if !stage.needsControl() {
		return verdict{}, nil
	}
	plain := Stage{Operation: stage.Operation, Expect: []string{"ok"}}
	key := plain.operation()
	if v, ok := t.controls[key]; ok {
		return v, nil
	}
	r, err := t.rig.perform(ctx, t.client, plain, true, t.Limit, nil)
	if err != nil {
		return verdict{}, err
	}
	problem := seen(okProblem(r))
	result.Runs = append(result.Runs, t.report(r, problem))
	v := verdict{}
	switch {
	case problem != "" && r.Signal != "":
		v = verdict{Fail, "without any fault, on " + key + ": " + problem}
	case problem != "":
		v = verdict{Inconclusive, "without any fault it does not " + key + " either: " + problem}
	}
	t.controls[key] = v
	return v, nil
}

func (t trial) repeat(ctx context.Context, stage Stage, previous *run) (*run, error) {
	r, err := t.rig.perform(ctx, t.client, stage, false, t.Limit, previous)
	if err != nil {
		return nil, err
	}
	for range max(stage.Repeat, 1) - 1 {
		other, err := t.rig.perform(ctx, t.client, stage, false, t.Limit, previous)
		if err != nil {
			return nil, err
		}
		r.others = append(r.others, other)
	}
	return r, nil
}

// judge is the first of what a stage expects that does not hold. It is a fail before a
// premise: who failed has shown something.
func judge(r *run) verdict {
	unshown := verdict{}
	for _, text := range r.stage.Expect {
		holds, err := parsePredicate(text)
		if err != nil {
			return verdict{Fail, err.Error()}
		}
		problem := seen(holds(r))
		if w, _ := wordOf(text); w.premise && problem != "" {
			unshown = verdict{Inconclusive, problem}
		} else if problem != "" {
			return verdict{Fail, problem}
		}
	}
	return unshown
}

// maxSeen is the most letters of what was seen.
const maxSeen = 400

// seen is a problem for a person: the names and addresses in it are the client's words.
func seen(problem string) string { return shorten(problem, maxSeen) }

// describe is what a stage stages, in front of what was seen.
func (s Stage) describe() string {
	var parts []string
	for _, spec := range s.Faults {
		parts = append(parts, atOperation(spec, s.operation()))
	}
	switch s.Host {
	case "":
	case "ip":
		parts = append(parts, "by address")
	default:
		parts = append(parts, "as "+s.Host)
	}
	if s.Fingerprint != "" {
		parts = append(parts, s.Fingerprint+" fingerprint")
	}
	if s.Clock != "" {
		parts = append(parts, "at "+s.Clock)
	}
	if s.CACert != "" {
		parts = append(parts, "cacert "+s.CACert)
	}
	if s.Credentials != "" {
		parts = append(parts, s.Credentials+" credentials")
	}
	if len(parts) == 0 {
		parts = append(parts, s.operation())
	}
	return strings.Join(parts, " ") + ": "
}
