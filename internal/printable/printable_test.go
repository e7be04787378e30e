package printable_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"ciscora/internal/printable"
)

func TestForeignTextBecomesOnePrintableLine(t *testing.T) {
	for name, test := range map[string]struct {
		in    string
		limit int
		want  string
	}{
		"lines are joined":                       {"a\r\n\tb", 0, "a b"},
		"blanks at the ends go":                  {"  a ", 0, "a"},
		"control and escape sequences":           {"a\x1b[31mb\x00c", 0, "a [31mb c"},
		"C1 controls and line separators":        {"a\u0085b\u2028c\u2029d", 0, "a b c d"},
		"marks that turn the direction":          {"a\u202eb\u200bc", 0, "a b c"},
		"what is not UTF-8":                      {"a\xffb", 0, "a?b"},
		"as long as allowed":                     {"abcd", 4, "abcd"},
		"longer than allowed":                    {"abcde", 4, "abcd..."},
		"cut at a rune's border":                 {"aé€x", 4, "aé..."},
		"much longer than allowed, nearly empty": {strings.Repeat(" ", 100) + "x", 4, "..."},
	} {
		if got := printable.Line(test.in, test.limit); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestACutTextEndsAtARunesBorder(t *testing.T) {
	const whole = "aé€x"
	for n := range 8 {
		if got := printable.Cut(whole, n); !utf8.ValidString(got) || len(got) > n || got != whole[:len(got)] {
			t.Errorf("%d bytes: %q", n, got)
		}
	}
	if got := printable.Shorten("aé€x", 2); got != "a..." {
		t.Errorf("%q", got)
	}
}

func FuzzLine(f *testing.F) {
	f.Add("denied\r\n\tby policy\x00\xff", 100)
	f.Add(strings.Repeat("ä", 2000), 1024)
	f.Fuzz(func(t *testing.T, foreign string, limit int) {
		got := printable.Line(foreign, limit)
		if strings.ContainsFunc(got, unicode.IsControl) || !utf8.ValidString(got) || limit > 0 && len(got) > limit+len("...") || got != strings.TrimSpace(got) {
			t.Errorf("%d: %q", limit, got)
		}
	})
}
