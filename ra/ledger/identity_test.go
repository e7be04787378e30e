package ledger_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"ciscora/ra/ledger"
)

func TestAnIdentityIsTextWhateverBytesAClientSent(t *testing.T) {
	for _, test := range []struct{ account, want string }{
		{`LAB\Alice`, `relay:lab\alice`},
		{"LAB\\M\xdcLLER", "relay:lab\\müller"}, // ISO 8859-1
		{"LAB\\MÜLLER", "relay:lab\\müller"},
		{"a\x00b", `relay:a\00b`},
	} {
		if got := ledger.Identity("relay", test.account); got != test.want {
			t.Errorf("%q is %q, want %q", test.account, got, test.want)
		}
	}
	// Names that differ in what is no UTF-8, or far behind, are two.
	long := strings.Repeat("ü", 5000)
	for _, pair := range [][2]string{{"b\xe9", "b\xe8"}, {long + "a", long + "b"}} {
		a, b := ledger.Identity("relay", pair[0]), ledger.Identity("relay", pair[1])
		if a == b || len(a) > 512 || !utf8.ValidString(a) || !utf8.ValidString(b) {
			t.Errorf("%q and %q", a, b)
		}
	}
}

// A row is found again by what it says: its key is that of its text.
func TestARowsKeyIsThatOfItsText(t *testing.T) {
	overEachStore(t, func(t *testing.T, d *database) {
		l := d.open("a")
		for _, identity := range []string{"relay:lab\\m\xfcller", "relay:a\x00b", "relay:" + strings.Repeat("x", 5000), ledger.Identity("certificate", "CN=M\xfcller")} {
			r := request("phone", "x")
			r.Identity = identity
			made := claim(t, l, r)
			row, err := l.Get(t.Context(), made.Row.ID)
			must(t, err)
			if row.Request.Key() != row.Key() {
				t.Errorf("%.40q: the row says %.40q, which has another key", identity, row.Identity)
			}
			if again := claim(t, l, row.Request); again.Row.ID != row.ID {
				t.Errorf("%.40q: what the row says is another request", identity)
			}
			found, err := l.List(t.Context(), ledger.Filter{Identity: row.Identity})
			must(t, err)
			if len(found) != 1 {
				t.Errorf("%.40q: %d rows of this identity", identity, len(found))
			}
		}
	})
}
