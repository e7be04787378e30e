package admin_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
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

func TestAfterWaitsForTheNextToEndAndNotTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sample()
		h := admin.New(admin.Options{Enrollments: s})
		s.Begin(admin.Enrollment{ID: "d", CN: "SEP1"})
		go func() {
			time.Sleep(time.Second) // virtual
			s.Begin(admin.Enrollment{ID: "e", CN: "SEP1"})
			s.Finish("d", func(e *admin.Enrollment) { e.State = admin.Failed })
			s.Finish("a", nil) // it began before b, which had ended long before
			s.Finish("e", func(e *admin.Enrollment) { e.State = admin.Challenged })
			s.Finish("c", nil)
		}()
		begin := time.Now()
		status, body := get(t, h, "/enrollments?after=b&cn=SEP1&wait=10s")
		equal(t, http.StatusOK, status)
		equal(t, "d", body["id"].(string))
		equal(t, time.Second, time.Since(begin))
		synctest.Wait()
		for _, step := range []struct{ query, want string }{
			{"after=0", "b"},
			{"after=d", "a"},
			{"after=a", "c"}, // e was only asked for credentials
			{"after=a&cn=SEP1", ""},
			{"after=0&state=failed", "d"},
			{"after=0&state=challenged&cn=SEP*", "e"},
			{"after=c", ""},
		} {
			status, body := get(t, h, "/enrollments?wait=10s&"+step.query)
			if id, _ := body["id"].(string); id != step.want || (status == http.StatusOK) != (step.want != "") {
				t.Errorf("%s: %d, %s, want %s", step.query, status, id, step.want)
			}
		}
	})
}

// asked is the id of what a wait for the next gives, or "", and the next cursor.
func asked(t *testing.T, h http.Handler, query, cursor string) (id string, finished bool, next string) {
	t.Helper()
	status, body := get(t, h, "/enrollments?wait=10s&"+query+cursor)
	if status != http.StatusOK {
		return "", false, cursor
	}
	return body["id"].(string), body["finished"].(bool), "&cursor=" + body["next"].(string)
}

func TestWhoGoesOnWithTheCursorMissesNoneAndGetsNoneTwice(t *testing.T) {
	end := func(s *admin.Enrollments, id string) {
		s.Finish(id, func(e *admin.Enrollment) { e.State = admin.Issued })
	}
	for name, test := range map[string]struct {
		query string
		steps []func(*admin.Enrollments) // between the questions
		want  string                     // the ids; ? behind one that has not ended, - for none
	}{
		"one that began first ends last": {"after=0", []func(*admin.Enrollments){
			func(s *admin.Enrollments) {
				s.Begin(admin.Enrollment{ID: "1"})
				s.Begin(admin.Enrollment{ID: "2"})
				end(s, "2")
			},
			func(s *admin.Enrollments) { end(s, "1") },
			func(*admin.Enrollments) {},
		}, "2 1 -"},
		"one that takes longer than the wait comes when it ends": {"after=0", []func(*admin.Enrollments){
			func(s *admin.Enrollments) { s.Begin(admin.Enrollment{ID: "1"}) },
			func(s *admin.Enrollments) { end(s, "1"); s.Begin(admin.Enrollment{ID: "2"}) },
			func(s *admin.Enrollments) { end(s, "2") },
		}, "1? 1 2"},
		"one that is forgotten is no cursor, but its place is": {"after=0", []func(*admin.Enrollments){
			func(s *admin.Enrollments) { s.Begin(admin.Enrollment{ID: "1"}); end(s, "1") },
			func(s *admin.Enrollments) { s.Clear(admin.Filter{}); s.Begin(admin.Enrollment{ID: "2"}); end(s, "2") },
		}, "1 2"},
		"a name that is learned after the end": {"cn=SEP*&after=0", []func(*admin.Enrollments){
			func(s *admin.Enrollments) {
				s.Begin(admin.Enrollment{ID: "1"})
				end(s, "1")
				s.Begin(admin.Enrollment{ID: "2", CN: "SEP2"})
				end(s, "2")
			},
			func(s *admin.Enrollments) { s.Update("1", func(e *admin.Enrollment) { e.CN = "SEP1" }) },
			func(*admin.Enrollments) {},
		}, "2 1 -"},
		"a name that is learned after the end, for who does not ask for it": {"label=test-*&after=0", []func(*admin.Enrollments){
			func(s *admin.Enrollments) { s.Begin(admin.Enrollment{ID: "1", Label: "test-a"}); end(s, "1") },
			func(s *admin.Enrollments) { s.Update("1", func(e *admin.Enrollment) { e.CN = "SEP1" }) },
		}, "1 -"},
		"a state on the way": {"state=submitted&after=0", []func(*admin.Enrollments){
			func(s *admin.Enrollments) {
				for _, id := range []string{"1", "2"} {
					s.Begin(admin.Enrollment{ID: id, State: admin.Submitted})
				}
			},
			func(*admin.Enrollments) {},
			func(*admin.Enrollments) {},
		}, "1? 2? -"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := admin.NewEnrollments(0, nil)
				h := admin.New(admin.Options{Enrollments: s})
				cursor := ""
				var got []string
				for _, step := range test.steps {
					step(s)
					id, finished, next := asked(t, h, test.query, cursor)
					switch {
					case id == "":
						id = "-"
					case !finished:
						id += "?"
					}
					got, cursor = append(got, id), next
				}
				equal(t, test.want, strings.Join(got, " "))
			})
		})
	}
}

func TestAListTellsWhereAWaitBeginsNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sample() // a and c are under way
		h := admin.New(admin.Options{Enrollments: s})
		_, list := get(t, h, "/enrollments?limit=1")
		cursor := "&cursor=" + list["now"].(string)
		s.Finish("a", nil)
		id, _, cursor := asked(t, h, "", cursor)
		equal(t, "a", id)
		id, finished, _ := asked(t, h, "", cursor)
		equal(t, "c", id)
		equal(t, false, finished)
		// Of another process: all that is remembered is new.
		id, _, _ = asked(t, h, "", "&cursor=OTHERPRO-17")
		equal(t, "b", id)
	})
}

// Fifty clients enroll at once, in whatever order they end; who asks for one after the
// other, by cursor or by id, gets each once.
func TestFiftyAtOnceAreEachToldOnce(t *testing.T) {
	const clients, times = 50, 4
	s := admin.NewEnrollments(0, nil)
	h := admin.New(admin.Options{Enrollments: s})
	var wait sync.WaitGroup
	defer wait.Wait()
	for client := range clients {
		wait.Go(func() {
			for n := range times {
				id := fmt.Sprintf("%d-%d", client, n)
				s.Begin(admin.Enrollment{ID: id})
				s.Leg(id, admin.Leg{Name: "login"})
				runtime.Gosched()
				s.Finish(id, func(e *admin.Enrollment) { e.State = admin.Issued })
				s.Update(id, func(e *admin.Enrollment) { e.CN = "SEP" + id })
			}
		})
	}
	for name, query := range map[string]string{"all": "", "by name": "&cn=SEP*", "by state": "&state=issued"} {
		for _, byID := range []bool{false, true} {
			told, behind := map[string]int{}, "&after=0"
			for range clients * times {
				status, body := get(t, h, "/enrollments?wait=30s"+query+behind)
				if status != http.StatusOK || body["finished"] != true {
					t.Fatalf("%s: %d %v", name, status, body)
				}
				told[body["id"].(string)]++
				if behind = "&cursor=" + body["next"].(string); byID {
					behind = "&after=" + body["id"].(string)
				}
			}
			equal(t, clients*times, len(told))
		}
	}
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

func TestTheCAsRequestsComePageByPageNewestFirst(t *testing.T) {
	h := admin.New(admin.Options{Certsrv: &queue{}})
	_, body := get(t, h, "/certsrv/requests?limit=1")
	equal(t, 2.0, body["requests"].([]any)[0].(map[string]any)["id"].(float64))
	_, body = get(t, h, "/certsrv/requests?limit=1&cursor="+body["next"].(string))
	equal(t, 1.0, body["requests"].([]any)[0].(map[string]any)["id"].(float64))
	equal(t, nil, body["next"])
	equal(t, http.StatusBadRequest, request(t, h, http.MethodGet, "/certsrv/requests?cursor=x").Code)
}

func TestAPageOfTheCAsRequestsIsAsLongAsThoseOfOtherLists(t *testing.T) {
	q := &queue{}
	for id := range 150 {
		q.more = append(q.more, admin.Request{ID: id + 3})
	}
	h := admin.New(admin.Options{Certsrv: q})
	for target, want := range map[string]int{"/certsrv/requests": 100, "/certsrv/requests?limit=1000": 152} {
		_, body := get(t, h, target)
		equal(t, want, len(body["requests"].([]any)))
	}
}
