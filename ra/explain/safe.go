package explain

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"ciscora/internal/printable"
)

// maxShown bounds a line that is shown, in bytes.
const maxShown = 300

// What is never shown, and what stands in its place. The lines come from strangers'
// systems and go into tickets.
var masks = []struct {
	form *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`(?i)((?:proxy-)?authorization['"]?\s*[:=]\s*['"]?)(?:(basic|ntlm|negotiate|bearer|digest)\s+)?[^\r\n]*`), "${1}${2} (hidden)"},
	{regexp.MustCompile(`(?i)(www-authenticate:\s*(?:ntlm|negotiate)\s+)[A-Za-z0-9+/=]{8,}`), "${1}(hidden)"},
	{regexp.MustCompile(`TlRMTVNTUA[A-Za-z0-9+/=]*`), "(an NTLM message, hidden)"},
	{regexp.MustCompile(`\bYII[A-Za-z0-9+/=]{40,}`), "(a Kerberos ticket, hidden)"},
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`), "(a private key, hidden)"},
	{regexp.MustCompile(`(?i)((?:pass(?:word|wd|phrase)?|pwd|secret|challenge_?password|authstring|auth_string)['"]?\s*[:=]\s*['"]?)[^\s'",;&]+`), "${1}(hidden)"},
	{regexp.MustCompile(`(://[^/\s:@]+:)[^/\s@]+@`), "${1}(hidden)@"},
	// A long run of base64 may be any of these, or a key.
	{regexp.MustCompile(`[A-Za-z0-9+/]{64,}={0,2}`), "(base64, hidden)"},
}

// show is a line as it may be printed: without what a terminal would obey, without
// secrets, and of bounded length.
func show(text string) string {
	text = strings.ToValidUTF8(printable.Cut(text, 4*maxLineKept), "?")
	for _, m := range masks {
		text = m.form.ReplaceAllString(text, m.with)
	}
	return printable.Line(text, maxShown)
}

// hides tells whether something in a line is not shown: `Password:` alone is a label.
func hides(raw []byte) bool {
	raw = raw[:min(len(raw), 4*maxLineKept)]
	if bytes.Contains(raw, []byte("PRIVATE KEY-----")) {
		return true
	}
	for _, m := range masks {
		if m.form.Match(raw) {
			return true
		}
	}
	return false
}

// secretLines are the words by which secrets are told.
var secretLines = map[string]string{
	"Authorization: Basic":           "an Authorization header",
	"Authorization: NTLM":            "an Authorization header",
	"Authorization: Negotiate":       "an Authorization header",
	"Authorization: Bearer":          "an Authorization header",
	"Authorization: Digest username": "an Authorization header",
	"TlRMTVNTUAAB":                   "an NTLM message",
	"TlRMTVNTUAAC":                   "an NTLM message",
	"TlRMTVNTUAAD":                   "an NTLM message",
	"PRIVATE KEY-----":               "a private key",
	"password=":                      "a password",
	"Password=":                      "a password",
	"password:":                      "a password",
	"Password: ":                     "a password",
}

// Secret is a kind of secret that stands in the input.
type Secret struct {
	What  string `json:"what"`
	File  string `json:"file"`
	Line  int    `json:"line"`
	Count int    `json:"count"`
}

type place struct{ file, line int }

type secrets struct {
	first map[string]place
	count map[string]int
}

func (s *secrets) saw(what string, r *record) {
	if s.first == nil {
		s.first, s.count = map[string]place{}, map[string]int{}
	}
	if _, ok := s.first[what]; !ok {
		s.first[what] = place{r.file, r.line}
	}
	s.count[what]++
}

// strangers are the lines that speak of an error and that no card knows.
type strangers struct {
	shapes map[string]*stranger
	more   int64 // of further shapes
}

type stranger struct {
	log   Log
	mark  mark
	count int64
}

const maxStrangers = 64

var errorWords = [][]byte{[]byte("error"), []byte("fail"), []byte("[crit]"), []byte("[alert]"), []byte("[emerg]"), []byte("fatal")}

func speaksOfError(raw []byte) bool {
	lower := bytes.ToLower(raw[:min(len(raw), 2<<10)])
	return slices.ContainsFunc(errorWords, func(w []byte) bool { return bytes.Contains(lower, w) })
}

func (s *strangers) add(log Log, r *record) {
	if log != IIS && !speaksOfError(r.raw) {
		return
	}
	shape := shapeOf(r)
	if s.shapes == nil {
		s.shapes = map[string]*stranger{}
	}
	if have := s.shapes[shape]; have != nil {
		have.count++
		return
	}
	if len(s.shapes) >= maxStrangers {
		s.more++
		return
	}
	s.shapes[shape] = &stranger{log: log, count: 1, mark: mark{file: r.file, line: r.line, when: r.head.when, text: string(r.raw[:min(len(r.raw), maxLineKept)])}}
}

// shapeOf is a line without its numbers: lines that differ in these are one.
func shapeOf(r *record) string {
	b := r.raw[min(r.head.text, len(r.raw)):]
	b = b[:min(len(b), 200)]
	out := make([]byte, 0, len(b))
	for _, c := range b {
		if digit(c) {
			if n := len(out); n > 0 && out[n-1] == '0' {
				continue
			}
			c = '0'
		}
		out = append(out, c)
	}
	return string(out)
}
