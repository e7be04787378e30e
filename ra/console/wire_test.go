package console_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ciscora/msca"
	"ciscora/ra/admin"
	"ciscora/ra/console"
	"ciscora/ra/ledger"
	"ciscora/ra/wire"
)

type idKey struct{}

// recorded is a recorder that knows the enrollment e1 of newSite: its fetch hit a limit.
func recorded(t *testing.T) *wire.Recorder {
	t.Helper()
	r := wire.New(wire.Options{ID: func(ctx context.Context) string { id, _ := ctx.Value(idKey{}).(string); return id }})
	ctx := context.WithValue(t.Context(), idKey{}, "e1")
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4}
	r.Lines(ctx, "nginx", []byte("***EST first "+evil+"\n"))
	r.Trace().Exchange(ctx, msca.Exchange{
		Local: at, Remote: at, Start: began, Method: "GET", URI: "/certsrv/" + evil, Request: http.Header{"User-Agent": {evil}, "Authorization": {"NTLM TlRMTVNTUAABAAAABYIIAAAAAAAAAAAAAAAAAAAAAAA="}},
		Status: 200, Answer: http.Header{"Content-Type": {"text/html"}}, Body: []byte("<h1>" + evil + "</h1><p id=locDenied>no</p>"),
	})
	r.Leg(ctx, wire.Leg{Name: "login", Start: began.Add(time.Second)})
	r.Lines(ctx, "nginx", []byte("of the log-in\n"))
	r.Event(ctx)
	r.Trace().Exchange(ctx, msca.Exchange{Local: at, Remote: at, Start: began, Method: "GET", URI: "/certsrv/certnew.cer", Err: errors.New("time is up")})
	r.Leg(ctx, wire.Leg{Name: "fetch", Start: began.Add(2 * time.Second)})
	r.Lines(ctx, "iis", []byte("of the fetch\n"))
	asked := httptest.NewRequestWithContext(ctx, http.MethodPost, "/.well-known/est/simpleenroll", nil)
	r.Middleware(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), asked)
	return r
}

func TestThePageShowsTheWireBesideTheLogs(t *testing.T) {
	asked := map[string][]string{}
	s := newSite(t, func(o *console.Options) {
		o.Recordings = recorded(t)
		o.Lab.Explain = func(_ context.Context, logs map[string][]string) (console.Verdict, error) {
			asked = logs
			return console.Verdict{Name: "f9", Title: "The CA is slow", Sure: "sure", Cause: "it " + evil, Fix: "wait", Play: true}, nil
		}
		o.Lab.Cards = cards{}
		o.Lab.Enroll = func() (string, error) { return "SEP1", nil }
		o.Lab.Capture = func(w io.Writer, id string) error { _, err := io.WriteString(w, "packets of "+id); return err }
		o.Lab.PhoneLines = func(name string) []string { return []string{"capf of " + name} }
	})
	text, source, _ := s.get("/console/enrollments/e1", http.StatusOK)
	for _, want := range []string{
		"The CA is slow", "wait", "Play this again (f9)", "Test the fix", "NEGOTIATE_MESSAGE (type 1)", "decided by locDenied", "of the log-in", "of the fetch", "capf of SEP001",
		"packets for Wireshark", "NTLM, a token of",
	} {
		contains(t, text, want)
	}
	// By the leg's name the lines are marked, and the other way round.
	for _, want := range []string{`<li class="of-0"><a href="#leg-0"><bdi>of the log-in`, `<li class="of-1"><a href="#leg-1"><bdi>of the fetch`, `id="leg-0"`, `id="leg-1"`, `id="leg-client"`} {
		contains(t, source, want)
	}
	if len(asked["nginx"]) != 2 || len(asked["iis"]) != 1 || len(asked["capf"]) != 1 {
		t.Errorf("the cause is looked for in %q", asked)
	}
	_, css, _ := s.get(assetOf(t, source, "style.css"), http.StatusOK)
	contains(t, css, "main:has(#leg-1:target) .of-1")

	_, packets, h := s.get("/console/enrollments/e1.pcapng", http.StatusOK)
	if packets != "packets of e1" || !strings.Contains(h.Get("Content-Disposition"), `filename="enrollment-e1.pcapng"`) {
		t.Errorf("%q %v", packets, h)
	}
	_, out, _ := s.get("/console/enrollments/e1.json", http.StatusOK)
	var exported struct {
		Legs []struct {
			Name string            `json:"name"`
			Wire []json.RawMessage `json:"wire"`
		} `json:"legs"`
		Verdict struct{ Fix string }
	}
	if err := json.Unmarshal([]byte(out), &exported); err != nil || len(exported.Legs) != 2 || len(exported.Legs[0].Wire) != 1 || exported.Verdict.Fix != "wait" {
		t.Errorf("%v: %s", err, out)
	}
	_, mail, _ := s.get("/console/enrollments/e1.txt", http.StatusOK)
	contains(t, mail, "cause      it ")
}

func TestAVerdictThatIsNotLikelyIsAQuestion(t *testing.T) {
	s := newSite(t, func(o *console.Options) {
		o.Recordings = recorded(t)
		o.Lab.Cards = cards{}
		o.Lab.Explain = func(context.Context, map[string][]string) (console.Verdict, error) {
			return console.Verdict{Name: "f9", Title: "The CA is slow", Headline: "One of 2: is it that the CA is slow?", Sure: "possible", Cause: "load", Fix: "wait"}, nil
		}
	})
	text, _, _ := s.get("/console/enrollments/e1", http.StatusOK)
	for _, want := range []string{"One of 2: is it that the CA is slow?", "cause, if it is that", "fix, if it is that"} {
		contains(t, text, want)
	}
	if strings.Contains(text, "Play this again") {
		t.Error("a card is played again of which nobody knows whether it was that")
	}
}

// assetOf finds the address of a file that a page loads.
func assetOf(t *testing.T, source, name string) string {
	t.Helper()
	_, after, ok := strings.Cut(source, `"/console/assets/`+name)
	if !ok {
		t.Fatalf("the page loads no %s", name)
	}
	sum, _, _ := strings.Cut(after, `"`)
	return "/console/assets/" + name + sum
}

func TestWithoutALabTheWireIsShownAndNothingCanBeDone(t *testing.T) {
	s := newSite(t, func(o *console.Options) { o.Recordings, o.Lab = recorded(t), nil })
	text, source, _ := s.get("/console/enrollments/e1", http.StatusOK)
	contains(t, text, "NEGOTIATE_MESSAGE (type 1)")
	for _, not := range []string{"<form", "<button", "pcapng"} {
		if strings.Contains(source, not) {
			t.Errorf("%s is in the page", not)
		}
	}
	s.get("/console/enrollments/e1.pcapng", http.StatusNotFound)
	s.get("/console/lab/plays/x", http.StatusNotFound)
}

// cards has one that was played.
type cards struct{}

func (cards) List() []console.Card {
	return []console.Card{{Name: "f9", Title: "slow " + evil, Document: "F9"}}
}

func (cards) Play(name string) (string, error) {
	if name != "f9" {
		return "", fmt.Errorf("there is no card %s", name)
	}
	return "p1", nil
}

func (cards) Played(id string) (console.Play, bool) {
	return console.Play{ID: "p1", Card: cards{}.List()[0], Done: true, Good: true, Cause: "why", Fix: "how", Differs: []string{"a line\revent: end"}, Lines: []console.PlayLine{{Log: "nginx", Text: evil}, {Text: "With the fix:"}}}, id == "p1"
}
func (c cards) Plays() []console.Play { p, _ := c.Played("p1"); return []console.Play{p} }

func TestALabsPageEnrollsPlaysAndResets(t *testing.T) {
	var enrolled, reset atomic.Int32
	s := newSite(t, func(o *console.Options) {
		o.Lab.Cards = cards{}
		o.Lab.Enroll = func() (string, error) {
			if enrolled.Add(1) > 1 {
				return "", errors.New("enough phones are enrolling")
			}
			return "SEP1", nil
		}
		o.Lab.Reset = func(context.Context) error { reset.Add(1); return nil }
		o.Lab.Faults = faults{}
		o.Lab.FaultKinds = []console.FaultKind{{Spec: "certsrv.login:hang", Help: "no answer comes " + evil}}
	})
	text, _, _ := s.get("/console/lab", http.StatusOK)
	for _, want := range []string{"Let a phone enroll", "Reset the lab", "certsrv.login:hang", "no answer comes", "F9"} {
		contains(t, text, want)
	}
	post := func(what, of string) (int, string, string) {
		client := *s.Client()
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		resp, err := client.PostForm(s.URL+"/console/lab", url.Values{"do": {what}, "of": {of}})
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Header.Get("Location"), string(body)
	}
	if status, to, _ := post("enroll", ""); status != http.StatusSeeOther || to != "/console/live" {
		t.Errorf("%d %s", status, to)
	}
	if status, _, body := post("enroll", ""); status != http.StatusBadRequest || !strings.Contains(body, "enough phones") {
		t.Errorf("%d %s", status, body)
	}
	if status, to, _ := post("play", "f9"); status != http.StatusSeeOther || to != "/console/lab/plays/p1" {
		t.Errorf("%d %s", status, to)
	}
	if status, _, _ := post("play", evil); status != http.StatusBadRequest {
		t.Errorf("%d", status)
	}
	if status, _, body := post("reset", ""); status != http.StatusOK || reset.Load() != 1 || !strings.Contains(body, "The lab is as it was") {
		t.Errorf("%d, %d resets", status, reset.Load())
	}
	text, _, _ = s.get("/console/lab/plays/p1", http.StatusOK)
	for _, want := range []string{"the logs say what the card says", "why", "how", "With the fix:"} {
		contains(t, text, want)
	}
	s.get("/console/lab/plays/p2", http.StatusNotFound)
}

type faults struct{}

func (faults) Order(string) (string, error) { return "1", nil }
func (faults) Remove(string) bool           { return true }
func (faults) Clear() int                   { return 1 }
func (faults) List() []admin.Fault          { return nil }

func TestTheLiveListIsTakenAlong(t *testing.T) {
	s := newSite(t)
	_, out, _ := s.get("/console/live.json?cn=SEP001", http.StatusOK)
	var list []admin.Enrollment
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 || list[0].ID != "e1" {
		t.Errorf("%v: %s", err, out)
	}
	_, table, h := s.get("/console/live.csv", http.StatusOK)
	if !strings.Contains(table, "e1,SEP001,failed,504,12000") || !strings.Contains(h.Get("Content-Type"), "text/csv") {
		t.Errorf("%s", table)
	}
	s.get("/console/live.xml", http.StatusNotFound)
}

// next reads a message of a feed.
func next(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return b.String()
		}
		if line == "\n" && b.Len() > 0 {
			return b.String()
		}
		if text, ok := strings.CutPrefix(line, "data: "); ok {
			b.WriteString(text)
		}
	}
}

func (s *site) feed(ctx context.Context, query string) (*http.Response, *bufio.Reader) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/console/feed?"+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, bufio.NewReader(resp.Body)
}

func TestAPageChangesByItself(t *testing.T) {
	var all *admin.Enrollments
	s := newSite(t, func(o *console.Options) { all, o.Lab.Cards = o.Enrollments, cards{} })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resp, r := s.feed(ctx, "page=live")
	defer resp.Body.Close()
	if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("%s", kind)
	}
	contains(t, next(t, r), "SEP001")
	all.Begin(admin.Enrollment{ID: "e9", CN: "SEP009" + evil, Started: began})
	page := next(t, r)
	contains(t, page, "SEP009")
	visible(t, page)

	// What will not change any more ends its feed.
	done, r2 := s.feed(ctx, "page=enrollment&id=e1")
	defer done.Body.Close()
	contains(t, next(t, r2), "it did not answer in time")
	contains(t, next(t, r2), "it has ended")
	if _, err := r2.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("it goes on: %v", err)
	}
	// The list of the ledger does, too, for what is searched for.
	s.add("A111", func(r *ledger.Row) { r.State = ledger.StateDelivered })
	rows, r4 := s.feed(ctx, "page=requests&cn=B112")
	defer rows.Body.Close()
	if first := next(t, r4); !strings.Contains(first, "None.") {
		t.Error(first)
	}
	s.add("B112", func(r *ledger.Row) { r.State = ledger.StateDelivered })
	if second := next(t, r4); !strings.Contains(second, "B112") || strings.Contains(second, "A111") {
		t.Error(second)
	}

	// A line of server-sent events may end in a CR, too.
	played, r5 := s.feed(ctx, "page=play&id=p1")
	defer played.Body.Close()
	if all, err := io.ReadAll(r5); err != nil || bytes.ContainsRune(all, '\r') || !bytes.Contains(all, []byte("a line event: end")) {
		t.Errorf("%v: %q", err, all)
	}

	gone, r3 := s.feed(ctx, "page=enrollment&id=none")
	defer gone.Body.Close()
	contains(t, next(t, r3), "forgotten")
	unknown, _ := s.feed(ctx, "page=none")
	unknown.Body.Close()
	if unknown.StatusCode != http.StatusNotFound {
		t.Errorf("%d", unknown.StatusCode)
	}
}

// slowLedger answers its first question when whoever asked is gone.
type slowLedger struct {
	console.Ledger
	asked chan struct{}
	once  sync.Once
}

func (l *slowLedger) List(ctx context.Context, f ledger.Filter) ([]ledger.Row, error) {
	l.once.Do(func() {
		close(l.asked)
		<-ctx.Done()
	})
	return l.Ledger.List(ctx, f)
}

func TestWhoLeavesTakesThePageFromNobody(t *testing.T) {
	slow := &slowLedger{asked: make(chan struct{})}
	s := newSite(t, func(o *console.Options) { slow.Ledger, o.Ledger = o.Ledger, slow })
	leaving, leave := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		req, err := http.NewRequestWithContext(leaving, http.MethodGet, s.URL+"/console/feed?page=requests", nil)
		if err != nil {
			t.Error(err)
			return
		}
		if resp, err := s.Client().Do(req); err == nil {
			resp.Body.Close()
			t.Error("who left was answered")
		}
	}()
	<-slow.asked
	first := make(chan string)
	go func() {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		resp, r := s.feed(ctx, "page=requests")
		defer resp.Body.Close()
		first <- next(t, r)
	}()
	for range 50 { // while it comes to wait for the same page
		s.get("/console/live", http.StatusOK)
	}
	leave()
	contains(t, <-first, "None.")
	<-gone
}

// Two hundred pages cost as much as one: each is made once for all.
func TestTwoHundredPagesAreMadeOnce(t *testing.T) {
	var looks atomic.Int32
	s := newSite(t, func(o *console.Options) {
		look := o.Look
		o.Look = func(ctx context.Context) console.Overview { looks.Add(1); return look(ctx) }
	})
	ctx, cancel := context.WithCancel(t.Context())
	var all, open sync.WaitGroup
	started := time.Now()
	open.Add(200)
	for range 200 {
		all.Go(func() {
			resp, r := s.feed(ctx, "page=overview")
			defer resp.Body.Close()
			if !strings.Contains(next(t, r), "Not ready") {
				t.Error("no page came")
			}
			open.Done()
			<-ctx.Done()
		})
	}
	open.Wait()
	// As long as they are open, the page answers as it does without them.
	text, _, _ := s.get("/", http.StatusOK)
	contains(t, text, "Not ready")
	cancel()
	all.Wait()
	if most := int32(time.Since(started)/time.Second) + 4; looks.Load() > most {
		t.Errorf("it was made %d times, at most %d were due", looks.Load(), most)
	}
}

func TestTooManyFeedsAreTurnedAway(t *testing.T) {
	s := newSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var open, refused, told atomic.Int32
	for range 510 {
		all.Go(func() {
			resp, r := s.feed(ctx, "page=live")
			defer resp.Body.Close()
			if resp.StatusCode == http.StatusServiceUnavailable {
				refused.Add(1)
			} else {
				next(t, r)
				open.Add(1)
			}
			if told.Add(1) == 510 {
				cancel()
			}
			<-ctx.Done()
		})
	}
	all.Wait()
	cancel()
	if open.Load() != 500 || refused.Load() != 10 {
		t.Errorf("%d are open, %d were refused", open.Load(), refused.Load())
	}
}

// BenchmarkPage is a page of ten thousand enrollments, which is made once a second while somebody looks.
func BenchmarkPage(b *testing.B) {
	e := admin.NewEnrollments(0, nil)
	for i := range 10_000 {
		id := fmt.Sprint(i)
		e.Begin(admin.Enrollment{ID: id, CN: "SEP" + id})
		for range 8 {
			e.Leg(id, admin.Leg{Name: "login", Duration: time.Millisecond})
		}
		e.Finish(id, nil)
	}
	h, err := console.New(console.Options{Look: func(context.Context) console.Overview { return console.Overview{} }, Enrollments: e})
	if err != nil {
		b.Fatal(err)
	}
	for _, page := range []string{"/", "/console/live"} {
		b.Run(page, func(b *testing.B) {
			for b.Loop() {
				w := &discard{header: http.Header{}}
				r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, page, nil)
				if err != nil {
					b.Fatal(err)
				}
				h.ServeHTTP(w, r)
			}
		})
	}
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}
