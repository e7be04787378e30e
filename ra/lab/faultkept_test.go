package lab_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"testing"
	"time"

	"ciscora/config"
	"ciscora/est/capf"
	"ciscora/msca"
	"ciscora/ra/lab"
)

// modern keeps its connections and believes in a log-in for a minute: a fault that only
// a new connection meets would pass it by, and a test that waits for a failure would
// pass for the wrong reason.
func TestAFaultOnTheWayToAConnectionBitesTheNextEnrollment(t *testing.T) {
	for _, profile := range []config.Profile{config.ProfileModern, config.ProfileCUCM} {
		t.Run(string(profile), func(t *testing.T) {
			t.Parallel()
			l := start(t, lab.Options{Profile: profile})
			for _, spec := range []string{"certsrv.login:wrong-password", "certsrv.login:no-dc", "certsrv.tls:expired", "certsrv.tls:refuse", "resolve:not-found"} {
				for range 2 { // the second one on a connection that is kept
					if got := enrollAs(t, l, "", "", 20*time.Second); got.RV != capf.StatusNone {
						t.Fatalf("before %s: %v (%v)", spec, got.RV, got.Err)
					}
				}
				id, err := l.Faults.Order(spec)
				if err != nil {
					t.Fatal(err)
				}
				got := enrollAs(t, l, "", "", 20*time.Second)
				if on := l.Faults.List(); len(on) != 1 || on[0].Hits == 0 || got.RV == capf.StatusNone {
					t.Errorf("%s: %v, and the faults %+v", spec, got.RV, on)
				}
				l.Faults.Remove(id)
				if got := enrollAs(t, l, "", "", 20*time.Second); got.RV != capf.StatusNone {
					t.Fatalf("after %s: %v (%v)", spec, got.RV, got.Err)
				}
			}
		})
	}
}

// A log-in by SPNEGO is one, too.
func TestAFaultOfTheLogInBitesNTLMInSPNEGO(t *testing.T) {
	l := start(t, lab.Options{})
	creds, err := config.LoadCredentials(l.Path("credentials.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	client := negotiator(t, l, hostOf(t, l.CertsrvURL))
	if _, err := l.Faults.Order("certsrv.login:wrong-password,count=1"); err != nil {
		t.Fatal(err)
	}
	_, err = client.Login(t.Context(), msca.Credentials{User: creds.User, Password: string(creds.Password)})
	var e *msca.Error
	if !errors.As(err, &e) || e.Kind != msca.KindAuthRejected {
		t.Errorf("%v, want %s", err, msca.KindAuthRejected)
	}
	s, err := client.Login(t.Context(), msca.Credentials{User: creds.User, Password: string(creds.Password)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Clients that ask without a log-in first, as requests_ntlm, get the 401 that they would
// get anyway: the one page that was ordered is for who has logged in.
func TestAPageThatFailsOnceIsNotSpentOnWhoHasNotLoggedIn(t *testing.T) {
	l := start(t, lab.Options{})
	if _, err := l.Faults.Order("certsrv.any:service-stopped,count=1"); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: l.Roots}}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.CertsrvURL+"/certrqxt.asp", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("%s, want a 401", resp.Status)
	}
	if on := l.Faults.List(); len(on) != 1 || on[0].Hits != 0 {
		t.Errorf("the fault is spent: %+v", on)
	}
	if got := enrollAs(t, l, "", "", 20*time.Second); got.RV == capf.StatusNone {
		t.Error("it does not bite who has logged in")
	}
}
