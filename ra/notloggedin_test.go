package ra_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"ciscora/msca/certsrv"
)

// Something before IIS answers in place of a log-in's last leg, once. The connection
// looks as if it were logged in, and it is not: that must cost nobody more than another
// log-in, and not every client of the account its certificate for as long as a log-in
// vouches.
func TestAConnectionThatIsNotLoggedInAfterAllIsNotKept(t *testing.T) {
	for name, p := range map[string]profile{"cucm-12.5": cucm, "modern": modern} {
		t.Run(name, func(t *testing.T) {
			var due atomic.Bool
			f := newFixture(t, p, func(o *certsrv.Options) {
				o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if isType3(r) && due.CompareAndSwap(true, false) {
							_, _ = w.Write([]byte("a page of the load balancer"))
							return
						}
						next.ServeHTTP(w, r)
					})
				})
			})
			enroll := func(i int) {
				if _, err := f.enroll(t.Context(), f.ca.User, f.ca.Password, "", newCSR(t, fmt.Sprintf("SEP%012d", i))); err != nil {
					t.Errorf("phone %d: %v", i, err)
				}
			}
			// So many at once that some need a connection that is new.
			due.Store(true)
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() { enroll(i) })
			}
			all.Wait()
			if due.Load() {
				t.Fatal("nobody has logged in")
			}
			for i := range 5 {
				enroll(100 + i)
			}
		})
	}
}

// isType3 tells whether a request answers NTLM's challenge (MS-NLMP 2.2.1.3).
func isType3(r *http.Request) bool {
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	message, err := base64.StdEncoding.DecodeString(token)
	return err == nil && len(message) > 8 && message[8] == 3
}
