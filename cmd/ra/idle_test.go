package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAWaitIsCountedDownAndGoneBeforeTheNextText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		i := newIdle(&out, true, countdown("waiting"))
		time.Sleep(1200 * time.Millisecond)
		synctest.Wait()
		i.touch()
		if out.Len() != 0 {
			t.Errorf("drawn after a moment: %q", out.String())
		}
		time.Sleep(4100 * time.Millisecond)
		synctest.Wait()
		i.touch()
		if got := out.String(); !strings.Contains(got, "waiting: 7 s of 10 left") || !strings.HasSuffix(got, "\r\x1b[K") {
			t.Errorf("%q", got)
		}
		out.Reset()
		time.Sleep(12 * time.Second)
		synctest.Wait()
		i.end()
		if got := out.String(); !strings.Contains(got, "waiting: for 11 s") || !strings.HasSuffix(got, "\r\x1b[K") {
			t.Errorf("%q", got)
		}
	})
}

func TestNobodyWatchingSeesNoCountdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		i := newIdle(&out, false, countdown("waiting"))
		time.Sleep(time.Minute)
		i.end()
		if out.Len() != 0 {
			t.Errorf("%q", out.String())
		}
	})
}
