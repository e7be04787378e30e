package sim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ciscora/ra/ledger"
	"ciscora/ra/sim"
)

// holds plays a plan and holds it against the invariants, and before that against what
// the case says.
func holds(t *testing.T, p sim.Plan, besides ...func(*sim.History) []string) *sim.History {
	t.Helper()
	h := play(t, p)
	var bad []string
	for _, check := range besides {
		bad = append(bad, check(h)...)
	}
	bad = append(bad, violations(h)...)
	if len(bad) == 0 {
		return h
	}
	const most = 12
	if len(bad) > most {
		bad = append(bad[:most], fmt.Sprintf("and %d more", len(bad)-most))
	}
	t.Error(strings.Join(bad, "\n"))
	if len(h.Lines) < 400 || testing.Verbose() {
		t.Log("\n" + h.String())
	}
	return h
}

// certificates says how many certificates the RA's clients must have at the CA.
func certificates(want int) func(*sim.History) []string {
	return func(h *sim.History) []string {
		n := 0
		for _, r := range h.Requests {
			if _, ours := h.Owner[r.ID]; ours && len(r.Certificate) > 0 {
				n++
			}
		}
		if n != want {
			return []string{fmt.Sprintf("the CA has issued %d certificates, want %d", n, want)}
		}
		return nil
	}
}

// noOrphan says that none may be told.
func noOrphan(h *sim.History) []string {
	if len(h.Orphans) > 0 {
		return []string{fmt.Sprintf("%d possible orphans told, want none: %+v", len(h.Orphans), h.Orphans)}
	}
	return nil
}

// answer says what a wish's n-th try must be answered with.
func answer(wish, try, status int) func(*sim.History) []string {
	return func(h *sim.History) []string {
		if asks := h.Asks[wish]; len(asks) < try || asks[try-1].Status != status {
			return []string{fmt.Sprintf("w%02d: try %d is not answered %d: %s", wish, try, status, statuses(asks))}
		}
		return nil
	}
}

func statuses(asks []sim.Ask) string {
	var all []string
	for _, a := range asks {
		all = append(all, fmt.Sprint(a.Status))
	}
	return strings.Join(all, ", ")
}

// rowsAre says which state all rows of a wish must be in.
func rowsAre(wish int, state ledger.State) func(*sim.History) []string {
	return func(h *sim.History) []string {
		var bad []string
		for _, row := range h.Rows {
			if row.CN == fmt.Sprintf("w%02d", wish) && row.State != state {
				bad = append(bad, fmt.Sprintf("row %d (%s) is %s, want %s", row.ID, row.CN, row.State, state))
			}
		}
		return bad
	}
}

// phone is a client with a key of its own, 15 s of patience, and a try each minute, so
// that one case's plan says only what matters in it.
func phone(key int, change ...func(*sim.Wish)) sim.Wish {
	w := sim.Wish{Key: key, Resend: true, Start: time.Second, Patience: 15 * time.Second, Backoff: time.Minute}
	for _, f := range change {
		f(&w)
	}
	return w
}

func posts(fates ...sim.Fate) func(*sim.Wish)   { return func(w *sim.Wish) { w.Posts = fates } }
func fetches(fates ...sim.Fate) func(*sim.Wish) { return func(w *sim.Wish) { w.Fetches = fates } }
func starts(at time.Duration) func(*sim.Wish)   { return func(w *sim.Wish) { w.Start = at } }

// quiet is a plan without disasters; Calm is late enough for what the wishes say.
func quiet(wishes ...sim.Wish) sim.Plan {
	return sim.Plan{Salt: 1, Calm: 5 * time.Minute, Linger: 3 * time.Minute, Wishes: wishes}
}

// outage: so many POSTs whose answers are lost, twenty a second, and some clients
// that come back at once, the last ReqIDs first.
func outage(lost, retry int) sim.Plan {
	p := quiet()
	const pace = 50 * time.Millisecond
	end := time.Duration(lost) * pace
	for i := range lost {
		w := phone(i, starts(time.Duration(i)*pace), posts(sim.Fate{Kind: sim.LostAnswer}))
		w.Patience, w.Once = 2*time.Minute, i < lost-retry
		w.First = end - w.Start + time.Duration(lost-i)*pace
		p.Wishes = append(p.Wishes, w)
	}
	return p
}

func TestCase1AnOutageEndsWithOneCertificateEach(t *testing.T) {
	holds(t, outage(300, 40), certificates(300), noOrphan)
}

func TestCase1AnEmptyLedgerInFrontOfACAThatOthersUse(t *testing.T) {
	p := outage(60, 20)
	p.FirstReqID, p.Others = 5000, time.Second
	holds(t, p, certificates(60), noOrphan)
}

func TestCase1ACrashUnderLoad(t *testing.T) {
	p := quiet()
	p.FirstReqID, p.Others = 700, time.Second
	for i := range 60 {
		p.Wishes = append(p.Wishes, phone(i, starts(time.Duration(i)*500*time.Millisecond), func(w *sim.Wish) { w.Backoff = 3 * time.Second }))
		if i%10 == 9 {
			p.Wishes[i].Posts = []sim.Fate{{Kind: sim.KilledAnswer}}
		}
	}
	for at := 5 * time.Second; at < 35*time.Second; at += 7 * time.Second {
		p.Disasters = append(p.Disasters, sim.Disaster{Kind: sim.Kill, At: at, For: time.Second})
	}
	holds(t, p, certificates(60), noOrphan)
}

func TestCase2SomebodyElsesCertificate(t *testing.T) {
	for _, test := range []struct {
		name string
		fate sim.FateKind
		at   time.Duration // when CES enrolls the key
		as   string
	}{
		{"CES enrolled this key as another name, before", sim.LostBefore, time.Second, "old"},
		{"CES enrolls this key as another name, after the POST", sim.LostBefore, 11 * time.Second, "old"},
		{"and the POST was heard", sim.LostAnswer, time.Second, "old"},
		{"CES enrolled this key under this name, long before", sim.LostBefore, time.Second, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := phone(0, starts(10*time.Second), posts(sim.Fate{Kind: test.fate}))
			p := quiet(phone(1, starts(0)), w)
			if test.as == "" { // the CA dates back by ten minutes
				p.Wishes[1].Start, p.Calm = 15*time.Minute, 25*time.Minute
			}
			p.Disasters = []sim.Disaster{{Kind: sim.SameKey, At: test.at, Wish: 1, Name: test.as}}
			holds(t, p, certificates(2))
		})
	}
}

func TestCase3ExpiredCertificates(t *testing.T) {
	t.Run("issued, never delivered, and asked for after its end", func(t *testing.T) {
		w := phone(0, func(w *sim.Wish) { w.Deaf, w.First = 1, 15*time.Minute })
		p := quiet(w)
		p.Validity, p.Calm = 10*time.Minute, 20*time.Minute
		holds(t, p, certificates(2))
	})
	t.Run("fetched after its end", func(t *testing.T) {
		w := phone(0, func(w *sim.Wish) {
			w.Patience, w.Fetches = 5*time.Minute, []sim.Fate{{Kind: sim.Slow, After: 110 * time.Second}}
		})
		p := quiet(w)
		p.Validity, p.Timeout, p.Calm = 100*time.Second, 2*time.Minute, 10*time.Minute
		holds(t, p, certificates(2))
	})
	t.Run("asked for every nine minutes", func(t *testing.T) {
		w := phone(0, func(w *sim.Wish) {
			for range 5 {
				w.Again = append(w.Again, 9*time.Minute)
			}
		})
		p := quiet(w)
		p.Validity, p.Calm = 30*time.Minute, 50*time.Minute
		holds(t, p)
	})
}

func TestCase4TheSameRequestIsNotTheSameCSR(t *testing.T) {
	for _, rsa := range []bool{true, false} {
		for _, proof := range []bool{false, true} {
			for _, pending := range []bool{true, false} {
				name := map[bool]string{true: "RSA", false: "EC"}[rsa] + map[bool]string{true: ", with proof", false: ""}[proof] + map[bool]string{true: ", pending", false: ", time-out"}[pending]
				t.Run(name, func(t *testing.T) {
					w := phone(0, func(w *sim.Wish) { w.RSA, w.Proof, w.Resend, w.DNS = rsa, proof, false, true })
					if pending {
						w.Label, w.Decided = sim.Supervised, 30*time.Second
					} else {
						w.Posts = []sim.Fate{{Kind: sim.Slow, After: 25 * time.Second}}
					}
					holds(t, quiet(w), certificates(1), noOrphan)
				})
			}
		}
	}
}

func TestCase5AClockStepDuringASubmit(t *testing.T) {
	w := phone(0, posts(sim.Fate{Kind: sim.Slow, After: 20 * time.Second}), func(w *sim.Wish) { w.Patience, w.Backoff = 7500*time.Millisecond, 1600*time.Millisecond })
	for name, replicas := range map[string]int{"of one replica": 1, "of the other one": 2} {
		t.Run(name, func(t *testing.T) {
			p := quiet(w)
			p.Replicas, p.Timeout = replicas, 30*time.Second
			p.Disasters = []sim.Disaster{{Kind: sim.Clock, At: 9500 * time.Millisecond, Step: time.Minute}}
			holds(t, p, certificates(1), noOrphan)
		})
	}
}

func TestCase6AnRPCFailureMayHaveIssued(t *testing.T) {
	w := phone(0, posts(sim.Fate{Kind: sim.CallFailed}))
	holds(t, quiet(w), certificates(1), noOrphan)
}

func TestCase7TheSearchPassesOverWhatIsForbidden(t *testing.T) {
	p := quiet(phone(0, starts(30*time.Second), posts(sim.Fate{Kind: sim.LostAnswer})))
	p.Hidden, p.Others = true, time.Second
	holds(t, p, certificates(1))
}

func TestCase7AFailedPollLeavesARequestPending(t *testing.T) {
	w := phone(0, fetches(sim.Fate{Kind: sim.LostAnswer}, sim.Fate{Kind: sim.LostAnswer}, sim.Fate{Kind: sim.Unavailable}, sim.Fate{Kind: sim.Unavailable}),
		func(w *sim.Wish) { w.Label, w.Decided, w.Once = sim.Supervised, 4*time.Minute, true })
	p := quiet(w)
	p.Calm, p.Linger = 2*time.Minute, 0 // nobody has decided by then
	holds(t, p, rowsAre(0, ledger.StatePending))
}

func TestCase7ALedgerThatFailsAtTheMark(t *testing.T) { markFails(t, 10*time.Second, 20*time.Second) }

// The same, and the ledger is back before the client is: the mark must not be
// written then.
func TestCase11TheMarkWithoutTheAct(t *testing.T) { markFails(t, 3*time.Second, 6*time.Second) }

// markFails has the ledger fail when the row is to be marked before the POST:
// nothing is sent, so the retry must be an enrollment like any other.
func markFails(t *testing.T, lasts, backoff time.Duration) {
	p := quiet(phone(0, starts(5*time.Second), func(w *sim.Wish) { w.Patience, w.Backoff = 40*time.Second, backoff }))
	p.Disasters = []sim.Disaster{{Kind: sim.DiskFull, At: 4 * time.Second, For: lasts, State: "submitted"}}
	h := holds(t, p, certificates(1), noOrphan, answer(0, 1, 503), answer(0, 2, 200))
	if took := h.Asks[0][1].Ended - h.Asks[0][1].At; took > 2*time.Second {
		t.Errorf("nothing was sent, and the retry took %s", took)
	}
}

func TestCase9ADeadSessionIsNotUsedAgain(t *testing.T) {
	for name, change := range map[string]func(*sim.Wish){
		"a 401 on the POST":  posts(sim.Fate{Kind: sim.LoginGone}),
		"a 401 on the fetch": fetches(sim.Fate{Kind: sim.LoginGone}),
	} {
		t.Run(name, func(t *testing.T) {
			p := quiet(phone(0, change))
			for i := range 5 {
				p.Wishes = append(p.Wishes, phone(i+1, starts(time.Duration(5+3*i)*time.Second)))
			}
			holds(t, p, certificates(6), noOrphan, answer(0, 1, 200), answer(1, 1, 200), answer(2, 1, 200), answer(5, 1, 200))
		})
	}
}

// The log-in's page says that the service is stopped; the connection then counts as
// logged in, and is not.
func TestCase9AConnectionBelievedToBeLoggedIn(t *testing.T) {
	p := quiet()
	p.Unlogged = []int{2} // the first is the start's
	for i := range 6 {
		p.Wishes = append(p.Wishes, phone(i, starts(time.Duration(5+3*i)*time.Second)))
	}
	holds(t, p, certificates(6), noOrphan, answer(1, 1, 200), answer(2, 1, 200), answer(5, 1, 200))
}

func TestCase10APOSTThatComesLate(t *testing.T) {
	for _, test := range []struct {
		name string
		fate sim.Fate
	}{
		{"the link is dead for 54 s", sim.Fate{Kind: sim.Late, After: 54 * time.Second}},
		{"the process was killed meanwhile", sim.Fate{Kind: sim.KilledLate, After: 54 * time.Second}},
		{"IIS goes on for 80 s", sim.Fate{Kind: sim.ScriptTime, After: 80 * time.Second}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := phone(0, posts(test.fate), func(w *sim.Wish) { w.Backoff = 5 * time.Second })
			holds(t, quiet(w), certificates(1), noOrphan)
		})
	}
}

func TestCase11ADeliveryIsRecordedLater(t *testing.T) {
	p := quiet(phone(0, starts(5*time.Second)))
	p.Disasters = []sim.Disaster{{Kind: sim.DiskFull, At: time.Second, For: 10 * time.Second, State: "delivered"}}
	holds(t, p, certificates(1), noOrphan, answer(0, 1, 200), rowsAre(0, ledger.StateDelivered))
}
