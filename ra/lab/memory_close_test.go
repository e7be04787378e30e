package lab_test

import (
	"errors"
	"syscall"
	"testing"
	"testing/synctest"

	"ciscora/ra/lab"
)

// Who dials waits until the listener accepts; where it is closed before, that is a
// refusal, not a wait for ever.
func TestADialInMemoryEndsWhenTheListenerIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network lab.Memory
		l, err := network.Listen(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() {
			_, err := network.DialContext(t.Context(), "tcp", l.Addr().String())
			ended <- err
		}()
		synctest.Wait() // it waits to be accepted
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("the dial ended with %v", err)
		}
	})
}
