package printable_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"ciscora/internal/printable"
)

func FuzzJSON(f *testing.F) {
	f.Add("a\u009b31m\u202e\x7f\x1bé\U000e0001\u2028")
	f.Add("\xff")
	f.Fuzz(func(t *testing.T, foreign string) {
		var out strings.Builder
		if err := json.NewEncoder(printable.JSON(&out)).Encode(foreign); err != nil {
			t.Fatal(err)
		}
		line := strings.TrimSuffix(out.String(), "\n")
		if strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }) {
			t.Errorf("%q steers a terminal", line)
		}
		var got string
		if err := json.Unmarshal([]byte(line), &got); err != nil || got != strings.ToValidUTF8(foreign, "\ufffd") && got != string([]rune(foreign)) {
			t.Errorf("%q became %q: %v", foreign, got, err)
		}
	})
}
