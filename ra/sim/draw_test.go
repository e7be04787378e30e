package sim_test

import (
	"time"

	"pgregory.net/rapid"

	"ciscora/ra/sim"
)

// drawPlan draws the options first, then who wants what, then what goes wrong. The
// simplest choice stands first everywhere: that is where a failing plan shrinks to.
func drawPlan(t *rapid.T) sim.Plan {
	p := sim.Plan{
		Salt:       rapid.Uint64Range(0, 1<<20).Draw(t, "salt"),
		Replicas:   rapid.SampledFrom([]int{1, 1, 2, 3}).Draw(t, "replicas"),
		Accounts:   rapid.SampledFrom([]bool{true, true, true, false}).Draw(t, "accounts"),
		FirstReqID: rapid.SampledFrom([]int{1, 1, 40, 5000}).Draw(t, "first ReqID"),
		Others:     seconds(t, "others", 0, 0, 20, 5),
		OthersWait: rapid.SampledFrom([]int{0, 0, 30}).Draw(t, "others wait"),
		Hidden:     rapid.SampledFrom([]bool{false, false, false, true}).Draw(t, "hidden"),
		KeepAlive:  rapid.SampledFrom([]int{0, 0, 0, 5, 4, 3}).Draw(t, "keep-alive"),
		Unlogged:   rapid.SliceOfN(rapid.IntRange(1, 20), 0, 2).Draw(t, "unlogged"),
		Timeout:    seconds(t, "time-out", 10, 10, 30),
		Calm:       2 * time.Minute,
		Linger:     2 * time.Minute,
	}
	loss := rapid.IntRange(0, 30).Draw(t, "loss")
	step := rapid.SampledFrom([]bool{false, true}).Draw(t, "clocks step")
	if step {
		p.Join = 24 * time.Hour // no step goes so far
	} else {
		p.Validity = seconds(t, "validity", 0, 0, 100)
		p.Join = seconds(t, "join", 60, 60, 60, 0)
	}
	p.Wishes = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) sim.Wish { return drawWish(t, loss) }), 1, 8).Draw(t, "wishes")
	for i := range p.Wishes {
		// Who comes back in five minutes never sees a certificate of a hundred seconds.
		p.Wishes[i].Obedient = p.Wishes[i].Obedient && p.Validity == 0
	}
	p.Disasters = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) sim.Disaster { return drawDisaster(t, step) }), 0, 5).Draw(t, "disasters")
	return p
}

// seconds draws a time from the list.
func seconds(t *rapid.T, what string, list ...int) time.Duration {
	return time.Duration(rapid.SampledFrom(list).Draw(t, what)) * time.Second
}

func drawWish(t *rapid.T, loss int) sim.Wish {
	w := sim.Wish{
		Key:      rapid.IntRange(0, 11).Draw(t, "key"),
		RSA:      rapid.Bool().Draw(t, "RSA"),
		DNS:      rapid.Bool().Draw(t, "SAN"),
		Proof:    rapid.Bool().Draw(t, "proof"),
		Label:    rapid.SampledFrom([]sim.Label{sim.Plain, sim.Plain, sim.Plain, sim.Supervised, sim.Directory}).Draw(t, "label"),
		Resend:   rapid.SampledFrom([]bool{false, false, true}).Draw(t, "resends"),
		Start:    time.Duration(rapid.IntRange(0, 60).Draw(t, "start")) * time.Second,
		Patience: seconds(t, "patience", 120, 5, 10, 30),
		Backoff:  seconds(t, "back-off", 5, 2, 15, 40),
		Obedient: rapid.Bool().Draw(t, "obedient"),
		Deaf:     rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "deaf"),
		Verdict:  rapid.SampledFrom([]sim.Verdict{sim.Granted, sim.Granted, sim.Granted, sim.Denied}).Draw(t, "verdict"),
		Decided:  seconds(t, "decided", 10, 60, 120),
		Again:    rapid.SampledFrom([][]time.Duration{nil, nil, nil, {20 * time.Second}, {50 * time.Second, 50 * time.Second}, {90 * time.Second}}).Draw(t, "again"),
		Posts:    rapid.SliceOfN(rapid.Custom(func(t *rapid.T) sim.Fate { return drawFate(t, loss, postFates) }), 0, 4).Draw(t, "POSTs"),
		Fetches:  rapid.SliceOfN(rapid.Custom(func(t *rapid.T) sim.Fate { return drawFate(t, loss, fetchFates) }), 0, 4).Draw(t, "fetches"),
	}
	return w
}

var (
	postFates = []sim.FateKind{
		sim.LostAnswer, sim.LostBefore, sim.Late, sim.CallFailed, sim.ServerGone, sim.ScriptTime, sim.LoginGone, sim.Unavailable,
		sim.KilledAnswer, sim.KilledBefore, sim.KilledLate,
	}
	fetchFates = []sim.FateKind{sim.LostAnswer, sim.LostBefore, sim.ServerGone, sim.LoginGone, sim.Unavailable, sim.KilledAnswer}
)

// drawFate draws something bad by the chance of loss, and something slow by the
// same.
func drawFate(t *rapid.T, loss int, bad []sim.FateKind) sim.Fate {
	switch n := rapid.IntRange(0, 99).Draw(t, "fate"); {
	case n >= 100-2*loss:
		f := sim.Fate{Kind: rapid.SampledFrom(bad).Draw(t, "which")}
		switch f.Kind {
		case sim.Late, sim.KilledLate, sim.ScriptTime:
			f.After = time.Duration(rapid.IntRange(1, 60).Draw(t, "late")) * time.Second
		}
		return f
	case n >= 100-3*loss:
		return sim.Fate{Kind: sim.Slow, After: time.Duration(rapid.IntRange(1, 60).Draw(t, "slow")) * time.Second}
	}
	return sim.Fate{Kind: sim.Served}
}

func drawDisaster(t *rapid.T, step bool) sim.Disaster {
	kinds := []sim.DisasterKind{sim.Kill, sim.Recycle, sim.DiskFull, sim.LedgerAway, sim.Pause, sim.Renewal, sim.SameKey}
	if step {
		kinds = append(kinds, sim.Clock)
	}
	d := sim.Disaster{
		Kind:    rapid.SampledFrom(kinds).Draw(t, "disaster"),
		At:      time.Duration(rapid.IntRange(0, 90_000).Draw(t, "at")) * time.Millisecond,
		For:     time.Duration(rapid.IntRange(1, 40).Draw(t, "for")) * time.Second,
		Replica: rapid.IntRange(0, 2).Draw(t, "replica"),
	}
	switch d.Kind {
	case sim.Clock:
		d.Step = time.Duration(rapid.SampledFrom([]int{2, -2, 60, -60, 3600, -3600}).Draw(t, "step")) * time.Second
	case sim.DiskFull:
		d.State = rapid.SampledFrom([]string{"", "submitted", "issued", "delivered"}).Draw(t, "state")
	case sim.SameKey:
		d.Wish = rapid.IntRange(0, 7).Draw(t, "whose")
		d.Name = rapid.SampledFrom([]string{"old", ""}).Draw(t, "name")
	}
	return d
}
