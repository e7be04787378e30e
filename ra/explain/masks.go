package explain

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
)

// A mask is what is never shown, and what stands in its place. The lines come from
// strangers' systems and go into tickets.
type mask struct {
	what  string // it is told as; "" = perhaps nothing, and not told of
	words []string
	form  *regexp.Regexp
	with  string
}

// value is what stands behind a secret's name: in quotes, or up to the next blank.
const value = `(?:"[^"\r\n]+"|'[^'\r\n]+'|['"]?[^\s'",;&<]+)`

// masks are looked for one after the other. A line without any of a mask's words has
// nothing of its kind; they begin with two bytes that [small] leaves as they are.
var masks = []mask{
	{"an Authorization header", []string{"authorization"}, regexp.MustCompile(`(?i)((?:proxy-)?authorization['"]?\s*[:=]\s*['"]?)(?:(basic|ntlm|negotiate|bearer|digest)\s+)?[^\r\n]+`), "${1}${2} (hidden)"},
	{"an authentication string", []string{"string"}, regexp.MustCompile(`(?i)((?:authorization|authentication|auth)[ _]string\s*[:=]?\s*['"]?)\d{4,10}`), "${1}(hidden)"},
	{"a cookie", []string{"cookie"}, regexp.MustCompile(`(?i)((?:set-)?cookie2?['"]?\s*[:=]\s*)[^\r\n]+`), "${1}(hidden)"},
	{"an NTLM message", []string{"www-authenticate"}, regexp.MustCompile(`(?i)(www-authenticate:\s*(?:ntlm|negotiate)\s+)[A-Za-z0-9+/=]{8,}`), "${1}(hidden)"},
	{"an NTLM message", []string{"tlrmtvntua"}, regexp.MustCompile(`TlRMTVNTUA[A-Za-z0-9+/=]*`), "(an NTLM message, hidden)"},
	{"a Kerberos ticket", []string{"yii"}, regexp.MustCompile(`\bYII[A-Za-z0-9+/=]{40,}`), "(a Kerberos ticket, hidden)"},
	{"a digest", []string{"response"}, regexp.MustCompile(`(?i)(\bresponse=['"]?)[0-9a-f]{32,128}`), "${1}(hidden)"},
	{"a private key", []string{"private key-----"}, regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`), "(a private key, hidden)"},
	{"a password", []string{"://"}, regexp.MustCompile(`(://[^/\s:@]*:)[^/\s@]+@`), "${1}(hidden)@"},
	{"a password", []string{"-u"}, regexp.MustCompile(`((?:^|\s)(?:-u|-U|--user|--proxy-user)[ =]*['"]?[^\s:'"]+:)[^\s'"]+`), "${1}(hidden)"},
	{"a password", []string{"-pass", "-secret", "-token", "-api"}, regexp.MustCompile(`(?i)((?:^|\s)--?(?:password|passwd|passphrase|pass|secret|token|api-?key)(?: +|=))` + value), "${1}(hidden)"},
	{"a password", []string{"</"}, regexp.MustCompile(`(?i)(<[a-z:_-]*(?:password|passwd|passphrase|pwd|secret|token)[a-z_-]*(?: [^<>]*)?>)[^<\s][^<]*`), "${1}(hidden)"},
	{"a password", []string{"pass", "pwd", "secret", "kennwort", "authstring", "auth_string"}, regexp.MustCompile(`(?i)((?:pass(?:word|wd|phrase|wort)?|mot de passe|kennwort|pwd|secret|challenge_?password|authstring|auth_string)['"]?\s*(?:=>|[:=])\s*)` + value), "${1}(hidden)"},
	{"a token or key", []string{"token", "key"}, regexp.MustCompile(`(?i)(\b(?:(?:access|refresh|id|session|auth|csrf|api|bearer)[-_]?token|token|(?:x-)?(?:api|auth|access)[-_]?key|x-[a-z-]*token)['"]?\s*(?:=>|[:=])\s*)` + value), "${1}(hidden)"},
	// A long run of base64 may be any of these, or a key; or a certificate, which is none.
	{"", nil, regexp.MustCompile(`[A-Za-z0-9+/]{64,}={0,2}`), "(base64, hidden)"},
}

// secretsIn appends what kinds of secrets stand in a line: `Password:` alone is a label.
func secretsIn(kinds []string, raw []byte) []string {
	may := maskGate.look(raw)
	if may == 0 {
		return kinds
	}
	for i := range masks {
		m := &masks[i]
		if may&(1<<i) == 0 || slices.Contains(kinds, m.what) {
			continue
		}
		if m.words[0] == "://" && bytes.IndexByte(raw, '@') < 0 { // URLs are many, accounts in them few
			continue
		}
		if m.what == "a private key" || m.form.Match(raw) {
			kinds = append(kinds, m.what)
			raw = m.form.ReplaceAll(raw, []byte(m.with)) // an NTLM message in a header is one secret
		}
	}
	return kinds
}

// gate tells which masks are worth a look, by two bytes at a time: nearly all lines of a
// log of gigabytes have nothing for them.
type gate struct {
	at    [1 << 16]uint8 // one more than an index of lists
	lists [][]gateWord
}

type gateWord struct {
	word string
	mask uint32
}

var maskGate = newGate()

func newGate() *gate {
	g := &gate{}
	for i, m := range masks {
		if m.what == "" {
			continue
		}
		for _, w := range m.words {
			n := &g.at[pair(w[0], w[1])]
			if *n == 0 {
				g.lists = append(g.lists, nil)
				*n = uint8(len(g.lists))
			}
			g.lists[*n-1] = append(g.lists[*n-1], gateWord{w, 1 << i})
		}
	}
	return g
}

// small makes letters small, and leaves what else words begin with as it is.
func small(c byte) byte { return c | 0x20 }

func pair(a, b byte) uint16 { return uint16(small(a))<<8 | uint16(small(b)) }

func (g *gate) look(raw []byte) (may uint32) {
	for i := 1; i < len(raw); i++ {
		n := g.at[pair(raw[i-1], raw[i])]
		if n == 0 {
			continue
		}
		for _, w := range g.lists[n-1] {
			if may&w.mask == 0 && len(raw)-i+1 >= len(w.word) && strings.EqualFold(string(raw[i-1:i-1+len(w.word)]), w.word) {
				may |= w.mask
			}
		}
	}
	return may
}
