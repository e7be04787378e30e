package certsrv_test

import (
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ciscora/msca/certsrv"
)

func TestARequestThatIsBeingDecidedIsForgottenToo(t *testing.T) {
	var deciding atomic.Bool
	var srv *certsrv.TestServer
	forgotten := make(chan error, 1)
	srv, end := kept(t, "", func(o *certsrv.Options) {
		o.Now = func() time.Time {
			if deciding.CompareAndSwap(true, false) { // the certificate is being made
				go func() { forgotten <- srv.Server.Forget() }()
				for range 10_000 {
					runtime.Gosched()
				}
			}
			return time.Now()
		}
	})
	b := loggedIn(t, srv)
	b.submit(phoneCSR(t), asks("Supervised"))
	deciding.Store(true)
	if err := srv.Server.Approve(1); err != nil {
		t.Fatal(err)
	}
	if err := <-forgotten; err != nil {
		t.Fatal(err)
	}
	if left := srv.Server.Requests(); len(left) != 0 {
		t.Errorf("%+v", left)
	}
	b.transport.CloseIdleConnections()
	end()
}

func TestACAThatForgetsGivesNoNumberTwice(t *testing.T) {
	for name, dir := range map[string]string{"in memory": "", "in a folder": filepath.Join(t.TempDir(), "ca")} {
		t.Run(name, func(t *testing.T) {
			srv, end := kept(t, dir)
			b := loggedIn(t, srv)
			b.submit(phoneCSR(t), asks("CiscoRA"))
			b.submit(phoneCSR(t), asks("Supervised"))
			if err := srv.Server.Forget(); err != nil {
				t.Fatal(err)
			}
			if left := srv.Server.Requests(); len(left) != 0 {
				t.Errorf("%+v", left)
			}
			if _, ok := srv.Server.Request(1); ok {
				t.Error("request 1 is there")
			}
			if body := b.submit(phoneCSR(t), asks("CiscoRA")).body; !strings.Contains(body, "ReqID=3&amp;") {
				t.Errorf("the next is not 3:\n%s", body)
			}
			if left := srv.Server.Requests(); len(left) != 1 || left[0].ID != 3 {
				t.Errorf("%+v", left)
			}
			b.transport.CloseIdleConnections()
			end()
			if dir == "" {
				return
			}
			srv, end = kept(t, dir) // and so it lies on the disk
			if left := srv.Server.Requests(); len(left) != 1 || left[0].ID != 3 {
				t.Errorf("after a restart: %+v", left)
			}
			end()
		})
	}
}
