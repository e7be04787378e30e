package check_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/config"
	"ciscora/ra/check"
	"ciscora/ra/lab"
)

// startLab starts a lab, whose RA is checked. It ends with the test.
func startLab(t *testing.T, profile config.Profile) (*lab.Lab, check.ESTOptions) {
	t.Helper()
	return startLabOn(t, nil, profile)
}

// startLabOn is startLab on a network: in memory, it lives in virtual time.
func startLabOn(t *testing.T, network lab.Network, profile config.Profile) (*lab.Lab, check.ESTOptions) {
	t.Helper()
	l, err := lab.Start(t.Context(), lab.Options{
		Dir: t.TempDir(), EST: "127.0.0.1:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0", Profile: profile, NewKey: newKey, Network: network,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Faults.Clear()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := l.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.LoadRA(l.Path("ra.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := cfg.Files()
	if err != nil {
		t.Fatal(err)
	}
	o := check.Options{Timeout: 20 * time.Second}
	if network != nil {
		o.Timeout, o.Dial = 10*time.Second, network.DialContext
	}
	return l, check.ESTOptions{
		Options: o, URL: l.ESTURL, Trust: files.CATrust, Labels: []string{"wifi", "supervised"},
		User: files.Credentials.User, Password: files.Credentials.Password,
	}
}

func runEST(t *testing.T, o check.ESTOptions) check.Report {
	t.Helper()
	var r check.Report
	if err := check.EST(t.Context(), o, &r); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, r)
	return r
}

func TestAHealthyRAHasNothingWrong(t *testing.T) {
	for _, profile := range []config.Profile{config.ProfileCUCM, config.ProfileModern} {
		_, o := startLab(t, profile)
		o.Enroll = "SEP001122334455"
		r := runEST(t, o)
		for _, f := range r.Findings {
			if f.State != check.OK && (f.Name != "L9" || f.State != check.Skip) {
				t.Errorf("%s: %s %s: %s", profile, f.State, f.Name, f.Seen)
			}
		}
		for _, rule := range []string{"L1", "L2", "L3", "L4", "L5", "L6", "L7", "L8", "L9", "L10", "L11", "L12"} {
			if len(states(r, rule)) != 1 {
				t.Errorf("%s: %d findings of %s", profile, len(states(r, rule)), rule)
			}
		}
	}
}

// A label is enrolled under, not only looked for: its template's manager must approve.
func TestAnEnrollmentGoesToTheLabelThatIsChecked(t *testing.T) {
	_, o := startLab(t, config.ProfileModern)
	o.Label, o.Enroll = "supervised", "SEP001122334455"
	r := runEST(t, o)
	wantFinding(t, r, "est.cacerts", check.OK, "")
	wantFinding(t, r, "est.enroll", check.Warn, "202, to be asked for again")
	if got := states(r, "L9"); !slices.Equal(got, []check.State{check.OK}) {
		t.Errorf("L9: %v", got)
	}
	o.Label, o.Enroll = "no-such", ""
	wantFinding(t, runEST(t, o), "est.cacerts", check.Fail, "404")
}

// RFC 7030 section 3.3.2: clients may be known by their certificates alone, and what is
// asked without one then tells nothing.
func TestAServerThatDemandsClientCertificatesIsTold(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: version}
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		defer server.Close()
		r := runEST(t, check.ESTOptions{Options: check.Options{Timeout: 20 * time.Second}, URL: server.URL, Trust: []*x509.Certificate{server.Certificate()}})
		if version == tls.VersionTLS13 {
			wantFinding(t, r, "est.tls.client", check.Warn, "is demanded; who shows none gets no answer")
			wantFinding(t, r, "est.cacerts", check.Skip, "see est.tls.client")
			continue
		}
		wantFinding(t, r, "est.tls.handshake", check.Fail, "the server knows its clients by their certificates alone")
	}
}

// The RA asks its CA, whose account is locked after some.
func TestAWrongPasswordReachesTheCAOnceByAnESTServer(t *testing.T) {
	for _, profile := range []config.Profile{config.ProfileCUCM, config.ProfileModern} {
		l, o := startLab(t, profile)
		o.Enroll, o.Password = "SEP001122334455", "not it"
		r := runEST(t, o)
		if got := states(r, "est.enroll"); !slices.Contains(got, check.Fail) {
			t.Errorf("%s: %s", profile, findings(r))
		}
		if n := (&ca{logs: l.Path("logs/iis")}).loggedLines(t, "401 1 2148074252"); n != 1 {
			t.Errorf("%s: %d wrong passwords reached the CA", profile, n)
		}
	}
}

// estFault is a fault of an RA, and the finding that shows it.
type estFault struct {
	spec    string
	finding string
	state   check.State
	symptom string // part of it
	enroll  bool
}

var estFaults = []estFault{
	{"est.tls:self-signed", "est.tls.chain", check.Fail, "rv = 38 (EST_ERR_SSL_CONNECT)", false},
	{"est.tls:wrong-name", "est.tls.name", check.Fail, "rv = 53 (EST_ERR_FQDN_MISMATCH)", false},
	{"est.tls:expired", "est.tls.validity", check.Fail, "certificate has expired", false},
	{"est.tls:not-yet-valid", "est.tls.validity", check.Fail, "certificate is not yet valid", false},
	{"est.tls:tls1.0", "est.tls.versions", check.Fail, "rv = 38", false},
	{"est.tls:tls1.3", "L7", check.Fail, "rv = 38", false},
	{"est.tls:stall", "est.tls.handshake", check.Fail, "rv = 38", false},
	{"est.tls:reset", "est.tls.handshake", check.Fail, "rv = 38", false},

	{"est.cacerts:hang", "est.cacerts", check.Fail, "rv = 35 (EST_ERR_SSL_READ)", false},
	{"est.cacerts:delay=1h", "est.cacerts", check.Fail, "rv = 35", false},
	{"est.cacerts:drip=1h", "est.cacerts", check.Fail, "rv = 35", false},
	{"est.cacerts:close", "est.cacerts", check.Fail, "rv = 14", false},
	{"est.cacerts:reset", "est.cacerts", check.Fail, "SIGPIPE", false},
	{"est.cacerts:status=503", "L8", check.Fail, "rv = 94 (EST_ERR_UNKNOWN)", false},
	{"est.cacerts:status=404", "est.cacerts", check.Fail, "rv = 14", false},
	{"est.cacerts:no-challenge", "est.cacerts", check.Fail, "rv = 22", false},
	{"est.cacerts:content-type=text/plain", "est.cacerts", check.Fail, "rv = 11", false},
	{"est.cacerts:no-content-type", "est.cacerts", check.Fail, "rv = 11", false},
	{"est.cacerts:chunked", "L2", check.Fail, "rv = 11", false},
	{"est.cacerts:single-line", "L4", check.Fail, "rv = 6 (EST_ERR_LOAD_CACERTS)", false},
	{"est.any:http=1.0", "L8", check.Fail, "rv = 94", false},
	{"est.cacerts:length=0", "L2", check.Fail, "rv = 11", false},
	{"est.cacerts:header-case=lower", "L2", check.Fail, "rv = 11", false},
	{"est.simpleenroll:challenge=lower", "L10", check.Fail, "rv = 22", false},
	{"est.simpleenroll:challenge=unknown-first", "L10", check.Fail, "rv = 22", false},
	{"est.cacerts:garbage", "est.cacerts", check.Fail, "rv = 6", false},

	{"est.simpleenroll:status=415", "L1", check.Fail, "rv = 94", false},
	{"est.simpleenroll:status=503,retry-after=5", "est.challenge", check.Fail, "rv = 94", false},
	{"est.simpleenroll:no-challenge", "est.challenge", check.Fail, "rv = 22", false},
	{"est.simpleenroll:hang", "est.challenge", check.Fail, "rv = 35", false},
	{"est.simpleenroll:close", "est.challenge", check.Fail, "rv = 14", false},
	{"est.simpleenroll:status=400", "est.challenge", check.Warn, "", false},
	{"est.simpleenroll:status=202", "L9", check.Fail, "rv = 62", true},
	{"est.simpleenroll:content-type=application/pkcs7-mime", "L5", check.Fail, "rv = 11", true},
	{"est.simpleenroll:wrong-key", "est.enroll", check.Fail, "", true},
	{"est.simpleenroll:certificate=expired", "est.enroll", check.Fail, "", true},
	{"est.simpleenroll:certificate=not-yet-valid", "est.enroll", check.Fail, "", true},
	{"est.simpleenroll:certificate=other-ca", "est.enroll", check.Fail, "", true},
	{"est.simpleenroll:certificate=bad-signature", "est.enroll", check.Fail, "", true},
	{"est.simpleenroll:status=202,retry-after=5", "est.challenge", check.Fail, "rv = 26", false},
	{"est.tls:key=rsa1024", "est.tls.chain", check.Warn, "EE certificate key too weak", false},
	{"est.tls:eku=client", "est.tls.chain", check.Fail, "unsupported certificate purpose", false},
	{"est.tls:issuer=not-ca", "est.tls.chain", check.Fail, "invalid CA certificate", false},
	{"est.tls:issuer=name-constraint", "est.tls.chain", check.Fail, "permitted subtree violation", false},
	{"est.tls:critical-extension", "est.tls.chain", check.Fail, "unhandled critical extension", false},
	{"est.simpleenroll:two-certificates", "est.enroll", check.Warn, "", true},
	{"est.simpleenroll:garbage", "est.enroll", check.Fail, "", true},

	{"est.simplereenroll:status=500", "est.simplereenroll", check.Fail, "", false},
	{"est.serverkeygen:status=500", "est.serverkeygen", check.Fail, "", false},
	{"est.csrattrs:status=500", "est.csrattrs", check.Fail, "", false},
	{"est.csrattrs:hang", "est.csrattrs", check.Fail, "rv = 35", false},
	{"est.csrattrs:garbage", "est.csrattrs", check.Fail, "", false},
	{"est.csrattrs:chunked", "est.csrattrs", check.Fail, "", false},
	{"est.csrattrs:content-type=text/plain", "est.csrattrs", check.Fail, "", false},
}

func TestEveryFaultOfTheRAIsFound(t *testing.T) {
	l, o := startLab(t, config.ProfileModern)
	for _, f := range estFaults {
		t.Run(f.spec, func(t *testing.T) {
			if neverAnswers(f.spec) {
				synctest.Test(t, func(t *testing.T) {
					l, o := startLabOn(t, &lab.Memory{}, config.ProfileModern)
					f.found(t, l, o)
				})
				return
			}
			f.found(t, l, o)
		})
	}
}

// found orders the fault of an RA, and wants it found.
func (f estFault) found(t *testing.T, l *lab.Lab, o check.ESTOptions) {
	t.Helper()
	t.Cleanup(func() { l.Faults.Clear() })
	if _, err := l.Faults.Order(f.spec); err != nil {
		t.Fatal(err)
	}
	if f.enroll {
		o.Enroll = "SEP001122334455"
	}
	r := runEST(t, o)
	if !slices.ContainsFunc(r.Findings, func(x check.Finding) bool {
		return x.Name == f.finding && x.State == f.state && strings.Contains(x.Symptom, f.symptom)
	}) {
		t.Errorf("no %s %s with %q; there is:\n%s", f.state, f.finding, f.symptom, findings(r))
	}
}

// Who is not asked in words that it reads has not been refused.
func TestAPasswordThatWasNotSentIsNotCalledWrong(t *testing.T) {
	l, o := startLab(t, config.ProfileModern)
	o.Enroll = "SEP001122334455"
	for _, fault := range []string{"est.simpleenroll:challenge=lower", "est.simpleenroll:challenge=unknown-first"} {
		if _, err := l.Faults.Order(fault); err != nil {
			t.Fatal(err)
		}
		r := runEST(t, o)
		wantFinding(t, r, "est.enroll", check.Fail, "see L3 and L10")
		l.Faults.Clear()
	}
}

// What fails without credentials fails with them, and where it is told.
func TestAnEnrollmentPointsAtWhatHasFailedBefore(t *testing.T) {
	l, o := startLab(t, config.ProfileModern)
	o.Enroll = "SEP001122334455"
	for fault, finding := range map[string]check.Finding{
		"est.simpleenroll:no-challenge": {State: check.Fail, Fix: "see est.challenge"},
		"est.tls:tls1.3":                {State: check.Skip, Fix: "see L7"},
	} {
		if _, err := l.Faults.Order(fault); err != nil {
			t.Fatal(err)
		}
		wantFinding(t, runEST(t, o), "est.enroll", finding.State, finding.Fix)
		l.Faults.Clear()
	}
}

// What breaks off since somebody has stopped is no fault of the server's.
func TestWhatIsInterruptedIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, o := startLabOn(t, &lab.Memory{}, config.ProfileModern)
		if _, err := l.Faults.Order("est.simpleenroll:hang"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Faults.Clear() })
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		r := check.Report{Interrupted: func() bool { return ctx.Err() != nil }}
		if err := check.EST(ctx, o, &r); err != nil {
			t.Fatal(err)
		}
		wantFinding(t, r, "est.challenge", check.Skip, "")
		if r.Failed() {
			t.Error(findings(r))
		}
	})
}

// Of an address that knows no EST nothing is said to be taken.
func TestWhatIsNotThereTakesNothing(t *testing.T) {
	l, o := startLab(t, config.ProfileModern)
	if _, err := l.Faults.Order("est.any:status=404"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Faults.Clear() })
	r := runEST(t, o)
	wantFinding(t, r, "est.cacerts", check.Fail, "see that host and port are the EST server's")
	for _, name := range []string{"L1", "L2", "L8", "est.challenge", "est.csrattrs", "est.simplereenroll", "est.serverkeygen", "est.labels"} {
		wantFinding(t, r, name, check.Skip, "see est.cacerts")
	}
}

// A byte now and then is in time for each read, and must not keep a check for hours.
func TestAnEnrollmentThatDripsEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, o := startLabOn(t, &lab.Memory{}, config.ProfileModern)
		if _, err := l.Faults.Order("est.simpleenroll:drip=3s"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Faults.Clear() })
		o.Enroll, o.Timeout = "SEP001122334455", 4*time.Second
		began := time.Now()
		r := runEST(t, o)
		if took := time.Since(began); took > 2*time.Minute {
			t.Errorf("it took %s", took)
		}
		wantFinding(t, r, "est.enroll", check.Fail, "")
	})
}

// Of a server in front of whose certificate the intermediate is missing, and of one
// that nobody trusts, the certificate that is missing is named.
func TestTheMissingIssuerIsNamed(t *testing.T) {
	_, o := startLab(t, config.ProfileModern)
	other, _ := startLab(t, config.ProfileModern)
	cfg, err := config.LoadRA(other.Path("ra.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	trust, err := cfg.CATrust()
	if err != nil {
		t.Fatal(err)
	}
	o.Trust = trust
	r := runEST(t, o)
	i := slices.IndexFunc(r.Findings, func(f check.Finding) bool { return f.Name == "est.tls.chain" })
	// The other lab's root has the same name, and another key.
	if f := r.Findings[i]; f.State != check.Fail || !strings.Contains(f.Reason, "CN=LAB Root CA") || !strings.Contains(f.Reason, "AKI") {
		t.Errorf("%+v", f)
	}
}

func TestALabelThatIsNotThereIsFound(t *testing.T) {
	_, o := startLab(t, config.ProfileModern)
	o.Labels = []string{"wifi", "nosuch"}
	if got := states(runEST(t, o), "est.labels"); !slices.Equal(got, []check.State{check.OK, check.Fail}) {
		t.Error(got)
	}
}

func TestAnESTURLThatCannotBeIsRefused(t *testing.T) {
	for _, url := range []string{"", "http://localhost", "https://user:secret@localhost", "https://localhost/.well-known/est", "localhost:8084"} {
		var r check.Report
		if err := check.EST(t.Context(), check.ESTOptions{URL: url, Trust: []*x509.Certificate{}}, &r); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", url, err)
		}
	}
}
