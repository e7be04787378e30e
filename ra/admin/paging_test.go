package admin_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/ra/admin"
)

// idsOf are those of a list's answer.
func idsOf(body map[string]any) string {
	var ids []string
	for _, e := range body["enrollments"].([]any) {
		ids = append(ids, e.(map[string]any)["id"].(string))
	}
	return strings.Join(ids, " ")
}

func TestACursorGoesThroughTheListPageByPage(t *testing.T) {
	s := admin.NewEnrollments(0, nil)
	for i := range 7 {
		s.Begin(admin.Enrollment{ID: fmt.Sprint("e", i), CN: fmt.Sprint("SEP", i%2)})
	}
	h := admin.New(admin.Options{Enrollments: s})
	for query, want := range map[string]string{
		"limit=3":           "e6 e5 e4|e3 e2 e1|e0",
		"limit=7":           "e6 e5 e4 e3 e2 e1 e0",
		"limit=3&cn=SEP0":   "e6 e4 e2|e0",
		"limit=2&after=e2":  "e3 e4|e5 e6",
		"limit=5&after=0":   "e0 e1 e2 e3 e4|e5 e6",
		"cn=SEP*&limit=4":   "e6 e5 e4 e3|e2 e1 e0",
		"after=e6":          "",
		"state=issued":      "",
		"label=&limit=1000": "e6 e5 e4 e3 e2 e1 e0",
	} {
		var pages []string
		for cursor := ""; ; {
			status, body := get(t, h, "/enrollments?"+query+cursor)
			equal(t, http.StatusOK, status)
			pages = append(pages, idsOf(body))
			s.Begin(admin.Enrollment{ID: "later", CN: "later"}) // moves no page
			next, more := body["next"].(string)
			if s.Clear(admin.Filter{CN: "later"}); !more {
				break
			}
			cursor = "&cursor=" + next
		}
		if got := strings.Join(pages, "|"); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	for _, query := range []string{"cursor=x", "cursor=-1", "after=never"} {
		if status, _ := get(t, h, "/enrollments?"+query); status != 400 && status != 404 {
			t.Errorf("%s: %d", query, status)
		}
	}
}

func TestAfterWaitsForTheNextAndNotTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sample()
		h := admin.New(admin.Options{Enrollments: s})
		s.Begin(admin.Enrollment{ID: "d", CN: "SEP1"})
		s.Finish("a", nil) // began before
		go func() {
			time.Sleep(time.Second) // virtual
			s.Begin(admin.Enrollment{ID: "e", CN: "SEP1"})
			s.Finish("d", func(e *admin.Enrollment) { e.State = admin.Failed })
			s.Finish("e", func(e *admin.Enrollment) { e.State = admin.Issued })
		}()
		begin := time.Now()
		status, body := get(t, h, "/enrollments?after=b&cn=SEP1&wait=10s")
		equal(t, http.StatusOK, status)
		equal(t, "d", body["id"].(string))
		equal(t, time.Second, time.Since(begin))
		synctest.Wait()
		_, body = get(t, h, "/enrollments?after=d&wait=10s") // it has ended already
		equal(t, "e", body["id"].(string))
		_, body = get(t, h, "/enrollments?after=0&cn=SEP1&wait=10s")
		equal(t, "a", body["id"].(string))
		status, _ = get(t, h, "/enrollments?after=e&wait=10s")
		equal(t, http.StatusNotFound, status)
	})
}

func TestUnknownParametersAreRefusedEverywhere(t *testing.T) {
	h := admin.New(admin.Options{
		Ready: func() admin.Readiness { return admin.Readiness{Ready: true} }, Enrollments: sample(), Certsrv: &queue{}, Faults: &faults{},
	})
	for target, want := range map[string]string{
		"/healthz?x":                `"x" is not known: there are no parameters here`,
		"/readyz?verbos":            `"verbos" is not known, want verbose`,
		"/enrollments/a?wait=1s":    `"wait" is not known: there are no parameters here`,
		"/certsrv/requests?offset=": `"offset" is not known, want limit or cursor`,
		"/events?wait=1s":           `"wait" is not known, want cn, label, state or after`,
	} {
		status, body := get(t, h, target)
		equal(t, http.StatusBadRequest, status)
		equal(t, map[string]any{"error": want}, body)
	}
	equal(t, http.StatusBadRequest, request(t, h, http.MethodDelete, "/faults?id=1").Code)
}

func TestTheCAsRequestsComePageByPage(t *testing.T) {
	h := admin.New(admin.Options{Certsrv: &queue{}})
	_, body := get(t, h, "/certsrv/requests?limit=1")
	equal(t, 1.0, body["requests"].([]any)[0].(map[string]any)["id"].(float64))
	_, body = get(t, h, "/certsrv/requests?limit=1&cursor="+body["next"].(string))
	equal(t, 2.0, body["requests"].([]any)[0].(map[string]any)["id"].(float64))
	equal(t, nil, body["next"])
	equal(t, http.StatusBadRequest, request(t, h, http.MethodGet, "/certsrv/requests?cursor=x").Code)
}
