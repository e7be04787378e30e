package x501_test

import (
	"encoding/asn1"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"

	"ciscora/internal/x501"
)

// pair is one attribute; rdns says which stand together.
type pair struct {
	oid  asn1.ObjectIdentifier
	kind x501.StringType
	text string
}

func name(rdns ...[]pair) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, rdn := range rdns {
			b.AddASN1(cryptobyte_asn1.SET, func(b *cryptobyte.Builder) {
				for _, p := range rdn {
					b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier(p.oid)
						b.AddASN1(cryptobyte_asn1.Tag(p.kind), func(b *cryptobyte.Builder) { b.AddBytes([]byte(p.text)) })
					})
				}
			})
		}
	})
	return b.BytesOrPanic()
}

var (
	oidCN = x501.CommonName
	oidO  = asn1.ObjectIdentifier{2, 5, 4, 10}
)

func one(kind x501.StringType, text string) []byte { return name([]pair{{oidCN, kind, text}}) }

func TestEveryStringTypeIsReadOrNamed(t *testing.T) {
	for _, test := range []struct {
		kind x501.StringType
		in   string
		want string // the text; "!" and then a part of the error
	}{
		{x501.UTF8String, "Müller€", "Müller€"},
		{x501.UTF8String, "M\xfcller", "!is a UTF8String that is not UTF-8"},
		{x501.PrintableString, "a*b@c", "a*b@c"}, // not printable by X.680, and common
		{x501.PrintableString, "M\xfc", "!has a byte 0xfc, which a PrintableString has not"},
		{x501.IA5String, "a@b", "a@b"},
		{x501.IA5String, "\x80", "!has a byte 0x80, which a IA5String has not"},
		{x501.VisibleString, "Administrator", "Administrator"},
		{x501.NumericString, "12 3", "12 3"},
		{x501.NumericString, "12a", "!has a byte 0x61, which a NumericString has not"},
		{x501.T61String, "M\xfcller", "Müller"},
		{x501.BMPString, "\x00a\x20\xac", "a€"},
		{x501.BMPString, "\xd8\x3d\xde\x00", "😀"},
		{x501.BMPString, "\xd8\x3d\x00a", "!half a surrogate pair"},
		{x501.BMPString, "\xde\x00", "!half a surrogate pair"},
		{x501.BMPString, "a", "!half a character"},
		{x501.UniversalString, "\x00\x00\x00a\x00\x01\xf6\x00", "a😀"},
		{x501.UniversalString, "\x00\x11\x00\x00", "!the code point 0x110000"},
		{x501.UniversalString, "\x80\x00\x00a", "!the code point 0x80000061"},
		{x501.UniversalString, "\x00\x00\xd8\x00", "!the code point 0xd800"},
		{x501.UniversalString, "abc", "!a part of a character"},
		{x501.StringType(cryptobyte_asn1.OCTET_STRING), "x", "!is no string: its value has the tag 4"},
		{x501.StringType(cryptobyte_asn1.SEQUENCE), "", "!is no string"},
	} {
		n, err := x501.Parse(one(test.kind, test.in))
		says, bad := strings.CutPrefix(test.want, "!")
		switch {
		case bad && (err == nil || !strings.Contains(err.Error(), "its attribute CN ") || !strings.Contains(err.Error(), says)):
			t.Errorf("%s %q: %v %v, want %s", test.kind, test.in, n, err, says)
		case !bad && (err != nil || n[0][0].Text != test.want || n[0][0].Kind != test.kind):
			t.Errorf("%s %q: %v %v, want %q", test.kind, test.in, n, err, test.want)
		}
	}
}

func TestWhatIsNoNameIsRefused(t *testing.T) {
	good := one(x501.UTF8String, "x")
	for what, der := range map[string][]byte{
		"nothing":           nil,
		"a name and more":   append(append([]byte{}, good...), 0),
		"cut off":           good[:len(good)-1],
		"an empty SET":      {0x30, 2, 0x31, 0},
		"a SEQUENCE inside": {0x30, 2, 0x30, 0},
		"no type":           {0x30, 4, 0x31, 2, 0x30, 0},
	} {
		if n, err := x501.Parse(der); err == nil {
			t.Errorf("%s is %v", what, n)
		}
		if text := x501.Text(der); !strings.Contains(text, "cannot be read") {
			t.Errorf("%s is %q", what, text)
		}
	}
	if n, err := x501.Parse([]byte{0x30, 0}); err != nil || n.String() != "" {
		t.Errorf("no attribute at all: %v %v", n, err)
	}
}

func TestTwoNamesAreEqualWhateverTheirStringTypes(t *testing.T) {
	parse := func(der []byte) x501.Name {
		t.Helper()
		n, err := x501.Parse(der)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, test := range []struct {
		what string
		a, b []byte
		want bool
	}{
		{"another string type", one(x501.PrintableString, "a"), one(x501.VisibleString, "a"), true},
		{"another text, of a type that encoding/asn1 drops", one(x501.VisibleString, "a"), one(x501.VisibleString, "b"), false},
		{"another case", one(x501.UTF8String, "a"), one(x501.UTF8String, "A"), false},
		{"another order of one RDN", name([]pair{{oidCN, x501.UTF8String, "a"}, {oidO, x501.UTF8String, "b"}}), name([]pair{{oidO, x501.UTF8String, "b"}, {oidCN, x501.UTF8String, "a"}}), true},
		{"another order of RDNs", name([]pair{{oidCN, x501.UTF8String, "a"}}, []pair{{oidO, x501.UTF8String, "b"}}), name([]pair{{oidO, x501.UTF8String, "b"}}, []pair{{oidCN, x501.UTF8String, "a"}}), false},
		{"one RDN or two", name([]pair{{oidCN, x501.UTF8String, "a"}, {oidO, x501.UTF8String, "b"}}), name([]pair{{oidCN, x501.UTF8String, "a"}}, []pair{{oidO, x501.UTF8String, "b"}}), false},
		{"one more", one(x501.UTF8String, "a"), name([]pair{{oidCN, x501.UTF8String, "a"}}, []pair{{oidCN, x501.UTF8String, "a"}}), false},
	} {
		if got := parse(test.a).Equal(parse(test.b)); got != test.want {
			t.Errorf("%s: %v", test.what, got)
		}
	}
}

func TestValuesAreEscapedByRFC4514(t *testing.T) {
	for value, want := range map[string]string{
		`a,b+c"d\e<f>g;h`: `a\2Cb\2Bc\"d\5Ce\<f\>g\;h`, "#a": `\#a`, " a ": `\ a\ `, " ": `\ `, "a#b c": "a#b c", "a\x00b": `a\00b`, "": "", "é": "é",
	} {
		if got := x501.Escape(value); got != want {
			t.Errorf("%q is %s, want %s", value, got, want)
		}
	}
}

// FuzzParse: whatever is read has a string in UTF-8, is equal to itself, and two names
// with the same string have the same attributes of the types that it spells out.
func FuzzParse(f *testing.F) {
	for _, kind := range []x501.StringType{x501.UTF8String, x501.T61String, x501.BMPString, x501.UniversalString, x501.VisibleString} {
		f.Add(one(kind, "abcd"))
	}
	f.Add(name([]pair{{oidCN, x501.UTF8String, "a,O=b"}}))
	f.Add(name([]pair{{oidCN, x501.UTF8String, "a"}, {oidO, x501.T61String, "\xfc"}}, []pair{{asn1.ObjectIdentifier{1, 2, 3}, x501.IA5String, "x"}}))
	f.Fuzz(func(t *testing.T, der []byte) {
		n, err := x501.Parse(der)
		if err != nil {
			return
		}
		again, err := x501.Parse(der)
		if err != nil || !n.Equal(again) || !utf8.ValidString(n.String()) || strings.ContainsRune(n.String(), 0) {
			t.Errorf("%x is %q", der, n)
		}
		want := 0
		for _, rdn := range n {
			want += len(rdn)
		}
		if want == 0 {
			return
		}
		separators := 0
		escaped := false
		for _, r := range n.String() {
			if !escaped && (r == ',' || r == '+') {
				separators++
			}
			escaped = !escaped && r == '\\'
		}
		if separators != want-1 {
			t.Errorf("%x has %d attributes, its string shows %d: %s", der, want, separators+1, n)
		}
	})
}
