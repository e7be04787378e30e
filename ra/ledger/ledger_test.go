package ledger_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ciscora/ra/ledger"
	"ciscora/ra/ledger/ledgertest"
)

// postgres is the server of most tests here.
var postgres ledgertest.Server

func TestMain(m *testing.M) {
	if err := ledgertest.WaitTogether(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := postgres.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code)
	}))
}

// clock is one that a test moves.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time                  { return time.Unix(0, c.nanos.Load()).UTC() }
func (c *clock) pass(d time.Duration)            { c.nanos.Add(int64(d)) }
func (c *clock) after(d time.Duration) time.Time { return c.now().Add(d) }

// database is where the suite runs: open returns one more user of it.
type database struct {
	clock *clock
	open  func(replica string) *ledger.Ledger
	// several tells whether more than one process may use it.
	several bool
}

// overEachStore runs a test over SQLite and PostgreSQL, beside the other tests.
func overEachStore(t *testing.T, test func(*testing.T, *database)) {
	t.Helper()
	t.Parallel()
	opener := func(t *testing.T, c *clock, dsn string) func(string) *ledger.Ledger {
		return func(replica string) *ledger.Ledger {
			t.Helper()
			l, err := ledger.Open(t.Context(), dsn, ledger.Options{Replica: replica, Now: c.now})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			})
			return l
		}
	}
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		c := newClock()
		test(t, &database{clock: c, open: opener(t, c, "sqlite:"+filepath.Join(t.TempDir(), "ra.db"))})
	})
	t.Run("SQLite in memory", func(t *testing.T) {
		t.Parallel()
		c := newClock()
		test(t, &database{clock: c, open: opener(t, c, "sqlite::memory:")})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		c := newClock()
		test(t, &database{clock: c, open: opener(t, c, postgres.Database(t)), several: true})
	})
}

func request(csr, identity string) ledger.Request {
	return ledger.Request{
		What: sha256.Sum256([]byte("what " + csr)), CSR: sha256.Sum256([]byte(csr)), PublicKey: []byte("key of " + csr),
		SubjectDER: []byte("subject of " + csr), Names: []byte("names of " + csr), Identity: identity, Template: "CiscoRA",
		Subject: "CN=" + csr, CN: csr, Enrollment: "0123456789abcdef",
	}
}

func claim(t testing.TB, l *ledger.Ledger, r ledger.Request) ledger.Claim {
	t.Helper()
	c, err := l.Claim(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestARequestGoesFromReceivedToDelivered(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		ctx := t.Context()
		c := claim(t, l, request("phone", "relay:lab\\ciscora"))
		if !c.Mine || !c.Fresh || c.Row.State != ledger.StateReceived || !c.Row.Open || c.Row.ID == 0 {
			t.Fatalf("a new request: %+v", c)
		}
		d.clock.pass(time.Second)
		leg := ledger.Leg{Name: "submit", Start: d.clock.now(), Took: 15 * time.Millisecond, Error: "none"}
		must(t, l.Update(ctx, &c, func(r *ledger.Row) {
			r.State, r.ReqID, r.Submitted, r.NextPoll = ledger.StateSubmitted, 10, d.clock.now(), d.clock.after(time.Minute)
			r.Legs = append(r.Legs, leg)
		}))
		d.clock.pass(time.Second)
		must(t, l.Update(ctx, &c, func(r *ledger.Row) {
			r.State, r.Certificate, r.Issued, r.Disposition, r.HRESULT = ledger.StateIssued, []byte{1, 2, 3}, d.clock.now(), 3, 0x80094014
			r.NextPoll = time.Time{}
		}))
		must(t, l.Release(ctx, c))
		must(t, l.Delivered(ctx, c.Row.ID, d.clock.now()))
		d.clock.pass(time.Second)
		must(t, l.Delivered(ctx, c.Row.ID, d.clock.now()))
		row, err := l.Get(ctx, c.Row.ID)
		must(t, err)
		if row.State != ledger.StateDelivered || row.Deliveries != 2 || !row.Delivered.Equal(d.clock.after(-time.Second)) {
			t.Errorf("delivered twice: %s, %d times, first at %s", row.State, row.Deliveries, row.Delivered)
		}
		if row.ReqID != 10 || string(row.Certificate) != "\x01\x02\x03" || row.HRESULT != 0x80094014 || len(row.Legs) != 1 || row.Legs[0] != leg {
			t.Errorf("what was written is not what is read: %+v", row)
		}
		if want := request("phone", "relay:lab\\ciscora"); row.Key() != want.Key() || string(row.PublicKey) != string(want.PublicKey) || row.Enrollment != want.Enrollment || row.CN != "phone" ||
			row.What != want.What || row.CSR != want.CSR || string(row.SubjectDER) != string(want.SubjectDER) || string(row.Names) != string(want.Names) {
			t.Errorf("the request: %+v", row.Request)
		}
	})
}

func TestTheSameRequestJoinsAndAnotherOneDoesNot(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		first := claim(t, l, request("phone", "x"))
		again := claim(t, l, request("phone", "x"))
		if again.Mine || again.Fresh || again.Row.ID != first.Row.ID {
			t.Errorf("the same request: %+v, want row %d, not mine", again, first.Row.ID)
		}
		resigned := request("phone", "x")
		resigned.CSR[0] ^= 1
		if c := claim(t, l, resigned); c.Fresh || c.Row.ID != first.Row.ID {
			t.Errorf("the same, signed anew: %+v, want row %d", c, first.Row.ID)
		}
		for name, change := range map[string]func(*ledger.Request){
			"something else":   func(r *ledger.Request) { r.What[0] ^= 1 },
			"another identity": func(r *ledger.Request) { r.Identity = "y" },
			"another label":    func(r *ledger.Request) { r.Label = "wifi" },
			"another template": func(r *ledger.Request) { r.Template = "WiFiClient" },
			"the same letters, other fields": func(r *ledger.Request) {
				r.Identity, r.Label = "xw", "" // must not be as identity x, label w
			},
		} {
			r := request("phone", "x")
			change(&r)
			if c := claim(t, l, r); !c.Fresh || !c.Mine || c.Row.ID == first.Row.ID {
				t.Errorf("%s joined: %+v", name, c)
			}
		}
		alone, err := l.New(t.Context(), request("phone", "x"))
		must(t, err)
		if !alone.Mine || alone.Row.Open || alone.Row.ID == first.Row.ID {
			t.Errorf("New joined: %+v", alone)
		}
	})
}

func TestAClaimIsHeldUntilItIsGivenBackWhateverTheClockSays(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		ctx := t.Context()
		held := claim(t, l, request("phone", "x"))
		for _, step := range []time.Duration{time.Minute, -10 * time.Minute, 24 * time.Hour} {
			d.clock.pass(step)
			if c := claim(t, l, request("phone", "x")); c.Mine {
				t.Fatalf("a live claim was taken after a step of the clock of %s", step)
			}
			if c, err := l.Take(ctx, held.Row.ID); err != nil || c.Mine {
				t.Fatalf("a live claim was taken after a step of the clock of %s: %v", step, err)
			}
			must(t, l.Verify(ctx, held))
		}
		must(t, l.Update(ctx, &held, func(r *ledger.Row) { r.ReqID = 7 }))
		must(t, l.Release(ctx, held))
		heir := claim(t, l, request("phone", "x"))
		if !heir.Mine || heir.Fresh || heir.Row.ID != held.Row.ID || heir.Row.ReqID != 7 {
			t.Fatalf("after a release: %+v", heir)
		}
		if err := l.Update(ctx, &held, func(r *ledger.Row) { r.ReqID = 99 }); !errors.Is(err, ledger.ErrLost) {
			t.Errorf("the first holder writes: %v, want ErrLost", err)
		}
		if err := l.Verify(ctx, held); !errors.Is(err, ledger.ErrLost) {
			t.Errorf("the first holder asks: %v, want ErrLost", err)
		}
		must(t, l.Release(ctx, held)) // no error, and no harm to the heir
		must(t, l.Verify(ctx, heir))
		must(t, l.Finish(ctx, &heir, func(r *ledger.Row) { r.ReqID = 8 }))
		if err := l.Verify(ctx, heir); !errors.Is(err, ledger.ErrLost) {
			t.Errorf("after Finish: %v, want ErrLost", err)
		}
		if c := claim(t, l, request("phone", "x")); !c.Mine || c.Row.ReqID != 8 {
			t.Errorf("after Finish: %+v", c)
		}
	})
}

func TestAClosedRowIsNotJoined(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		first := claim(t, l, request("phone", "x"))
		must(t, l.Update(t.Context(), &first, func(r *ledger.Row) { r.State, r.Open = ledger.StateFailed, false }))
		if c := claim(t, l, request("phone", "x")); !c.Fresh || c.Row.ID == first.Row.ID {
			t.Errorf("joined a closed row: %+v", c)
		}
	})
}

func TestOfManyClaimsAtOnceOneIsMine(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		ledgers := []*ledger.Ledger{d.open("a")}
		if d.several {
			ledgers = append(ledgers, d.open("b"), d.open("c"))
		}
		for round := range 5 {
			var mine atomic.Int64
			var rows sync.Map
			var all sync.WaitGroup
			for i := range 50 {
				all.Go(func() {
					c, err := ledgers[i%len(ledgers)].Claim(t.Context(), request(fmt.Sprint("phone", round), "x"))
					if err != nil {
						t.Error(err)
						return
					}
					if c.Mine {
						mine.Add(1)
					}
					rows.Store(c.Row.ID, true)
				})
			}
			all.Wait()
			n := 0
			rows.Range(func(any, any) bool { n++; return true })
			if mine.Load() != 1 || n != 1 {
				t.Fatalf("%d claims are mine, on %d rows; want one on one", mine.Load(), n)
			}
		}
	})
}

func TestWhatIsDueIsFoundAndTaken(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		ctx := t.Context()
		states := map[string]func(*ledger.Row){
			"pending, to be polled": func(r *ledger.Row) { r.State, r.NextPoll = ledger.StatePending, d.clock.after(time.Minute) },
			"submitted, to be fetched": func(r *ledger.Row) {
				r.State, r.ReqID, r.NextPoll = ledger.StateSubmitted, 3, d.clock.after(time.Minute)
			},
			"submitted, no more to be done": func(r *ledger.Row) { r.State, r.ReqID = ledger.StateSubmitted, 4 },
			"pending, much later":           func(r *ledger.Row) { r.State, r.NextPoll = ledger.StatePending, d.clock.after(time.Hour) },
			"received":                      func(*ledger.Row) {},
			"issued":                        func(r *ledger.Row) { r.State, r.NextPoll = ledger.StateIssued, d.clock.after(time.Minute) },
		}
		ids := map[int64]string{}
		var claims []ledger.Claim
		for name, change := range states {
			c := claim(t, l, request(name, "x"))
			must(t, l.Update(ctx, &c, change))
			ids[c.Row.ID] = name
			claims = append(claims, c)
		}
		due := func() map[string]bool {
			found, err := l.Due(ctx, d.clock.now(), 100)
			must(t, err)
			names := map[string]bool{}
			for _, id := range found {
				names[ids[id]] = true
			}
			return names
		}
		if got := due(); len(got) != 0 {
			t.Errorf("due while all are claimed: %v", got)
		}
		d.clock.pass(2 * time.Minute)
		if got := due(); len(got) != 0 {
			t.Errorf("due while all are claimed: %v", got)
		}
		for _, c := range claims {
			must(t, l.Release(ctx, c))
		}
		if got := due(); len(got) != 3 || !got["pending, to be polled"] || !got["submitted, to be fetched"] || !got["received"] {
			t.Errorf("due: %v", got)
		}
		found, err := l.Due(ctx, d.clock.now(), 100)
		must(t, err)
		for _, id := range found {
			c, err := l.Take(ctx, id)
			must(t, err)
			if !c.Mine {
				t.Errorf("%s is not to be had", ids[id])
			}
			if again, err := l.Take(ctx, id); err != nil || again.Mine {
				t.Errorf("%s was taken twice: %v", ids[id], err)
			}
		}
		if got := due(); len(got) != 0 {
			t.Errorf("due once they are taken: %v", got)
		}
		if _, err := l.Take(ctx, 12345); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("no such row: %v", err)
		}
	})
}

// Between the moment at which a row is there and that at which its maker knows its number
// nobody else in the process may think that it was left behind.
func TestARowThatIsJustMadeIsNotDue(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		made := make(chan struct{})
		var makers sync.WaitGroup
		for maker := range 4 {
			makers.Go(func() {
				for i := range 200 {
					c := claim(t, l, request(fmt.Sprintf("phone %d of %d", i, maker), "x"))
					if !c.Mine {
						t.Errorf("phone %d of %d: its row was taken: %+v", i, maker, c.Row)
						return
					}
					must(t, l.Update(t.Context(), &c, func(r *ledger.Row) { r.State, r.Open = ledger.StateFailed, false }))
				}
			})
		}
		go func() { makers.Wait(); close(made) }()
		for {
			ids, err := l.Due(t.Context(), d.clock.now(), 100)
			must(t, err)
			if len(ids) > 0 {
				t.Errorf("due: %v", ids)
			}
			select {
			case <-made:
				return
			default:
			}
		}
	})
}

func TestTheListShowsWhatTheFilterChooses(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		ctx := t.Context()
		start := d.clock.now()
		row := func(name, identity, label, template string, change func(*ledger.Row)) {
			r := request(name, identity)
			r.Label, r.Template = label, template
			c := claim(t, l, r)
			must(t, l.Update(ctx, &c, change))
			must(t, l.Release(ctx, c))
			d.clock.pass(time.Minute)
		}
		row("one", "ann", "", "CiscoRA", func(r *ledger.Row) { r.State, r.ReqID = ledger.StateIssued, 11 })
		row("two", "bob", "wifi", "WiFiClient", func(r *ledger.Row) { r.State, r.ReqID = ledger.StateDelivered, 12 })
		row("three", "ann", "wifi", "WiFiClient", func(r *ledger.Row) { r.State, r.Uncertain = ledger.StateFailed, true })
		row("four", "bob", "", "CiscoRA", func(r *ledger.Row) { r.State, r.HRESULT = ledger.StateDenied, 0x80094014 })
		row("five", "eve", "", "CiscoRA", func(r *ledger.Row) { r.State, r.ReqID = ledger.StateSubmitted, 15 })
		for _, test := range []struct {
			name   string
			filter ledger.Filter
			want   []string
		}{
			{"all, newest first", ledger.Filter{}, []string{"five", "four", "three", "two", "one"}},
			{"by state", ledger.Filter{State: ledger.StateDelivered}, []string{"two"}},
			{"by name", ledger.Filter{CN: "four"}, []string{"four"}},
			{"by identity", ledger.Filter{Identity: "ann"}, []string{"three", "one"}},
			{"by label", ledger.Filter{Label: "wifi"}, []string{"three", "two"}},
			{"by template", ledger.Filter{Template: "CiscoRA"}, []string{"five", "four", "one"}},
			{"by ReqID", ledger.Filter{ReqID: 12}, []string{"two"}},
			{"since", ledger.Filter{Since: start.Add(3 * time.Minute)}, []string{"five", "four"}},
			{"until", ledger.Filter{Until: start.Add(time.Minute)}, []string{"one"}},
			{"uncertain", ledger.Filter{Uncertain: true}, []string{"three"}},
			{"orphans: issued, uncertain, or never fetched", ledger.Filter{Orphans: true}, []string{"five", "three", "one"}},
			{"two at a time", ledger.Filter{Limit: 2}, []string{"five", "four"}},
			{"several conditions", ledger.Filter{Identity: "bob", Label: "wifi", State: ledger.StateDelivered}, []string{"two"}},
			{"none", ledger.Filter{CN: "nobody' OR 1=1 --"}, nil},
		} {
			rows, err := l.List(ctx, test.filter)
			must(t, err)
			var got []string
			for _, found := range rows {
				got = append(got, found.CN)
				if test.filter.Orphans && !found.Orphan() {
					t.Errorf("%s: %s is no orphan", test.name, found.CN)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("%s: %v, want %v", test.name, got, test.want)
			}
		}
		first, err := l.List(ctx, ledger.Filter{Limit: 2})
		must(t, err)
		rest, err := l.List(ctx, ledger.Filter{Before: first[1].ID})
		must(t, err)
		if len(rest) != 3 || rest[0].CN != "three" {
			t.Errorf("the next page: %v", rest)
		}
	})
}

// Replicas' clocks differ, so a row may have an earlier time than the one before it.
func TestATimeIsFoundWhereRowsAreOutOfItsOrder(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		start := d.clock.now()
		for _, row := range []struct {
			name string
			pass time.Duration
		}{{"one", 0}, {"two", 5 * time.Hour}, {"three", -30 * time.Minute}, {"four", 5 * time.Hour}} {
			d.clock.pass(row.pass)
			c := claim(t, l, request(row.name, "ann"))
			must(t, l.Finish(t.Context(), &c, func(r *ledger.Row) { r.State = ledger.StateDelivered }))
		}
		at := func(hours float64) time.Time { return start.Add(time.Duration(hours * float64(time.Hour))) }
		for _, test := range []struct {
			filter ledger.Filter
			want   []string
		}{
			{ledger.Filter{Since: at(4), Until: at(4.75)}, []string{"three"}},
			{ledger.Filter{Since: at(4.9), Until: at(6)}, []string{"two"}},
			{ledger.Filter{Until: at(4.7)}, []string{"three", "one"}},
			{ledger.Filter{Since: at(4.8)}, []string{"four", "two"}},
			{ledger.Filter{Since: at(20)}, nil},
			{ledger.Filter{Until: at(-20)}, nil},
			{ledger.Filter{Since: at(-20), Until: at(20)}, []string{"four", "three", "two", "one"}},
		} {
			rows, err := l.List(t.Context(), test.filter)
			must(t, err)
			var got []string
			for _, found := range rows {
				got = append(got, found.CN)
			}
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("%v to %v: %v, want %v", test.filter.Since, test.filter.Until, got, test.want)
			}
		}
	})
}

func TestRetentionRemovesWhatIsDecidedAndOld(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		ctx := t.Context()
		for i := range 1200 { // more than one batch
			c, err := l.New(ctx, request(fmt.Sprint("old", i), "x"))
			must(t, err)
			if i%400 == 0 {
				must(t, l.Update(ctx, &c, func(r *ledger.Row) { r.State = ledger.StateIssued }))
			}
		}
		pending := claim(t, l, request("pending", "x"))
		must(t, l.Update(ctx, &pending, func(r *ledger.Row) { r.State = ledger.StatePending }))
		d.clock.pass(24 * time.Hour)
		claim(t, l, request("young", "x"))
		n, err := l.Prune(ctx, d.clock.after(-time.Hour))
		must(t, err)
		rows, err := l.List(ctx, ledger.Filter{})
		must(t, err)
		if n != 1200 || len(rows) != 2 {
			t.Errorf("%d rows removed, %d left; want 1200 and 2", n, len(rows))
		}
	})
}

func TestAClearedLedgerHasNothing(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		claim(t, l, request("one", `LAB\alice`))
		claim(t, l, request("two", `LAB\alice`))
		if n, err := l.Clear(t.Context()); err != nil || n != 2 {
			t.Errorf("%d %v", n, err)
		}
		rows, err := l.List(t.Context(), ledger.Filter{})
		if err != nil || len(rows) != 0 {
			t.Errorf("%v %v", rows, err)
		}
		// The first is at work still, and shuts nobody out.
		if again := claim(t, l, request("one", `LAB\alice`)); !again.Mine {
			t.Errorf("%+v", again)
		}
	})
}

func TestTheMedianOfWhatPendingRequestsWaited(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		ctx := t.Context()
		for i, waited := range []time.Duration{time.Hour, time.Minute, 2 * time.Minute} {
			c := claim(t, l, request(fmt.Sprint("phone", i), "x"))
			must(t, l.Update(ctx, &c, func(r *ledger.Row) { r.State, r.Submitted = ledger.StatePending, d.clock.now() }))
			d.clock.pass(waited)
			must(t, l.Update(ctx, &c, func(r *ledger.Row) { r.State = ledger.StateIssued }))
		}
		direct := claim(t, l, request("never pending", "x"))
		must(t, l.Update(ctx, &direct, func(r *ledger.Row) { r.State, r.Submitted = ledger.StateSubmitted, d.clock.now() }))
		must(t, l.Update(ctx, &direct, func(r *ledger.Row) { r.State = ledger.StateIssued }))
		median, n, err := l.Waited(ctx, "CiscoRA")
		must(t, err)
		if median != 2*time.Minute || n != 3 {
			t.Errorf("%s of %d, want 2m of 3", median, n)
		}
		if _, n, err := l.Waited(ctx, "Other"); err != nil || n != 0 {
			t.Errorf("another template: %d, %v", n, err)
		}
	})
}

func TestTextFromOutsideIsBounded(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		long := string(make([]byte, 5000)) + string([]byte{0xff, 0xfe}) + string(bytesOf('x', 5000))
		r := request("phone", "x")
		r.Subject, r.CN, r.Identity = long, long, long
		c := claim(t, l, r)
		must(t, l.Update(t.Context(), &c, func(row *ledger.Row) {
			row.Error = long
			for range 500 {
				row.Legs = append(row.Legs, ledger.Leg{Name: "fetch", Error: long})
			}
		}))
		row, err := l.Get(t.Context(), c.Row.ID)
		must(t, err)
		if len(row.Error) > 1024 || len(row.Subject) > 1024 || len(row.CN) > 1024 || len(row.Legs) > 64 || len(row.Legs[0].Error) > 1024 {
			t.Errorf("lengths %d %d %d, %d legs", len(row.Error), len(row.Subject), len(row.CN), len(row.Legs))
		}
		if again := claim(t, l, r); again.Row.ID != c.Row.ID {
			t.Error("what was cut makes another request of it")
		}
	})
}

func bytesOf(b byte, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = b
	}
	return out
}

func TestAnEndedContextIsToldAsThat(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := l.Claim(ctx, request("phone", "x")); !errors.Is(err, context.Canceled) || !errors.Is(err, ledger.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	})
}
