package ra_test

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/msca/certsrv"
	"ciscora/ra"
	"ciscora/ra/ledger"
)

// recoveryFixture is an RA with a ledger, in virtual time, in front of a CA whose
// pages spoil may change.
type recoveryFixture struct {
	*fixture
	ca     *pipeCA
	ledger *ledger.Ledger
	file   string // of the ledger
}

// breakLedger makes every use of the ledger fail until the function it returns is
// called.
func (x *recoveryFixture) breakLedger(t *testing.T) (mend func()) {
	t.Helper()
	do := func(statement string) {
		t.Helper()
		db, err := sql.Open("sqlite", "file:"+x.file)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	do(`ALTER TABLE requests RENAME TO elsewhere`)
	return func() { do(`ALTER TABLE elsewhere RENAME TO requests`) }
}

func newRecoveryFixture(t *testing.T, p profile, caOptions ...func(*certsrv.Options)) *recoveryFixture {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ra.db")
	book, err := ledger.Open(t.Context(), "sqlite:"+file, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := book.Close(); err != nil {
			t.Error(err)
		}
	})
	ca := newPipeCA(t, append(caOptions, supervised)...)
	x := &recoveryFixture{ca: ca, ledger: book, file: file}
	x.start(t, p)
	return x
}

// start brings up an RA on the fixture's ledger and CA.
func (x *recoveryFixture) start(t *testing.T, p profile) {
	t.Helper()
	events := &recorder{}
	r := newRA(t, "https://ca.lab.test/certsrv", x.ca.roots, labUser, labPassword, events, func(o *ra.Options) {
		o.CA.Dial, o.Ledger = x.ca.dial, x.ledger
		o.CA.Timeouts.Request = 10 * time.Second
		p(o)
	})
	x.fixture = &fixture{RA: r, events: events}
	run(t, r)
}

// phone enrolls with the lab's account and tells the RA that it got its answer.
func (x *recoveryFixture) phone(t *testing.T, label string, csr *x509.CertificateRequest) (*x509.Certificate, error) {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/.well-known/est/simpleenroll", nil)
	req.SetBasicAuth(labUser, labPassword)
	ctx, err := x.Authenticate(req, label)
	if err != nil {
		return nil, err
	}
	cert, err := x.Enroll(ctx, csr, label, req)
	if err == nil {
		x.Delivered(ctx)
	}
	return cert, err
}

func (x *recoveryFixture) rows(t *testing.T, f ledger.Filter) []ledger.Row {
	t.Helper()
	rows, err := x.ledger.List(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// issued returns how many certificates the CA has issued.
func (x *recoveryFixture) issued() int {
	n := 0
	for _, r := range x.ca.Requests() {
		if r.Disposition == certsrv.DispositionIssued {
			n++
		}
	}
	return n
}

// middleware calls act at each request for page.
func middleware(page string, act func(w http.ResponseWriter, r *http.Request, next http.Handler)) func(*certsrv.Options) {
	return func(o *certsrv.Options) {
		o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, page) {
					act(w, r, next)
					return
				}
				next.ServeHTTP(w, r)
			})
		})
	}
}

// disturb calls act at the first request for page, before or after the CA does its
// work. What comes before the first CSR, such as the RA's look for the CA's newest
// number, is left alone.
func disturb(page string, act func(w http.ResponseWriter, r *http.Request, next http.Handler)) func(*certsrv.Options) {
	return func(o *certsrv.Options) {
		var once sync.Once
		var posted atomic.Bool
		o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				disturbed := false
				if strings.HasSuffix(r.URL.Path, "certfnsh.asp") {
					posted.Store(true)
				}
				if strings.HasSuffix(r.URL.Path, page) && posted.Load() {
					once.Do(func() { disturbed = true; act(w, r, next) })
				}
				if !disturbed {
					next.ServeHTTP(w, r)
				}
			})
		})
	}
}

func TestAPOSTWithoutAnAnswer(t *testing.T) {
	issue := func(r *http.Request, next http.Handler) { next.ServeHTTP(httptest.NewRecorder(), r) }
	for _, test := range []struct {
		name    string
		act     func(w http.ResponseWriter, r *http.Request, next http.Handler)
		atOnce  bool          // the first retry gets the certificate
		within  time.Duration // of asking again and again, the certificate is there
		issued  int
		told    int // possible orphans
		arrived bool
	}{
		{"that the CA has issued on is found and not repeated", func(_ http.ResponseWriter, r *http.Request, next http.Handler) {
			issue(r, next)
			panic(http.ErrAbortHandler)
		}, true, 5 * time.Second, 1, 0, true},
		{"that the CA works on for long is waited for", func(_ http.ResponseWriter, r *http.Request, next http.Handler) {
			time.Sleep(85 * time.Second) // virtual; the RA's time is up after 10 s
			issue(r, next)
			panic(http.ErrAbortHandler)
		}, false, 2 * time.Minute, 1, 0, true},
		{"that never got to the CA is repeated once none of its numbers can be it", func(http.ResponseWriter, *http.Request, http.Handler) {
			panic(http.ErrAbortHandler)
		}, false, 3 * time.Minute, 1, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newRecoveryFixture(t, modern, disturb("certfnsh.asp", test.act))
				csr := newCSR(t, "phone")
				if _, err := x.phone(t, "", csr); err == nil {
					t.Fatal("the first try should fail")
				}
				began := time.Now()
				cert, err := x.phone(t, "", csr)
				if (err == nil) != test.atOnce {
					t.Errorf("the first retry: %v", err)
				}
				for err != nil {
					var answer *ra.Error
					if !errors.As(err, &answer) || answer.StatusCode() != http.StatusAccepted || answer.RetryAfter() < 5 || answer.RetryAfter() > 30 {
						t.Fatalf("the client should be told to come back soon: %v", err)
					}
					if time.Since(began) > test.within {
						t.Fatalf("still nothing after %s", time.Since(began))
					}
					time.Sleep(time.Duration(answer.RetryAfter()) * time.Second)
					cert, err = x.phone(t, "", csr)
				}
				if !publicKeysEqual(cert.PublicKey, csr.PublicKey) {
					t.Error("not the CSR's key")
				}
				if n := x.issued(); n != test.issued {
					t.Errorf("the CA has issued %d certificates, want %d", n, test.issued)
				}
				orphans := x.rows(t, ledger.Filter{Orphans: true})
				if len(orphans) != test.told || len(eventsOf[ra.PossibleOrphan](x.events)) != test.told {
					t.Errorf("%d orphans, %d told; want %d: %+v", len(orphans), len(eventsOf[ra.PossibleOrphan](x.events)), test.told, orphans)
				}
				if never := len(eventsOf[ra.NeverArrived](x.events)); (never == 0) != test.arrived {
					t.Errorf("told %d times that it never arrived", never)
				}
			})
		})
	}
}

func TestACertificateThatCouldNotBeFetchedIsCollectedInTheBackground(t *testing.T) {
	for _, test := range []struct {
		name                   string
		p                      profile
		issued, orphans, later int
	}{
		{"modern: the retry gets it, nothing is orphaned", modern, 1, 1, 0},
		{"cucm-12.5: nobody collects it, and the retry makes a second one", cucm, 2, 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newRecoveryFixture(t, test.p, disturb("certnew.cer", func(http.ResponseWriter, *http.Request, http.Handler) {
					panic(http.ErrAbortHandler)
				}), disturb("certnew.cer", func(http.ResponseWriter, *http.Request, http.Handler) { // once more: modern tries again at once
					panic(http.ErrAbortHandler)
				}))
				csr := newCSR(t, "phone")
				if _, err := x.phone(t, "", csr); err == nil {
					t.Fatal("the first try should fail")
				}
				time.Sleep(time.Minute) // virtual
				if orphans := x.rows(t, ledger.Filter{Orphans: true}); len(orphans) != test.orphans || orphans[0].ReqID == 0 {
					t.Errorf("before the retry: %+v", orphans)
				}
				if test.issued == 1 {
					if row := x.rows(t, ledger.Filter{})[0]; row.State != ledger.StateIssued {
						t.Errorf("a minute later the row is %s", row.State)
					}
				}
				for range 2 { // cucm-12.5 meets the second disturbance
					if _, err := x.phone(t, "", csr); err == nil {
						break
					}
				}
				if orphans := x.rows(t, ledger.Filter{Orphans: true}); len(orphans) < test.later {
					t.Errorf("after the retry: %+v", orphans)
				} else if test.later == 0 && len(orphans) != 0 {
					t.Errorf("after the retry: %+v", orphans)
				}
				if n := x.issued(); test.issued == 1 && n != 1 || test.issued == 2 && n < 2 {
					t.Errorf("the CA has issued %d certificates, want %d", n, test.issued)
				}
			})
		})
	}
}

func TestAPendingRequestIsPolledByTheRAAndSurvivesARestart(t *testing.T) {
	for _, test := range []struct {
		name   string
		decide func(*pipeCA) error
		status int
	}{
		{"approved", func(ca *pipeCA) error { return ca.Approve(1) }, 0},
		{"denied", func(ca *pipeCA) error { return ca.Deny(1) }, http.StatusForbidden},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newRecoveryFixture(t, modern)
				csr := newCSR(t, "phone")
				if _, err := x.phone(t, "supervised", csr); status(err) != http.StatusAccepted {
					t.Fatal(err)
				}
				x.Close()
				x.start(t, modern)
				if err := test.decide(x.ca); err != nil {
					t.Fatal(err)
				}
				time.Sleep(30 * time.Minute) // virtual
				row := x.rows(t, ledger.Filter{})[0]
				if want := map[int]ledger.State{0: ledger.StateIssued, http.StatusForbidden: ledger.StateDenied}[test.status]; row.State != want {
					t.Fatalf("half an hour later the row is %s, want %s", row.State, want)
				}
				x.ca.away.Store(true) // the answer is in the ledger, but a log-in is wanted
				time.Sleep(time.Second)
				x.ca.away.Store(false)
				cert, err := x.phone(t, "supervised", csr)
				if status(err) != test.status || (test.status == 0 && !publicKeysEqual(cert.PublicKey, csr.PublicKey)) {
					t.Errorf("the client's next request: %v", err)
				}
				if n := len(x.ca.Requests()); n != 1 {
					t.Errorf("the CA has %d requests, want one", n)
				}
				if test.status == http.StatusForbidden {
					// Told once: a new request is a new question.
					if _, err := x.phone(t, "supervised", csr); status(err) != http.StatusAccepted {
						t.Errorf("after the refusal: %v", err)
					}
				}
			})
		})
	}
}

func TestRetryAfterOfAPendingRequestIsWhatSuchRequestsTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newRecoveryFixture(t, modern)
		for i := range 3 {
			csr := newCSR(t, "phone")
			_, err := x.phone(t, "supervised", csr)
			var answer *ra.Error
			if !errors.As(err, &answer) || answer.RetryAfter() != 300 {
				t.Fatalf("as long as nothing is known: %v", err)
			}
			time.Sleep(20 * time.Minute)
			if err := x.ca.Approve(i + 1); err != nil {
				t.Fatal(err)
			}
			if _, err := x.phone(t, "supervised", csr); err != nil {
				t.Fatal(err)
			}
		}
		_, err := x.phone(t, "supervised", newCSR(t, "phone"))
		var answer *ra.Error
		if !errors.As(err, &answer) || answer.RetryAfter() != 1200 {
			t.Errorf("Retry-After %d, want 1200", answer.RetryAfter())
		}
	})
}

func TestTheSameCSRJoinsWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newRecoveryFixture(t, modern, disturb("certfnsh.asp", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			time.Sleep(5 * time.Second) // virtual
			next.ServeHTTP(w, r)
		}))
		csr := newCSR(t, "phone")
		certs := make(chan *x509.Certificate, 10)
		for range cap(certs) {
			go func() {
				cert, err := x.phone(t, "", csr)
				if err != nil {
					t.Error(err)
				}
				certs <- cert
			}()
		}
		first := <-certs
		for range cap(certs) - 1 {
			if cert := <-certs; !cert.Equal(first) {
				t.Error("another certificate")
			}
		}
		if n := x.issued(); n != 1 {
			t.Errorf("the CA has issued %d certificates, want one", n)
		}
		row := x.rows(t, ledger.Filter{})[0]
		if row.Deliveries != 10 || row.State != ledger.StateDelivered || len(row.Legs) == 0 {
			t.Errorf("the row: %s, %d deliveries, %d legs", row.State, row.Deliveries, len(row.Legs))
		}
		// A while after the delivery the same CSR asks for a new certificate.
		time.Sleep(11 * time.Minute)
		if cert, err := x.phone(t, "", csr); err != nil || cert.Equal(first) {
			t.Errorf("eleven minutes later: the same certificate, or %v", err)
		}
	})
}

func TestAnotherLabelIsAnotherRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newRecoveryFixture(t, modern)
		csr := newCSR(t, "phone")
		if _, err := x.phone(t, "", csr); err != nil {
			t.Fatal(err)
		}
		if _, err := x.phone(t, "supervised", csr); status(err) != http.StatusAccepted {
			t.Errorf("the same CSR under another label: %v", err)
		}
	})
}

// The CA answers, but the ledger is away just then: the client gets its
// certificate, and the row is written once the ledger is back.
func TestWhatCouldNotBeRecordedIsRecordedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var x *recoveryFixture
		var mend func()
		x = newRecoveryFixture(t, modern, disturb("certfnsh.asp", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			mend = x.breakLedger(t)
			next.ServeHTTP(w, r)
		}))
		csr := newCSR(t, "phone")
		cert, err := x.phone(t, "", csr)
		if err != nil {
			t.Fatalf("the CA has issued, so the client should have it: %v", err)
		}
		if len(eventsOf[ra.LedgerFailed](x.events)) == 0 {
			t.Error("nothing is told of the ledger")
		}
		mend()
		time.Sleep(time.Minute)
		row := x.rows(t, ledger.Filter{})[0]
		if string(row.Certificate) != string(cert.Raw) || row.ReqID == 0 {
			t.Errorf("a minute later the row says %s, ReqID %d", row.State, row.ReqID)
		}
	})
}

func TestAnRAThatStopsLeavesNothingRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newRecoveryFixture(t, modern, disturb("certnew.cer", func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", nil)
		req.SetBasicAuth(labUser, labPassword)
		_, _ = x.Authenticate(req, "") // its client is gone
	})
}
