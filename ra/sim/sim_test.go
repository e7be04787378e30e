package sim_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"ciscora/ra/sim"
)

var (
	seeds   = flag.Int("seeds", 10, "play so many histories")
	seed    = flag.Uint64("seed", 1, "the first history's seed")
	survey  = flag.Bool("survey", false, "with TestSurvey: play all histories, shrink none, and count what breaks")
	resend  = flag.Bool("resend", false, "all clients send the same CSR again")
	without = flag.String("without", "", "do not check these invariants, by name, with commas")
)

var keys sim.Keys

func TestMain(m *testing.M) {
	flag.Parse()
	for name, value := range map[string]string{
		"rapid.checks": strconv.Itoa(*seeds), "rapid.seed": strconv.FormatUint(*seed, 10), "rapid.nofailfile": "true",
	} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	var err error
	if keys, err = sim.MakeKeys(12, 300); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// failer is what *testing.T and *rapid.T have in common here.
type failer interface {
	Helper()
	Fatal(...any)
}

// folder returns an empty folder, in memory where there is such a place: SQLite
// waits for the disk before each POST.
func folder(tb failer) string {
	tb.Helper()
	dir, err := os.MkdirTemp(shm(), "ra-sim-")
	if err != nil {
		tb.Fatal(err)
	}
	return dir
}

func shm() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

// violations holds a history against the invariants, one line each.
func violations(h *sim.History) []string {
	var bad []string
	for _, invariant := range sim.Invariants() {
		if strings.Contains(","+*without+",", ","+invariant.Name+",") {
			continue
		}
		for _, line := range invariant.Check(h) {
			bad = append(bad, invariant.Name+": "+line)
		}
	}
	return bad
}

// play plays a plan in a bubble of its own.
func play(t *testing.T, p sim.Plan) (h *sim.History) {
	t.Helper()
	dir := folder(t)
	defer os.RemoveAll(dir)
	synctest.Test(t, func(t *testing.T) {
		var err error
		if h, err = sim.Play(t.Context(), p, keys, dir); err != nil {
			t.Fatal(err)
		}
	})
	return h
}

// Any history, drawn from a seed. A failing one is shrunk and printed.
func TestHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		dir := folder(t)
		defer os.RemoveAll(dir)
		rapid.SyncTest(t, func(t *rapid.T) {
			h, err := sim.Play(t.Context(), p, keys, dir)
			if err != nil {
				t.Fatal(err)
			}
			if bad := violations(h); len(bad) > 0 {
				t.Log("\n" + h.String() + strings.Join(bad, "\n"))
				// Without times: shrinking looks for the same failure.
				name, _, _ := strings.Cut(bad[0], ":")
				t.Fatal(name)
			}
		})
	})
	if t.Failed() {
		t.Log("play it again with: go test ./ra/sim -run TestHistories -seeds 1 -seed N, where N is the -rapid.seed above")
	}
}

// With -survey: what breaks how often. To see more than the first failure.
func TestSurvey(t *testing.T) {
	if !*survey {
		return
	}
	count, example, failed := map[string]int{}, map[string]string{}, 0
	var took []time.Duration
	for s := range *seeds {
		p := rapid.Custom(drawPlan).Example(int(*seed) + s)
		for i := range p.Wishes {
			p.Wishes[i].Resend = p.Wishes[i].Resend || *resend
		}
		began := time.Now()
		h := play(t, p)
		took = append(took, time.Since(began))
		bad := violations(h)
		if *seeds == 1 {
			t.Logf("\n%s", h)
		}
		if len(bad) > 0 {
			failed++
		}
		seen := map[string]bool{}
		for _, line := range bad {
			name, _, _ := strings.Cut(line, ":")
			if !seen[name] {
				count[name]++
				seen[name] = true
			}
			if example[name] == "" {
				example[name] = fmt.Sprintf("e.g. example seed %d: %s", int(*seed)+s, line)
			}
		}
	}
	slices.Sort(took)
	t.Logf("%d of %d histories break something; a history takes %s in the median, the longest %s", failed, *seeds, took[len(took)/2], took[len(took)-1])
	for name, n := range count {
		t.Logf("%5d %s; %s", n, name, example[name])
	}
}

// The histories of a seed are the same, whatever the scheduler does, where no two
// clients wait for one log-in.
func TestASeedHasOneHistory(t *testing.T) {
	p := rapid.Custom(drawPlan).Example(int(*seed))
	p.Accounts = true
	first := play(t, p).String()
	for i := range 19 {
		if h := play(t, p).String(); h != first {
			t.Fatalf("run %d:\n%s", i+2, firstDifference(first, h))
		}
	}
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("%s\n%s", x[i], y[i])
		}
	}
	return "one is longer"
}
