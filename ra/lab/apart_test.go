package lab_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ciscora/config"
	"ciscora/internal/peertest"
	"ciscora/ra/admin"
	"ciscora/ra/lab"
)

// tester is a test that has a label, or names that begin alike, to itself.
type tester struct {
	t       *testing.T
	l       *lab.Test
	label   string // "" = by names
	names   string // "NAME-"
	clients *http.Client
}

// scope is what it asks the admin port for.
func (x *tester) scope() string {
	if x.label != "" {
		return "label=" + x.label
	}
	return "cn=" + x.names + "*"
}

// admin asks the admin port, and decodes what it answers.
func (x *tester) admin(method, target, body string, into any) int {
	x.t.Helper()
	r, err := http.NewRequestWithContext(x.t.Context(), method, x.l.AdminURL+target, strings.NewReader(body))
	if err != nil {
		x.t.Fatal(err)
	}
	resp, err := x.clients.Do(r)
	if err != nil {
		x.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && into != nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		x.t.Fatalf("%s %s: %v in %s", method, target, err, text)
	}
	return resp.StatusCode
}

// enroll posts one CSR with a password, and returns the status.
func (x *tester) enroll(ctx context.Context, name, password string) int {
	x.t.Helper()
	status, err := x.try(ctx, name, password)
	if err != nil {
		x.t.Errorf("%s: %v", name, err)
	}
	return status
}

func (x *tester) try(ctx context.Context, name, password string) (int, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return 0, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
	if err != nil {
		return 0, err
	}
	path := "/.well-known/est/simpleenroll"
	if x.label != "" {
		path = "/.well-known/est/" + x.label + "/simpleenroll"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, x.l.URL+path, strings.NewReader(base64.StdEncoding.EncodeToString(csr)))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/pkcs10")
	r.SetBasicAuth(x.l.User, password)
	resp, err := x.clients.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

func newTester(t *testing.T, l *lab.Test, label, names string) *tester {
	return &tester{t: t, l: l, label: label, names: names, clients: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: l.Roots, MinVersion: tls.VersionTLS12},
	}}}
}

// Fifty clients of two tests, at once, on one lab: one test has a CA that denies, or an
// RA that is busy, or has locked itself out; the other sees nothing of it.
func TestTwoTestsAtOnceSeeNothingOfEachOther(t *testing.T) {
	clients := peertest.Many("TwoTestsAtOnce", 8, 25) // of each
	for _, profile := range []config.Profile{config.ProfileModern, config.ProfileCUCM} {
		for _, c := range []struct {
			name, spec   string
			label, other string
			status       int
		}{
			{"by label, at the CA", "certsrv.submit:denied", "test-a", "test-b", 403},
			{"by label, at the log-in", "certsrv.login:wrong-password", "test-a", "test-b", 401},
			{"by label, at the RA", "est.simpleenroll:status=503", "test-a", "test-b", 503},
			{"by label, and one without", "certsrv.submit:denied", "test-a", "", 403},
			{"by name, at the CA", "certsrv.submit:denied", "", "", 403},
			{"by name, at the log-in", "certsrv.login:wrong-password", "", "", 401},
			{"by name, at the RA", "est.simpleenroll:status=503", "", "", 503},
		} {
			t.Run(string(profile)+", "+c.name, func(t *testing.T) {
				l := lab.NewTest(t, func(o *lab.Options) { o.Profile = profile })
				a, b := newTester(t, l, c.label, "a-"), newTester(t, l, c.other, "b-")
				if profile == config.ProfileCUCM && c.status == 403 {
					c.status = 400 // as CES words it
				}
				var on admin.Fault
				if status := a.admin(http.MethodPost, "/faults", c.spec+","+a.scope(), &on); status != http.StatusCreated || on.Whom == "everybody" {
					t.Fatalf("%d %+v", status, on)
				}
				var wait sync.WaitGroup
				for i := range clients {
					for x, want := range map[*tester]int{a: c.status, b: 200} {
						wait.Go(func() {
							if got := x.enroll(t.Context(), fmt.Sprint(x.names, i), l.Password); got != want {
								t.Errorf("%s%d: %d, want %d", x.names, i, got, want)
							}
						})
					}
				}
				wait.Wait()
				for x, y := range map[*tester]*tester{a: b, b: a} {
					x.seesOnlyItsOwn(y, clients)
				}
				var done admin.ResetDone
				b.admin(http.MethodPost, "/reset?"+b.scope(), "", &done)
				if done.Faults != 0 || done.Enrollments != clients {
					t.Errorf("the other's reset took back %+v", done)
				}
				if got := a.enroll(t.Context(), "a-again", l.Password); got != c.status {
					t.Errorf("after the other's reset: %d", got)
				}
				a.admin(http.MethodPost, "/reset?"+a.scope(), "", &done)
				if done.Faults != 1 || done.Enrollments != clients+1 {
					t.Errorf("its own reset took back %+v", done)
				}
				if got := a.enroll(t.Context(), "a-last", l.Password); got != 200 {
					t.Errorf("after its own reset: %d", got)
				}
			})
		}
	}
}

// Fifty clients at once: who asks for one enrollment after the other gets each of them
// once, in whatever order they began and end.
func TestOfFiftyClientsAtOnceEachIsToldOnce(t *testing.T) {
	const clients = 50
	l := lab.NewTest(t)
	x := newTester(t, l, "test-a", "a-")
	x.admin(http.MethodPost, "/faults", "certsrv.submit:delay=300ms,count=10,"+x.scope(), nil) // so that some overtake others
	var wait sync.WaitGroup
	defer wait.Wait()
	for i := range clients {
		wait.Go(func() {
			if got := x.enroll(t.Context(), fmt.Sprint(x.names, i), l.Password); got != 200 {
				t.Errorf("%d: %d", i, got)
			}
		})
	}
	told, next := map[string]int{}, "after=0"
	for range clients {
		var e admin.Enrollment
		if status := x.admin(http.MethodGet, "/enrollments?wait=30s&"+next+"&"+x.scope(), "", &e); status != http.StatusOK || !e.Finished {
			t.Fatalf("%d, %+v, after %d were told", status, e, len(told))
		}
		told[e.CN]++
		next = "cursor=" + e.Next
	}
	if len(told) != clients {
		t.Errorf("%d of %d were told: %v", len(told), clients, told)
	}
}

// seesOnlyItsOwn looks at lists, waits and logs.
func (x *tester) seesOnlyItsOwn(other *tester, clients int) {
	x.t.Helper()
	var list admin.EnrollmentList
	x.admin(http.MethodGet, "/enrollments?limit=1000&"+x.scope(), "", &list)
	if len(list.Enrollments) != clients {
		x.t.Errorf("%s: %d enrollments, want %d", x.scope(), len(list.Enrollments), clients)
	}
	theirs := func(name, label string) bool {
		return strings.HasPrefix(name, other.names) || x.label != "" && label != x.label
	}
	for _, e := range list.Enrollments {
		if theirs(e.CN, e.Label) {
			x.t.Errorf("%s: sees the enrollment of %s", x.scope(), e.CN)
		}
	}
	var e admin.Enrollment
	x.admin(http.MethodGet, "/enrollments?after=0&wait=10s&"+x.scope(), "", &e)
	if theirs(e.CN, e.Label) || e.CN == "" {
		x.t.Errorf("%s: waited for %q", x.scope(), e.CN)
	}
	for _, log := range admin.LogNames() {
		var lines admin.LineList
		x.admin(http.MethodGet, "/logs/"+log+"?"+x.scope(), "", &lines)
		for _, line := range lines.Lines {
			if theirs(line.CN, line.Label) {
				x.t.Errorf("%s: sees of %s: %s", x.scope(), log, line.Text)
			}
		}
		if log == "nginx" && len(lines.Lines) < clients {
			x.t.Errorf("%s: %d lines of %s", x.scope(), len(lines.Lines), log)
		}
	}
	var faults admin.FaultList
	x.admin(http.MethodGet, "/faults?"+x.scope(), "", &faults)
	if slices.ContainsFunc(faults.Faults, func(f admin.Fault) bool { return theirs(f.CN, f.Label) }) {
		x.t.Errorf("%s: sees %+v", x.scope(), faults.Faults)
	}
}

func TestIISsLinesAreThoseOfTheLabel(t *testing.T) {
	l := lab.NewTest(t) // modern: connections are kept, but for labels of tests
	a, b := newTester(t, l, "test-a", "a-"), newTester(t, l, "test-b", "b-")
	for _, x := range []*tester{a, b} {
		if got := x.enroll(t.Context(), x.names+"1", l.Password); got != 200 {
			t.Fatal(got)
		}
		var lines admin.LineList
		x.admin(http.MethodGet, "/logs/iis?"+x.scope(), "", &lines)
		if !slices.ContainsFunc(lines.Lines, func(l admin.Line) bool { return strings.Contains(l.Text, "certfnsh.asp") }) {
			t.Errorf("%s: no submit among %d lines", x.label, len(lines.Lines))
		}
		for _, line := range lines.Lines {
			if line.CN != x.names+"1" {
				t.Errorf("%s: %+v", x.label, line)
			}
		}
	}
}

func TestALockOutUnderOneLabelIsNoneUnderAnother(t *testing.T) {
	l := lab.NewTest(t, func(o *lab.Options) { o.Lockout = 3 })
	a, b := newTester(t, l, "test-a", "a-"), newTester(t, l, "test-b", "b-")
	for i := range 4 { // one more than may be tried
		if got := a.enroll(t.Context(), "a-1", fmt.Sprint("wrong-", i)); got != 401 {
			t.Errorf("a wrong password: %d", got)
		}
	}
	if got := a.enroll(t.Context(), "a-1", l.Password); got != 401 {
		t.Errorf("a right password at a closed door: %d", got)
	}
	if got := b.enroll(t.Context(), "b-1", l.Password); got != 200 {
		t.Errorf("under the other label: %d", got)
	}
	if got := newTester(t, l, "", "c-").enroll(t.Context(), "c-1", l.Password); got != 200 {
		t.Errorf("without a label: %d", got)
	}
	var list admin.LockoutList
	b.admin(http.MethodGet, "/lockouts?"+b.scope(), "", &list)
	if len(list.Lockouts) != 0 {
		t.Errorf("the other sees %+v", list.Lockouts)
	}
	a.admin(http.MethodGet, "/lockouts?"+a.scope(), "", &list)
	if len(list.Lockouts) == 0 || !list.Lockouts[0].Closed {
		t.Errorf("it sees %+v", list.Lockouts)
	}
	var done admin.ResetDone
	b.admin(http.MethodPost, "/reset?"+b.scope(), "", &done)
	if got := a.enroll(t.Context(), "a-1", l.Password); got != 401 {
		t.Errorf("after the other's reset: %d", got)
	}
	a.admin(http.MethodPost, "/reset?"+a.scope(), "", &done)
	if done.Lockouts == 0 {
		t.Errorf("%+v", done)
	}
	if got := a.enroll(t.Context(), "a-1", l.Password); got != 200 {
		t.Errorf("after its own reset: %d", got)
	}
}

// docs/testing.md says so: who is told apart by name alone shares the lock-out.
func TestALockOutIsSharedByThoseWithoutALabel(t *testing.T) {
	l := lab.NewTest(t, func(o *lab.Options) { o.Lockout = 3 })
	a, b := newTester(t, l, "", "a-"), newTester(t, l, "", "b-")
	for i := range 4 { // one more than may be tried
		if got := a.enroll(t.Context(), "a-1", fmt.Sprint("wrong-", i)); got != 401 {
			t.Errorf("a wrong password: %d", got)
		}
	}
	var done admin.ResetDone
	a.admin(http.MethodPost, "/reset?"+a.scope(), "", &done)
	if done.Enrollments != 4 || done.Lockouts != 0 {
		t.Errorf("a reset by name took back %+v", done)
	}
	var list admin.LockoutList
	b.admin(http.MethodGet, "/lockouts", "", &list)
	if !slices.ContainsFunc(list.Lockouts, func(l admin.Lockout) bool { return l.Kind == "account" && l.Closed }) {
		t.Errorf("the other sees %+v", list.Lockouts)
	}
	if got := b.enroll(t.Context(), "b-1", l.Password); got != 200 {
		t.Errorf("a password that was right lately, at a closed door: %d", got)
	}
}

// A test that hangs holds up none of the others: they go by connections of their own.
func TestAHangUnderOneLabelHoldsUpNobody(t *testing.T) {
	l := lab.NewTest(t)
	a, b := newTester(t, l, "test-a", "a-"), newTester(t, l, "", "b-")
	a.admin(http.MethodPost, "/faults", "certsrv.any:hang,label=test-*", nil)
	ctx, hangUp := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	defer wait.Wait()
	defer hangUp()
	for i := range 10 {
		wait.Go(func() {
			if status, err := a.try(ctx, fmt.Sprint("a-", i), l.Password); err == nil && status == http.StatusOK {
				t.Error("who hangs got a certificate")
			}
		})
	}
	for hits, began := 0, time.Now(); hits == 0; <-time.After(10 * time.Millisecond) {
		var on admin.FaultList
		a.admin(http.MethodGet, "/faults?label=test-*", "", &on)
		if hits = on.Faults[0].Hits; time.Since(began) > 10*time.Second {
			t.Fatalf("the fault has bitten %d times", hits)
		}
	}
	for i := range 10 {
		if got := b.enroll(t.Context(), fmt.Sprint("b-", i), l.Password); got != 200 {
			t.Errorf("%d", got)
		}
	}
}
