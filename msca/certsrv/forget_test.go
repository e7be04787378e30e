package certsrv_test

import (
	"path/filepath"
	"strings"
	"testing"
)

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
