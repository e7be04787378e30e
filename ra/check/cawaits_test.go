package check_test

import (
	"crypto/tls"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/config"
	"ciscora/ra/check"
	"ciscora/ra/lab"
)

// What is said of CES is what CES's own times make of it, whatever --timeout was given.
func TestWhatCESMakesOfASlowCADoesNotHangOnTheTimeout(t *testing.T) {
	for name, c := range map[string]struct {
		fault   string
		timeout time.Duration
		ces     check.State
		text    string
	}{
		"each request in time, and an enrollment, too":  {"certsrv.login:delay=3s", 10 * time.Second, check.OK, ""},
		"two log-ins that are too slow together":        {"certsrv.login:delay=6s", 10 * time.Second, check.Fail, "an enrollment takes some 12s"},
		"a log-in that CES would not wait for":          {"certsrv.login:delay=12s", 20 * time.Second, check.Fail, "see ca.login"},
		"a list that CES would not wait for":            {"certsrv.template:delay=12s", 20 * time.Second, check.Fail, "see ca.template"},
		"a request that CES would not wait for":         {"certsrv.submit:delay=12s", 10 * time.Second, check.Fail, "see ca.enroll"},
		"a certificate that is given late, and in time": {"certsrv.fetch:delay=6s", 10 * time.Second, check.OK, ""},
		"a handshake that who asks does not wait for":   {"certsrv.tls:stall", 3 * time.Second, check.Skip, "the 3s of --timeout"},
		"who asks is hastier than CES":                  {"certsrv.login:delay=4s", 3 * time.Second, check.Skip, "the 3s of --timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := startCAOn(t, &lab.Memory{})
				if _, err := ca.faults.Order(c.fault); err != nil {
					t.Fatal(err)
				}
				o := ca.options(config.ProfileCUCM)
				o.Timeout, o.Enroll = c.timeout, strings.Contains(c.fault, "submit") || strings.Contains(c.fault, "fetch")
				r := runCA(t, o)
				wantFinding(t, r, "ca.ces", c.ces, c.text)
				if c.timeout < 10*time.Second && !strings.Contains(c.fault, "stall") {
					wantFinding(t, r, "ca.login", check.Fail, "ask again without --timeout")
				}
			})
		})
	}
}

// What hangs on a client certificate is told there, and nowhere else.
func TestADemandedClientCertificateIsToldOnce(t *testing.T) {
	ca := startCA(t)
	if _, err := ca.faults.Order("certsrv.tls:client-certificate"); err != nil {
		t.Fatal(err)
	}
	r := runCA(t, ca.options(config.ProfileModern))
	wantFinding(t, r, "ca.login", check.Skip, "see ca.tls.client")
	wantFinding(t, r, "ca.enroll", check.Skip, "see ca.tls.client")
	for _, f := range r.Findings {
		if f.State == check.Fail && f.Name != "ca.tls.client" {
			t.Errorf("%s FAIL: %s", f.Name, f.Seen)
		}
	}
}

// A CA without its intermediate works for who has it in the trust store: the log-in, with
// channel binding, is to the certificate that is shown.
func TestAMissingIntermediateInTheTrustStoreIsAWarning(t *testing.T) {
	ca := startCA(t)
	o := ca.options(config.ProfileModern)
	address, _ := url.Parse(ca.url)
	conn, err := tls.Dial("tcp", address.Host, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	o.Trust = append(slices.Clone(o.Trust), conn.ConnectionState().PeerCertificates[1])
	conn.Close()
	if _, err := ca.faults.Order("certsrv.tls:missing-intermediate"); err != nil {
		t.Fatal(err)
	}
	r := runCA(t, o)
	wantFinding(t, r, "ca.tls.chain", check.Warn, "does not send")
	wantFinding(t, r, "ca.login", check.OK, "")
}

// A handshake that gets no answer says nothing of the versions that a server takes.
func TestAVersionThatGotNoAnswerIsNotOneThatIsNotTaken(t *testing.T) {
	// stalls orders the fault once the first handshake was good.
	stalls := func(t *testing.T, order func(string) error) check.Report {
		return check.Report{Added: func(f check.Finding) {
			if place, ok := strings.CutSuffix(f.Name, ".tls.handshake"); ok {
				if err := order(map[string]string{"ca": "certsrv", "est": "est"}[place] + ".tls:stall"); err != nil {
					t.Error(err)
				}
			}
		}}
	}
	for _, timeout := range []time.Duration{10 * time.Second, 2 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			ca := startCAOn(t, &lab.Memory{})
			o := ca.options(config.ProfileCUCM)
			o.Timeout = timeout
			r := stalls(t, func(spec string) error { _, err := ca.faults.Order(spec); return err })
			if err := check.CA(t.Context(), o, &r); err != nil {
				t.Fatal(err)
			}
			wantFinding(t, r, "ca.tls.handshake", check.OK, "")
			wantFinding(t, r, "ca.tls.versions", check.Warn, "no answer came to a handshake with")
		})
		synctest.Test(t, func(t *testing.T) {
			l, o := startLabOn(t, &lab.Memory{}, config.ProfileModern)
			t.Cleanup(func() { l.Faults.Clear() })
			o.Timeout = timeout
			r := stalls(t, func(spec string) error { _, err := l.Faults.Order(spec); return err })
			if err := check.EST(t.Context(), o, &r); err != nil {
				t.Fatal(err)
			}
			wantFinding(t, r, "est.tls.versions", check.Warn, "no answer came to a handshake with")
			wantFinding(t, r, "L7", check.Skip, "see est.tls.versions")
		})
	}
}
