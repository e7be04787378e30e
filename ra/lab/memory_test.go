package lab_test

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"

	"ciscora/ra/lab"
)

func TestALabInMemoryLivesInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		l := start(t, lab.Options{Network: &lab.Memory{}, Variant: lab.Variant{CAURL: "https://lab-dc.michamen.com:443/certsrv", CANames: []string{"lab-dc.michamen.com"}}})
		enrollPhone(t, l)
		if took := time.Since(began); took != 0 {
			t.Errorf("a lab without faults waited %s", took)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if got := readLog(t, l, "logs/nginx-error.log"); !strings.Contains(got, "https://lab-dc.michamen.com:443/certsrv/certfnsh.asp") {
			t.Errorf("the CA's name is not in the log:\n%s", got)
		}
	})
}

// TestAConnectionInMemoryIsAConnection asks Go's own suite for connections.
func TestAConnectionInMemoryIsAConnection(t *testing.T) {
	nettest.TestConn(t, func() (client, server net.Conn, stop func(), err error) {
		var network lab.Memory
		l, err := network.Listen(t.Context(), "127.0.0.1:0")
		if err != nil {
			return nil, nil, nil, err
		}
		accepted := make(chan net.Conn, 1)
		go func() {
			c, err := l.Accept()
			if err != nil {
				t.Error(err)
			}
			accepted <- c
		}()
		client, err = network.DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			return nil, nil, nil, err
		}
		server = <-accepted
		return client, server, func() { client.Close(); server.Close(); l.Close() }, nil
	})
}

func TestANetworkInMemoryKnowsWhoListens(t *testing.T) {
	var network lab.Memory
	l, err := network.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := network.Listen(t.Context(), l.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second listener: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := network.DialContext(t.Context(), "tcp", l.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody listens: %v", err)
	}
}
