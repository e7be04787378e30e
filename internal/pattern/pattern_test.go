package pattern_test

import (
	"slices"
	"strings"
	"testing"

	"ciscora/internal/pattern"
)

func known(word string) []string {
	return map[string][]string{
		pattern.User: {"alice"}, pattern.CN: {"a.b(c"}, pattern.SAN: {"dns:a.test", "ip:192.0.2.1"}, "1": {"SEP001122334455"},
	}[word]
}

func TestAPatternMatchesAWholeText(t *testing.T) {
	for _, test := range []struct {
		text       string
		groups     int
		takes, not []string
	}{
		{"CN=SEP[0-9A-F]{12}", 0, []string{"CN=SEP001122334455"}, []string{"CN=SEP001122334455,O=x", "O=x,CN=SEP001122334455", "CN=SEP"}},
		{"CN=a|CN=b", 0, []string{"CN=a", "CN=b"}, []string{"CN=ab", "CN=aCN=b", "xCN=b"}},
		{"CN={user}", 0, []string{"CN=alice"}, []string{"CN=bob", "CN={user}", "CN=ALICE"}},
		{"(?i)CN={user}", 0, []string{"cn=alice"}, []string{"CN=ALICE"}},
		{"CN={cn}", 0, []string{"CN=a.b(c"}, []string{"CN=axb(c"}},
		{"{san}", 0, []string{"dns:a.test", "ip:192.0.2.1"}, []string{"dns:aXtest", "dns:a.test|ip:192.0.2.1", "dns:b.test"}},
		{"CN={1}", 1, []string{"CN=SEP001122334455"}, []string{"CN="}},
		{"CN={1}", 0, []string{"CN="}, []string{"CN=SEP001122334455"}},
		{"CN=[0-9]{2}{1}", 1, []string{"CN=12SEP001122334455"}, nil},
		{"CN={2}", 1, []string{"CN=="}, nil},
		{"CN={2}x", 2, nil, []string{"CN=x", "CN==x"}}, // the group has matched nothing
		{`CN=\{cn}`, 0, []string{"CN={cn}"}, []string{"CN=a.b(c"}},
		{`CN=\p{Lu}\x{41}[{cn}]\Q{cn}\E`, 0, []string{"CN=ÄAc{cn}"}, []string{"CN=ÄAa.b(c"}},
		{`CN=[]{cn}[:digit:]]+`, 0, []string{"CN=]cn{}"}, nil},
		{`CN=[[:digit:]]{cn}`, 0, []string{"CN=1a.b(c"}, nil},
		{"CN=(?:{user}|{cn})-x", 0, []string{"CN=alice-x", "CN=a.b(c-x"}, []string{"CN=alice"}},
		{"", 0, []string{""}, []string{"CN=a"}},
	} {
		p, err := pattern.Compile(test.text, test.groups)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		re := p.For(known)
		for _, text := range test.takes {
			if re == nil || !re.MatchString(text) {
				t.Errorf("%s does not take %q", test.text, text)
			}
		}
		for _, text := range test.not {
			if re != nil && re.MatchString(text) {
				t.Errorf("%s takes %q", test.text, text)
			}
		}
	}
}

func TestAWordWithoutAValueMatchesNothing(t *testing.T) {
	p, err := pattern.Compile("CN={user}|CN=.*", 0)
	if err != nil {
		t.Fatal(err)
	}
	if re := p.For(func(string) []string { return nil }); re != nil {
		t.Errorf("%s", re)
	}
	if re := p.For(func(string) []string { return []string{"\xff"} }); re != nil {
		t.Errorf("a value that is not UTF-8: %s", re)
	}
}

func TestABadPatternIsRefusedAsItWasWritten(t *testing.T) {
	for text, says := range map[string]string{
		"CN=(SEP":     "missing closing ): `CN=(SEP`",
		"a)|(b":       "unexpected ): `a)|(b`",
		"CN={user}(":  "missing closing )",
		"CN={host}":   `{host} stands for nothing, want {user}, {cn} or {san}`,
		"dns:[":       "missing closing ]",
		"CN={USER}":   "{USER} stands for nothing",
		"CN=a{1001}":  "invalid repeat count",
		`CN=\`:        "trailing backslash",
		"CN={1}":      "",
		"CN={cn":      "",
		"CN=x{2,3}{}": "",
	} {
		_, err := pattern.Compile(text, 0)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %s", text, err, says)
		}
	}
}

func TestThePlainBeginningOfAPattern(t *testing.T) {
	for text, want := range map[string]string{
		"SEP[0-9]{12}": "SEP", "CN={cn}": "CN=", "{san}": "", "a|b": "", "(?:CN={cn})": "", ".*": "", "CN=x": "CN=x",
	} {
		p, err := pattern.Compile(text, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got, whole := p.Begin(); got != want || whole != (text == "CN=x") {
			t.Errorf("%s begins with %q, %v, want %q", text, got, whole, want)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, text := range []string{"CN={cn}", `\p{Lu}[{]\Q{san}\E`, "[[:alpha:]]{1}", "{1}{2}", `\`, "["} {
		f.Add(text, 1)
	}
	f.Fuzz(func(t *testing.T, text string, groups int) {
		p, err := pattern.Compile(text, groups)
		if err != nil {
			return
		}
		if p.String() != text {
			t.Errorf("%q is %q", text, p)
		}
		// Whoever has other values is not taken for who has these.
		if len(p.Words()) > 0 && slices.Contains(p.Words(), pattern.User) && p.For(func(string) []string { return nil }) != nil {
			t.Errorf("%q matches without a user", text)
		}
	})
}
