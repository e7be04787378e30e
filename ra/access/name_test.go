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

// The letters that Active Directory takes for one another when it looks for a name.
func TestNamesThatADirectoryTakesForOneAreCountedTogether(t *testing.T) {
	one := access.AccountAt("ciscora").By()
	for _, user := range []string{
		"ciscøra", "cìscorⱥ", "ȼiscora", "cıscora", "ciscora.", "ciscora \u0488", "c\u0488iscora", "ciscora＠lab.test", "LAB＼ciscora", "cïscōrą", "ⓒiscora", "ciscora\u0640",
	} {
		if got := access.AccountAt(user).By(); got != one {
			t.Errorf("%q (%q) is counted apart from ciscora", user, access.AccountName(user))
		}
	}
	for _, same := range [][2]string{{"ツ", "つ"}, {"ツ", "㋡"}, {"æther", "aether"}, {"œuvre", "oeuvre"}, {"łódź", "lodz"}, {"đuro", "duro"}, {"иванов", "ИВАНОВ"}} {
		if access.AccountAt(same[0]).By() != access.AccountAt(same[1]).By() {
			t.Errorf("%q is counted apart from %q", same[0], same[1])
		}
	}
	for _, other := range []string{"cisc-ora", "cisc_ora", "cisc.ora", "ciscora1", "ciscor", "ciscora$", "сіscora"} {
		if access.AccountAt(other).By() == one {
			t.Errorf("%q is counted with ciscora", other)
		}
	}
}

func FuzzAccountName(f *testing.F) {
	f.Add(`LAB\ciscora`)
	f.Add("ciscora@lab.test")
	f.Fuzz(func(t *testing.T, user string) {
		name := access.AccountName(user)
		if again := access.AccountName(name); again != name {
			t.Errorf("%q is %q, and that is %q", user, name, again)
		}
		if access.AccountAt(user).By() != access.AccountAt(name).By() {
			t.Errorf("%q is counted apart from %q, by which it is listed", user, name)
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
