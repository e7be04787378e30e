package certsrv_test

import (
	"sync/atomic"
	"testing"
	"time"

	"ciscora/msca/certsrv"
)

// docs/reference/certsrv.md 1.1: a locked account looks like a wrong password.
func TestWrongPasswordsLockAnAccountUntilItsTimeIsUp(t *testing.T) {
	var moved atomic.Int64
	log := &accessLog{}
	srv := start(t, log.option, func(o *certsrv.Options) {
		o.Lockout = certsrv.Lockout{Threshold: 3, Duration: 10 * time.Minute}
		o.Now = func() time.Time { return time.Now().Add(time.Duration(moved.Load())) }
	})
	try := func(user, password string, want int) {
		t.Helper()
		if got := newBrowser(t, srv).logIn(user, password, nil).status; got != want {
			t.Fatalf("%s: status %d, want %d", user, got, want)
		}
		if e := log.last(t); want == 401 && (e.SubStatus != 1 || e.Win32 != 2148074252) {
			t.Fatalf("logged sub %d win32 %d, want 1 2148074252", e.SubStatus, e.Win32)
		}
	}
	wait := func(d time.Duration) { moved.Add(int64(d)) }

	try(srv.User, "wrong", 401)
	try("CISCORA@lab.test", "wrong too", 401)
	try(srv.User, srv.Password, 301) // and all is forgotten
	try(srv.User, "wrong", 401)
	try(srv.User, "wrong", 401)
	wait(11 * time.Minute) // they do not count any more
	try("ciscora", "wrong", 401)
	try(`lab\Ciscora`, "wrong", 401)
	try("ciscora@LAB", "wrong", 401)
	try(srv.User, srv.Password, 401)
	wait(9 * time.Minute)
	try(srv.User, srv.Password, 401)
	wait(time.Minute)
	try(srv.User, srv.Password, 301)
}

func TestNoAccountIsLockedWithoutAThreshold(t *testing.T) {
	srv := start(t)
	for range 20 {
		if got := newBrowser(t, srv).logIn(srv.User, "wrong", nil).status; got != 401 {
			t.Fatal(got)
		}
	}
	if got := newBrowser(t, srv).logIn(srv.User, srv.Password, nil).status; got != 301 {
		t.Errorf("after twenty wrong passwords: %d, want 301", got)
	}
}
