package ra_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/internal/peertest"
	"ciscora/msca/certsrv"
	"ciscora/ra"
	"ciscora/ra/ledger"
)

// slowCA answers so slowly once it is told to, and counts what it is asked.
type slowCA struct {
	took  time.Duration
	slow  atomic.Bool
	mu    sync.Mutex
	asked map[string]int // for certificates, by their query
}

func (c *slowCA) options(o *certsrv.Options) {
	o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c.slow.Load() {
				time.Sleep(c.took) // virtual
				if strings.HasSuffix(r.URL.Path, "certnew.cer") {
					c.mu.Lock()
					c.asked[r.URL.RawQuery]++
					c.mu.Unlock()
				}
			}
			next.ServeHTTP(w, r)
		})
	})
}

// What a manager has approved while the RA was down is gone through by several at a
// time, and where there are several RAs each row is one's alone.
func TestALargeBacklogIsCollectedFasterThanOneAtATimeAndByOneRAEach(t *testing.T) {
	const (
		took  = 100 * time.Millisecond // for an answer of the CA
		looks = 5 * time.Second        // until the RA looks, and logs in
	)
	backlog := peertest.Many("LargeBacklog", 200, 400)
	for _, ras := range []int{1, 2} {
		t.Run(fmt.Sprint(ras, " RAs"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := &slowCA{took: took, asked: map[string]int{}}
				x := newRecoveryFixture(t, modern, ca.options)
				for range backlog {
					if _, err := x.phone(t, "supervised", newCSR(t, "phone")); status(err) != http.StatusAccepted {
						t.Fatal(err)
					}
				}
				x.Close()
				for i := range backlog {
					if err := x.ca.Approve(i + 1); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Hour) // all are due
				ca.slow.Store(true)
				began := time.Now()
				for range ras {
					x.start(t, modern)
				}
				for len(x.rows(t, ledger.Filter{State: ledger.StatePending, Limit: backlog})) > 0 {
					if time.Since(began) > time.Duration(backlog)*took {
						t.Fatal("no faster than one at a time")
					}
					time.Sleep(time.Second)
				}
				if took, want := time.Since(began), looks+time.Duration(backlog)*took/time.Duration(4*ras); took > want {
					t.Errorf("%d rows took %s, want %s at most", backlog, took, want)
				}
				if n := len(x.rows(t, ledger.Filter{State: ledger.StateIssued, Limit: backlog})); n != backlog {
					t.Errorf("%d of %d are issued", n, backlog)
				}
				time.Sleep(time.Minute) // whoever asks twice has done so
				ca.mu.Lock()
				defer ca.mu.Unlock()
				if len(ca.asked) != backlog {
					t.Errorf("the CA was asked for %d certificates, want %d", len(ca.asked), backlog)
				}
				for query, n := range ca.asked {
					if n != 1 {
						t.Errorf("%s was asked for %d times", query, n)
					}
				}
			})
		})
	}
}

// Names that somebody has made up cost the CA a log-in each, and the RA's other
// clients nothing.
func TestAFloodOfMadeUpUsersTakesNoMoreThanItsPlacesAtTheCA(t *testing.T) {
	const (
		flood    = 500
		inFlight = 32
		patience = 10 * time.Second
		took     = 2 * time.Second // for a log-in
	)
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Bool
		x := newRecoveryFixture(t, modern)
		var under connectionCount
		x.Close()
		x.start(t, func(o *ra.Options) {
			o.InFlight, o.Patience = inFlight, patience
			o.CA.Dial = under.dial(x.ca.dial, func() {
				if slow.Load() {
					time.Sleep(took) // virtual
				}
			})
		})
		if _, err := x.phone(t, "", newCSR(t, "phone")); err != nil {
			t.Fatal(err) // from here on the account has proven that it exists
		}
		kept := under.open()
		under.begin()
		slow.Store(true)
		var all sync.WaitGroup
		var mu sync.Mutex
		answers := map[int]int{}
		for i := range flood {
			all.Go(func() {
				began := time.Now()
				req := httpRequest(t, fmt.Sprintf(`LAB\nobody%d`, i), "guessed")
				req.RemoteAddr = fmt.Sprintf("198.51.%d.%d:1234", i/250, i%250) // one address alone would have thirty guesses
				_, err := x.Authenticate(req, "")
				mu.Lock()
				defer mu.Unlock()
				answers[status(err)]++
				if e, ok := err.(*ra.Error); ok && e.Status == http.StatusServiceUnavailable && e.RetryAfter() <= 0 { //nolint:errorlint // the front end's own look
					t.Error("503 without Retry-After")
				}
				if waited := time.Since(began); waited > patience+2*took {
					t.Errorf("somebody waited %s", waited)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		if chain, err := x.CACerts(t.Context(), "", nil); err != nil || len(chain) == 0 || time.Since(began) != 0 {
			t.Errorf("the chain meanwhile: %d certificates after %s, %v", len(chain), time.Since(began), err)
		}
		for range 3 {
			began := time.Now()
			if _, err := x.phone(t, "", newCSR(t, "phone")); err != nil {
				t.Errorf("a client with good credentials: %v", err)
			}
			if waited := time.Since(began); waited > 2*took {
				t.Errorf("a client with good credentials waited %s", waited)
			}
		}
		all.Wait()
		if under.most() > inFlight+kept {
			t.Errorf("%d connections to the CA at a time, want %d beside %d kept ones", under.most(), inFlight, kept)
		}
		if under.most() < inFlight {
			t.Errorf("only %d connections at a time: the flood was none", under.most())
		}
		if answers[http.StatusUnauthorized] < inFlight || answers[http.StatusServiceUnavailable] == 0 ||
			answers[http.StatusUnauthorized]+answers[http.StatusServiceUnavailable] != flood {
			t.Errorf("answers: %v, want 401 for those that had their turn and 503 for the others", answers)
		}
	})
}
