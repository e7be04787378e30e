package lab_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"ciscora/config"
	"ciscora/ra/explain"
	"ciscora/ra/lab"
	"ciscora/ra/scenario"
)

// What the page of an enrollment says of the cause is right, or it says nothing.
func TestThePageNamesTheCause(t *testing.T) {
	for _, profile := range []config.Profile{config.ProfileCUCM, config.ProfileModern} {
		t.Run(string(profile), func(t *testing.T) {
			l, err := lab.Start(t.Context(), lab.Options{
				Dir: t.TempDir(), Profile: profile, EST: "127.0.0.1:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0", Catalog: scenario.Catalog,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := l.Close(); err != nil {
					t.Error(err)
				}
				http.DefaultClient.CloseIdleConnections()
			}()
			if err := l.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct{ fault, cucm, modern string }{
				{"certsrv.tls:wrong-name", "wrong-name-san", "f3-wrong-name"}, // of which that is a kind
				{"certsrv.login:basic-only", "basic-refused", "basic-refused"},
				{"certsrv.submit:500", "submit-500", "submit-500"},
				{"certsrv.submit:denied", "denied-by-policy", "denied-by-policy"}, // the RA has read the page's HRESULT
			} {
				want := map[config.Profile]string{config.ProfileCUCM: c.cucm, config.ProfileModern: c.modern}[profile]
				if _, err := l.Faults.Order(c.fault); err != nil {
					t.Fatal(err)
				}
				phone, err := l.EnrollPhone(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				l.Quiet(t.Context())
				l.Faults.Clear()
				var page struct {
					Verdict struct{ Name, Headline, Sure, Cause, Fix string }
				}
				getJSON(t, l.AdminURL+"/console/enrollments/"+newest(t, l, phone.Name)+".json", &page)
				if c.fault == "certsrv.submit:denied" && page.Verdict.Sure != string(explain.Certain) {
					t.Errorf("%s: %s: %s", c.fault, page.Verdict.Sure, page.Verdict.Headline)
				}
				if page.Verdict.Name != want || page.Verdict.Cause == "" || page.Verdict.Fix == "" {
					t.Errorf("%s: it is taken for %q, want %s", c.fault, page.Verdict.Name, want)
				}
			}
		})
	}
}

// newest is the id of a phone's newest enrollment.
func newest(t *testing.T, l *lab.Lab, name string) string {
	t.Helper()
	var list struct{ Enrollments []struct{ ID string } }
	getJSON(t, l.AdminURL+"/enrollments?cn="+name, &list)
	if len(list.Enrollments) == 0 {
		t.Fatalf("%s is not there", name)
	}
	return list.Enrollments[0].ID
}

func getJSON(t *testing.T, url string, v any) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		t.Fatal(err)
	}
}
