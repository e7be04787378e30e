package ra_test

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/msca"
	"ciscora/msca/certsrv"
	"ciscora/ra"
	"ciscora/ra/ledger"
)

// What needs the RA's own account goes on needing it: none of that may lock it.
func TestAnExpiredPasswordOfTheRAIsTriedOnceWhateverWaitsForIt(t *testing.T) {
	for name, expires := range map[string]struct{ started bool }{"before the start": {}, "while it runs": {started: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var password atomic.Value
				password.Store(labPassword)
				own := func(o *ra.Options) {
					modern(o)
					o.Access.Credentials = func() (msca.Credentials, error) {
						return msca.Credentials{User: labUser, Password: password.Load().(string)}, nil
					}
				}
				x := newRecoveryFixture(t, own, func(o *certsrv.Options) { o.Lockout = certsrv.Lockout{Threshold: 3} })
				phone, err := x.phone(t, "", newCSR(t, "phone"))
				if err != nil {
					t.Fatal(err)
				}
				for i := range 10 {
					if _, err := x.phone(t, "supervised", newCSR(t, fmt.Sprint("pending", i))); status(err) != http.StatusAccepted {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Minute)
				password.Store("expired")
				events := x.events
				if !expires.started {
					x.Close()
					x.start(t, own)
					events = x.events
				}
				before := len(eventsOf[ra.RecoveryFailed](events))
				for range 30 {
					var all sync.WaitGroup
					for range 20 {
						csr := newCSR(t, "phone")
						all.Go(func() {
							if err := renew(t, x, phone, csr); status(err) != http.StatusServiceUnavailable {
								t.Errorf("a client's certificate: %v", err)
							}
						})
					}
					all.Wait()
					time.Sleep(time.Minute)
				}
				if n := x.ca.refusals.Load(); n != 1 {
					t.Errorf("the CA refused %d log-ins in half an hour, want one", n)
				}
				if told := eventsOf[ra.OwnRefused](events); len(told) != 1 || len(eventsOf[ra.RecoveryFailed](events)) != before {
					t.Errorf("told %d times, and of %d polls", len(told), len(eventsOf[ra.RecoveryFailed](events))-before)
				}
				if s := x.Ready(); s.Ready != expires.started || !strings.Contains(s.Reason, "refused the RA's own account") {
					t.Errorf("readiness: %+v", s)
				}

				password.Store(labPassword)
				for _, r := range x.ca.Requests() {
					if r.Disposition == certsrv.DispositionPending {
						if err := x.ca.Approve(r.ID); err != nil {
							t.Fatal(err)
						}
					}
				}
				time.Sleep(11 * time.Minute) // the longest time between two polls
				if issued := x.rows(t, ledger.Filter{State: ledger.StateIssued}); len(issued) != 10 {
					t.Errorf("with the right password %d of 10 are collected", len(issued))
				}
				if err := renew(t, x, phone, newCSR(t, "phone")); err != nil {
					t.Errorf("a client's certificate: %v", err)
				}
			})
		})
	}
}

// renew asks with a client certificate.
func renew(t *testing.T, x *recoveryFixture, phone *x509.Certificate, csr *x509.CertificateRequest) error {
	req := requestWithCertificate(t, phone)
	ctx, err := x.Authenticate(req, "")
	if err != nil {
		return err
	}
	_, err = x.Enroll(ctx, csr, "", req)
	return err
}
