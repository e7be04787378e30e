package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestHowMuchWasReadIsShownNowAndThenAndGoneBeforeTheReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		show, gone := explainProgress(&out)
		for _, read := range []int64{4 << 20, 8 << 20} {
			show(read)
			show(read + 1<<20)
			time.Sleep(time.Second)
		}
		gone()
		if got, want := out.String(), "\r4 MB read\r8 MB read\r\x1b[K"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		out.Reset()
		_, gone = explainProgress(&out)
		gone()
		if out.Len() > 0 {
			t.Errorf("%q, and nothing was shown", out.String())
		}
	})
}
