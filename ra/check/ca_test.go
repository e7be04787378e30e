package check_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"ciscora/config"
	"ciscora/ra/check"
	"ciscora/ra/explain"
	"ciscora/ra/explain/explaintest"
	"ciscora/ra/fault"
	"ciscora/ra/lab"
	"ciscora/ra/scenario"
)

func TestAHealthyCAHasNothingWrong(t *testing.T) {
	c := startCA(t)
	for _, profile := range []config.Profile{config.ProfileModern, config.ProfileCUCM} {
		o := c.options(profile)
		o.Enroll = true
		r := runCA(t, o)
		if bad := wrong(r); len(bad) > 0 {
			t.Errorf("%s: %s", profile, strings.Join(bad, "\n"))
		}
		for _, f := range r.Findings {
			if f.State != check.OK {
				t.Errorf("%s: %s %s: %s", profile, f.State, f.Name, f.Seen)
			}
		}
	}
	// Two log-ins a check: with channel binding, and without.
	if got := c.loggedLines(t, "401 1 2148074252"); got != 0 {
		t.Errorf("%d wrong passwords", got)
	}
}

// What a check has tried stands in IIS's log for good; who has that explained must not be
// told that log-ins fail.
func TestWhatACheckTriesIsNoFailureInIISsLog(t *testing.T) {
	c := startCA(t)
	runCA(t, c.options(config.ProfileCUCM))
	record(t, c)
	if c.loggedLines(t, "401 1 2148074248") == 0 || c.loggedLines(t, " 404 ") == 0 {
		t.Fatal("the checks have tried nothing that IIS refuses")
	}
	catalog, err := scenario.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	for file, data := range c.iisLogs(t) {
		report, err := explain.Explain(t.Context(), catalog, []explain.Input{explaintest.Input(file, data)}, explain.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if report.Failed() || !report.Readable() {
			var out strings.Builder
			_ = report.Print(&out)
			t.Errorf("%s: %s", file, out.String())
		}
	}
}

// caFault is a fault of a CA, and the finding that shows it.
type caFault struct {
	spec    string
	finding string
	state   check.State
	symptom string // part of it
	enroll  bool
}

var caFaults = []caFault{
	{"resolve:not-found", "ca.resolve", check.Fail, "return code 6 (Could not resolve: localhost (Domain name not found))", false},
	{"resolve:timeout", "ca.resolve", check.Fail, "return code 28 (Resolving timed out after", false},

	{"certsrv.tls:self-signed", "ca.tls.chain", check.Fail, "return code 60 (SSL certificate problem: unable to get local issuer certificate)", false},
	{"certsrv.tls:self-signed-ca", "ca.tls.chain", check.Fail, "return code 60 (SSL certificate problem: self signed certificate)", false},
	{"certsrv.tls:missing-intermediate", "ca.tls.chain", check.Fail, "return code 60 (SSL certificate problem: unable to get local issuer certificate)", false},
	{"certsrv.tls:unknown-root", "ca.tls.chain", check.Fail, "return code 60", false},
	{"certsrv.tls:wrong-name", "ca.tls.name", check.Fail, "return code 51 (SSL: no alternative certificate subject name matches target host name 'localhost')", false},
	{"certsrv.tls:wrong-name-cn", "ca.tls.name", check.Fail, "return code 51 (SSL: certificate subject name 'lab-dc' does not match target host name 'localhost')", false},
	{"certsrv.tls:expired", "ca.tls.validity", check.Fail, "return code 60 (SSL certificate problem: certificate has expired)", false},
	{"certsrv.tls:not-yet-valid", "ca.tls.validity", check.Fail, "return code 60 (SSL certificate problem: certificate is not yet valid)", false},
	{"certsrv.tls:client-certificate", "ca.tls.client", check.Fail, "return code 35", false},
	{"certsrv.tls:tls1.0", "ca.tls.versions", check.Fail, "kind tls-handshake; CES, which speaks TLS 1.0 to 1.2, goes on", false},
	{"certsrv.tls:plain-http", "ca.tls.handshake", check.Fail, "return code 35 (error:140770FC", false},
	{"certsrv.tls:refuse", "ca.tls.handshake", check.Fail, "return code 35 (OpenSSL SSL_connect: SSL_ERROR_SYSCALL", false},
	{"certsrv.tls:reset", "ca.tls.handshake", check.Fail, "return code 35 (OpenSSL SSL_connect: SSL_ERROR_SYSCALL", false},
	{"certsrv.tls:stall", "ca.tls.handshake", check.Fail, "return code 28 (Operation timed out after", false},

	{"certsrv.login:delay=1h", "ca.login", check.Fail, "return code 28", false},
	{"certsrv.login:hang", "ca.login", check.Fail, "return code 28 (Operation timed out after 10000 milliseconds with 0 bytes received)", false},
	{"certsrv.login:drip=1h", "ca.login", check.Fail, "return code 28", false},
	{"certsrv.login:reset", "ca.login", check.Fail, "return code 56", false},
	{"certsrv.login:close", "ca.login", check.Fail, "return code 52", false},
	{"certsrv.login:truncate", "ca.login", check.Fail, "return code 18", false},
	{"certsrv.login:wrong-password", "ca.login", check.Fail, "EST_ERR_AUTH_FAIL", false},
	{"certsrv.login:locked", "ca.login", check.Fail, "EST_ERR_AUTH_FAIL", false},
	{"certsrv.login:no-dc", "ca.login", check.Fail, "EST_ERR_AUTH_FAIL", false},
	{"certsrv.login:403.4", "ca.pages", check.Fail, "HTTP authentication failed", false},
	{"certsrv.login:403.7", "ca.pages", check.Fail, "HTTP authentication failed", false},
	{"certsrv.login:404", "ca.pages", check.Fail, "HTTP authentication failed", false},
	{"certsrv.login:500", "ca.login", check.Fail, "HTTP authentication failed", false},
	{"certsrv.login:503", "ca.pages", check.Fail, "HTTP authentication failed", false},
	{"certsrv.login:asp-timeout", "ca.login", check.Fail, "HTTP authentication failed", false},
	{"certsrv.login:redirect", "ca.login", check.Fail, "HTTP authentication failed", false},
	{"certsrv.login:basic-only", "ca.auth", check.Fail, "HTTP authentication failed", false},
	{"certsrv.login:kerberos-only", "ca.auth.kerberos", check.Fail, "HTTP authentication failed", false},

	{"certsrv.template:delay=1h", "ca.template", check.Fail, "return code 28", false},
	{"certsrv.template:hang", "ca.template", check.Fail, "return code 28", false},
	{"certsrv.template:drip=1h", "ca.template", check.Fail, "return code 28", false},
	{"certsrv.template:truncate", "ca.template", check.Fail, "return code 18", false},
	{"certsrv.template:wrong-password", "ca.template", check.Fail, "", false},
	{"certsrv.template:403.4", "ca.template", check.Fail, "", false},
	{"certsrv.template:404", "ca.template", check.Fail, "", false},
	{"certsrv.template:500", "ca.template", check.Fail, "", false},
	{"certsrv.template:503", "ca.template", check.Fail, "", false},
	{"certsrv.template:asp-timeout", "ca.template", check.Fail, "", false},
	{"certsrv.template:redirect", "ca.template", check.Fail, "", false},
	{"certsrv.template:service-stopped", "ca.template", check.Fail, "", false},
	{"certsrv.template:absent", "ca.template", check.Warn, "EST_ERR_AUTH_FAIL", false},
	{"certsrv.template:absent=CiscoRA", "ca.template", check.Warn, "EST_ERR_AUTH_FAIL", false},

	{"certsrv.chain:hang", "ca.chain", check.Fail, "retrieve_cacerts: Curl request failed with return code 28 (Operation timed out after 10000 milliseconds with 0 bytes received)", false},
	{"certsrv.chain:delay=1h", "ca.chain", check.Fail, "return code 28", false},
	{"certsrv.chain:drip=1h", "ca.chain", check.Fail, "return code 28", false},
	{"certsrv.chain:truncate", "ca.chain", check.Fail, "return code 18", false},
	{"certsrv.chain:404", "ca.chain", check.Fail, "", false},
	{"certsrv.chain:500", "ca.chain", check.Fail, "", false},
	{"certsrv.chain:503", "ca.chain", check.Fail, "", false},
	{"certsrv.chain:service-stopped", "ca.chain", check.Fail, "", false},
	{"certsrv.chain:redirect", "ca.chain", check.Fail, "", false},

	{"certsrv.any:hang", "ca.pages", check.Fail, "return code 28", false},
	{"certsrv.any:reset", "ca.pages", check.Fail, "return code", false},
	{"certsrv.any:close", "ca.pages", check.Fail, "return code", false},
	{"certsrv.any:404", "ca.pages", check.Fail, "404", false},
	{"certsrv.any:403.4", "ca.pages", check.Fail, "403", false},
	{"certsrv.any:503", "ca.pages", check.Fail, "503", false},
	{"certsrv.any:500", "ca.pages", check.Fail, "500", false},
	{"certsrv.any:redirect", "ca.pages", check.Fail, "", false},
	{"certsrv.any:clock=3m", "ca.clock", check.Warn, "not yet valid", false},
	{"certsrv.any:clock=1h", "ca.clock", check.Fail, "not yet valid", false},

	{"certsrv.crl:stale", "ca.crl", check.Fail, "0x80092013", false},
	{"certsrv.crl:revoked", "ca.crl", check.Fail, "CRYPT_E_REVOKED", false},
	{"certsrv.crl:404", "ca.crl", check.Warn, "", false},

	{"certsrv.submit:denied", "ca.enroll", check.Fail, "", true},
	{"certsrv.submit:pending", "ca.enroll", check.Warn, "rv = 26 (EST_ERR_CA_ENROLL_RETRY)", true},
	{"certsrv.submit:hang", "ca.ces", check.Warn, "return code 28 (Operation timed out after 10000 milliseconds with 0 bytes received)", true},
	{"certsrv.submit:delay=15s", "ca.enroll", check.Warn, "return code 28 (Operation timed out after 10000 milliseconds with 0 bytes received)", true},
	{"certsrv.submit:wrong-key", "ca.enroll", check.Fail, "", true},
	{"certsrv.submit:close", "ca.enroll", check.Fail, "return code 52", true},
	{"certsrv.submit:500", "ca.enroll", check.Fail, "", true},
	{"certsrv.submit:service-stopped", "ca.enroll", check.Fail, "", true},
	{"certsrv.fetch:wrong-key", "ca.enroll", check.Fail, "", true},
	{"certsrv.fetch:404", "ca.enroll", check.Fail, "", true},
	{"certsrv.ca:denied", "ca.enroll", check.Fail, "", true},
}

func TestEveryFaultOfTheCAIsFound(t *testing.T) {
	for _, f := range caFaults {
		t.Run(f.spec, func(t *testing.T) {
			t.Parallel()
			if neverAnswers(f.spec) {
				// Ten seconds each time, and none of ours.
				synctest.Test(t, func(t *testing.T) { f.found(t, startCAOn(t, &lab.Memory{})) })
				return
			}
			f.found(t, startCA(t))
		})
	}
}

// found orders the fault of a CA, and wants it found.
func (f caFault) found(t *testing.T, c *ca) {
	t.Helper()
	if _, err := c.faults.Order(f.spec); err != nil {
		t.Fatal(err)
	}
	o := c.options(config.ProfileModern)
	o.Enroll = f.enroll
	o.Resolve = c.faults.Resolve(resolveLocally)
	r := runCA(t, o)
	if !slices.ContainsFunc(r.Findings, func(x check.Finding) bool {
		return x.Name == f.finding && x.State == f.state && strings.Contains(x.Symptom, f.symptom)
	}) {
		t.Errorf("no %s %s with %q; there is:\n%s", f.state, f.finding, f.symptom, findings(r))
	}
	// Where a page is refused the first line is of a request without a password.
	if got := c.loggedLines(t, "2148074252"); got > 1 && !strings.HasPrefix(f.spec, "certsrv.template") {
		t.Errorf("%d refused log-ins", got)
	}
}

// What the table leaves out is as good as healthy, or plays in an enrollment alone.
func TestTheTableOfFaultsHasEveryPlaceAndKind(t *testing.T) {
	harmless := []string{"language", "keepalive", "renewed"}
	kinds := map[string]bool{}
	for _, f := range caFaults {
		_, kind, _ := strings.Cut(f.spec, ":")
		kind, _, _ = strings.Cut(kind, "=")
		kinds[kind] = true
	}
	for _, e := range fault.Catalog() {
		if !slices.ContainsFunc(e.Places, func(p fault.Place) bool { return p == fault.Resolve || p.AtCA() }) || slices.Contains(harmless, e.Kind) {
			continue
		}
		if !kinds[e.Kind] {
			t.Errorf("%s: no check finds it", e.Kind)
		}
	}
}

func TestWhatIsUnusualAndNotWrongIsNotCalledWrong(t *testing.T) {
	for _, spec := range []string{"certsrv.any:language=ja", "certsrv.any:language=ru", "certsrv.any:keepalive=3", "certsrv.ca:renewed=2"} {
		c := startCA(t)
		if _, err := c.faults.Order(spec); err != nil {
			t.Fatal(err)
		}
		if bad := wrong(runCA(t, c.options(config.ProfileModern))); len(bad) > 0 {
			t.Errorf("%s: %s", spec, strings.Join(bad, "\n"))
		}
	}
	// CES asks for the first certificate of the CA, and gets the old one.
	c := startCA(t)
	if _, err := c.faults.Order("certsrv.ca:renewed=2"); err != nil {
		t.Fatal(err)
	}
	if r := runCA(t, c.options(config.ProfileCUCM)); !slices.Contains(states(r, "ca.renewals"), check.Warn) {
		t.Error(findings(r))
	}
}

// Real CAs do much in their own way.
func TestEveryMannerOfACAPasses(t *testing.T) {
	seeds := 25
	if testing.Short() {
		seeds = 5
	}
	for seed := 1; seed <= seeds; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			c := startCA(t, func(cfg *config.Certsrv) { cfg.Vary = seed })
			r := runCA(t, c.options(config.ProfileModern))
			for _, f := range r.Findings {
				// An empty list, providers and renewals that the page does not tell are in
				// the manner of some.
				if f.State == check.Fail && f.Name != "ca.auth" {
					t.Errorf("%s %s: %s: %s", f.State, f.Name, f.Seen, f.Reason)
				}
			}
		})
	}
}

func TestExtendedProtectionIsToldFromAWrongPassword(t *testing.T) {
	c := startCA(t, func(cfg *config.Certsrv) { cfg.ExtendedProtection = "require" })
	r := runCA(t, c.options(config.ProfileModern))
	if got := states(r, "ca.binding"); !slices.Equal(got, []check.State{check.OK}) || !slices.Contains(states(r, "ca.ces"), check.Warn) {
		t.Error(findings(r))
	}
	wantFinding(t, r, "ca.ces", check.Warn, "none where this RA stands in for CES: it sends one. For CES itself: ")
	bound := c.options(config.ProfileCUCM)
	bound.CA.ChannelBinding = true
	wantFinding(t, runCA(t, bound), "ca.ces", check.Fail, "with profile modern this line is a warn")
	r = runCA(t, c.options(config.ProfileCUCM))
	if got := states(r, "ca.binding"); !slices.Equal(got, []check.State{check.Fail}) || !slices.Contains(states(r, "ca.ces"), check.Fail) {
		t.Error(findings(r))
	}
	if n := c.loggedLines(t, "2148074252"); n != 0 {
		t.Errorf("%d wrong passwords", n)
	}
}

// A password that is wrong reaches the CA once, whatever else is wrong: an account that
// is locked after two is not locked.
func TestAWrongPasswordIsTriedOnce(t *testing.T) {
	specs := []string{"", "certsrv.login:basic-only", "certsrv.login:kerberos-only", "certsrv.login:wrong-password", "certsrv.template:wrong-password", "certsrv.any:keepalive=3", "certsrv.any:close,skip=3"}
	for _, authentication := range []string{"ntlm", "negotiate", "basic"} {
		for _, binding := range []string{"none", "accept", "require"} {
			for _, spec := range specs {
				t.Run(authentication+" "+binding+" "+spec, func(t *testing.T) {
					t.Parallel()
					c := startCA(t, func(cfg *config.Certsrv) {
						cfg.ExtendedProtection, cfg.Basic, cfg.Lockout.Threshold = binding, true, 2
					})
					if spec != "" {
						if _, err := c.faults.Order(spec); err != nil {
							t.Fatal(err)
						}
					}
					o := c.options(config.ProfileModern)
					o.CA.Authentication, o.Enroll = authentication, true
					o.Credentials.Password = "not it"
					r := runCA(t, o)
					if slices.Contains(states(r, "ca.login"), check.OK) {
						t.Errorf("the log-in went well:\n%s", findings(r))
					}
					if n := c.loggedLines(t, "2148074252"); n > 1 {
						t.Errorf("%d wrong passwords reached the CA", n)
					}
					c.faults.Clear()
					o.Credentials.Password, o.Enroll = password, false
					if r = runCA(t, o); !slices.Contains(states(r, "ca.login"), check.OK) {
						t.Errorf("the account is locked:\n%s", findings(r))
					}
				})
			}
		}
	}
}

// An account that is refused in the midst of a check, by whatever page, is not tried at
// the next one.
func TestAnAccountThatIsRefusedMeanwhileIsNotTriedAgain(t *testing.T) {
	c := startCA(t)
	for _, place := range []string{"template", "chain", "submit"} {
		if _, err := c.faults.Order("certsrv." + place + ":wrong-password"); err != nil {
			t.Fatal(err)
		}
	}
	o := c.options(config.ProfileModern)
	o.Enroll = true
	r := runCA(t, o)
	for _, name := range []string{"ca.chain", "ca.binding"} {
		if got := states(r, name); !slices.Equal(got, []check.State{check.Skip}) {
			t.Errorf("%s: %v", name, got)
		}
	}
	// The page without a password, and with it.
	if n := c.loggedLines(t, "2148074252"); n != 2 {
		t.Errorf("%d refusals:\n%s", n, findings(r))
	}
}

// In TLS 1.2 the handshake ends with the certificate that is not there, and the version has
// been taken by then.
func TestAVersionIsTakenWhereAClientCertificateIsDemanded(t *testing.T) {
	c := startCA(t)
	if _, err := c.faults.Order("certsrv.tls:client-certificate"); err != nil {
		t.Fatal(err)
	}
	r := runCA(t, c.options(config.ProfileCUCM))
	wantFinding(t, r, "ca.tls.client", check.Fail, "")
	wantFinding(t, r, "ca.tls.versions", check.OK, "takes TLS 1.2")
}

// Where a log-in had no answer, nobody has refused the account, and the CA's list is not at
// fault.
func TestALogInWithoutAnAnswerIsNotCalledARefusal(t *testing.T) {
	c := startCA(t)
	if _, err := c.faults.Order("certsrv.template:close"); err != nil {
		t.Fatal(err)
	}
	r := runCA(t, c.options(config.ProfileModern))
	for _, name := range []string{"ca.renewals", "ca.chain", "ca.crl", "ca.binding"} {
		wantFinding(t, r, name, check.Skip, "a log-in before had no answer")
	}
}

func TestNothingIsEnrolledUnlessAsked(t *testing.T) {
	c := startCA(t)
	runCA(t, c.options(config.ProfileModern))
	if n := c.loggedLines(t, "POST"); n != 0 {
		t.Errorf("%d POSTs", n)
	}
}

func TestNoPasswordGoesToAServerThatIsNotVerified(t *testing.T) {
	c := startCA(t)
	o := c.options(config.ProfileModern)
	o.Trust = nil
	r := runCA(t, o)
	if got := states(r, "ca.login"); !slices.Equal(got, []check.State{check.Skip}) {
		t.Error(findings(r))
	}
	if n := c.loggedLines(t, user); n != 0 {
		t.Errorf("%d requests with the account", n)
	}
}

// The template's name is looked for as a person would.
func TestWhyATemplateIsMissing(t *testing.T) {
	c := startCA(t, func(cfg *config.Certsrv) {
		phones := config.DefaultTemplate()
		phones.Name, phones.FriendlyName = "PhoneLSC", "Phones of the house"
		machines := config.DefaultTemplate()
		machines.Name, machines.Subject = "FromDirectory", "user"
		cfg.Templates = append(cfg.Templates, phones, machines)
	})
	for _, x := range []struct {
		template string
		state    check.State
		text     string
	}{
		{"PhoneLSC", check.OK, "is listed"},
		{"phonelsc", check.OK, "is listed"},
		{"Phones of the house", check.Warn, "display name"},
		{"PhoneLCS", check.Warn, `did you mean "PhoneLSC"?`},
		{"WebServer", check.Warn, "misspelled"},
		{"FromDirectory", check.Warn, "builds the subject from the directory"},
	} {
		o := c.options(config.ProfileModern)
		o.CA.Template = x.template
		r := runCA(t, o)
		if !slices.ContainsFunc(r.Findings, func(f check.Finding) bool {
			return f.Name == "ca.template" && f.State == x.state && strings.Contains(f.Seen+f.Reason, x.text)
		}) {
			t.Errorf("%s:\n%s", x.template, findings(r))
		}
	}
}

func TestEachAddressOfTheNameIsTried(t *testing.T) {
	c := startCA(t)
	o := c.options(config.ProfileModern)
	o.Resolve = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")}, nil
	}
	r := runCA(t, o)
	if got := states(r, "ca.tcp"); !slices.Equal(got, []check.State{check.OK, check.Warn}) || !slices.Contains(states(r, "ca.login"), check.OK) {
		t.Error(findings(r))
	}
	// And where none takes connections, nothing else is tried.
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	o.CA.URL = "https://" + l.Addr().String() + "/certsrv"
	if r = runCA(t, o); !slices.Equal(states(r, "ca.tcp"), []check.State{check.Fail}) || !slices.Equal(states(r, "ca.login"), []check.State{check.Skip}) {
		t.Error(findings(r))
	}
}

// A URL that cannot be the CA's is an error of the command line.
func TestAURLThatCannotBeIsRefused(t *testing.T) {
	for _, url := range []string{"", "http://localhost/certsrv", "https://user:secret@localhost/certsrv", "https://localhost", "localhost/certsrv"} {
		o := check.CAOptions{CA: config.Default(config.ProfileModern).CA}
		o.CA.URL = url
		var r check.Report
		if err := check.CA(t.Context(), o, &r); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func resolveLocally(context.Context, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// neverAnswers tells which faults keep a check waiting for its time to be up.
func neverAnswers(spec string) bool {
	_, kind, _ := strings.Cut(spec, ":")
	kind, _, _ = strings.Cut(kind, "=")
	return slices.Contains([]string{"timeout", "stall", "hang", "delay", "drip"}, kind)
}

func findings(r check.Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%-4s %s: %s\n", f.State, f.Name, f.Seen)
		if f.State == check.Fail || f.State == check.Warn {
			fmt.Fprintf(&b, "     seen as %s\n     because %s\n     fix %s\n", f.Symptom, f.Reason, f.Fix)
		}
	}
	return b.String()
}
