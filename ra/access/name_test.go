package access_test

import (
	"strings"
	"testing"

	"ciscora/ra/access"
)

func TestNamesOfOneAccountAreCountedAsOne(t *testing.T) {
	for _, c := range []struct{ user, want string }{
		{"ciscora", "ciscora"},
		{`LAB\ciscora`, "ciscora"},
		{`\ciscora`, "ciscora"},
		{`.\ciscora`, "ciscora"},
		{"ciscora@lab.test", "ciscora"},
		{"CISCORA@LAB", "ciscora"},
		{`lab\CiscoRA@lab.test`, "ciscora"},
		{"LAB/ciscora", "ciscora"},
		{" ciscora ", "ciscora"},
		{"cis\u00adcora\x00", "ciscora"},
		{"ｃｉｓｃｏｒａ", "ciscora"},
		{"císcora", "ciscora"},
		{"ciscora\xff", "ciscora"},
		{"Müller", "muller"},
		{"MU\u0308LLER", "muller"},
		{"Straße", "strasse"},
		{"first.last@corp.example", "first.last"},
		{"@corp", ""},
		{"", ""},
		{`\`, ""},
	} {
		if got := access.AccountName(c.user); got != c.want {
			t.Errorf("%q: %q, want %q", c.user, got, c.want)
		}
	}
}

func FuzzAccountName(f *testing.F) {
	f.Add(`LAB\ciscora`)
	f.Add("ciscora@lab.test")
	f.Fuzz(func(t *testing.T, user string) {
		name := access.AccountName(user)
		if again := access.AccountName(name); again != name && !strings.ContainsAny(name, `\/@`) {
			t.Errorf("%q is %q, and that is %q", user, name, again)
		}
		if !strings.Contains(user, "@") && len(user) < 1000 { // longer ones are cut
			for _, other := range []string{`X\` + user, user + "@x", " " + user} {
				if got := access.AccountName(other); got != name {
					t.Errorf("%q: %q, want %q as for %q", other, got, name, user)
				}
			}
		}
	})
}
