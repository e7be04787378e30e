package text_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"ciscora/internal/text"
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
		if got := text.OneLine(test.in, test.limit); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestACutTextEndsAtARunesBorder(t *testing.T) {
	for n := range 8 {
		if got := text.Cut("aé€x", n); !utf8.ValidString(got) || len(got) > n || !strings.HasPrefix("aé€x", got) {
			t.Errorf("%d bytes: %q", n, got)
		}
	}
	if got := text.Shorten("aé€x", 2); got != "a..." {
		t.Errorf("%q", got)
	}
}
