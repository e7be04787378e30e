package explain

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
)

// A signature is one line of a card, made to be found again elsewhere: without what
// stands before and behind its text, without blanks (mail and terminals change them),
// and with a gap wherever another run or another site has another word.
type signature struct {
	parts []string // squeezed literals; a gap between each two
	text  string   // for people
}

// family is which lines a signature is looked for in.
type family uint8

const (
	familyCES family = iota
	familyCAPF
	familyIIS
	familyPlain
	families
)

func familyOf(log Log) family {
	switch log {
	case NGINX, CiscoRA:
		return familyCES
	case CAPF, TSP:
		return familyCAPF
	case IIS:
		return familyIIS
	}
	return familyPlain
}

// squeeze appends b without blanks and control characters, and without the hyphen that
// OpenSSL 3 has in "self-signed" and OpenSSL 1 has not.
func squeeze(dst, b []byte) []byte {
	for _, c := range b {
		if c > ' ' && c != 0x7f && (c != '-' || !bytes.HasSuffix(dst, self)) {
			dst = append(dst, c)
		}
	}
	return dst
}

var self = []byte("self")

const gap = "\x01"

var (
	holeForm   = regexp.MustCompile(`\{[a-z]+\}`)
	quotedForm = regexp.MustCompile(`'[^']*'`)
)

// Heads as they are written, for holes that stand in them.
var headHoles = strings.NewReplacer(
	"{time} [", "2019/03/05 12:31:21 [", "{pid}#0: *{connection} ", "1#0: *1 ", "{pid}#0: ", "1#0: ",
	"{clock} | debug {index}:{phone}:", "12:31:21.000 | debug 1:SEP001122334455:", "{clock} |", "12:31:21.000 |",
)

// compile makes the signature of a line; hosts are the lab's names in it.
func compile(log Log, line string, hosts []string) signature {
	s := signature{text: strings.TrimSpace(line)}
	text := headHoles.Replace(s.text)
	if familyOf(log) == familyIIS {
		s.parts = []string{canonicalCard(text)}
		s.text = w3cForPeople(s.parts[0])
		return s
	}
	for _, host := range hosts {
		text = strings.ReplaceAll(text, host+":443", gap)
		text = strings.ReplaceAll(text, host, gap)
	}
	text = holeForm.ReplaceAllString(text, gap)
	text = quotedForm.ReplaceAllString(text, "'"+gap+"'")
	s.text = strings.ReplaceAll(text, gap, "…")
	message := []byte(text)
	if h, ok := headAt(message); ok && familyOf(log) != familyPlain {
		message = messageOf(h, message)
	}
	for part := range strings.SplitSeq(string(withoutLabel(squeezeGaps(message))), gap) {
		s.parts = append(s.parts, part)
	}
	return s
}

// wordsOf appends what a record says, squeezed; a label in its path says nothing.
func wordsOf(dst []byte, h head, record []byte) []byte {
	return withoutLabel(squeeze(dst, messageOf(h, record)))
}

const (
	estPath = "/.well-known/est/"
	pathEnd = `HTTP/1.`
)

// operations are what stands behind the label in a path of EST (RFC 7030 section 3.2.2); to
// enroll again leaves the same lines as to enroll.
var operations = map[string]string{
	"cacerts": "cacerts", "csrattrs": "csrattrs", "simpleenroll": "simpleenroll", "simplereenroll": "simpleenroll",
	"serverkeygen": "serverkeygen", "fullcmc": "fullcmc",
}

// withoutLabel takes the label out of a squeezed access line's path, in place: a server
// has as many as its operator likes, and no failure is told by one.
func withoutLabel(text []byte) []byte {
	if len(text) == 0 || text[0] != '"' {
		return text
	}
	at := bytes.Index(text[:min(len(text), 32)], []byte(estPath))
	if at < 0 {
		return text
	}
	at += len(estPath)
	end := bytes.Index(text[at:], []byte(pathEnd))
	if end < 0 {
		return text
	}
	path := text[at : at+end]
	operation, ok := operations[string(path[bytes.LastIndexByte(path, '/')+1:])]
	if !ok || len(operation) == len(path) {
		return text
	}
	n := copy(path, operation)
	return append(text[:at+n], text[at+end:]...)
}

func squeezeGaps(b []byte) []byte {
	var out []byte
	for i, part := range bytes.Split(b, []byte(gap)) {
		if i > 0 {
			out = append(out, gap...)
		}
		out = squeeze(out, part)
	}
	return out
}

var (
	runningTail = []byte(" while SSL EST ")
	accessBegin = []byte(`"`)
	debugWord   = []byte("debug ")
)

// messageOf is what a record says, without what differs from line to line: its head,
// NGINX's tail, an access line's client and time, CAPF's device.
func messageOf(h head, record []byte) []byte {
	m := record[min(h.text, len(record)):]
	switch h.form {
	case formWorker:
		if h.conn != 0 {
			if i := bytes.LastIndex(m, runningTail); i >= 0 {
				m = m[:i]
			}
		}
	case formLibest:
		if bytes.HasPrefix(record, accessHead) {
			if i := bytes.Index(m, accessBegin); i >= 0 {
				m = m[i:]
			}
		}
	case formCAPF:
		if _, text, ok := deviceOf(m); ok {
			m = text
		} else if text, ok := bytes.CutPrefix(bytes.TrimLeft(m, " "), debugWord); ok {
			m = text // whoever pasted it has cut the phone out
		}
	}
	return m
}

var accessHead = []byte("***EST [INFO][log_access")

// deviceOf cuts `debug 2:SEP001122334455:text`.
func deviceOf(m []byte) (device, text []byte, ok bool) {
	rest, ok := bytes.CutPrefix(m, debugWord)
	if !ok {
		return nil, nil, false
	}
	i := 0
	for i < len(rest) && digit(rest[i]) && i < 18 {
		i++
	}
	if i == 0 || i >= len(rest) || rest[i] != ':' {
		return nil, nil, false
	}
	j := bytes.IndexByte(rest[i+1:], ':')
	if j < 1 || j > 128 {
		return nil, nil, false
	}
	return rest[i+1 : i+1+j], rest[i+2+j:], true
}

// in tells whether squeezed text has the signature; anchored, from its beginning.
func (s *signature) in(text []byte, anchored bool) bool {
	at := 0
	for n, part := range s.parts {
		if part == "" {
			continue
		}
		if n == 0 && anchored {
			if !hasPrefix(text, part) {
				return false
			}
			at = len(part)
		} else {
			i := index(text[at:], part)
			if i < 0 {
				return false
			}
			at += i + len(part)
		}
		// 2 is not 22.
		if n == len(s.parts)-1 && digit(part[len(part)-1]) && at < len(text) && digit(text[at]) {
			return false
		}
	}
	return true
}

func index(b []byte, s string) int { return bytes.Index(b, []byte(s)) }

// keyLength is how much of a message's beginning finds its signatures.
const keyLength = 12

// book holds the signatures of all failures.
type book struct {
	signatures []signature
	known      map[string]int // parts, joined, to the number
	keyed      [families]map[string][]int
	short      [families][]int
	w3c        map[string]int
}

func newBook() *book {
	b := &book{known: map[string]int{}, w3c: map[string]int{}}
	for f := range b.keyed {
		b.keyed[f] = map[string][]int{}
	}
	return b
}

// add returns the number of a line's signature; -1 for a line that says nothing.
func (b *book) add(log Log, line string, hosts []string) int {
	s := compile(log, line, hosts)
	f := familyOf(log)
	if f == familyPlain && s.parts[0] == "" && len(s.parts) > 1 {
		s.parts = s.parts[1:] // it is looked for anywhere
	}
	if len(strings.Join(s.parts, "")) < 4 || f == familyPlain && len(s.parts[0]) < 4 {
		return -1
	}
	id := string('0'+rune(f)) + strings.Join(s.parts, gap)
	if n, ok := b.known[id]; ok {
		return n
	}
	n := len(b.signatures)
	b.signatures = append(b.signatures, s)
	b.known[id] = n
	switch first := s.parts[0]; {
	case f == familyIIS:
		b.w3c[first] = n
	case f == familyPlain || len(first) < keyLength:
		b.short[f] = append(b.short[f], n)
	default:
		key := first[:keyLength]
		b.keyed[f][key] = append(b.keyed[f][key], n)
	}
	return n
}

// find appends the numbers of the signatures that squeezed text has.
func (b *book) find(dst []int, f family, text []byte) []int {
	anchored := f != familyPlain
	if anchored && len(text) >= keyLength {
		for _, n := range b.keyed[f][string(text[:keyLength])] {
			if b.signatures[n].in(text, true) {
				dst = append(dst, n)
			}
		}
	}
	for _, n := range b.short[f] {
		if b.signatures[n].in(text, anchored) && !slices.Contains(dst, n) {
			dst = append(dst, n)
		}
	}
	return dst
}

// Same tells whether a line that was seen is the one that a card has; hosts are the
// names in the card's line for which another site has others.
func Same(log Log, card string, hosts []string, seen string) bool {
	s := compile(log, card, hosts)
	raw := []byte(seen)
	f := familyOf(log)
	switch f {
	case familyIIS:
		fields := parseFields(w3cDefault)
		var e w3cEntry
		if !fields.parse(raw, &e) {
			return false
		}
		b := newBook()
		b.w3c[s.parts[0]] = 0
		return len(b.entry(nil, e.canonical(nil), &e)) > 0
	case familyPlain:
		return s.in(squeeze(nil, raw), false)
	}
	h, ok := headAt(raw)
	return ok && s.in(wordsOf(nil, h, raw), true)
}
