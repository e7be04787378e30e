package x501_test

import (
	"strings"
	"testing"
	"unicode"

	"ciscora/internal/x501"
)

func TestWhatIsNotSeenInANameIsFound(t *testing.T) {
	for _, unseen := range []rune{
		0, '\n', 0x7f, 0x85, 0x00ad, 0x061c, 0x200b, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x2060, 0x2063, 0x2066, 0x2069, 0xfeff,
		0x034f, 0x115f, 0x3164, 0xffa0, 0xfff9, 0xe0001, 0xe0041,
		0x200c, 0x200d, // between Latin letters they are not seen
	} {
		if r, ok := x501.Unseen("phone" + string(unseen) + "s"); !ok || r != unseen {
			t.Errorf("%U is not found: %U %v", unseen, r, ok)
		}
	}
}

func TestNamesOfAllScriptsAreSeen(t *testing.T) {
	for _, name := range []string{
		"SEP001122334455", "", "Straße 5, Übergröße", "مقسم الهاتف", "هاتف ١٢٣ (الطابق ٢)", "\u0601\u0661\u0662", "שלום עולם",
		"می\u200cخواهم", "خانه\u200cها", "کتاب\u200cهای من", // Persian: the letters stand apart
		"क्\u200dष", "श्री", "क्\u200cष", "ക്\u200d", // Indic: after a virama
		"電話", "葛\U000e0100城", "전화", "тест", "e\u0301", "☎\ufe0f",
	} {
		if r, ok := x501.Unseen(name); ok {
			t.Errorf("%+q is said to have %U", name, r)
		}
	}
	for _, name := range []string{
		"می\u200c", "\u200cمی", "د\u200cر", // at an end, and behind a letter that joins to none after it
		"a\u200cی", "می\u200c\u200c خ", "क\u200dष",
	} {
		if _, ok := x501.Unseen(name); !ok {
			t.Errorf("%+q has a joiner that is not seen", name)
		}
	}
}

func FuzzUnseen(f *testing.F) {
	f.Add("می\u200cخواهم \u202e")
	f.Add("\u200d\xff\u200c")
	f.Fuzz(func(t *testing.T, s string) {
		r, found := x501.Unseen(s)
		switch {
		case found && !strings.ContainsRune(s, r):
			t.Errorf("%q has no %U", s, r)
		case !found && strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }):
			t.Errorf("%q has something unseen", s)
		}
	})
}
