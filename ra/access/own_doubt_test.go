package access_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ciscora/msca/certsrv"
	"ciscora/ra/access"
)

// A domain controller that is away for a moment is no wrong password.
func TestTheRAsOwnPasswordThatWasRightLatelyIsTriedOnceMoreAfterAMinute(t *testing.T) {
	for _, c := range []struct {
		name  string
		back  bool // the domain controller
		after time.Duration
		bad   int32
		right bool
	}{
		{"at once", true, time.Second, 1, false},
		{"after a minute", true, 61 * time.Second, 1, true},
		{"after a minute, and still wrong", false, 61 * time.Second, 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var moved atomic.Int64
			var away atomic.Bool
			var bad refusals
			f := newFixture(t, func(o *access.Options) {
				o.Now = func() time.Time { return time.Now().Add(time.Duration(moved.Load())) }
			}, func(o *certsrv.Options) {
				o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if strings.HasPrefix(r.Header.Get("Authorization"), "NTLM TlRMTVNTUAAD") && away.Load() { // type 3
							bad.Add(1)
							r.Header.Set("Authorization", "NTLM TlRMTVNTUAADAAAA")
						}
						next.ServeHTTP(w, r)
					})
				})
			})
			login := func() error {
				who, err := f.Own(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				s, err := f.Login(t.Context(), who)
				if err == nil {
					s.Release()
				}
				return err
			}
			if err := login(); err != nil {
				t.Fatal(err)
			}
			moved.Add(int64(10 * time.Minute))
			away.Store(true)
			if err := login(); !access.Refused(err) {
				t.Fatalf("without a domain controller: %v", err)
			}
			away.Store(!c.back)
			moved.Add(int64(c.after))
			if err := login(); (err == nil) != c.right {
				t.Errorf("then: %v", err)
			}
			for range 20 { // and then, if it is wrong, no more for an hour
				if c.right {
					break
				}
				_ = login()
			}
			moved.Add(int64(30 * time.Minute))
			if !c.back {
				_ = login()
			}
			if n := bad.Load(); n != c.bad {
				t.Errorf("%d refused log-ins, want %d", n, c.bad)
			}
		})
	}
}
