package lab_test

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"ciscora/ra/lab"
)

// accepting takes what comes until the listener is closed.
func accepting(t *testing.T, l net.Listener) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := l.Accept(); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
}

func TestANetworkInMemoryGivesNoAddressTwiceHoweverManyConnectionsThereWere(t *testing.T) {
	var network lab.Memory
	l, err := network.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepting(t, l)
	dial := func() (net.Conn, error) { return network.DialContext(t.Context(), "tcp", l.Addr().String()) }
	kept, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	for n := range 70000 {
		c, err := dial()
		if err != nil {
			t.Fatalf("connection %d: %v", n, err)
		}
		if at := c.LocalAddr().String(); at == kept.LocalAddr().String() || at == l.Addr().String() {
			t.Fatalf("connection %d has %s, which is another's", n, at)
		}
		c.Close()
	}
}

func TestANetworkInMemoryHasNoMoreConnectionsThanPorts(t *testing.T) {
	var network lab.Memory
	l, err := network.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepting(t, l)
	seen := map[string]bool{}
	for {
		c, err := network.DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			if !errors.Is(err, syscall.EADDRNOTAVAIL) {
				t.Error(err)
			}
			break
		}
		defer c.Close()
		if seen[c.LocalAddr().String()] {
			t.Fatalf("after %d: %s twice", len(seen), c.LocalAddr())
		}
		seen[c.LocalAddr().String()] = true
	}
	if len(seen) < 30000 {
		t.Errorf("%d connections", len(seen))
	}
}
