package ra_test

import (
	"crypto/x509"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/ra"
)

// RFC 7030 §4.1.3: what a client needs to verify its certificate comes from /cacerts.
func TestAChainWithoutTheIssuerOfWhatTheCAIssuesIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, ca, events := pipeFixture(t, labAccount, modern)
		started(t, r)
		f := &fixture{RA: r, events: events}
		enroll := func() *x509.Certificate {
			t.Helper()
			certificate, err := f.enroll(t.Context(), labUser, labPassword, "", newCSR(t, "SEP001122334455"))
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return certificate
		}
		enroll()
		if n := len(eventsOf[ra.Refreshed](events)); n != 0 {
			t.Errorf("the chain was read again %d times for what it holds", n)
		}
		time.Sleep(2 * time.Minute) // virtual
		if err := ca.Renew(1); err != nil {
			t.Fatal(err)
		}
		renewed := enroll()
		if !slices.ContainsFunc(r.Chain(), func(c *x509.Certificate) bool { return renewed.CheckSignatureFrom(c) == nil }) {
			t.Error("/cacerts has not the new issuer")
		}
		if told := eventsOf[ra.IssuerMissing](events); len(told) != 0 {
			t.Errorf("told: %+v", told)
		}
		if err := ca.Renew(2); err != nil {
			t.Fatal(err)
		}
		enroll() // within a minute of the last look: that is told
		if told := eventsOf[ra.IssuerMissing](events); len(told) != 1 {
			t.Errorf("told %d times, want once", len(told))
		}
	})
}

func TestAChainOfAFixedRenewalStaysAndWhatItLacksIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, ca, events := pipeFixture(t, labAccount, cucm)
		started(t, r)
		time.Sleep(2 * time.Minute) // virtual
		if err := ca.Renew(1); err != nil {
			t.Fatal(err)
		}
		f := &fixture{RA: r, events: events}
		for range 3 {
			if _, err := f.enroll(t.Context(), labUser, labPassword, "", newCSR(t, "SEP001122334455")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		told := eventsOf[ra.IssuerMissing](events)
		if len(told) != 1 || told[0].Issuer == "" || len(told[0].KeyID) == 0 {
			t.Errorf("told: %+v", told)
		}
		if n := len(eventsOf[ra.Refreshed](events)); n != 0 {
			t.Errorf("the chain was read again %d times, which CES never does", n)
		}
	})
}
