package owner_test

import (
	"context"
	"testing"

	"ciscora/internal/owner"
)

type key struct{}

func TestWhatIsDetachedEndsWithItsOwnerAndNotWithItsCaller(t *testing.T) {
	o := owner.New()
	caller, hangUp := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	detached, done := o.Detach(caller)
	defer done()
	hangUp()
	if detached.Err() != nil || detached.Value(key{}) != "value" {
		t.Errorf("after the caller's end: %v, value %v", detached.Err(), detached.Value(key{}))
	}
	ended := false
	o.Go(func() { <-detached.Done(); ended = true })
	o.Close()
	if !ended || o.Context().Err() == nil {
		t.Error("Close did not wait for what it ended")
	}
}

func TestWhatIsDetachedEndsWhenItIsDone(t *testing.T) {
	o := owner.New()
	defer o.Close()
	detached, done := o.Detach(t.Context())
	done()
	if detached.Err() == nil {
		t.Error("still under way")
	}
}

func TestWhatBeginsWhileItClosesIsWaitedForOrDoneAtOnce(*testing.T) {
	for range 200 {
		o := owner.New()
		begun, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			close(begun)
			done := make(chan struct{})
			o.Go(func() { <-o.Context().Done(); close(done) })
			<-done
		}()
		<-begun
		o.Close()
		<-ended
	}
}
