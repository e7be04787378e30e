package tracelog_test

import (
	"strings"
	"testing"

	"ciscora/ra/tracelog"
)

// A line that names fields comes from a file that may be anything: it must not make the
// parser keep a megabyte of names.
func TestOfAFieldsLineSixtyFourAreKept(t *testing.T) {
	for named, read := range map[int]bool{63: true, 64: true, 65: false, 1000: false} {
		var p tracelog.W3CParser
		p.Parse("#Fields: date time cs-method" + strings.Repeat(" x-other", named-3))
		values := "2019-03-05 17:31:15 GET" + strings.Repeat(" -", named-3)
		if e, ok := p.Parse(values); ok != read || read && e.Method != "GET" {
			t.Errorf("%d fields: %+v, read %v, want %v", named, e, ok, read)
		}
		if first := strings.Join(strings.Fields(values)[:min(named, 64)], " "); named > 64 {
			if _, ok := p.Parse(first); !ok {
				t.Errorf("%d fields: the first 64 are not kept", named)
			}
		}
	}
}
