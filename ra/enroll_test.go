package ra_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/msca"
	"ciscora/msca/certsrv"
	"ciscora/ra"
	"ciscora/ra/access"
)

func TestAnEnrollmentInCESsProfileUsesTwoLogInsOnTwoConnections(t *testing.T) {
	f := newFixture(t, cucm)
	f.enrollOne(t)
	// docs/reference/ces.md, "One enrollment": the seven lines.
	wantLines(t, f.access.take(),
		"GET /certsrv 401", "GET /certsrv 301", "GET /certsrv/certrqxt.asp",
		"GET /certsrv 401", "GET /certsrv 301", "POST /certsrv/certfnsh.asp", "GET /certsrv/certnew.cer")
	if issued := eventsOf[ra.Issued](f.events); len(issued) != 1 || issued[0].ReqID != f.ca.Server.Requests()[0].ID {
		t.Errorf("Issued events: %+v", issued)
	}
}

func TestAPooledConnectionServesTheSameAccountAgain(t *testing.T) {
	f := newFixture(t, modern)
	f.enrollOne(t)
	wantLines(t, f.access.take(),
		"GET /certsrv 401", "GET /certsrv 301",
		"GET /certsrv/certnew.cer", // once, on an empty ledger: where do the CA's numbers end?
		"POST /certsrv/certfnsh.asp", "GET /certsrv/certnew.cer")
	f.enrollOne(t)
	wantLines(t, f.access.take(), "POST /certsrv/certfnsh.asp", "GET /certsrv/certnew.cer")
	if auth := eventsOf[ra.Authenticated](f.events); len(auth) != 2 || auth[0].Vouched || !auth[1].Vouched {
		t.Errorf("Authenticated events: %+v", auth)
	}
}

func TestALogInVouchesForAMinuteThenTheCredentialsAreTriedAnew(t *testing.T) {
	const late = `LAB\late` // logs in 10 s after the first one, between two sweeps of the pool
	synctest.Test(t, func(t *testing.T) {
		ca := newPipeCA(t, func(o *certsrv.Options) { o.Users = append(o.Users, certsrv.NewUser(late, "l-password")) })
		events := &recorder{}
		r := newRA(t, "https://ca.lab.test/certsrv", ca.roots, labUser, labPassword, events, func(o *ra.Options) { o.CA.Dial = ca.dial })
		f := &fixture{RA: r, events: events}
		began := time.Now()
		for _, step := range []struct {
			at             time.Duration
			user, password string
			vouched        bool
		}{
			{0, labUser, labPassword, false},
			{10 * time.Second, late, "l-password", false},
			{59 * time.Second, labUser, labPassword, true},
			{61 * time.Second, labUser, labPassword, false},
			{69 * time.Second, late, "l-password", true},
			{75 * time.Second, late, "l-password", false},
		} {
			time.Sleep(time.Until(began.Add(step.at))) // virtual
			if _, err := f.enroll(t.Context(), step.user, step.password, "", newCSR(t, "phone")); err != nil {
				t.Fatal(step.at, err)
			}
			auth := eventsOf[ra.Authenticated](events)
			if last := auth[len(auth)-1]; last.Vouched != step.vouched {
				t.Errorf("%s at %v: vouched %v, want %v", step.user, step.at, last.Vouched, step.vouched)
			}
		}
		logins := 0
		for _, leg := range eventsOf[ra.Leg](events) {
			if leg.Phase == msca.PhaseLogin {
				logins++
			}
		}
		if logins != 4 {
			t.Errorf("%d log-ins, want 4: each account once and, after its minute, once more", logins)
		}
	})
}

func TestNoConnectionServesAnotherIdentity(t *testing.T) {
	const alice, bob = `LAB\alice`, `LAB\bob`
	f := newFixture(t, modern, func(o *certsrv.Options) {
		o.Users = append(o.Users, certsrv.NewUser(alice, "a-password"), certsrv.NewUser(bob, "b-password"))
	})
	var clients sync.WaitGroup
	for range 10 {
		for user, password := range map[string]string{alice: "a-password", bob: "b-password"} {
			clients.Go(func() {
				if _, err := f.enroll(t.Context(), user, password, "", newCSR(t, user)); err != nil {
					t.Errorf("%s: %v", user, err)
				}
			})
		}
	}
	clients.Wait()
	for _, r := range f.ca.Server.Requests() {
		if want := "CN=" + r.Requester; r.Subject != want && !strings.Contains(r.Subject, strings.TrimPrefix(r.Requester, `LAB\`)) {
			t.Errorf("request %d: %s's CSR went over %s's connection", r.ID, r.Subject, r.Requester)
		}
	}
	// A vouched-for user with another password is another identity.
	if _, err := f.enroll(t.Context(), alice, "b-password", "", newCSR(t, "mallory")); status(err) != http.StatusUnauthorized {
		t.Errorf("alice with bob's password: %v, want 401", err)
	}
}

func TestTheAuthenticationStepRefuses(t *testing.T) {
	for _, test := range []struct {
		name           string
		p              profile
		user, password string
		label          string
		status         int
		challenge      bool
		text           string
	}{
		{"nobody, with a challenge", modern, "", "", "", 401, true, "no credentials"},
		{"nobody, with a challenge, as CES", cucm, "", "", "", 401, true, "no credentials"},
		{"a wrong password, with a challenge", modern, `LAB\ciscora`, "wrong", "", 401, true, "logging in to the CA: it refused the credentials"},
		{"a wrong password, as CES without a challenge", cucm, `LAB\ciscora`, "wrong", "", 401, false, "unable to authorize"},
		{"an unknown user", modern, `LAB\nobody`, "wrong", "", 401, true, "it refused the credentials"},
		{"a template that is not listed (F6)", listing, `LAB\ciscora`, "", "typo", 403, false, "the template is not offered"},
		{"a template that is not listed (F6), as CES", cucm, `LAB\ciscora`, "", "typo", 401, false, "unable to authorize"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, test.p)
			password := test.password
			if password == "" {
				password = f.ca.Password
			}
			_, err := f.enroll(t.Context(), test.user, password, test.label, newCSR(t, "phone"))
			if status(err) != test.status || !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %d %q, want %d and %q", status(err), err, test.status, test.text)
			}
			if challenge := err.(interface{ Challenge() bool }).Challenge(); challenge != test.challenge {
				t.Errorf("challenge: %v, want %v", challenge, test.challenge)
			}
			if n := len(f.ca.Server.Requests()); n != 0 {
				t.Errorf("%d requests reached the CA", n)
			}
			if strings.Contains(err.Error(), password) {
				t.Errorf("the answer shows the password: %v", err)
			}
		})
	}
}

func TestTheCAIsNotAskedAgainForAnAccountThatItRefusedThreeTimes(t *testing.T) {
	f := newFixture(t, modern)
	for i := range 5 {
		if _, err := f.enroll(t.Context(), f.ca.User, fmt.Sprint("wrong", i), "", newCSR(t, "phone")); status(err) != http.StatusUnauthorized {
			t.Fatal(err)
		}
	}
	if asked := len(f.access.take()) / 2; asked != 3 {
		t.Errorf("the CA was asked %d times, want 3", asked)
	}
	// Another account from the same client is not held up.
	if _, err := f.enroll(t.Context(), `LAB\other`, "wrong", "", newCSR(t, "phone")); err == nil || len(f.access.take()) == 0 {
		t.Errorf("another account was locked out too: %v", err)
	}
}

func TestTheCAIsAskedOnceForAPasswordThatItRefuses(t *testing.T) {
	f := newFixture(t, modern)
	for range 5 {
		if _, err := f.enroll(t.Context(), f.ca.User, "wrong", "", newCSR(t, "phone")); status(err) != http.StatusUnauthorized || !strings.Contains(err.Error(), "refused the credentials") {
			t.Fatal(err)
		}
	}
	if asked := len(f.access.take()) / 2; asked != 1 {
		t.Errorf("the CA was asked %d times, want once", asked)
	}
	if _, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "", newCSR(t, "phone")); err != nil {
		t.Errorf("the right password afterwards: %v", err)
	}
}

func TestACertificateIdentityEnrollsWithTheRAsAccount(t *testing.T) {
	f := newFixture(t, modern)
	old := f.enrollOne(t)
	req := requestWithCertificate(t, old)
	ctx, err := f.Authenticate(req, "")
	if err != nil {
		t.Fatal(err)
	}
	csr := newCSR(t, "SEP001122334455")
	cert, err := f.Reenroll(ctx, old, csr, "", req)
	if err != nil {
		t.Fatal(err)
	}
	if !publicKeysEqual(cert.PublicKey, csr.PublicKey) {
		t.Error("the renewed certificate does not carry the CSR's key")
	}
	if auth := eventsOf[ra.Authenticated](f.events); auth[len(auth)-1].Method != "certificate" {
		t.Errorf("authenticated by %q", auth[len(auth)-1].Method)
	}
}

func TestAReenrollmentWithoutACertificate(t *testing.T) {
	for _, test := range []struct {
		name   string
		p      profile
		status int
	}{
		{"is refused in modern", modern, http.StatusForbidden},
		{"is an enrollment in cucm-12.5, as with libest", cucm, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, test.p)
			req := httpRequest(t, f.ca.User, f.ca.Password)
			ctx, err := f.Authenticate(req, "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err = f.Reenroll(ctx, nil, newCSR(t, "phone"), "", req); status(err) != test.status {
				t.Errorf("%v, want status %d", err, test.status)
			}
		})
	}
}

func supervised(o *certsrv.Options) {
	o.Templates = append(o.Templates, certsrv.Template{Name: "Supervised", SubjectFromRequest: true, ManagerApproval: true})
}

func TestAPendingRequestIsCollectedByTheSameCSR(t *testing.T) {
	for name, p := range map[string]profile{"modern": modern, "cucm-12.5": cucm} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, p, supervised)
			csr := newCSR(t, "phone")
			for range 3 {
				_, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "supervised", csr)
				if status(err) != http.StatusAccepted || err.(interface{ RetryAfter() int }).RetryAfter() <= 0 {
					t.Fatalf("got %v, want 202 with Retry-After", err)
				}
			}
			requests := f.ca.Server.Requests()
			if len(requests) != 1 {
				t.Fatalf("the CA has %d requests, want one: polling must not submit again", len(requests))
			}
			if err := f.ca.Server.Approve(requests[0].ID); err != nil {
				t.Fatal(err)
			}
			cert, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "supervised", csr)
			if err != nil {
				t.Fatal(err)
			}
			if !publicKeysEqual(cert.PublicKey, csr.PublicKey) {
				t.Error("not the CSR's key")
			}
		})
	}
}

func TestAManagersRefusalIsFinal(t *testing.T) {
	f := newFixture(t, modern, supervised)
	csr := newCSR(t, "phone")
	if _, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "supervised", csr); status(err) != http.StatusAccepted {
		t.Fatal(err)
	}
	if err := f.ca.Server.Deny(f.ca.Server.Requests()[0].ID); err != nil {
		t.Fatal(err)
	}
	_, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "supervised", csr)
	if status(err) != http.StatusForbidden || !strings.Contains(err.Error(), "0x80094014") {
		t.Errorf("got %d %v, want 403 with the CA's reason", status(err), err)
	}
}

// spoil is a CA whose answer to one page is replaced.
func spoil(page string, answer http.HandlerFunc) func(*certsrv.Options) {
	return func(o *certsrv.Options) {
		o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, page) {
					answer(w, r)
					return
				}
				next.ServeHTTP(w, r)
			})
		})
	}
}

func body(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(text))
	}
}

func TestACAThatAnswersNonsenseGetsAClearError(t *testing.T) {
	half := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("-----BEGIN CERTIFICATE-----"))
		panic(http.ErrAbortHandler)
	}
	elsewhere := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://other.invalid/certsrv/", http.StatusFound)
	}
	for _, test := range []struct {
		name, page string
		answer     http.HandlerFunc
		status     int
		text       string
	}{
		{"HTML where the certificate should be", "certnew.cer", body("<html><p>Hello</p></html>"), 502, "fetching the certificate from the CA: its answer could not be understood"},
		{"an empty body where the certificate should be", "certnew.cer", body(""), 502, "fetching the certificate from the CA"},
		{"half a certificate", "certnew.cer", half, 502, "fetching the certificate from the CA: it closed the connection"},
		{"a redirect to another host", "certnew.cer", elsewhere, 502, "it redirects to another place"},
		{"HTML without any marker after the POST", "certfnsh.asp", body("<html></html>"), 502, "submitting the CSR to the CA: its answer could not be understood"},
		{"an HTTP error after the POST", "certfnsh.asp", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 500) }, 502, "submitting the CSR to the CA: it answered with an HTTP error"},
		{"a template page without a list", "certrqxt.asp", body("<html></html>"), 0, "template"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, listing, spoil(test.page, test.answer))
			_, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "", newCSR(t, "phone"))
			if err == nil {
				t.Fatal("no error")
			}
			if test.status != 0 && status(err) != test.status {
				t.Errorf("status %d, want %d", status(err), test.status)
			}
			if !strings.Contains(err.Error(), test.text) || strings.ContainsAny(err.Error(), "<>\n") {
				t.Errorf("text %q, want %q, one line without HTML", err, test.text)
			}
		})
	}
}

func TestACertificateForAnotherKeyIsRefused(t *testing.T) {
	other := certsrv.NewTestServer()
	defer other.Close()
	f := newFixture(t, modern)
	wrong := f.enrollOne(t)
	g := newFixture(t, modern, spoil("certnew.cer", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/pkix-cert")
		_, _ = w.Write(wrong.Raw)
	}))
	_, err := g.enroll(t.Context(), g.ca.User, g.ca.Password, "", newCSR(t, "phone"))
	if status(err) != http.StatusBadGateway || !strings.Contains(err.Error(), "a certificate for another key") {
		t.Errorf("got %d %v", status(err), err)
	}
}

func TestWhatTheCAIssuedIsCollectedByTheRetry(t *testing.T) {
	for _, test := range []struct {
		name     string
		p        profile
		requests int
	}{
		{"modern: one certificate", modern, 1},
		{"cucm-12.5: the first is orphaned, as with CES", cucm, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, test.p, disturb("certnew.cer", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
				http.Error(w, "busy", http.StatusInternalServerError)
			}))
			csr := newCSR(t, "phone")
			if _, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "", csr); err == nil {
				t.Fatal("the first try should fail")
			}
			if _, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "", csr); err != nil {
				t.Fatal(err)
			}
			if n := len(f.ca.Server.Requests()); n != test.requests {
				t.Errorf("the CA has %d requests, want %d", n, test.requests)
			}
		})
	}
}

func TestACAThatHangsAfterTheLogInHoldsUpNobodyElse(t *testing.T) {
	hang := make(chan struct{})
	arrived := make(chan struct{}, 1)
	f := newFixture(t, modern, func(o *certsrv.Options) {
		o.Users = append(o.Users, certsrv.NewUser(`LAB\other`, "o-password"))
		o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "certfnsh.asp") {
					select {
					case arrived <- struct{}{}:
						<-hang
					default:
					}
				}
				next.ServeHTTP(w, r)
			})
		})
	})
	started(t, f.RA)
	slow := make(chan error, 1)
	go func() {
		_, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "", newCSR(t, "slow"))
		slow <- err
	}()
	<-arrived
	if _, err := f.CACerts(t.Context(), "", nil); err != nil {
		t.Errorf("/cacerts: %v", err)
	}
	arrived <- struct{}{} // the next POSTs do not hang
	if _, err := f.enroll(t.Context(), `LAB\other`, "o-password", "", newCSR(t, "other")); err != nil {
		t.Errorf("another account: %v", err)
	}
	if _, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "", newCSR(t, "same")); err != nil {
		t.Errorf("the same account: %v", err)
	}
	close(hang)
	if err := <-slow; err != nil {
		t.Errorf("the slow one, in the end: %v", err)
	}
}

// giveUp enrolls and gives up once the CA has the CSR; the CA answers after that.
func giveUp(t *testing.T, f *fixture, arrived <-chan struct{}, answer chan<- struct{}, csr *x509.CertificateRequest) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
		close(answer)
	}()
	_, err := f.enroll(ctx, f.ca.User, f.ca.Password, "", csr)
	return err
}

func TestAClientThatGivesUpFindsItsCertificateByTheSameCSR(t *testing.T) {
	for _, test := range []struct {
		name     string
		p        profile
		requests int
	}{
		{"modern: the RA goes on, one certificate", modern, 1},
		{"cucm-12.5: the RA gives up too, and the retry makes a second one", cucm, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			arrived, answer := make(chan struct{}), make(chan struct{})
			var once sync.Once
			f := newFixture(t, test.p, func(o *certsrv.Options) {
				o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if strings.HasSuffix(r.URL.Path, "certfnsh.asp") {
							once.Do(func() { close(arrived); <-answer })
						}
						next.ServeHTTP(w, r)
					})
				})
			})
			csr := newCSR(t, "phone")
			err := giveUp(t, f, arrived, answer, csr)
			if test.requests == 2 && err == nil {
				t.Error("as CES, the enrollment should have ended with its client")
			}
			cert, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "", csr)
			if err != nil {
				t.Fatal(err)
			}
			if !publicKeysEqual(cert.PublicKey, csr.PublicKey) {
				t.Error("not the CSR's key")
			}
			// The first POST may still be on its way through the CA.
			for len(f.ca.Server.Requests()) < test.requests && t.Context().Err() == nil {
				runtime.Gosched()
			}
			if n := len(f.ca.Server.Requests()); n != test.requests {
				t.Errorf("the CA has %d requests, want %d", n, test.requests)
			}
		})
	}
}

func TestAClosedRAEndsWhatItDoesOnItsOwn(t *testing.T) {
	arrived, never := make(chan struct{}), make(chan struct{})
	f := newFixture(t, modern, spoil("certfnsh.asp", func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-never
		panic(http.ErrAbortHandler)
	}))
	defer close(never)
	go func() { <-arrived; f.Close() }()
	if _, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "", newCSR(t, "phone")); status(err) != http.StatusServiceUnavailable {
		t.Errorf("got %d %v", status(err), err)
	}
}

func TestATemplateNameThatSmugglesAttributesIsRefusedAtTheStart(t *testing.T) {
	_, err := ra.New(ra.Options{
		CA:       msca.Options{URL: "https://127.0.0.1/certsrv"},
		Access:   access.Options{Credentials: labAccount},
		Template: "CiscoRA\r\nSAN:upn=administrator@lab",
	})
	if err == nil || !strings.Contains(err.Error(), "ca.template") {
		t.Errorf("New = %v, want an error that names ca.template", err)
	}
}

func TestTheAnswerToACAThatFailsAfterTheLogInCanBeChosen(t *testing.T) {
	for _, test := range []struct {
		name   string
		p      profile
		chosen int
		want   int
	}{
		{"cucm-12.5: 400, as libest 2.1.0", cucm, 0, 400},
		{"cucm-12.5 with a choice", cucm, 504, 504},
		{"modern: what fits the failure", modern, 0, 502},
		{"modern with a choice", modern, 500, 500},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, func(o *ra.Options) {
				test.p(o)
				o.CAFailureStatus = test.chosen
			}, spoil("certfnsh.asp", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) }))
			_, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "", newCSR(t, "phone"))
			if status(err) != test.want {
				t.Errorf("%d %v, want %d", status(err), err, test.want)
			}
		})
	}
}
