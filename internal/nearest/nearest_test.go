package nearest_test

import (
	"strings"
	"testing"

	"ciscora/internal/nearest"
)

func TestTheNearestNameIsFoundWhereOneIsNear(t *testing.T) {
	names := []string{"submit", "fetch", "login", "template", "chain", "rv"}
	for _, test := range []struct{ name, written, want string }{
		{"a letter too many", "submitt", "submit"},
		{"two letters swapped", "lgoin", "login"},
		{"a letter missing", "tmplate", "template"},
		{"a beginning", "templ", "template"},
		{"nothing near", "kerberos", ""},
		{"two letters of two, swapped", "vr", "rv"},
		{"a short word, all of which is wrong", "xy", ""},
		{"nothing", "", ""},
		{"much too long", strings.Repeat("submit", 1000), ""},
	} {
		if got := nearest.Name(test.written, names); got != test.want {
			t.Errorf("%s: %q for %.20q, want %q", test.name, got, test.written, test.want)
		}
	}
}
