package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestHowMuchIsReadIsGoneBeforeTheReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newReadProgress(&out)
		p.show(1000)
		p.end()
		if out.Len() > 0 {
			t.Errorf("of a small file: %q", out.String())
		}
		p = newReadProgress(&out)
		time.Sleep(time.Second)
		p.show(5 << 20)
		p.show(6 << 20)
		if out.String() != "\r5 MB read" {
			t.Errorf("%q", out.String())
		}
		p.end()
		if !strings.HasSuffix(out.String(), "\r\x1b[K") {
			t.Errorf("%q stands before the report", out.String())
		}
	})
}
