package check_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"ciscora/config"
	"ciscora/msca/certsrv"
	"ciscora/ra/check"
)

// One thing that is wrong is told once, where it is, and the others point at it.

func TestWhereNoESTServerAnswersThatIsSaidAndNothingElse(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"a Web page for everything": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>It works</html>"))
		},
		"405 to a POST": func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				w.WriteHeader(http.StatusMethodNotAllowed)
			}
		},
		"nothing is there": http.NotFound,
		"a redirect that keeps the path": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://new.example"+r.URL.Path, http.StatusFound)
		},
		"an answer that never comes there": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusMovedPermanently) },
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(answer)
			server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
			server.StartTLS()
			defer server.Close()
			r := runEST(t, check.ESTOptions{URL: server.URL})
			for _, f := range r.Findings {
				if f.State == check.Fail && f.Name != "est.cacerts" {
					t.Errorf("%s FAIL: %s", f.Name, f.Seen)
				}
			}
			if !r.Failed() {
				t.Errorf("no FAIL:\n%s", findings(r))
			}
			for _, name := range []string{"L2", "L4", "L8", "L12", "est.challenge", "est.csrattrs", "est.simplereenroll"} {
				wantFinding(t, r, name, check.Skip, "see est.cacerts")
			}
			if strings.HasPrefix(name, "a redirect") {
				wantFinding(t, r, "est.cacerts", check.Fail, "to https://new.example/.well-known/est/cacerts")
			}
		})
	}
}

// A server that fails at one operation is an EST server all the same.
func TestAnESTServerThatFailsIsStillLookedAt(t *testing.T) {
	l, o := startLab(t, config.ProfileModern)
	for _, spec := range []string{"est.cacerts:status=404", "est.cacerts:garbage", "est.cacerts:content-type=text/html", "est.cacerts:status=500"} {
		t.Run(spec, func(t *testing.T) {
			if _, err := l.Faults.Order(spec); err != nil {
				t.Fatal(err)
			}
			defer l.Faults.Clear()
			r := runEST(t, o)
			if got := named(r, "est.cacerts"); len(got) != 1 || got[0].State != check.Fail {
				t.Errorf("est.cacerts: %+v", got)
			}
			if got := named(r, "est.challenge"); len(got) != 1 || got[0].State != check.OK {
				t.Errorf("est.challenge: %+v", got)
			}
		})
	}
}

func named(r check.Report, name string) (all []check.Finding) {
	for _, f := range r.Findings {
		if f.Name == name {
			all = append(all, f)
		}
	}
	return all
}

// What was looked at does not depend on what is wrong.
func TestACheckThatCannotBeMadeIsSkippedAndNotLeftOut(t *testing.T) {
	l, o := startLab(t, config.ProfileModern)
	namesOf := func(r check.Report) (names []string) {
		for _, f := range r.Findings {
			if !slices.Contains(names, f.Name) {
				names = append(names, f.Name)
			}
		}
		slices.Sort(names)
		return names
	}
	all := namesOf(runEST(t, o))
	for _, spec := range []string{"est.cacerts:garbage", "est.cacerts:status=500", "est.cacerts:close", "est.simpleenroll:close", "est.any:status=404"} {
		if _, err := l.Faults.Order(spec); err != nil {
			t.Fatal(err)
		}
		if got := namesOf(runEST(t, o)); !slices.Equal(got, all) {
			t.Errorf("%s: %v, want %v", spec, got, all)
		}
		l.Faults.Clear()
	}
}

func TestAStrangersRootInTheAnswerOfCACertsIsTold(t *testing.T) {
	l, o := startLab(t, config.ProfileModern)
	if _, err := l.Faults.Order("est.cacerts:p7=stranger"); err != nil {
		t.Fatal(err)
	}
	wantFinding(t, runEST(t, o), "L12", check.Warn, "CN=STRANGER Root CA")
}

// After a renewal the newest certificate signs the list; CES's profile reads the first.
func TestTheListOfARenewedCAIsHeldAgainstTheNewestCertificate(t *testing.T) {
	for _, profile := range []config.Profile{config.ProfileCUCM, config.ProfileModern} {
		c := startCA(t)
		if _, err := c.faults.Order("certsrv.ca:renewed=2"); err != nil {
			t.Fatal(err)
		}
		r := runCA(t, c.options(profile))
		if f := named(r, "ca.crl"); len(f) != 1 || f[0].State == check.Fail || strings.Contains(f[0].Reason, "has signed") {
			t.Errorf("%s: %+v", profile, f)
		}
	}
}

func TestWhatCannotHelpIsNotAdvised(t *testing.T) {
	c := startCA(t)
	if _, err := c.faults.Order("certsrv.login:kerberos-only"); err != nil {
		t.Fatal(err)
	}
	r := runCA(t, c.options(config.ProfileCUCM))
	for _, f := range r.Findings {
		if strings.Contains(f.Fix, "ca.authentication") {
			t.Errorf("%s: %s", f.Name, f.Fix)
		}
	}
	wantFinding(t, r, "ca.logins", check.OK, "no password was sent")
	c.faults.Clear()
	if _, err := c.faults.Order("certsrv.login:basic-only"); err != nil {
		t.Fatal(err)
	}
	wantFinding(t, runCA(t, c.options(config.ProfileModern)), "ca.auth", check.Fail, "set ca.authentication to basic")
	// Whoever takes that advice has still nothing for CES.
	basic := certsrv.NewTestServer(func(o *certsrv.Options) {
		o.Basic = true
		o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == "" {
					w.Header().Set("WWW-Authenticate", `Basic realm="ca"`)
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				next.ServeHTTP(w, r)
			})
		})
	})
	defer basic.Close()
	o := oddOptions(basic)
	o.CA.Authentication = "basic"
	r = runCA(t, o)
	wantFinding(t, r, "ca.login", check.OK, "is logged in")
	wantFinding(t, r, "ca.ces", check.Warn, "CES logs in by NTLM alone")
}

// Where the pages are not there no password is sent, and nobody's cause is another one.
func TestWhereThePagesAreNotNobodyLogsIn(t *testing.T) {
	for _, spec := range []string{"certsrv.any:404", "certsrv.any:403.4", "certsrv.any:redirect", "certsrv.any:503", "certsrv.any:500"} {
		t.Run(spec, func(t *testing.T) {
			c := startCA(t)
			if _, err := c.faults.Order(spec); err != nil {
				t.Fatal(err)
			}
			r := runCA(t, c.options(config.ProfileCUCM))
			for _, name := range []string{"ca.login", "ca.template", "ca.chain", "ca.crl", "ca.binding", "ca.renewals"} {
				wantFinding(t, r, name, check.Skip, "see ca.pages")
			}
			wantFinding(t, r, "ca.ces", check.Fail, "see ca.pages")
			if got := named(r, "ca.logins"); len(got) > 0 {
				t.Errorf("log-ins: %+v", got)
			}
		})
	}
}

func TestAnAddressInTheURLIsNoDNSName(t *testing.T) {
	l, o := startLab(t, config.ProfileModern)
	if _, err := l.Faults.Order("est.tls:wrong-name"); err != nil {
		t.Fatal(err)
	}
	o.URL = strings.Replace(o.URL, "localhost", "127.0.0.1", 1)
	wantFinding(t, runEST(t, o), "est.tls.name", check.Fail, "anew with the IP address 127.0.0.1")
	c := startCA(t)
	if _, err := c.faults.Order("certsrv.tls:wrong-name"); err != nil {
		t.Fatal(err)
	}
	wantFinding(t, runCA(t, c.options(config.ProfileCUCM)), "ca.tls.name", check.Warn, "anew with the DNS name localhost")
}

func TestANameThatDoesNotResolveIsNotSilent(t *testing.T) {
	c := startCA(t)
	if _, err := c.faults.Order("resolve:not-found"); err != nil {
		t.Fatal(err)
	}
	o := c.options(config.ProfileModern)
	o.Resolve = c.faults.Resolve(resolveLocally)
	wantFinding(t, runCA(t, o), "ca.pages", check.Skip, "see ca.resolve")
	r := runEST(t, check.ESTOptions{URL: "https://127.0.0.1:1"})
	wantFinding(t, r, "L12", check.Skip, "nothing answers at 127.0.0.1:1")
	for _, f := range r.Findings {
		if strings.Contains(f.Fix, "DNS") {
			t.Errorf("of an address: %s", f.Fix)
		}
	}
	if !r.Failed() {
		t.Error("port 1 takes connections")
	}
}

// What ends between a check's connections has not refused TLS.
func TestAServerThatIsGoneHasNotRefusedTLS(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dialed := 0
	o := check.ESTOptions{URL: "https://" + l.Addr().String()}
	o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dialed++; dialed == 2 {
			l.Close()
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	wantFinding(t, runEST(t, o), "est.tls.handshake", check.Fail, "no connection any more")
}

func TestHalfAnAnswerIsNotNone(t *testing.T) {
	l, o := startLab(t, config.ProfileModern)
	for spec, seen := range map[string]string{"est.cacerts:truncate": "half an answer", "est.cacerts:close": "no answer", "est.cacerts:reset": "no answer"} {
		if _, err := l.Faults.Order(spec); err != nil {
			t.Fatal(err)
		}
		wantFinding(t, runEST(t, o), "est.cacerts", check.Fail, seen)
		l.Faults.Clear()
	}
}

// A server of old versions alone is of use to CES, and to no RA in the profile modern.
func TestOldVersionsAloneAreNoTrifle(t *testing.T) {
	c := startCA(t)
	if _, err := c.faults.Order("certsrv.tls:tls1.0"); err != nil {
		t.Fatal(err)
	}
	wantFinding(t, runCA(t, c.options(config.ProfileCUCM)), "ca.tls.versions", check.Warn, "takes TLS 1.0 alonewhoever speaks TLS 1.2 and newer alone gets no connection")
	wantFinding(t, runCA(t, c.options(config.ProfileModern)), "ca.tls.versions", check.Fail, "CES, which speaks TLS 1.0 to 1.2, goes on")
}

// The others are there.
func TestAPageThatIsNotThereIsNotTheRoleService(t *testing.T) {
	c := startCA(t)
	if _, err := c.faults.Order("certsrv.chain:404"); err != nil {
		t.Fatal(err)
	}
	r := runCA(t, c.options(config.ProfileModern))
	for _, f := range named(r, "ca.chain") {
		if f.State != check.Fail || strings.Contains(f.Fix, "role service") {
			t.Errorf("%+v", f)
		}
	}
}

// What ends a client's handshake has no log of an enrollment.
func TestAnEnrollmentIsNotTriedWhereTLSFails(t *testing.T) {
	l, o := startLab(t, config.ProfileModern)
	o.Enroll, o.User, o.Password = "phone1", "x", "y"
	for spec, name := range map[string]string{"est.tls:self-signed": "est.tls.chain", "est.tls:expired": "est.tls.validity", "est.any:status=404": "est.cacerts"} {
		if _, err := l.Faults.Order(spec); err != nil {
			t.Fatal(err)
		}
		wantFinding(t, runEST(t, o), "est.enroll", check.Skip, "see "+name+"; no password was sent")
		l.Faults.Clear()
	}
}
