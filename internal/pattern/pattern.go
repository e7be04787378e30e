// Package pattern is the language of a policy's patterns: regular expressions for a
// whole text, with words in braces, such as {cn}, that stand for what is known of who
// asks.
package pattern

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// The words, besides {1} to {99}: what the groups of another pattern have matched.
const (
	User = "user" // the account's name
	CN   = "cn"   // the common name of the client's certificate
	SAN  = "san"  // each subject alternative name of the client's certificate
)

var words = []string{User, CN, SAN}

// Pattern is a compiled pattern.
type Pattern struct {
	text  string
	parts []part
	fixed *regexp.Regexp // where there are no words
}

// part is a piece of a regular expression, or a word.
type part struct{ text, word string }

// Compile reads a pattern. {1} and so on are words up to the number of groups that there
// are; beyond that they are what they are in a regular expression, a count.
func Compile(text string, groups int) (*Pattern, error) {
	p := &Pattern{text: text}
	if err := p.split(groups); err != nil {
		return nil, err
	}
	whole, err := p.with(func(string) []string { return []string{"x"} })
	if err != nil {
		if _, bare := regexp.Compile(text); bare != nil { // which quotes what was written
			err = bare
		}
		return nil, err
	}
	if len(p.Words()) == 0 {
		p.fixed = whole
	}
	return p, nil
}

// String returns the pattern as it was written.
func (p *Pattern) String() string { return p.text }

// HasPlus tells whether the pattern speaks of a plus, as \+ or [+], or takes whatever
// there is.
func (p *Pattern) HasPlus() bool {
	return strings.Contains(p.text, `\+`) || strings.Contains(p.text, "[+]") || p.text == ".*"
}

// Words are those in the pattern, in order, each once.
func (p *Pattern) Words() (all []string) {
	for _, part := range p.parts {
		if part.word != "" && !slices.Contains(all, part.word) {
			all = append(all, part.word)
		}
	}
	return all
}

// For returns the regular expression for somebody of whom values are known, quoted where
// they stand; nil, which matches nothing, where a word has no value.
func (p *Pattern) For(values func(word string) []string) *regexp.Regexp {
	if p.fixed != nil {
		return p.fixed
	}
	for _, word := range p.Words() {
		if len(values(word)) == 0 {
			return nil
		}
	}
	re, err := p.with(values)
	if err != nil { // a value that is not UTF-8, or too long
		return nil
	}
	return re
}

func (p *Pattern) with(values func(word string) []string) (*regexp.Regexp, error) {
	var b strings.Builder
	for _, part := range p.parts {
		b.WriteString(part.text)
		if part.word == "" {
			continue
		}
		b.WriteString("(?-i:") // the value as it is, whatever flags the pattern sets
		for i, value := range values(part.word) {
			if i > 0 {
				b.WriteByte('|')
			}
			b.WriteString(regexp.QuoteMeta(value))
		}
		b.WriteByte(')')
	}
	return Whole(b.String())
}

// Whole compiles a regular expression that matches a whole text.
func Whole(text string) (*regexp.Regexp, error) {
	// By itself first: "a)|(b" would be whole in the group below.
	if _, err := syntax.Parse(text, syntax.Perl); err != nil {
		return nil, err
	}
	// In a group of its own, so that a | in it does not get around the anchors.
	return regexp.Compile(`\A(?:` + text + `)\z`)
}

// split finds the words. Braces that the regular expression itself has, in \p{Greek}, in
// a class or in a count, and those that are quoted, are left alone.
func (p *Pattern) split(groups int) error {
	rest, from := p.text, 0
	for i := 0; i < len(rest); {
		switch {
		case strings.HasPrefix(rest[i:], `\Q`):
			end := strings.Index(rest[i:], `\E`)
			if end < 0 {
				end = len(rest) - i
			}
			i += end
		case rest[i] == '\\':
			i += escapeLength(rest[i:])
		case rest[i] == '[':
			i += classLength(rest[i:])
		case rest[i] == '{':
			end := strings.IndexByte(rest[i:], '}')
			if end < 0 {
				i++
				continue
			}
			word := rest[i+1 : i+end]
			is, err := isWord(word, groups)
			if err != nil {
				return err
			}
			if is {
				p.parts = append(p.parts, part{rest[from:i], word})
				from = i + end + 1
			}
			i += end + 1
		default:
			i++
		}
	}
	p.parts = append(p.parts, part{text: rest[from:]})
	return nil
}

func isWord(word string, groups int) (bool, error) {
	if n, err := strconv.Atoi(word); err == nil {
		return word == strconv.Itoa(n) && n >= 1 && n <= min(groups, 99), nil
	}
	if slices.Contains(words, word) {
		return true, nil
	}
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") == "" && word != "" {
		return false, fmt.Errorf(`{%s} stands for nothing, want {user}, {cn} or {san}, or \{ for a brace`, word)
	}
	return false, nil
}

// escapeLength is how long the escape is with which s begins.
func escapeLength(s string) int {
	if len(s) > 2 && strings.IndexByte("pPx", s[1]) >= 0 && s[2] == '{' {
		if end := strings.IndexByte(s, '}'); end > 0 {
			return end + 1
		}
	}
	return min(2, len(s))
}

// classLength is how long the class is with which s begins: [a-z], []a], [[:alpha:]].
func classLength(s string) int {
	i := 1
	if strings.HasPrefix(s[i:], "^") {
		i++
	}
	if strings.HasPrefix(s[i:], "]") {
		i++
	}
	for i < len(s) {
		switch {
		case s[i] == '\\':
			i += escapeLength(s[i:])
		case strings.HasPrefix(s[i:], "[:") && strings.Contains(s[i:], ":]"):
			i += strings.Index(s[i:], ":]") + 2
		case s[i] == ']':
			return i + 1
		default:
			i++
		}
	}
	return i
}

// Begin returns the text with which all that the pattern matches begins, as far as that is
// plain; whole tells that it is the whole.
func (p *Pattern) Begin() (text string, whole bool) {
	re, err := regexp.Compile(p.parts[0].text)
	if err != nil { // a group that goes on behind a word
		return "", false
	}
	text, whole = re.LiteralPrefix()
	return text, whole && len(p.parts) == 1
}
