package access

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// accountName is what guesses at an account are counted by: its name alone, as Windows
// compares names, without case, accents and width. The domain before or behind it does
// not count, since LAB\x, x, \x, .\x and x@ any suffix of the forest may all be one
// account, and only the CA knows; so where two domains have a name in common they are
// guessed at together.
func accountName(user string) string {
	if i := strings.LastIndexAny(user, `\/`); i >= 0 {
		user = user[i+1:]
	}
	if name, _, ok := strings.Cut(user, "@"); ok && name != "" {
		user = name
	}
	return folded(user)
}

// folded is a name without what Windows does not tell apart.
func folded(s string) string {
	s = cases.Fold().String(norm.NFKD.String(strings.ToValidUTF8(s, "")))
	s = strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Mn, unicode.Cf, unicode.Cc) {
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
