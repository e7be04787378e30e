package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"ciscora/ra/ledger"
)

func TestWhatIsKnownOfALostRequestIsKept(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		ctx := t.Context()
		var lost []int64
		for i, change := range []func(*ledger.Row){
			func(r *ledger.Row) {
				r.State, r.Floor, r.Candidates, r.Lost = ledger.StateSubmitted, 41, []int{43, 45}, d.clock.now()
			},
			func(r *ledger.Row) {
				r.State, r.ReqID, r.NextPoll = ledger.StateSubmitted, 42, d.clock.after(time.Minute)
			},
			func(r *ledger.Row) { r.State = ledger.StateSubmitted },
			func(r *ledger.Row) { r.State = ledger.StateFailed },
		} {
			c := claim(t, l, request(fmt.Sprint("phone", i), "x"))
			must(t, l.Update(ctx, &c, change))
			if i == 0 {
				must(t, l.Release(ctx, c))
			}
			lost = append(lost, c.Row.ID)
		}
		rows, err := l.Lost(ctx)
		must(t, err)
		if len(rows) != 2 || rows[0].ID != lost[0] || rows[1].ID != lost[2] || rows[0].Held || !rows[1].Held {
			t.Fatalf("lost: %+v", rows)
		}
		if r := rows[0]; r.Floor != 41 || !slices.Equal(r.Candidates, []int{43, 45}) || !r.Lost.Equal(d.clock.now()) {
			t.Errorf("floor %d, candidates %v, lost %s", r.Floor, r.Candidates, r.Lost)
		}
		orphans, err := l.List(ctx, ledger.Filter{Orphans: true})
		must(t, err)
		if len(orphans) != 1 || orphans[0].ID != lost[0] || !orphans[0].Orphan() {
			t.Errorf("orphans: %+v", orphans)
		}
		c, err := l.Take(ctx, lost[0])
		must(t, err)
		must(t, l.Finish(ctx, &c, func(r *ledger.Row) { r.Candidates = nil }))
		if orphans, err := l.List(ctx, ledger.Filter{Orphans: true}); err != nil || len(orphans) != 0 {
			t.Errorf("orphans without candidates: %+v, %v", orphans, err)
		}
	})
}

func TestWhatWasSeenIsKeptByReqID(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		ctx := t.Context()
		at := d.clock.now()
		must(t, l.See(ctx))
		must(t, l.See(ctx,
			ledger.Seen{ReqID: 7, What: ledger.SeenPending, At: at},
			ledger.Seen{ReqID: 5, What: ledger.SeenCertificate, Certificate: []byte{1, 2}, At: at},
			ledger.Seen{ReqID: 9, What: ledger.SeenUnknown, At: at}))
		must(t, l.See(ctx, ledger.Seen{ReqID: 7, What: ledger.SeenCertificate, Certificate: []byte{3}, At: at.Add(time.Second)}))
		seen, err := l.SeenFrom(ctx, 6)
		must(t, err)
		if len(seen) != 2 || seen[0].ReqID != 7 || seen[0].What != ledger.SeenCertificate || string(seen[0].Certificate) != "\x03" ||
			!seen[0].At.Equal(at.Add(time.Second)) || seen[1].What != ledger.SeenUnknown {
			t.Errorf("seen: %+v", seen)
		}
		must(t, l.ForgetSeen(ctx, 8))
		if seen, err := l.SeenFrom(ctx, 0); err != nil || len(seen) != 1 || seen[0].ReqID != 9 {
			t.Errorf("after it was forgotten: %+v, %v", seen, err)
		}
		if err := l.See(ctx, ledger.Seen{ReqID: 1, Certificate: make([]byte, 1<<20)}); err == nil {
			t.Error("a certificate of a megabyte was taken")
		}
	})
}

func TestTheHighestReqIDIsThatOfRowsAndOfWhatWasSeen(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		ctx := t.Context()
		want := func(highest int) {
			t.Helper()
			if got, err := l.HighestReqID(ctx); err != nil || got != highest {
				t.Errorf("highest %d, %v, want %d", got, err, highest)
			}
		}
		want(0)
		c := claim(t, l, request("phone", "x"))
		must(t, l.Update(ctx, &c, func(r *ledger.Row) { r.ReqID = 12 }))
		want(12)
		must(t, l.See(ctx, ledger.Seen{ReqID: 15, What: ledger.SeenDenied}, ledger.Seen{ReqID: 20, What: ledger.SeenUnknown}))
		want(15)
		c2 := claim(t, l, request("other", "x"))
		must(t, l.Finish(ctx, &c2, func(r *ledger.Row) { r.ReqID = 14 }))
		want(15)
		known, err := l.KnownReqIDs(ctx, 13)
		must(t, err)
		if !slices.Equal(known, []int{14}) {
			t.Errorf("known from 13: %v", known)
		}
		if known, err := l.KnownReqIDs(ctx, 0); err != nil || !slices.Equal(known, []int{12, 14}) {
			t.Errorf("known: %v, %v", known, err)
		}
	})
}

func TestAFreshRowWithWhichNothingWasDoneIsDiscarded(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		ctx := t.Context()
		c := claim(t, l, request("phone", "x"))
		must(t, l.Discard(ctx, c))
		if _, err := l.Get(ctx, c.Row.ID); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("the row is there: %v", err)
		}
		again := claim(t, l, request("phone", "x"))
		if !again.Fresh || !again.Mine {
			t.Errorf("the request comes again: %+v", again)
		}
		must(t, l.Update(ctx, &again, func(r *ledger.Row) { r.State = ledger.StateSubmitted }))
		if err := l.Discard(ctx, again); !errors.Is(err, ledger.ErrLost) {
			t.Errorf("one that went to the CA was discarded: %v", err)
		}
		must(t, l.Verify(ctx, again))
	})
}

func TestWhatMustNotBeCutIsRefusedWhereItIsTooLong(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		for name, change := range map[string]func(*ledger.Request){
			"subject":        func(r *ledger.Request) { r.SubjectDER = make([]byte, 64<<10+1) },
			"subjectAltName": func(r *ledger.Request) { r.Names = make([]byte, 64<<10+1) },
			"public key":     func(r *ledger.Request) { r.PublicKey = make([]byte, 64<<10+1) },
		} {
			r := request("phone", "x")
			change(&r)
			if _, err := l.Claim(t.Context(), r); err == nil || errors.Is(err, ledger.ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := l.New(t.Context(), r); err == nil {
				t.Errorf("%s: New took it", name)
			}
		}
	})
}

func TestOneSearchAtATime(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		release, ok, err := l.Searching(t.Context())
		must(t, err)
		if !ok {
			t.Fatal("nobody else searches")
		}
		if _, ok, err := l.Searching(t.Context()); err != nil || ok {
			t.Errorf("a second one: %v, %v", ok, err)
		}
		release()
		if _, ok, err := l.Searching(t.Context()); err != nil || !ok {
			t.Errorf("after the first: %v, %v", ok, err)
		}
	})
}

func TestAnUpdateKeepsWhatWasDeliveredMeanwhile(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		ctx := t.Context()
		c := claim(t, l, request("phone", "x"))
		must(t, l.Update(ctx, &c, func(r *ledger.Row) { r.State = ledger.StateIssued }))
		first := d.clock.now()
		d.clock.pass(9 * time.Minute)
		must(t, l.Delivered(ctx, c.Row.ID, d.clock.now()))
		must(t, l.Delivered(ctx, c.Row.ID, first)) // the ledger was away
		must(t, l.Update(ctx, &c, func(r *ledger.Row) { r.Polls, r.Delivered, r.Deliveries = 1, time.Time{}, 0 }))
		must(t, l.Delivered(ctx, c.Row.ID, d.clock.now()))
		row, err := l.Get(ctx, c.Row.ID)
		must(t, err)
		if row.State != ledger.StateDelivered || !row.Delivered.Equal(first) || row.Deliveries != 3 {
			t.Errorf("%s, delivered %d times, first at %s, want %s", row.State, row.Deliveries, row.Delivered, first)
		}
	})
}

// In the profile of CES each try has a row of its own, and those that wait for a manager
// are opened.
func TestOfTwoRowsOfOneRequestTheFirstIsOpened(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l, ctx := d.open("a"), t.Context()
		var claims []ledger.Claim
		for range 2 {
			c, err := l.New(ctx, request("phone", "x"))
			must(t, err)
			claims = append(claims, c)
		}
		for i := range claims {
			must(t, l.Update(ctx, &claims[i], func(r *ledger.Row) { r.State, r.Open, r.ReqID = ledger.StatePending, true, 10+i }))
		}
		for i := range claims {
			must(t, l.Release(ctx, claims[i]))
		}
		for i, open := range []bool{true, false} {
			row, err := l.Get(ctx, claims[i].Row.ID)
			must(t, err)
			if row.Open != open || row.ReqID != 10+i || row.State != ledger.StatePending {
				t.Errorf("row %d: open %v, %s, ReqID %d", i, row.Open, row.State, row.ReqID)
			}
		}
		if c := claim(t, l, request("phone", "x")); c.Row.ID != claims[0].Row.ID {
			t.Errorf("joined row %d, want %d", c.Row.ID, claims[0].Row.ID)
		}
	})
}
