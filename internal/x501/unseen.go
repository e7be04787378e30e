package x501

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Unseen returns the first character of a text that no name has: a control character, what
// divides lines, what turns the direction of writing, and what shows nothing. ok is false
// where the text has none. What keeps texts up to a NUL, as Windows does, reads another
// name than is written; who compares two that look alike with his eyes does so, too.
//
// Zero width joiner and non-joiner belong to the spelling of Persian, Urdu and the Indic
// languages. They are taken where they change what is seen, as in domain names (RFC 5892,
// Appendix A.1 and A.2); Arabic's direction needs no marks. The Arabic number signs are of
// Unicode's category Cf, and are seen.
func Unseen(s string) (r rune, ok bool) {
	for i, r := range s {
		switch {
		case unicode.Is(unicode.Join_Control, r):
			if !joins(s, i) {
				return r, true
			}
		case unicode.In(r, unicode.Prepended_Concatenation_Mark):
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Bidi_Control, unicode.Other_Default_Ignorable_Code_Point):
			return r, true
		}
	}
	return 0, false
}

// joins tells whether the joiner or non-joiner at i changes how the word around it is
// written.
func joins(s string, i int) bool {
	between := func(r rune) bool { return !unicode.In(r, unicode.L, unicode.M, unicode.Join_Control) }
	begin := strings.LastIndexFunc(s[:i], between)
	if begin >= 0 {
		_, size := utf8.DecodeRuneInString(s[begin:])
		begin += size
	} else {
		begin = 0
	}
	word := s[begin:]
	if end := strings.IndexFunc(word, between); end >= 0 {
		word = word[:end]
	}
	_, err := idna.New(idna.CheckJoiners(true)).ToUnicode(word)
	return err == nil
}
