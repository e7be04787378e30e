package certsrv_test

import (
	"encoding/base64"
	"net/http"
	"sync/atomic"
	"testing"

	"ciscora/msca/certsrv"
	"ciscora/msca/ntlm"
)

func TestAHangUpEndsTheConnectionsThatClientsKeep(t *testing.T) {
	srv := start(t)
	idle := loggedIn(t, srv)
	srv.Server.HangUp()
	if got := idle.get("/").status; got != 401 {
		t.Errorf("who was logged in: %d, want 401 on a new connection", got)
	}
	if got := idle.logIn(srv.User, srv.Password, nil).status; got != 301 {
		t.Errorf("the next log-in: %d, want 301", got)
	}
	if got := idle.get("/").status; got != 200 {
		t.Errorf("a page after it: %d, want 200", got)
	}
}

func TestAHangUpLetsWhatIsUnderWayFinish(t *testing.T) {
	reached, goOn := make(chan struct{}), make(chan struct{})
	var slow atomic.Bool
	srv := start(t, func(o *certsrv.Options) {
		o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if slow.Swap(false) {
					reached <- struct{}{}
					<-goOn
				}
				next.ServeHTTP(w, r)
			})
		})
	})
	b := loggedIn(t, srv)
	slow.Store(true)
	answers := make(chan int, 1)
	go func() { answers <- b.get("/").status }()
	soon(t, reached)
	srv.Server.HangUp()
	close(goOn)
	if got := soon(t, answers); got != 200 {
		t.Errorf("what was under way: %d, want 200", got)
	}
	if got := b.get("/").status; got != 401 {
		t.Errorf("what came after it: %d, want 401 on a new connection", got)
	}
}

// A log-in that is between its legs goes on: it meets whatever the next leg meets.
func TestAHangUpDoesNotCutALogIn(t *testing.T) {
	srv := start(t)
	b := newBrowser(t, srv)
	first := b.do(http.MethodGet, "", "", "Authorization", "NTLM "+base64.StdEncoding.EncodeToString(ntlm.NegotiateMessage()))
	challenge, err := base64.StdEncoding.DecodeString(first.header.Get("WWW-Authenticate")[len("NTLM "):])
	if err != nil {
		t.Fatal(err)
	}
	srv.Server.HangUp()
	answer, err := ntlm.AuthenticateMessage(challenge, srv.User, srv.Password, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.do(http.MethodGet, "", "", "Authorization", "NTLM "+base64.StdEncoding.EncodeToString(answer)).status; got != 301 {
		t.Errorf("the second leg: %d, want 301", got)
	}
	if got := b.get("/").status; got != 401 {
		t.Errorf("a page after it: %d, want 401 on a new connection", got)
	}
}
