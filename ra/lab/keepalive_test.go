package lab_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"ciscora/config"
	"ciscora/est/capf"
	"ciscora/ra/lab"
)

// A web server that closes its connections after a few requests, as Apache does at
// MaxKeepAliveRequests, costs connections and nothing else: every CSR is handed in
// once, after a log-in on the request itself.
func TestACAThatClosesItsConnectionsAfterAFewRequestsEnrollsAll(t *testing.T) {
	const phones = 20
	for _, profile := range []config.Profile{config.ProfileCUCM, config.ProfileModern} {
		for n := 1; n <= 3; n++ {
			t.Run(fmt.Sprintf("%s at %d", profile, n), func(t *testing.T) {
				t.Parallel()
				l := start(t, lab.Options{Profile: profile})
				if _, err := l.Faults.Order(fmt.Sprintf("certsrv.any:keepalive=%d", n)); err != nil {
					t.Fatal(err)
				}
				for i := range phones {
					if got := enrollAs(t, l, fmt.Sprintf("SEP%012d", i), "", 20*time.Second); got.RV != capf.StatusNone {
						t.Fatalf("phone %d of %d: %v (%v)", i+1, phones, got.RV, got.Err)
					}
				}
				if on := l.Faults.List(); len(on) != 1 || on[0].Hits < phones {
					t.Errorf("the fault did not bite: %+v", on)
				}
				if err := l.Close(); err != nil {
					t.Error(err)
				}
				if profile == config.ProfileCUCM {
					if log := readLog(t, l, "logs/nginx-error.log"); strings.Contains(log, "failed with return code") {
						t.Errorf("libcurl sees no failure here:\n%s", log)
					}
				}
				posts := 0
				for line := range strings.SplitSeq(readLog(t, l, "logs/iis/*.log"), "\n") {
					if strings.Contains(line, "POST /certsrv/certfnsh.asp") && strings.Contains(line, " 200 0 0 ") {
						posts++
					}
				}
				if posts != phones {
					t.Errorf("%d CSRs were handed in, want %d", posts, phones)
				}
			})
		}
	}
}

// The chain is read on such connections, too.
func TestAnRAStartsInFrontOfACAThatClosesItsConnectionsAfterAFewRequests(t *testing.T) {
	for _, profile := range []config.Profile{config.ProfileCUCM, config.ProfileModern} {
		for n := 1; n <= 3; n++ {
			t.Run(fmt.Sprintf("%s at %d", profile, n), func(t *testing.T) {
				t.Parallel()
				l, err := lab.Start(t.Context(), lab.Options{
					Dir: t.TempDir(), EST: "127.0.0.1:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0",
					Profile: profile, Early: []string{fmt.Sprintf("certsrv.any:keepalive=%d", n)},
				})
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				if err := l.Ready(ctx); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// IIS shows the page of a stopped service in place of a log-in's answer, once. The
// connection looks as if it were logged in, and it is not: that must cost nobody more
// than another log-in, and not every client of the account its certificate for as
// long as a log-in vouches.
func TestAConnectionThatIsNotLoggedInAfterAllIsNotKept(t *testing.T) {
	for _, profile := range []config.Profile{config.ProfileCUCM, config.ProfileModern} {
		t.Run(string(profile), func(t *testing.T) {
			l := start(t, lab.Options{Profile: profile})
			enroll := func(i int) {
				if got := enrollAs(t, l, fmt.Sprintf("SEP%012d", i), "", 20*time.Second); got.RV != capf.StatusNone {
					t.Errorf("phone %d: %v (%v)", i, got.RV, got.Err)
				}
			}
			// So many at once that some need a connection that is new.
			if _, err := l.Faults.Order("certsrv.login:service-stopped,count=1"); err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() { enroll(i) })
			}
			all.Wait()
			if on := l.Faults.List(); len(on) != 0 {
				t.Fatalf("the fault did not bite: %+v", on)
			}
			for i := range 5 {
				enroll(100 + i)
			}
		})
	}
}
