package console_test

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/html"

	"ciscora/ra/admin"
	"ciscora/ra/console"
	"ciscora/ra/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const evil = "<script>alert(1)</script>\u202e=cmd|' /C calc'!A0"

var began = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// queue is a CA's queue of one request.
type queue struct{ approved, denied []int }

func (q *queue) List() []admin.Request {
	return []admin.Request{{ID: 7, Subject: evil, Requester: `LAB\ann`, Template: "Supervised", Disposition: 5, Submitted: began}}
}

func (q *queue) Approve(id int) error {
	if id != 7 {
		return admin.ErrUnknownRequest
	}
	q.approved = append(q.approved, id)
	return nil
}
func (q *queue) Deny(id int) error { q.denied = append(q.denied, id); return nil }

type site struct {
	*httptest.Server
	t      *testing.T
	ledger *ledger.Ledger
	queue  *queue
}

func newSite(t *testing.T, change ...func(*console.Options)) *site {
	t.Helper()
	book, err := ledger.Open(t.Context(), "sqlite::memory:", ledger.Options{Now: func() time.Time { return began }})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, ledger: book, queue: &queue{}}
	enrollments := admin.NewEnrollments(0, func() time.Time { return began.Add(12 * time.Second) })
	enrollments.Begin(admin.Enrollment{ID: "e1", CN: "SEP001", Identity: `LAB\ann`, Client: "127.0.0.1:5", UserAgent: evil, Started: began})
	enrollments.Leg("e1", admin.Leg{Name: "login", Start: began.Add(time.Second), Duration: 200 * time.Millisecond, Status: 200, Bytes: 12})
	enrollments.Leg("e1", admin.Leg{Name: "fetch", Start: began.Add(2 * time.Second), Duration: 10 * time.Second, Error: "it did not answer in time"})
	enrollments.Finish("e1", func(e *admin.Enrollment) {
		e.State, e.Error, e.ESTStatus = admin.Failed, "it did not answer in time", 504
	})
	enrollments.Begin(admin.Enrollment{ID: "e2", CN: "SEP002", State: admin.Submitted, Started: began.Add(-4 * time.Second)})
	enrollments.Leg("e2", admin.Leg{Name: "login", Start: began.Add(-4 * time.Second), Duration: time.Second})
	o := console.Options{
		Look: func(context.Context) console.Overview {
			return console.Overview{
				Profile: "modern", CA: "https://ca/certsrv", Readiness: admin.Readiness{Reason: "the CA is away"},
				Certificates: []console.Certificate{{What: "EST server", Subject: "CN=" + evil, NotAfter: began.Add(time.Hour)}},
				Needs:        []console.Need{{What: "1 possible orphan", Remedy: "ra ledger orphans", Link: "/console/requests?orphans=1"}},
			}
		},
		Enrollments: enrollments, Ledger: book, Lab: &console.Lab{Queue: s.queue}, Now: func() time.Time { return began },
	}
	for _, c := range change {
		c(&o)
	}
	h, err := console.New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(admin.New(admin.Options{Console: h}))
	t.Cleanup(func() {
		s.Close()
		s.Client().CloseIdleConnections()
		if err := book.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *site) add(cn string, change func(*ledger.Row)) {
	s.t.Helper()
	c, err := s.ledger.Claim(s.t.Context(), ledger.Request{What: [32]byte{byte(len(cn)), cn[0]}, Identity: `relay:LAB\ann`, Template: "CiscoRA", CN: cn, Enrollment: "e-" + cn[:1]})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.ledger.Finish(s.t.Context(), &c, change); err != nil {
		s.t.Fatal(err)
	}
}

// get returns a page's text, as a reader without JavaScript sees it, and its HTML.
func (s *site) get(path string, status int) (text, source string, header http.Header) {
	s.t.Helper()
	resp, err := s.Client().Get(s.URL + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode != status {
		s.t.Errorf("%s: %d, want %d: %s", path, resp.StatusCode, status, body)
	}
	if kind := resp.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/html") && !strings.HasPrefix(kind, "image/svg") {
		return "", string(body), resp.Header
	}
	return visible(s.t, string(body)), string(body), resp.Header
}

// visible is the text of a page; a script, or an attribute that would run one, is an
// error.
func visible(t *testing.T, source string) string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(source))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for n := range root.Descendants() {
		switch n.Type {
		case html.TextNode:
			b.WriteString(n.Data + " ")
		case html.ElementNode:
			if n.Data == "script" && n.FirstChild != nil || n.Data == "iframe" {
				t.Errorf("a <%s> is in the page", n.Data)
			}
			for _, a := range n.Attr {
				if n.Data == "script" && a.Key == "src" && !strings.HasPrefix(a.Val, "/console/assets/") {
					t.Errorf("a script of %s is in the page", a.Val)
				}
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || (a.Key == "href" || a.Key == "src") && strings.Contains(a.Val, "://") {
					t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
				}
			}
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func contains(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("no %q in %s", w, text)
		}
	}
}

func TestEachPageSaysWhoseItIs(t *testing.T) {
	lab, ra := newSite(t), newSite(t, func(o *console.Options) { o.Lab = nil })
	for _, path := range []string{"/", "/console/live", "/console/requests", "/console/enrollments/e1"} {
		_, source, _ := lab.get(path, http.StatusOK)
		contains(t, source, "<strong>ra lab</strong> EST registration authority", "· ra lab</title>")
		_, source, _ = ra.get(path, http.StatusOK)
		contains(t, source, "<strong>ra</strong> EST registration authority", "· ra</title>")
	}
}

func TestWhoReadsTheEnrollmentsOfThisProcessSeesTheirLabels(t *testing.T) {
	s := newSite(t, func(o *console.Options) {
		o.Enrollments.Begin(admin.Enrollment{ID: "e3", CN: "SEP003", Label: "wifi", Started: began})
	})
	text, source, _ := s.get("/console/live", http.StatusOK)
	contains(t, text, "Label", "wifi")
	contains(t, source, `<td data-th="Label"><bdi>wifi</bdi></td>`)
	_, table, _ := s.get("/console/live.csv", http.StatusOK)
	contains(t, table, ",error,label\n", ",wifi\n")
}

func TestADateIsAskedForInWordsThatPeopleKnow(t *testing.T) {
	s := newSite(t)
	_, source, _ := s.get("/console/requests", http.StatusOK)
	contains(t, source, `name="since" size="16" placeholder="YYYY-MM-DD"`, `placeholder="YYYY-MM-DDThh:mm"`)
	text, _, _ := s.get("/console/requests?since=yesterday", http.StatusBadRequest)
	contains(t, text, "write a day as 2026-11-27, a minute as 2026-11-27T14:05")
}

func TestTheOverviewSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	s := newSite(t)
	text, source, header := s.get("/", http.StatusOK)
	contains(t, text, "Not ready: the CA is away", "1 possible orphan", "ra ledger orphans", "EST server", "failed")
	contains(t, source, `<a href="/console/requests?orphans=1">`, `<html lang="en">`)
	contains(t, header.Get("Content-Security-Policy"), "default-src 'none'", "frame-ancestors 'none'")
	if strings.Contains(header.Get("Content-Security-Policy"), "unsafe") {
		t.Error(header)
	}
	if strings.Contains(source, "http-equiv") {
		t.Error("the page loads itself anew though nobody asked")
	}
	if _, source, _ = s.get("/?live", http.StatusOK); !strings.Contains(source, `http-equiv="refresh" content="5"`) {
		t.Error("it does not, where somebody did")
	}
}

func TestAnEnrollmentsPageShowsEachLegToScale(t *testing.T) {
	s := newSite(t)
	text, source, _ := s.get("/console/enrollments/e1", http.StatusOK)
	contains(t, text, "SEP001", "failed, answered 504", "it did not answer in time", "login 200 ms 200", "fetch 10.00 s failed", "12.00 s")
	contains(t, source, "<svg", "&lt;script&gt;")
	picture, _, header := s.get("/console/enrollments/e1.svg", http.StatusOK)
	contains(t, picture, "client", "RA", "CA", "login")
	contains(t, header.Get("Content-Type"), "image/svg+xml")
	_, mail, _ := s.get("/console/enrollments/e1.txt", http.StatusOK)
	contains(t, mail, "state      failed", "12:00:02.000  +2.00 s    fetch        10.00 s  it did not answer in time")
	text, source, _ = s.get("/console/enrollments/e2", http.StatusOK)
	contains(t, text, "submitted", "4.00 s so far", "login 1.00 s", "under way 3.00 s")
	contains(t, source, `href="?id=e2&amp;page=enrollment&amp;live"`)
	for _, address := range []string{"/console/live?cn=SEP002", "/console/requests?cn=SEP002"} {
		_, source, _ = s.get(address, http.StatusOK)
		_, after, _ := strings.Cut(source, `<noscript><p class="small"><a href="`)
		query, _, _ := strings.Cut(after, `"`)
		path, _, _ := strings.Cut(address, "?")
		_, anew, _ := s.get(path+html.UnescapeString(query), http.StatusOK)
		contains(t, anew, `http-equiv="refresh" content="5"`, "SEP002")
		if strings.Contains(anew, "SEP001") {
			t.Errorf("%s, shown anew at %s, is not what was looked for any more", address, query)
		}
	}
	s.get("/console/enrollments/none", http.StatusNotFound)
	s.get("/console/enrollments/e1.exe", http.StatusNotFound)
}

// A manager may take his time.
func TestALongWaitIsDrawnToScale(t *testing.T) {
	const day = 24 * time.Hour
	s := newSite(t, func(o *console.Options) {
		o.Enrollments.Begin(admin.Enrollment{ID: "e3", CN: "SEP003", Started: began.Add(-300 * day)})
		o.Enrollments.Leg("e3", admin.Leg{Name: "login", Start: began.Add(-10 * day), Duration: time.Second})
	})
	_, source, _ := s.get("/console/enrollments/e3.svg", http.StatusOK)
	contains(t, source, `<rect x="372" y="477" width="276" height="24"`) // of 52 to 492
}

func TestTheLedgersRequestsAreFoundAndShown(t *testing.T) {
	s := newSite(t)
	s.add("one", func(r *ledger.Row) {
		r.State, r.ReqID, r.Delivered = ledger.StateDelivered, 11, began.Add(time.Second)
		r.Legs = []ledger.Leg{{Name: "submit", Start: began, Took: time.Second}}
	})
	s.add(evil, func(r *ledger.Row) {
		r.State, r.Open, r.Uncertain, r.Candidates, r.Error = ledger.StateFailed, false, true, []int{12, 13}, "lost"
	})
	text, source, _ := s.get("/console/requests", http.StatusOK)
	contains(t, text, "one", "delivered", "possible orphan", "lost")
	if strings.Contains(source, "\u202e") {
		t.Error("a right-to-left override is in the page")
	}
	if text, _, _ = s.get("/console/requests?cn=one", http.StatusOK); strings.Contains(text, "lost") {
		t.Error("the search found what it was not asked for")
	}
	for query, says := range map[string]string{"cn=on*": "None. The name counts as a whole", "label=x*&state=failed": "None. The label counts as a whole", "identity=RELAY:x": "The identity counts as a whole"} {
		text, _, _ = s.get("/console/requests?"+query, http.StatusOK)
		contains(t, text, says)
	}
	text, _, _ = s.get("/console/requests?state=denied", http.StatusOK)
	if contains(t, text, "None."); strings.Contains(text, "as a whole") {
		t.Error("no name was looked for")
	}
	text, _, _ = s.get("/console/requests?orphans=1", http.StatusOK)
	contains(t, text, "lost")
	text, _, _ = s.get("/console/requests/1", http.StatusOK)
	contains(t, text, "one", "delivered", "submit", "1.00 s", "e-o")
	text, _, _ = s.get("/console/requests/2", http.StatusOK)
	contains(t, text, "[12 13]", "ra ledger resolve 2 --req-id N")
	s.get("/console/requests/99", http.StatusNotFound)
	for _, bad := range []string{"state=broken", "req_id=x", "since=yesterday", "limit=100000", "unknown=1", "before=-1"} {
		s.get("/console/requests?"+bad, http.StatusBadRequest)
	}
	_, table, _ := s.get("/console/requests?format=csv", http.StatusOK)
	records, err := csv.NewReader(strings.NewReader(table)).ReadAll()
	if err != nil || len(records) != 3 || records[2][1] != "one" {
		t.Errorf("%v, %q", err, records)
	}
	for _, record := range records {
		for _, field := range record {
			if field != "" && strings.ContainsAny(field[:1], "=+-@") {
				t.Errorf("a formula: %q", field)
			}
		}
	}
	_, list, _ := s.get("/console/requests?format=json&state=delivered", http.StatusOK)
	contains(t, list, `"req_id": 11`, `"cn": "one"`)
}

// broken is a ledger that is away.
type broken struct{}

func (broken) List(context.Context, ledger.Filter) ([]ledger.Row, error) {
	return nil, errors.Join(ledger.ErrUnavailable, errors.New("connection refused"))
}

func (broken) Get(context.Context, int64) (ledger.Row, error) {
	return ledger.Row{}, ledger.ErrUnavailable
}

func TestALedgerThatIsAwayIsSaid(t *testing.T) {
	s := newSite(t, func(o *console.Options) { o.Ledger = broken{} })
	text, _, _ := s.get("/console/requests", http.StatusServiceUnavailable)
	contains(t, text, "connection refused")
	s.get("/", http.StatusOK)
}

func TestALabApprovesAndAnRANeverDoes(t *testing.T) {
	s := newSite(t)
	text, _, _ := s.get("/console/lab", http.StatusOK)
	contains(t, text, "Approve", "Supervised")
	post := func(base, do, of string, header ...string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/console/lab", strings.NewReader(url.Values{"do": {do}, "of": {of}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, h := range header {
			name, value, _ := strings.Cut(h, ": ")
			req.Header.Set(name, value)
		}
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, visible(t, string(body))
	}
	if status, _ := post(s.URL, "approve", "7", "Origin: http://evil.test", "Sec-Fetch-Site: cross-site"); status != http.StatusForbidden || len(s.queue.approved) > 0 {
		t.Errorf("a foreign page: %d, %v", status, s.queue.approved)
	}
	status, text := post(s.URL, "approve", "7")
	if contains(t, text, "Request 7 is approved."); status != http.StatusOK || len(s.queue.approved) != 1 {
		t.Errorf("%d, %v", status, s.queue.approved)
	}
	for _, bad := range [][2]string{{"approve", "8"}, {"approve", "x"}, {"order", "x"}, {"burn", ""}, {"approve", strings.Repeat("7", 10_000)}} {
		if status, _ := post(s.URL, bad[0], bad[1]); status != http.StatusBadRequest {
			t.Errorf("%s %.10s: %d", bad[0], bad[1], status)
		}
	}

	production := newSite(t, func(o *console.Options) { o.Lab = nil })
	production.get("/console/lab", http.StatusNotFound)
	if status, _ := post(production.URL, "approve", "7"); status != http.StatusNotFound && status != http.StatusMethodNotAllowed || len(production.queue.approved) > 0 {
		t.Errorf("%d, %v", status, production.queue.approved)
	}
	if _, source, _ := production.get("/", http.StatusOK); strings.Contains(source, "/console/lab") || strings.Contains(source, `method="post"`) {
		t.Error("an RA's page offers to change something")
	}
}
