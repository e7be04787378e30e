package lab_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
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

// The same at a real Apache with mod_auth_gssapi, which says itself how far it let
// a connection go: a log-in takes two requests, and at 1 the second is the last.
func TestAnApacheThatClosesItsConnectionsAfterAFewRequestsEnrollsAll(t *testing.T) {
	needApache(t)
	const phones = 20
	for _, profile := range []config.Profile{config.ProfileCUCM, config.ProfileModern} {
		for n := 1; n <= 3; n++ {
			t.Run(fmt.Sprintf("%s at %d", profile, n), func(t *testing.T) {
				t.Parallel()
				l, a := startBehindApache(t, profile, n)
				enrolled := 0
				for i := range phones {
					if got := enrollAs(t, l, fmt.Sprintf("SEP%012d", i), "", 20*time.Second); got.RV != capf.StatusNone {
						t.Errorf("phone %d of %d: %v (%v)", i+1, phones, got.RV, got.Err)
						continue
					}
					enrolled++
				}
				if err := l.Close(); err != nil {
					t.Error(err)
				}
				last, taken := 0, 0
				for _, r := range a.requests(t) {
					last = max(last, r.place)
					if r.status == "200" && strings.HasPrefix(r.line, "POST /certsrv/certfnsh.asp ") {
						taken++
					}
				}
				if last != n {
					t.Errorf("the last request of a connection came after %d others, want %d", last, n)
				}
				if taken != phones || l.Issued() != phones {
					t.Errorf("%d CSRs were handed in and %d certificates issued, want %d", taken, l.Issued(), phones)
				}
				t.Logf("%d of %d enrolled", enrolled, phones)
			})
		}
	}
}

// The fault keepalive=N closes a connection with the answer with which Apache does at
// MaxKeepAliveRequests N, and says so in the same way.
func TestTheEmulatorCountsTheRequestsOfAConnectionAsApacheDoes(t *testing.T) {
	needApache(t)
	for n := 1; n <= 3; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			l, a := startBehindApache(t, config.ProfileModern, n)
			atApache := connectionsLast(t, l, a.address)
			if _, err := l.Faults.Order(fmt.Sprintf("certsrv.any:keepalive=%d", n)); err != nil {
				t.Fatal(err)
			}
			atEmulator := connectionsLast(t, l, hostOf(t, l.CertsrvURL))
			if atApache != n+1 || atEmulator != atApache {
				t.Errorf("a connection takes %d requests at Apache and %d at the emulator, want %d", atApache, atEmulator, n+1)
			}
		})
	}
}

// connectionsLast is how many requests a server takes on one connection, the one that
// it answers with "Connection: close" included. None is logged in.
func connectionsLast(t *testing.T, l *lab.Lab, address string) int {
	t.Helper()
	conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: l.Roots}}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for n := 1; n <= 10; n++ {
		if _, err := fmt.Fprintf(conn, "GET /certsrv/ HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", n, err)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusUnauthorized {
			t.Fatalf("answer %d: %s, %v, want a 401", n, resp.Status, err)
		}
		if resp.Close {
			if _, err := answers.ReadByte(); !errors.Is(err, io.EOF) {
				t.Errorf("after the last answer: %v, want the end of the connection", err)
			}
			return n
		}
	}
	t.Fatal("the connection takes ten requests and more")
	return 0
}

// The chain is read on such connections, too.
func TestAnRAStartsInFrontOfACAThatClosesItsConnectionsAfterAFewRequests(t *testing.T) {
	for _, profile := range []config.Profile{config.ProfileCUCM, config.ProfileModern} {
		for n := 1; n <= 3; n++ {
			t.Run(fmt.Sprintf("%s at %d", profile, n), func(t *testing.T) {
				t.Parallel()
				l, err := lab.Start(t.Context(), lab.Options{
					NewKey: sharedKeys(t),
					Dir:    t.TempDir(), EST: "127.0.0.1:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0",
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
