package ra_test

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/msca"
	"ciscora/ra"
)

// run runs the RA until the test ends.
func run(t *testing.T, r *ra.RA) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// awaitChange waits until the RA's state is another one.
func awaitChange(t *testing.T, s ra.Readiness) {
	t.Helper()
	select {
	case <-s.Changed:
	case <-t.Context().Done():
		t.Fatal("the RA's state did not change")
	}
}

// started runs the RA and waits until it has tried to start: the state is taken before,
// else that which is waited for may be there already.
func started(t *testing.T, r *ra.RA) {
	t.Helper()
	before := r.Ready()
	run(t, r)
	awaitChange(t, before)
}

func TestAStartLogsInOnceAndReadsTheChainAsCESDoes(t *testing.T) {
	f := newFixture(t, cucm)
	if f.Ready().Ready {
		t.Fatal("ready before it started")
	}
	started(t, f.RA)
	if s := f.Ready(); !s.Ready || s.Reason != "" {
		t.Errorf("Ready = %+v", s)
	}
	chain, err := f.CACerts(t.Context(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(chain) != 2 || chain[0].Subject.CommonName != "LAB Issuing CA" || chain[1].Subject.CommonName != "LAB Root CA" {
		t.Errorf("chain of %d, want issuing CA, then root", len(chain))
	}
	// docs/reference/ces.md, "Start-up": three requests.
	wantLines(t, f.access.take(), "GET /certsrv 401", "GET /certsrv 301", "GET /certsrv/certnew.p7b")
	if started := eventsOf[ra.Started](f.events); len(started) != 1 || started[0].Attempt != 1 {
		t.Errorf("Started events: %+v", started)
	}
}

func TestWithoutAChainCacertsSaysWhy(t *testing.T) {
	for _, test := range []struct {
		name   string
		p      profile
		status int
	}{
		{"modern answers 503, try again", modern, http.StatusServiceUnavailable},
		{"cucm-12.5 answers with a status that libest knows", cucm, http.StatusInternalServerError},
	} {
		t.Run(test.name, func(t *testing.T) {
			events := &recorder{}
			r := newRA(t, "https://"+unheard(t)+"/certsrv", x509.NewCertPool(), labUser, labPassword, events, test.p)
			_, err := r.CACerts(t.Context(), "", nil)
			if status(err) != test.status || !strings.Contains(err.Error(), "has not logged in") {
				t.Errorf("before the start: %d %v", status(err), err)
			}
			started(t, r)
			_, err = r.CACerts(t.Context(), "", nil)
			if status(err) != test.status || !strings.Contains(err.Error(), "connecting to the CA: it cannot be reached") {
				t.Errorf("after a failed start: %d %v", status(err), err)
			}
			if strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("the answer names an internal address: %v", err)
			}
			if failed := eventsOf[ra.StartFailed](events); len(failed) != 1 || failed[0].Next != 5*time.Second || failed[0].Refused {
				t.Errorf("StartFailed events: %+v", failed)
			}
		})
	}
}

// pipeFixture is an RA and a CA joined by pipes, for virtual time.
func pipeFixture(t *testing.T, credentials func() (msca.Credentials, error), p profile) (*ra.RA, *pipeCA, *recorder) {
	t.Helper()
	ca := newPipeCA(t)
	events := &recorder{}
	r := newRA(t, "https://ca.lab.test/certsrv", ca.roots, "", "", events, func(o *ra.Options) {
		o.CA.Dial = ca.dial
		o.Access.Credentials = credentials
		o.Refresh = time.Hour
		p(o)
	})
	return r, ca, events
}

func TestAFailedStartIsTriedAgainWithBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, ca, events := pipeFixture(t, labAccount, modern)
		ca.away.Store(true)
		began := time.Now()
		run(t, r)
		time.Sleep(20 * time.Minute) // virtual
		var at []time.Duration
		for _, e := range eventsOf[ra.StartFailed](events) {
			at = append(at, e.Next)
		}
		want := []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 5 * time.Minute, 5 * time.Minute}
		if len(at) < len(want) {
			t.Fatalf("attempts after %v, want %v", at, want)
		}
		for i := range want {
			if at[i] != want[i] {
				t.Errorf("attempt %d is followed by %v, want %v", i+1, at[i], want[i])
			}
		}
		away := r.Ready()
		ca.away.Store(false)
		awaitChange(t, away)
		if !r.Ready().Ready {
			t.Errorf("not ready %v after the start though the CA is back: %+v", time.Since(began), r.Ready())
		}
	})
}

func TestRefusedCredentialsAreNotTriedAgainBeforeTheyChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		password := make(chan string, 1)
		password <- "old"
		current := func() (msca.Credentials, error) {
			p := <-password
			password <- p
			return msca.Credentials{User: labUser, Password: p}, nil
		}
		r, ca, events := pipeFixture(t, current, modern)
		run(t, r)
		time.Sleep(59 * time.Minute) // virtual
		if n := ca.refusals.Load(); n != 1 {
			t.Errorf("the CA was asked %d times with refused credentials, want once: the account would be locked", n)
		}
		if s := r.Ready(); s.Ready || !strings.Contains(s.Reason, "refused the RA's own account") || !strings.Contains(s.Reason, "ca.credentials") {
			t.Errorf("meanwhile: %+v", s)
		}
		if failed := eventsOf[ra.StartFailed](events); len(failed) != 1 || !failed[0].Refused {
			t.Errorf("StartFailed events: %+v", failed)
		}
		refused := r.Ready()
		<-password
		password <- labPassword
		awaitChange(t, refused)
		if !r.Ready().Ready {
			t.Errorf("not ready with the new password: %+v", r.Ready())
		}
	})
}

func TestRefusedCredentialsAreTriedOnceAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, ca, events := pipeFixture(t, func() (msca.Credentials, error) { return msca.Credentials{User: labUser, Password: "expired"}, nil }, modern)
		run(t, r)
		time.Sleep(150 * time.Minute) // virtual
		if n := ca.refusals.Load(); n != 3 {
			t.Errorf("the CA was asked %d times in two and a half hours, want three times", n)
		}
		if told := eventsOf[ra.OwnRefused](events); len(told) != 3 || told[0].Account != labUser || told[0].Until.Sub(told[0].At) != time.Hour {
			t.Errorf("OwnRefused events: %+v", told)
		}
	})
}

func TestTheChainIsRefreshedAndAFailureKeepsTheOldOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, ca, events := pipeFixture(t, labAccount, modern)
		started(t, r)
		first := r.Ready().Since
		time.Sleep(time.Hour + time.Minute) // virtual
		if s := r.Ready(); !s.Since.After(first) {
			t.Errorf("the chain is that of %v, not refreshed after an hour", s.Since)
		}
		ca.away.Store(true)
		time.Sleep(2 * time.Hour) // virtual
		if s := r.Ready(); !s.Ready || !strings.Contains(s.Reason, "connecting to the CA") {
			t.Errorf("with the CA away: %+v, want ready with the old chain and the reason", s)
		}
		if len(eventsOf[ra.RefreshFailed](events)) == 0 {
			t.Error("no RefreshFailed event")
		}
	})
}

// unheard returns a loopback address at which nobody listens and, while the test
// runs, nobody can: it is the near end of a connection. A port that was merely
// closed may be another test's by now.
func unheard(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().String()
}
