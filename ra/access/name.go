package access

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/collate"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"

	"ciscora/ra/ledger"
)

// accountName is what guesses at an account are listed by: its name alone, without
// case, accents and width. The domain before or behind it does not count, since LAB\x,
// x, \x, .\x and x@ any suffix of the forest may all be one account, and only the CA
// knows; so where two domains have a name in common they are guessed at together.
func accountName(user string) string {
	name := folded(user) // first: a full-width @ is one, too
	if i := strings.LastIndexAny(name, `\/`); i >= 0 {
		name = name[i+1:]
	}
	name, _, _ = strings.Cut(name, "@")
	return strings.Trim(name, " .")
}

// accountAt is the counter of an account: that of the letters of its name alone, as a
// telephone directory puts them, since Active Directory finds names so. To it ø is o, æ
// is ae, and hiragana is katakana.
func accountAt(user string) ledger.GuessAt {
	name := accountName(user)
	var buffer collate.Buffer
	// One that is shared would not be safe.
	key := collate.New(language.Und, collate.Loose).KeyFromString(&buffer, strings.Map(unstroked, name))
	return ledger.GuessAt{Kind: ledger.GuessAccount, Name: name, Key: string(key)}
}

// unstroked are letters that the directory of telephones, but maybe not Windows's, takes
// for letters of their own.
func unstroked(r rune) rune {
	const with, without = "ıɨⱥƀȼɇǥɉꝁɍⱦʉɏƶ", "iiabcegjkrtuyz"
	if i := strings.IndexRune(with, r); i >= 0 {
		return rune(without[utf8.RuneCountInString(with[:i])])
	}
	return r
}

// maxName bounds the work that a name makes, and longestName is what a client's may have
// at most, in bytes: none of Windows's is as long.
const (
	maxName     = 1024
	longestName = 512
)

// folded is a name without what Windows does not tell apart.
func folded(s string) string {
	s = s[:min(len(s), maxName)]
	s = norm.NFKD.String(cases.Fold().String(norm.NFKD.String(strings.ToValidUTF8(s, ""))))
	s = strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Cc) {
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// splitAccount is a name's domain, "" where it names none or this computer's, and the
// rest of it.
func splitAccount(user string) (domain, name string) {
	if domain, name, ok := strings.Cut(user, `\`); ok {
		return strings.TrimPrefix(domain, "."), name
	}
	if i := strings.LastIndexByte(user, '@'); i > 0 {
		return user[i+1:], user[:i]
	}
	return "", user
}

// written is a name as it is remembered with a password: in the home domain, which is
// that of the RA's own account, it is the same with the domain and without. Of others
// the domain counts, since another's account may have the same name, and another
// password.
func written(user, home string) string {
	domain, name := splitAccount(user)
	if domain = folded(domain); domain == folded(home) {
		domain = ""
	}
	return domain + `\` + folded(name)
}
