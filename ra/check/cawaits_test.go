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
