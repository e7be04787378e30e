package lab_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"ciscora/est/capf"
	"ciscora/ra/lab"
)

// As an administrator sees it: by IIS's log and the admin port.
func TestParallelGuessesAreFewLinesInTheCAsLogAndTheRightPasswordStillPasses(t *testing.T) {
	for _, profile := range []string{"cucm-12.5", "modern"} {
		t.Run(profile, func(t *testing.T) {
			o := lab.Options{Lockout: 3}
			if err := o.SetProfile(profile); err != nil {
				t.Fatal(err)
			}
			l := start(t, o)
			enrollPhone(t, l)
			phone, err := capf.NewPhone(rand.Reader, "SEP001122334455", "ec256")
			if err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			for i := range 40 {
				all.Go(func() {
					client, err := l.Client(nil, func(o *capf.Options) { o.Password = fmt.Sprint("wrong", i) })
					if err != nil {
						t.Error(err)
						return
					}
					if got := client.Enroll(t.Context(), phone.Name, phone.CSR); got.RV != capf.StatusAuthFail {
						t.Errorf("guess %d: %s %v", i, got.RV, got.Err)
					}
				})
			}
			all.Wait()
			if n := strings.Count(readLog(t, l, "logs/iis/*.log"), " 401 1 2148074252 "); n != 3 {
				t.Errorf("%d lines of refused log-ins, want 3", n)
			}
			enrollPhone(t, l)
			if list := get(t, l.AdminURL+"/lockouts"); !strings.Contains(list, `"name": "ciscora"`) || !strings.Contains(list, `"closed": true`) {
				t.Errorf("/lockouts: %s", list)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, l.AdminURL+"/lockouts/LAB%5CCISCORA", nil)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if list := get(t, l.AdminURL+"/lockouts"); answer.StatusCode != http.StatusOK || strings.Contains(list, `"name": "ciscora"`) {
				t.Errorf("once it is forgiven: %d, %s", answer.StatusCode, list)
			}
		})
	}
}
