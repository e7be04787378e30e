package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// screen is a terminal that two write to.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// taken returns what was written since it was called last.
func (s *screen) taken() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.text.Reset()
	return s.text.String()
}

func TestAWaitIsCountedDownAndGoneBeforeTheNextText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out screen
		i := newIdle(&out, true, countdown("waiting"))
		time.Sleep(1200 * time.Millisecond)
		synctest.Wait()
		i.touch()
		if got := out.taken(); got != "" {
			t.Errorf("drawn after a moment: %q", got)
		}
		time.Sleep(4100 * time.Millisecond)
		synctest.Wait()
		i.touch()
		if got := out.taken(); !strings.Contains(got, "waiting: 7 s of 10 left") || !strings.HasSuffix(got, "\r\x1b[K") {
			t.Errorf("%q", got)
		}
		time.Sleep(12 * time.Second)
		synctest.Wait()
		i.end()
		if got := out.taken(); !strings.Contains(got, "waiting: for 11 s") || !strings.HasSuffix(got, "\r\x1b[K") {
			t.Errorf("%q", got)
		}
	})
}

func TestNobodyWatchingSeesNoCountdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out screen
		i := newIdle(&out, false, countdown("waiting"))
		time.Sleep(time.Minute)
		i.end()
		if got := out.taken(); got != "" {
			t.Errorf("%q", got)
		}
	})
}
