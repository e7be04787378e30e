package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/ra/admin"
)

func TestAnEnrollmentIsShownLegByLeg(t *testing.T) {
	now := time.Date(2019, 1, 16, 14, 5, 2, 0, time.UTC)
	s := admin.NewEnrollments(0, func() time.Time { return now })
	s.Begin(admin.Enrollment{ID: "e1", CN: "SEP0123456789AB", Label: "wifi", Client: "192.0.2.9:4711", UserAgent: "Cisco EST client 1.0"})
	s.Update("e1", func(e *admin.Enrollment) {
		e.State, e.Challenged, e.Identity, e.Template = admin.Authenticated, true, `LAB\alice`, "WiFiClient"
		e.ID, e.Finished = "other", true // not theirs to change
	})
	s.Leg("e1", admin.Leg{Name: "login", Start: now, Duration: 1234567 * time.Nanosecond, Status: 200, Bytes: 163})
	s.Leg("e1", admin.Leg{Name: "submit", Start: now, Duration: time.Second, Error: "timeout"})
	now = now.Add(1500 * time.Millisecond)
	s.Finish("e1", func(e *admin.Enrollment) {
		e.State, e.ESTStatus, e.ReqID, e.Error = admin.Failed, 504, 10, "submit: timeout"
	})
	now = now.Add(time.Hour)
	s.Finish("e1", nil) // the first end counts

	status, body := get(t, admin.New(admin.Options{Enrollments: s}), "/enrollments/e1")
	equal(t, http.StatusOK, status)
	var want map[string]any
	if err := json.Unmarshal([]byte(`{
		"id": "e1", "cn": "SEP0123456789AB", "label": "wifi", "template": "WiFiClient", "identity": "LAB\\alice",
		"client": "192.0.2.9:4711", "user_agent": "Cisco EST client 1.0",
		"state": "failed", "finished": true, "est_status": 504, "req_id": 10, "challenged": true,
		"error": "submit: timeout", "started": "2019-01-16T14:05:02Z", "took_ms": 1500, "duration_ms": 1500,
		"legs": [
			{"name": "login", "start": "2019-01-16T14:05:02Z", "took_ms": 1.234, "duration_ms": 1.234, "status": 200, "bytes": 163, "error": ""},
			{"name": "submit", "start": "2019-01-16T14:05:02Z", "took_ms": 1000, "duration_ms": 1000, "status": 0, "bytes": 0, "error": "timeout"}
		]}`), &want); err != nil {
		t.Fatal(err)
	}
	equal(t, want, body)
}

// sample holds a and b of the name SEP1, and c of SEP2; b has ended.
func sample() *admin.Enrollments {
	s := admin.NewEnrollments(0, nil)
	s.Begin(admin.Enrollment{ID: "a", CN: "SEP1"})
	s.Begin(admin.Enrollment{ID: "b", CN: "SEP1"})
	s.Begin(admin.Enrollment{ID: "c", CN: "SEP2"})
	s.Finish("b", func(e *admin.Enrollment) { e.State = admin.Issued })
	return s
}

func TestTheListIsFilteredNewestFirst(t *testing.T) {
	h := admin.New(admin.Options{Enrollments: sample()})
	for query, want := range map[string]string{
		"":                        "c b a",
		"?cn=SEP1":                "b a",
		"?cn=SEP1&limit=1":        "b",
		"?state=issued":           "b",
		"?state=received&cn=SEP2": "c",
		"?cn=SEP3":                "",
		"?wait=0s":                "c b a",
	} {
		status, body := get(t, h, "/enrollments"+query)
		equal(t, http.StatusOK, status)
		var ids []string
		for _, e := range body["enrollments"].([]any) {
			ids = append(ids, e.(map[string]any)["id"].(string))
		}
		equal(t, want, strings.Join(ids, " "))
	}
}

func TestABadQueryIsRefusedWithTheReason(t *testing.T) {
	h := admin.New(admin.Options{Enrollments: sample()})
	for query, want := range map[string]string{
		"limit=0":       `limit "0" is out of range, want 1 to 1000`,
		"limit=x":       `limit "x" is out of range, want 1 to 1000`,
		"wait=61s":      `wait "61s" is out of range, want 0s to 1m0s`,
		"wait=-1s":      `wait "-1s" is out of range, want 0s to 1m0s`,
		"wait=10":       `wait "10" is out of range, want 0s to 1m0s`,
		"state=done":    `state "done" is not known, want one of [received challenged authenticated submitted issued pending denied failed]`,
		"name=SEP1":     `"name" is not known, want cn, label, state, limit, wait, after or cursor`,
		"cn=SEP1&cn=S2": `cn is given twice`,
		"cn=%zz":        `the query is not well-formed`,
	} {
		status, body := get(t, h, "/enrollments?"+query)
		equal(t, http.StatusBadRequest, status)
		equal(t, map[string]any{"error": want}, body)
	}
	status, _ := get(t, h, "/enrollments/unknown")
	equal(t, http.StatusNotFound, status)
}

func TestWaitReturnsAtOnceWhatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		status, body := get(t, admin.New(admin.Options{Enrollments: sample()}), "/enrollments?cn=SEP1&wait=10s")
		equal(t, http.StatusOK, status)
		equal(t, "b", body["id"].(string))
		equal(t, time.Duration(0), time.Since(start))
	})
}

func TestWaitWakesWhenTheEnrollmentEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := admin.NewEnrollments(0, nil)
		start := time.Now()
		go func() {
			time.Sleep(3 * time.Second) // virtual
			s.Begin(admin.Enrollment{ID: "x"})
			// The client comes without credentials first, and without a name.
			s.Finish("x", func(e *admin.Enrollment) { e.CN, e.State = "SEP1", admin.Challenged })
			s.Begin(admin.Enrollment{ID: "y"})
			s.Update("y", func(e *admin.Enrollment) { e.CN, e.State = "SEP1", admin.Submitted })
			time.Sleep(2 * time.Second)
			s.Finish("y", func(e *admin.Enrollment) { e.State, e.ReqID = admin.Issued, 10 })
		}()
		status, body := get(t, admin.New(admin.Options{Enrollments: s}), "/enrollments?cn=SEP1&wait=10s")
		equal(t, http.StatusOK, status)
		equal(t, "y", body["id"].(string))
		equal(t, "issued", body["state"].(string))
		equal(t, 2000.0, body["took_ms"].(float64))
		equal(t, 5*time.Second, time.Since(start))
		equal(t, 0, s.Waiters())
	})
}

func TestWaitForAStateWakesInThatState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sample()
		start := time.Now()
		go func() {
			time.Sleep(time.Second) // virtual
			s.Update("c", func(e *admin.Enrollment) { e.State = admin.Submitted })
			s.Update("c", func(e *admin.Enrollment) { e.State = admin.Authenticated })
		}()
		status, body := get(t, admin.New(admin.Options{Enrollments: s}), "/enrollments?state=submitted&wait=60s")
		equal(t, http.StatusOK, status)
		equal(t, "submitted", body["state"].(string))
		equal(t, time.Second, time.Since(start))
	})
}

func TestAfterTheWaitAnUnfinishedEnrollmentIsShownAndNoneIs404(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := admin.New(admin.Options{Enrollments: sample()})
		start := time.Now()
		status, body := get(t, h, "/enrollments?cn=SEP2&wait=10s")
		equal(t, http.StatusOK, status)
		equal(t, "received", body["state"].(string))
		equal(t, false, body["finished"].(bool))
		status, body = get(t, h, "/enrollments?cn=SEP3&wait=10s")
		equal(t, http.StatusNotFound, status)
		equal(t, map[string]any{"error": "no such enrollment within 10s"}, body)
		equal(t, 20*time.Second, time.Since(start))
	})
}

func TestWaitEndsWithItsContextAndOnlySoManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := admin.NewEnrollments(0, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		for range admin.MaxWaiters {
			wait.Go(func() {
				if _, _, err := s.Wait(ctx, admin.Filter{}); !errors.Is(err, admin.ErrNotFound) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		equal(t, admin.MaxWaiters, s.Waiters())
		w := request(t, admin.New(admin.Options{Enrollments: s}), http.MethodGet, "/enrollments?wait=1s")
		equal(t, http.StatusServiceUnavailable, w.Code)
		equal(t, "1", w.Header().Get("Retry-After"))
		cancel()
		wait.Wait()
		equal(t, 0, s.Waiters())
	})
}

func TestOnlySoManyAreKeptAndTheFirstFinishedGoFirst(t *testing.T) {
	s := admin.NewEnrollments(3, nil)
	ids := func() string {
		var ids []string
		for _, e := range s.List(admin.Filter{}) {
			ids = append(ids, e.ID)
		}
		return strings.Join(ids, " ")
	}
	for _, id := range []string{"1", "2", "3"} {
		s.Begin(admin.Enrollment{ID: id})
	}
	s.Finish("3", nil)
	s.Finish("2", nil)
	s.Begin(admin.Enrollment{ID: "4"})
	equal(t, "4 2 1", ids())
	s.Begin(admin.Enrollment{ID: "5"})
	equal(t, "5 4 1", ids())
	s.Begin(admin.Enrollment{ID: "6"}) // none has finished: the oldest goes
	equal(t, "6 5 4", ids())
	s.Begin(admin.Enrollment{ID: "5", CN: "new"}) // one of the same id takes its place
	equal(t, "5 6 4", ids())
	s.Finish("1", func(*admin.Enrollment) { t.Error("1 is forgotten") })
}

func TestWhatComesFromOutsideIsCut(t *testing.T) {
	s := admin.NewEnrollments(0, nil)
	s.Begin(admin.Enrollment{ID: "e", UserAgent: strings.Repeat("ä", 1000)})
	s.Update("e", func(e *admin.Enrollment) { e.CN = "x" + strings.Repeat("ä", 1000) })
	for range 100 {
		s.Leg("e", admin.Leg{Name: "login", Error: strings.Repeat("x", 1000)})
	}
	e, _ := s.Get("e")
	equal(t, strings.Repeat("ä", 256), e.UserAgent)
	equal(t, "x"+strings.Repeat("ä", 255), e.CN)
	equal(t, 64, len(e.Legs))
	equal(t, 512, len(e.Legs[63].Error))
}

func TestWhatIsReturnedIsACopy(t *testing.T) {
	s := admin.NewEnrollments(0, nil)
	s.Begin(admin.Enrollment{ID: "e", Legs: []admin.Leg{{Name: "login"}}})
	e, _ := s.Get("e")
	e.Legs[0].Name = "changed"
	s.List(admin.Filter{})[0].Legs[0].Name = "changed"
	e, _ = s.Get("e")
	equal(t, "login", e.Legs[0].Name)
}

func TestManyAtOnce(t *testing.T) {
	s := admin.NewEnrollments(50, nil)
	var wait sync.WaitGroup
	for i := range 200 {
		id := fmt.Sprint(i)
		wait.Go(func() {
			s.Begin(admin.Enrollment{ID: id, CN: id})
			s.Leg(id, admin.Leg{Name: "login"})
			s.Finish(id, func(e *admin.Enrollment) { e.State = admin.Issued })
		})
		wait.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			if e, _, err := s.Wait(ctx, admin.Filter{CN: id}); err == nil && e.CN != id {
				t.Errorf("got %s, want %s", e.CN, id)
			}
			s.List(admin.Filter{Limit: 10})
		})
	}
	wait.Wait()
	equal(t, 50, len(s.List(admin.Filter{})))
}

func TestATallyCountsWhatIsRemembered(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	s := admin.NewEnrollments(4, func() time.Time { return now })
	for i, id := range []string{"a", "b", "c", "d"} { // the first is forgotten
		s.Begin(admin.Enrollment{ID: id, Started: now.Add(time.Duration(i-3) * 20 * time.Second)})
		if id != "d" {
			s.Finish(id, func(e *admin.Enrollment) { e.State = admin.Issued })
		}
	}
	s.Begin(admin.Enrollment{ID: "e", Started: now}) // its client comes again: it counts then
	s.Finish("e", func(e *admin.Enrollment) { e.State = admin.Challenged })
	got := s.Tally(now.Add(-30 * time.Second))
	if got.Of[admin.Issued] != 2 || got.Of[admin.Received] != 1 || got.Open != 1 || got.Begun != 2 {
		t.Errorf("%+v", got)
	}
}
