package explain

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What stands behind a password's name in a sentence may be the password, or what is
// said of it. A word that is hidden in vain costs less than a password that is shown,
// but what a failure says of a password ("is wrong", "0xC000006A") is evidence.

const (
	blank = `[\s\p{Z}\p{Cf}]`

	// spelled is a password in English, German, French, Spanish, Russian, Chinese,
	// Japanese and Arabic: the languages of the documents that people work by, and of
	// the CA's pages.
	spelled = `(?:pass(?:word|wort|[ -]?phrase|code|wd)s?|kennwort|\bpwd?\b|\bmdp\b|mot de passe|contrase.a|парол[ья]|كلمة (?:ال)?(?:مرور|سر)|` + unspaced + `)`
	// unspaced are those that have no blank behind them.
	unspaced = `(?:密码|密碼|口令|パスワード)`
	// account is whose it is.
	account = `(?:` + blank + `+\(?(?:(?:for|of|to|f.{1,3}r|von|vom|des|der|du|de|pour|para|для|от)` + blank + `+|ل)[^\s:=：]+(?:` + blank + `+[^\s:=：]+){0,3}?)`
	// copula says that what follows is it; those in other letters are followed by one in
	// these: what follows in their own is said of it.
	copula      = `(?:` + blank + `+(?:is|was|ist|war|lautet|hei(?:ß|ss)t|est|es)(?:` + blank + `+(?:now|jetzt|set to))?|` + blank + `+(?:set|changed|reset) to)(?:` + blank + `*` + separator + blank + `*|` + blank + `+)`
	otherCopula = `(?:` + blank + `*\p{Han}{0,6}?(?:是|为|為|成|は)|(?:` + blank + `+\p{Arabic}+){0,3}?` + blank + `+(?:هي|هو))` + blank + `*` + separator + `?` + blank + `*`

	separator = `(?:=>|->|→|[:=：＝]{1,2})`
	// inQuotes may be cut off, have quotation marks within, or be a string within a string.
	inQuotes    = `(?:\\+"(?:\\{3,}"|[^"\\\r\n]|\\[^"])+(?:\\+"|$)|"(?:[^"\\\r\n]|\\.)+(?:"|$)|'(?:[^'\\\r\n]|\\.|'')+(?:'|$)|<[^<>\s]+>|` + otherQuotes + `)`
	otherQuotes = `(?:“[^”\r\n]+”|„[^“”\r\n]+[“”]|«[^»\r\n]+»|「[^」\r\n]+」)`
	// value is in quotes, or goes to the next blank.
	value = `(?:` + inQuotes + `|['"]?[^\s'"<“„«「，。；、）】」][^\s"<“„«「，。；、）】」]*)`
	ascii = `[!-~]{4,}`
	// into leads from what was to what is.
	into = `(?:changed from|to|as|not|but|auf|in|zu|sondern|par|en|por|на|в)`
	// opened is what stands between a name and its value: `": "`, `" value="`, `: ["`, `: {"value": "`.
	opened = `\\*['"]?(?:` + blank + `*` + separator + `|` + blank + `+value\s*=)` + blank + `*(?:[\[{(]\s*(?:\\*"[a-z]+\\*"\s*:\s*)?)?`
)

// passwordWords are those by which a line with a password's name is found.
var passwordWords = []string{"password", "passwort", "passphrase", "pass phrase", "pass-phrase", "passcode", "passwd", "pw", "mot de passe", "mdp", "kennwort", "contrase", "парол", "密码", "密碼", "口令", "パスワード", "كلمة"}

// passwordsInSentences are masks whose last group is the password, if it is one.
var passwordsInSentences = []mask{
	sentence(notSaidOfIt, `(?i)(`+spelled+account+`?`+copula+`)(`+value+`)`),
	sentence(notSaidOfIt, `(?i)(`+spelled+account+`?`+otherCopula+`)(`+ascii+`)`),
	sentence(notSaidOfIt, `(?i)(`+spelled+account+blank+`*`+separator+blank+`*)(`+value+`)`),
	sentence(notSaidOfIt, `(?i)(`+spelled+blank+`*)(`+otherQuotes+`)`),
	sentence(notSaidOfIt, `(?i)(`+spelled+blank+`+)(`+inQuotes+`)`),
	sentence(looksSecret, `(?i)(`+spelled+blank+`+\(?)(`+ascii+`)`),
	sentence(looksSecret, `(?i)(`+spelled+blank+`*\([^()]{1,40}\)`+blank+`*`+separator+`?`+blank+`*)(`+value+`)`),
	sentence(looksSecret, `(?i)(`+spelled+`(?:`+blank+`+[^\s:=：]+){0,6}?`+blank+`+`+into+blank+`+)(`+value+`)`),
	sentence(looksSecret, `(?i)(`+unspaced+blank+`*\(?)(`+ascii+`)`),
	sentence(looksSecret, `(?i)(`+spelled+`(?:`+blank+`+[^\s:=：]+){1,5}?(?:`+copula+`|`+blank+`*`+separator+blank+`*))(`+value+`)`),
	sentence(looksSecret, `(?i)(`+ascii+`)`+blank+`+(?:is|was|ist|war|lautet|est)`+blank+`+(?:\pL+`+blank+`+){0,3}`+spelled),
	// Where one is, the next is.
	sentence(looksSecret, `(?i)(\(hidden\)['"]?`+blank+`*(?:(?:[,/;&]|`+into+`|or|and|oder|und)`+blank+`*)?)(`+ascii+`)`),
}

// isNoSwitch tells a value from what says whether there is one, or whether something is
// done: `Extended master secret: yes`.
func isNoSwitch(value string) bool {
	switch strings.ToLower(strings.Trim(value, `\"'.,;`)) {
	case "yes", "no", "true", "false", "none", "null", "on", "off", "enabled", "disabled":
		return false
	}
	return true
}

// accountInBase64 tells whether a word is base64 of an account and its password, as Basic has it.
func accountInBase64(word string) bool {
	text, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(word, "="))
	return err == nil && bytes.IndexByte(text, ':') > 0 && utf8.Valid(text) && bytes.IndexFunc(text, unicode.IsControl) < 0
}

func sentence(secret func(string) bool, form string) mask {
	return mask{what: "a password", words: passwordWords, form: regexp.MustCompile(form), secret: secret}
}

// said are words that are said of a password.
var said = func() map[string]bool {
	words := map[string]bool{"": true}
	for w := range strings.FieldsSeq(`a an the in on at as by for of to with that this what which it not no never always still also already being been too very
		wrong incorrect invalid bad false right correct valid good ok fine okay true
		expired locked disabled missing empty blank null none unset unknown different same old new stale weak short long
		required needed wanted used sent stored kept asked checked accepted rejected refused denied changed reset set given entered typed
		hidden masked shown visible encrypted hashed protected case-sensitive mandatory optional due about going likely probably
		falsch richtig korrekt ungültig gültig abgelaufen gesperrt leer nicht kein keine unbekannt erforderlich nötig geändert gesetzt zu das der die ein eine im in noch schon
		faux incorrecte invalide expiré expirée erroné erronée vide pas trop requis requise correcte bon bonne le la un une
		incorrecta incorrecto inválida expirada caducada vacía error failed failure failing authentication login log-in access account user`) {
		words[w] = true
	}
	return words
}()

const hidden = "(hidden)"

// bare is a word without the marks around it.
func bare(word string) string {
	return strings.TrimFunc(word, func(r rune) bool { return strings.ContainsRune(`"'“”„«»「」`, r) })
}

// notSaidOfIt tells whether what follows "the password is" is no word that is said of
// passwords.
func notSaidOfIt(value string) bool {
	return !strings.HasPrefix(value, hidden) && !said[strings.TrimRight(strings.ToLower(bare(value)), ".,;:!?)")]
}

// evidenceWords are what logs write behind a password that was refused.
var evidenceWords = regexp.MustCompile(`^(?:0x[0-9A-Fa-f]+|(?:ERROR|STATUS|SEC_E|EST_ERR|NT_STATUS)_[0-9A-Z_]+|[A-Za-z_]+=\d+|\d{4}-\d\d-\d\d.*|214[78]\d{6}|SEP[0-9A-Fa-f]{12}|.*://.*|/.*|.*\\.*)$`)

// looksSecret tells whether a word is none of a language: it has letters and digits,
// capitals within, signs that no words have, or is a long number.
func looksSecret(word string) bool {
	word = strings.TrimRight(bare(strings.TrimLeft(word, "([")), ".,;:)]}\"'")
	if len(word) < 4 || strings.HasPrefix(word, hidden) || evidenceWords.MatchString(word) {
		return false
	}
	var small, capital, within, digits, signs, other int
	for i, r := range word {
		switch {
		case unicode.IsLower(r):
			small++
		case unicode.IsUpper(r):
			capital++
			if i > 0 {
				within++
			}
		case unicode.IsDigit(r):
			digits++
		case strings.ContainsRune("!#$%&*+?@^|~", r):
			signs++
		default:
			other++
		}
	}
	letters := small + capital
	return letters > 0 && (digits > 0 || signs > 0) || small > 0 && within > 0 || letters == 0 && other == 0 && signs == 0 && digits >= 5
}

// label ends a line behind which a password may stand in the next one.
var label = regexp.MustCompile(`(?i)` + spelled + account + `?['")]?(?:(` + copula + `|` + otherCopula + `|` + blank + `*` + separator + `))?` + blank + `*$`)

// waiting is that a line has named a password and ended.
type waiting uint8

const (
	forNothing waiting = iota
	forWhatLooksSecret
	forAWord
)

// maxBlankLines is how many empty lines may stand between a name and its password.
const maxBlankLines = 2

// wordsBehind is how many words a name at a line's end, and whose it is, may have.
const wordsBehind = 7

// lastWords are the words at a line's end by which it may wait for a password.
func lastWords(b []byte) []byte {
	words := 0
	for i := len(b); i > 0 && len(b)-i < 256; i-- {
		if c := b[i-1]; (c == ' ' || c == '\t') && i < len(b) && b[i] != ' ' && b[i] != '\t' {
			if words++; words == wordsBehind {
				return b[i:]
			}
		}
	}
	return b[max(0, len(b)-256):]
}

// leavesOpen tells what a line waits for at its end.
func leavesOpen(b []byte) waiting {
	if maskGate.look(b)&maskGate.names == 0 {
		return forNothing
	}
	// The blank that a word has behind it is cut off at a line's end.
	m := label.FindSubmatchIndex(append(bytes.Clone(b), ' '))
	switch {
	case m == nil:
		return forNothing
	case m[2] >= 0:
		return forAWord
	}
	return forWhatLooksSecret
}

// withoutAwaited hides the password that a line begins with, behind a line that named it.
func (d *desk) withoutAwaited(b []byte) ([]byte, bool) {
	if len(d.named) == 0 {
		return b, false
	}
	if _, ok := headAt(b); ok {
		return b, false
	}
	w := leavesOpen(d.named)
	if w == forNothing {
		return b, false
	}
	end := bytes.IndexFunc(b, unicode.IsSpace)
	if end < 0 {
		end = len(b)
	}
	if c, _ := utf8.DecodeRune(b); strings.ContainsRune(`"'“„«「`, c) {
		end = len(b)
	}
	word := string(b[:min(end, 4*maxLineKept)])
	alone := end == len(b)
	switch {
	case strings.HasSuffix(word, ":"): // the next name
		return b, false
	case w == forAWord && alone && notSaidOfIt(word), looksSecret(word):
		return append([]byte(hidden), b[end:]...), true
	}
	return b, false
}

const (
	// maxKeyLines is how many lines a private key may have: one of 16,384 bits has some 200.
	maxKeyLines = 400
	keyRun      = 16
)

var (
	keyMark  = []byte("PRIVATE KEY-----")
	pemBegin = []byte("-----BEGIN ")
	pemEnd   = []byte("-----END ")
)

// withoutKey hides what may be a part of a private key, from the line in which it begins
// to that in which it ends: each line may have a head, and the last is short.
func (d *desk) withoutKey(b []byte) []byte {
	begins, ends := -1, -1
	if bytes.Contains(b, keyMark) {
		begins, ends = bytes.LastIndex(b, pemBegin), bytes.LastIndex(b, pemEnd)
	}
	was := d.inKey > 0
	switch {
	case begins > ends:
		d.inKey = maxKeyLines
	case ends >= 0:
		d.inKey = 0
	case d.inKey > 0:
		d.inKey--
	}
	if !was || begins >= 0 {
		return b // what stands in the line of its beginning is hidden where it is shown
	}
	out := make([]byte, 0, len(b))
	for at := 0; at < len(b); {
		end := at
		for end < len(b) && isBase64(b[end]) {
			end++
		}
		last := end >= len(b) || bytes.IndexByte(b[end:], ' ') < 0 // JSON goes on behind it
		switch {
		case end-at >= keyRun, last && end-at >= 4 && (at == 0 || b[at-1] == ' ' || b[at-1] == '\t' || b[at-1] == '"'):
			out = append(out, hidden...)
		default:
			end = min(max(end, at+1), len(b))
			out = append(out, b[at:end]...)
		}
		at = end
	}
	return out
}

func isBase64(c byte) bool {
	return digit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '+' || c == '/' || c == '='
}
