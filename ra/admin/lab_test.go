package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"ciscora/ra/admin"
)

// inLab are the options of a lab's port.
func inLab(change func(*admin.Options)) admin.Options {
	o := admin.Options{Enrollments: sample(), Faults: &faults{}, Certsrv: &queue{}, Lab: &admin.Lab{
		Info: func() admin.Info {
			return admin.Info{
				Version: "1", Account: admin.InfoAccount{User: "alice", Password: "secret"},
				EST:     admin.InfoEST{InfoAddress: admin.InfoAddress{URL: "https://127.0.0.1:8084/.well-known/est", Port: 8084}, Hosts: []string{"localhost"}, Labels: []string{"wifi"}},
				Certsrv: admin.InfoAddress{URL: "https://127.0.0.1:8443/certsrv", Port: 8443, Local: true},
				Admin:   admin.InfoAddress{URL: "http://127.0.0.1:8085", Port: 8085},
			}
		},
		Lines: func(string) []admin.Line { return nil },
	}}
	if change != nil {
		change(&o)
	}
	return o
}

func TestWhatALabAloneHasIsNowhereElse(t *testing.T) {
	o := inLab(nil)
	o.Lab = nil
	h := admin.New(o)
	for _, c := range []struct{ method, target string }{{"GET", "/info"}, {"GET", "/logs/nginx"}, {"POST", "/reset"}} {
		equal(t, http.StatusNotFound, request(t, h, c.method, c.target).Code)
	}
	equal(t, http.StatusMethodNotAllowed, request(t, h, http.MethodDelete, "/enrollments").Code)
	_, d := get(t, h, "/openapi.json")
	paths := d["paths"].(map[string]any)
	for _, path := range []string{"/info", "/logs/{name}", "/reset"} {
		equal(t, nil, paths[path])
	}
	equal(t, nil, paths["/enrollments"].(map[string]any)["delete"])
}

func TestTheInfoSpeaksOfTheHostThatWasAsked(t *testing.T) {
	h := admin.New(inLab(func(o *admin.Options) { o.Hosts = []string{"ra.example"} }))
	for address, want := range map[string]string{
		"192.0.2.9": "https://127.0.0.1:8443/certsrv", // which that one does not reach
		"127.0.0.1": "https://ra.example:8443/certsrv",
	} {
		r := httptest.NewRequest(http.MethodGet, "/info", nil)
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.ParseIP(address), Port: 8085}))
		r.Host = "ra.example:9085"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		keepsToDescription(t, r, w)
		var i admin.Info
		if err := json.Unmarshal(w.Body.Bytes(), &i); err != nil {
			t.Fatal(err)
		}
		equal(t, "https://ra.example:8084/.well-known/est", i.EST.URL)
		equal(t, want, i.Certsrv.URL)
		equal(t, "http://ra.example:8085", i.Admin.URL)
		equal(t, "secret", i.Account.Password)
	}
}

func TestLogsAreReadFromWhereOneWas(t *testing.T) {
	s := admin.NewEnrollments(0, nil)
	s.Begin(admin.Enrollment{ID: "a", CN: "one"})
	s.Begin(admin.Enrollment{ID: "b", CN: "two", Label: "test-b"})
	at := time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)
	lines := []admin.Line{
		{Number: 1, Time: at, Text: "start"},
		{Number: 2, Time: at.Add(time.Second), Enrollment: "a", Text: "of a"},
		{Number: 3, Time: at.Add(2 * time.Second), Enrollment: "b", Label: "test-b", Text: "of b"},
		{Number: 4, Time: at.Add(3 * time.Second), Enrollment: "a", Text: "more of a"},
	}
	h := admin.New(inLab(func(o *admin.Options) {
		o.Enrollments = s
		o.Lab.Lines = func(log string) []admin.Line {
			if log == "nginx" {
				return lines
			}
			return nil
		}
	}))
	for target, want := range map[string][]string{
		"/logs/nginx":                            {"start", "of a", "of b", "more of a"},
		"/logs/nginx?limit=2":                    {"start", "of a"},
		"/logs/nginx?since=2":                    {"of b", "more of a"},
		"/logs/nginx?since=4":                    nil,
		"/logs/nginx?since=2026-11-26T08:00:03Z": {"more of a"},
		"/logs/nginx?cn=one":                     {"of a", "more of a"},
		"/logs/nginx?label=test-*":               {"of b"},
		"/logs/iis":                              nil,
	} {
		_, body := get(t, h, target)
		var texts []string
		for _, line := range body["lines"].([]any) {
			texts = append(texts, line.(map[string]any)["text"].(string))
		}
		if !slices.Equal(want, texts) {
			t.Errorf("%s: %q, want %q", target, texts, want)
		}
	}
	_, body := get(t, h, "/logs/nginx?cn=two&limit=1")
	equal(t, "4", body["next"].(string)) // lines of others need not come again

	// The first two are forgotten.
	lines = lines[2:]
	for target, want := range map[string]bool{
		"/logs/nginx":                            false,
		"/logs/nginx?since=0":                    true,
		"/logs/nginx?since=1":                    true,
		"/logs/nginx?since=2":                    false,
		"/logs/nginx?since=2026-11-26T08:00:02Z": true,
		"/logs/nginx?since=2026-11-26T08:00:03Z": false,
	} {
		if _, body := get(t, h, target); (body["lost"] == true) != want {
			t.Errorf("%s: lost is %v", target, body["lost"])
		}
	}
	equal(t, http.StatusNotFound, request(t, h, http.MethodGet, "/logs/syslog").Code)
	equal(t, http.StatusBadRequest, request(t, h, http.MethodGet, "/logs/nginx?since=yesterday").Code)
}

func TestAResetTakesBackWhatTestsHaveLeft(t *testing.T) {
	f, q, ledgers, requests := &faults{}, &queue{}, 0, 0
	for _, spec := range []string{"est.any:hang", "est.any:close", "est.any:reset"} {
		if _, err := f.Order(spec); err != nil {
			t.Fatal(err)
		}
	}
	f.on[2].Label = "test-b"
	h := admin.New(inLab(func(o *admin.Options) {
		o.Faults, o.Certsrv, o.Lockouts = f, q, &guard{}
		o.Lab.ForgetLedger = func(context.Context) error { ledgers++; return nil }
		o.Lab.ForgetRequests = func() error { requests++; return errors.New("the disk is full") }
	}))
	reset := func(query string, status int) (done admin.ResetDone) {
		t.Helper()
		w := request(t, h, http.MethodPost, "/reset"+query)
		equal(t, status, w.Code)
		if err := json.Unmarshal(w.Body.Bytes(), &done); err != nil {
			t.Fatal(err)
		}
		return done
	}
	equal(t, admin.ResetDone{Faults: 1}, reset("?label=test-b", 200))
	equal(t, admin.ResetDone{Enrollments: 1}, reset("?cn=SEP2", 200))
	reset("?cn=SEP2&ledger", 400)
	got := reset("?ledger", 200)
	got.Lockouts = 0
	equal(t, admin.ResetDone{Faults: 2, Enrollments: 2, Denied: 1}, got)
	equal(t, []string{"deny"}, q.decided)
	reset("?ca=1", 503)
	equal(t, [2]int{1, 1}, [2]int{ledgers, requests})
}

// A job whose $LABEL is not set must not take back what others have ordered.
// The form that orders a fault may be used for the rest of them, and there it named nobody.
func TestWhatIsAskedForInABodyIsNotTakenForEverybodys(t *testing.T) {
	f := &faults{}
	if _, err := f.Order("est.any:hang"); err != nil {
		t.Fatal(err)
	}
	h := admin.New(inLab(func(o *admin.Options) { o.Faults = f }))
	for _, target := range []string{"POST /reset", "POST /reset?label=test-b", "DELETE /faults"} {
		method, path, _ := strings.Cut(target, " ")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "http://localhost"+path, strings.NewReader("label=test-a")))
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "stands in the query") {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	if got := f.List(); len(got) != 1 {
		t.Errorf("%d faults are left", len(got))
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "http://localhost/reset", io.MultiReader())) // chunked, and empty
	equal(t, http.StatusOK, w.Code)
}

func TestAnEmptyNameTakesNothingBack(t *testing.T) {
	f := &faults{}
	if _, err := f.Order("est.any:hang"); err != nil {
		t.Fatal(err)
	}
	h := admin.New(inLab(func(o *admin.Options) { o.Faults, o.Lockouts = f, &guard{} }))
	for _, target := range []string{"POST /reset?label=", "POST /reset?cn=", "POST /reset?cn", "DELETE /faults?label=", "DELETE /enrollments?cn=&label=a", "DELETE /lockouts?label="} {
		method, path, _ := strings.Cut(target, " ")
		if w := request(t, h, method, path); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "is empty: name one, or leave it out") {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	_, body := get(t, h, "/enrollments")
	if len(f.on) != 1 || idsOf(body) == "" {
		t.Errorf("%d faults, enrollments %q", len(f.on), idsOf(body))
	}
}

func TestEnrollmentsAreForgotten(t *testing.T) {
	h := admin.New(inLab(nil))
	w := request(t, h, http.MethodDelete, "/enrollments?cn=SEP1")
	equal(t, "{\n  \"removed\": 2\n}\n", w.Body.String())
	_, body := get(t, h, "/enrollments")
	equal(t, "c", idsOf(body))
}
