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
	// secret judges the last group of form, which alone is hidden then; nil = always.
	secret func(string) bool
}

// hide hides what the mask finds.
func (m *mask) hide(text string) string {
	if m.secret == nil {
		return m.form.ReplaceAllString(text, m.with)
	}
	var out strings.Builder
	for {
		found := m.form.FindStringSubmatchIndex(text)
		if found == nil {
			return out.String() + text
		}
		from, to := found[len(found)-2], found[len(found)-1]
		out.WriteString(text[:from])
		switch {
		case m.secret(text[from:to]):
			out.WriteString(hidden)
			from = to
		case from == found[0]: // it stands before the name, and would be found again
			out.WriteString(text[from:to])
			from = to
		}
		text = text[from:]
	}
}

// masks are looked for one after the other. A line without any of a mask's words has
// nothing of its kind; by their first two bytes a line is looked at.
var masks = slices.Concat([]mask{
	always("an Authorization header", []string{"authorization"}, `(?i)((?:proxy-)?authorization['"]?\s*[:=]\s*['"]?)(?:(basic|ntlm|negotiate|bearer|digest)\s+)?[^\r\n]+`, "${1}${2} (hidden)"),
	always("an authentication string", []string{"string"}, `(?i)((?:authorization|authentication|auth)[ _]string\s*[:=]?\s*['"]?)\d{4,10}`, "${1}(hidden)"),
	always("a cookie", []string{"cookie"}, `(?i)((?:set-)?cookie2?['"]?\s*[:=]\s*)[^\r\n]+`, "${1}(hidden)"),
	always("an NTLM message", []string{"www-authenticate"}, `(?i)(www-authenticate:\s*(?:ntlm|negotiate)\s+)[A-Za-z0-9+/=]{8,}`, "${1}(hidden)"),
	always("an NTLM message", []string{"tlrmtvntua"}, `TlRMTVNTUA[A-Za-z0-9+/=]*`, "(an NTLM message, hidden)"),
	always("a Kerberos ticket", []string{"yii"}, `\bYII[A-Za-z0-9+/=]{40,}`, "(a Kerberos ticket, hidden)"),
	always("a digest", []string{"response"}, `(?i)(\bresponse=['"]?)[0-9a-f]{32,128}`, "${1}(hidden)"),
	always("a private key", []string{"private key-----"}, `(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`, "(a private key, hidden)"),
	always("a password", []string{"://"}, `(://[^/\s:@]*:)[^/\s]+@`, "${1}(hidden)@"),
	always("a password", []string{"-u"}, `((?:^|\s)(?:-u|-U|--user|--proxy-user|--userpass)[ =]*['"]?[^\s:'"]+:)[^\s'"]+`, "${1}(hidden)"),
	always("a password", []string{"-pass", "-secret", "-token", "-api"}, `(?i)((?:^|\s)--?(?:password|passwd|passphrase|pass|secret|token|api-?key)(?: +|=))`+value, "${1}(hidden)"),
	always("a password", []string{"</"}, `(?i)(<[a-z:_-]*(?:password|passwd|passphrase|pwd|secret|token)[a-z_-]*(?: [^<>]*)?>)[^<\s][^<]*`, "${1}(hidden)"),
	{
		what: "a password", words: append([]string{"pass", "secret", "authstring", "auth_string"}, passwordWords...),
		form: regexp.MustCompile(`(?i)((?:` + spelled + `|pass|secret|authstring|auth_string)` + opened + `)(` + value + `)`), secret: isNoSwitch,
	},
	// openssl s_client prints it, NSS's key log has it.
	always("a key of a TLS session", []string{"master-key", "psk"}, `(?i)((?:master-key|\bpsk)\s*:\s*)[0-9a-f]{32,}`, "${1}(hidden)"),
	always("a key of a TLS session", []string{"client_random", "traffic_secret", "exporter_secret"}, `(?i)(\b(?:client_random|[a-z_]*(?:traffic|exporter)_secret(?:_\d+)?)\s+[0-9a-f]{64}\s+)[0-9a-f]{64,}`, "${1}(hidden)"),
	// What tools are called with, and what they are configured by.
	always("a password", []string{"user", "login", "account"}, `(?i)(\b(?:user|username|login|account)\s*=\s*\\*["'][^"':\s]+:)(?:[^"'\\]|\\.)+`, "${1}(hidden)"),
	always("a password", []string{"certreq", "certutil", "sshpass", "openssl", "estclient"}, `(?i)(\b(?:(?:certreq|certutil|sshpass|openssl)\b[^|;\r\n]*?\s-[pk]|estclient\b[^|;\r\n]*?\s-h)\s+)`+value, "${1}(hidden)"),
	always("a password", []string{"securestring", "community"}, `(?i)((?:securestring\s+(?:-string\s+)?|snmp-server\s+community\s+))`+value, "${1}(hidden)"),
	{what: "a password", words: []string{"secret", "password", "key"}, form: regexp.MustCompile(`(?i)(\b(?:(?:password|key)\s+\d|secret(?:\s+\d)?)\s+)(` + ascii + `)`), secret: looksSecret},
	always("a password", []string{"credential", "zugangsdaten", "anmeldedaten", "identifiants", "/pass"}, `(?i)((?:credentials?|zugangsdaten|anmeldedaten|identifiants|/password)\s*[:=]\s*[^\s/:]+\s*[/:]\s*)`+value, "${1}(hidden)"),
	always("a token or key", []string{"token", "key", "sig"}, `(?i)(\b(?:(?:access|refresh|id|session|auth|csrf|api|bearer)[-_]?token|token|(?:x-)?(?:api|auth|access|account|shared-?access)[-_]?key|sharedaccesssignature|sig|x-[a-z-]*token)\\*['"]?\s*(?:=>|[:=])\s*)`+value, "${1}(hidden)"),
	{what: "a token or key", words: []string{"bearer", "basic"}, form: regexp.MustCompile(`(?i)(\b(?:bearer|basic)\s+)([A-Za-z0-9+/=._~-]{6,})`), secret: looksSecret},
}, passwordsInSentences, []mask{
	{form: regexp.MustCompile(`()\b([A-Za-z0-9+/]{12,}={0,2})`), secret: accountInBase64},
	// A long run of base64 may be any of these, or a key; or a certificate, which is none.
	always("", nil, `[A-Za-z0-9+/]{64,}={0,2}`, "(base64, hidden)"),
})

func always(what string, words []string, form, with string) mask {
	return mask{what: what, words: words, form: regexp.MustCompile(form), with: with}
}

const (
	// pieceLooked is how much of a line is looked at in one go: the forms take a time that
	// grows with it, for each place where they may begin.
	pieceLooked = 2 << 10
	pieceShared = 256 // by two pieces
	// maxLooked bounds, for each mask, how much is looked at for what is only told of: a
	// guesser leaves gigabytes of lines that speak of passwords.
	maxLooked = 64 << 10
)

// secretsIn appends what kinds of secrets stand in a line: `Password:` alone is a label.
// named tells that a password's name stands in it. What is shown is looked at again, and
// there without such bounds.
func (d *desk) secretsIn(kinds []string, raw []byte) (_ []string, named bool) {
	may := maskGate.look(raw)
	if may == 0 {
		return kinds, false
	}
	passed := false
	named = may&maskGate.names != 0
	for from := 0; ; from += pieceLooked - pieceShared {
		piece := raw[from:min(len(raw), from+pieceLooked)]
		if len(raw) > pieceLooked {
			may = maskGate.look(piece)
		}
		var over bool
		kinds, over = d.secretsOf(kinds, piece, may)
		passed = passed || over
		if from+pieceLooked >= len(raw) {
			break
		}
	}
	if passed {
		d.secrets.passed++
	}
	return kinds, named
}

// secretsOf looks at one piece; passed tells that it was not looked at to the end.
func (d *desk) secretsOf(kinds []string, raw []byte, may uint64) (_ []string, passed bool) {
	text := ""
	for i := range masks {
		m := &masks[i]
		if may&(1<<i) == 0 || slices.Contains(kinds, m.what) {
			continue
		}
		if m.words[0] == "://" && bytes.IndexByte(raw, '@') < 0 { // URLs are many, accounts in them few
			continue
		}
		if d.looked[i] > maxLooked {
			passed = true
			continue
		}
		d.looked[i] += len(raw)
		if text == "" {
			text = string(raw)
		}
		// An NTLM message in a header is one secret. A key's next lines are in the next lines.
		if m.secret != nil {
			text = text[:min(len(text), 4*maxLineKept)] // what can be shown
		}
		left := m.hide(text)
		if left != text || m.what == "a private key" {
			kinds = append(kinds, m.what)
		}
		text = left
	}
	return kinds, passed
}

// gate tells which masks are worth a look, by two bytes at a time: nearly all lines of a
// log of gigabytes have nothing for them.
type gate struct {
	at    [1 << 16]uint8 // one more than an index of lists
	lists [][]gateWord
	names uint64 // the masks that begin with a password's name
}

type gateWord struct {
	word  string
	third byte // of word, made small; 0 = it has two
	mask  uint64
}

var maskGate = newGate()

func newGate() *gate {
	if len(masks) > 64 {
		panic("explain: a mask beyond the bits of a gate would hide nothing")
	}
	g := &gate{}
	for i, m := range masks {
		if m.what == "" {
			continue
		}
		if m.secret != nil && &m.words[0] == &passwordWords[0] {
			g.names |= 1 << i
		}
		for _, w := range m.words {
			n := g.at[pair(w[0], w[1])]
			if n == 0 {
				g.lists = append(g.lists, nil)
				n = uint8(len(g.lists))
				for _, first := range bothCases(w[0]) {
					for _, second := range bothCases(w[1]) {
						g.at[pair(first, second)] = n
					}
				}
			}
			third := byte(0)
			if len(w) > 2 {
				third = small(w[2])
			}
			g.lists[n-1] = append(g.lists[n-1], gateWord{w, third, 1 << i})
		}
	}
	return g
}

// small makes letters small, and makes others of a class, too, that are looked at again.
func small(c byte) byte { return c | 0x20 }

func bothCases(c byte) [2]byte { return [...]byte{small(c), c &^ 0x20} }

func pair(a, b byte) uint16 { return uint16(a)<<8 | uint16(b) }

func (g *gate) look(raw []byte) (may uint64) {
	for i := 1; i < len(raw); i++ {
		n := g.at[pair(raw[i-1], raw[i])]
		if n == 0 {
			continue
		}
		third := byte(0)
		if i+1 < len(raw) {
			third = small(raw[i+1])
		}
		for _, w := range g.lists[n-1] {
			if (w.third == third || w.third == 0) && may&w.mask == 0 && len(raw)-i+1 >= len(w.word) && strings.EqualFold(string(raw[i-1:i-1+len(w.word)]), w.word) {
				may |= w.mask
			}
		}
	}
	return may
}
