package lab_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"ciscora/config"
	"ciscora/est/capf"
	"ciscora/ra/fault"
	"ciscora/ra/lab"
)

// enrollAs enrolls a phone of this name under a label; a client of the test waits
// for at most patience.
func enrollAs(t *testing.T, l *lab.Lab, name, label string, patience time.Duration) capf.Result {
	t.Helper()
	client, err := l.Client(nil, func(o *capf.Options) { o.Label, o.Timeout = label, patience })
	if err != nil {
		t.Fatal(err)
	}
	phone, err := capf.NewPhone(rand.Reader, name, "ec256")
	if err != nil {
		t.Fatal(err)
	}
	return client.Enroll(t.Context(), phone.Name, phone.CSR)
}

// Each selector bites its own enrollment and no other, however many run at once.
func TestEnrollmentsAtTheSameTimeNeverSeeEachOthersFaults(t *testing.T) {
	for _, profile := range []config.Profile{config.ProfileCUCM, config.ProfileModern} {
		t.Run(string(profile), func(t *testing.T) {
			t.Parallel()
			l := start(t, lab.Options{Profile: profile})
			// modern does not look at the page's list.
			absent := map[config.Profile]capf.Status{config.ProfileCUCM: capf.StatusAuthFail, config.ProfileModern: capf.StatusNone}[profile]
			denied := map[config.Profile]capf.Status{config.ProfileCUCM: 13, config.ProfileModern: 94}[profile]
			var all sync.WaitGroup
			for round := range 4 {
				for _, test := range []struct {
					name, label string
					want        capf.Status
				}{
					{"", "", capf.StatusNone},
					{"", "fault:certsrv.submit:denied", denied},
					{"", "fault:est.simpleenroll:status=404", 14},
					{"", "fault:certsrv.login:wrong-password", 22},
					{"", "fault:certsrv.template:absent", absent},
					{"", "fault:certsrv.submit:pending", 26},
					{"certsrv.submit.denied.fault.invalid", "", denied},
					{"certsrv.submit.pending.fault.invalid", "", 26},
					{"est.simpleenroll.status-423.fault.invalid", "", 16},
					{"est.simpleenroll.no-content-type.fault.invalid", "", 11},
					{"SEP001122334455", "wifi", capf.StatusNone},
				} {
					all.Go(func() {
						name := test.name
						got := enrollAs(t, l, name, test.label, 20*time.Second)
						if got.RV != test.want {
							t.Errorf("round %d, name %q, label %q: %v (%v), want %v", round, test.name, test.label, got.RV, got.Err, test.want)
						}
					})
				}
			}
			all.Wait()
			if on := l.Faults.List(); len(on) != 0 {
				t.Errorf("an enrollment's fault is everybody's: %+v", on)
			}
		})
	}
}

// The lock-out guard counts what happens to all, not what one client has asked for.
func TestAWrongPasswordThatALabelSelectsLocksNobodyOut(t *testing.T) {
	for _, profile := range []config.Profile{config.ProfileCUCM, config.ProfileModern} {
		l := start(t, lab.Options{Profile: profile})
		for range 4 {
			if got := enrollAs(t, l, "SEP001122334455", "fault:certsrv.login:wrong-password", 20*time.Second); got.RV != capf.StatusAuthFail {
				t.Fatalf("%s: %v (%v)", profile, got.RV, got.Err)
			}
		}
		if got := enrollAs(t, l, "SEP001122334455", "", 20*time.Second); got.RV != capf.StatusNone {
			t.Errorf("%s: after four wrong passwords of another client: %v (%v)", profile, got.RV, got.Err)
		}
	}
}

func TestANameOrLabelThatSelectsNoFaultIsTold(t *testing.T) {
	l := start(t, lab.Options{Profile: config.ProfileModern})
	if r := enrollAs(t, l, "certsrv.submit.hangs.fault.invalid", "", 20*time.Second); r.RV != 13 || !strings.Contains(fmt.Sprint(r.Err), "selects no fault") {
		t.Errorf("a name: %v %v", r.RV, r.Err)
	}
	if r := enrollAs(t, l, "", "fault:certsrv.submit:hangs", 20*time.Second); r.RV != 14 {
		t.Errorf("a label: %v %v", r.RV, r.Err)
	}
}

// A fault set and taken back over the management API, while enrollments run.
func TestFaultsAreOrderedOverTheManagementAPIWhileEnrollmentsRun(t *testing.T) {
	l := start(t, lab.Options{})
	api := func(method, path, body string, status int, into any) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, l.AdminURL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body != "" {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded") // as curl -d
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != status {
			t.Fatalf("%s %s: %s %s", method, path, resp.Status, data)
		}
		if into != nil {
			if err := json.Unmarshal(data, into); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	var outcomes sync.Map
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
				outcomes.Store(enrollAs(t, l, "", "", 20*time.Second).RV, true)
			}
		}
	}()
	seen := func(rv capf.Status) {
		t.Helper()
		for {
			if _, ok := outcomes.Load(rv); ok {
				return
			}
			select {
			case <-time.After(5 * time.Millisecond):
			case <-t.Context().Done():
				t.Fatalf("rv %v does not come", rv)
			}
		}
	}
	seen(capf.StatusNone)
	var ordered struct{ ID string }
	api("POST", "/faults", "certsrv.submit:denied", 201, &ordered)
	seen(13)
	var list struct{ Faults []fault.Status }
	api("GET", "/faults", "", 200, &list)
	if len(list.Faults) != 1 || list.Faults[0].ID != ordered.ID || list.Faults[0].Hits == 0 {
		t.Errorf("the list: %+v", list)
	}
	api("DELETE", "/faults/"+ordered.ID, "", 200, nil)
	api("DELETE", "/faults/"+ordered.ID, "", 404, nil)
	outcomes.Clear()
	seen(capf.StatusNone)
	api("POST", "/faults", `{"spec": "est.any:status=404"}`, 201, nil)
	seen(14)
	var removed struct{ Removed int }
	api("DELETE", "/faults", "", 200, &removed)
	if removed.Removed != 1 {
		t.Errorf("removed %d", removed.Removed)
	}
	var wrong struct{ Error string }
	api("POST", "/faults", "certsrv.login:hangs", 400, &wrong)
	if !strings.Contains(wrong.Error, "did you mean hang?") {
		t.Errorf("a wrong spec: %s", wrong.Error)
	}
	api("POST", "/faults", "", 400, &wrong)
	close(stop)
	<-ended
}

// A program under test orders a fault in one line.
func Example_fault() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "lab-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	l, err := lab.Start(ctx, lab.Options{Dir: dir, EST: "127.0.0.1:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0"})
	if err != nil {
		panic(err)
	}
	defer l.Close()
	if err := l.Ready(ctx); err != nil {
		panic(err)
	}

	_, _ = l.Faults.Order("certsrv.submit:denied=0x80094012,count=1") // the id, to take it back by

	for range 2 {
		phone, err := l.EnrollPhone(ctx)
		if err != nil {
			panic(err)
		}
		fmt.Println(phone.Result.RV)
	}
	// Output:
	// EST_ERR_HTTP_BAD_REQ
	// EST_ERR_NONE
}

func TestTheConsoleListsEachFault(t *testing.T) {
	listed := map[string]bool{}
	for _, kind := range lab.FaultKinds() {
		f, err := fault.Parse(kind.Spec)
		if err != nil {
			t.Error(err)
		}
		listed[string(f.Place)+":"+f.Kind] = true
	}
	for _, e := range fault.Catalog() {
		for _, place := range e.Places {
			if !listed[string(place)+":"+e.Kind] {
				t.Errorf("%s:%s is not listed", place, e.Kind)
			}
		}
	}
}
