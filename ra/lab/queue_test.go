package lab_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"ciscora/ra/lab"
)

func TestADecisionThatCannotBeMadeIsRefusedWithItsReasonOnce(t *testing.T) {
	l := start(t, lab.Options{})
	phone := enrollPhone(t, l)
	if phone.ReqID != 1 {
		t.Fatalf("the phone's ReqID is %d", phone.ReqID)
	}
	for target, want := range map[string]string{
		"/certsrv/requests/99/approve": "request 99: there is no such request: /certsrv/requests lists them",
		"/certsrv/requests/1/deny":     "request 1: it does not wait for a decision",
	} {
		resp, err := http.Post(l.AdminURL+target, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var problem struct{ Detail string }
		if err := json.NewDecoder(resp.Body).Decode(&problem); err != nil || problem.Detail != want {
			t.Errorf("%s: %v, %s, want %s", target, err, problem.Detail, want)
		}
	}
}

func TestWhatWaitsForAManagerLeadsToWhereItIsDecided(t *testing.T) {
	l := start(t, lab.Options{})
	enrollAs(t, l, "SEP001", "supervised", 20*time.Second)
	resp, err := http.Get(l.AdminURL + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`<a href="/console/lab#queue">1 request waits for a manager since `, "Approve or deny it on the page Lab."} {
		if !strings.Contains(string(page), want) {
			t.Errorf("no %s in %s", want, page)
		}
	}
}
