package explain

import "bytes"

// form is the shape of a record, told by how it begins.
type form uint8

const (
	formNone    form = iota
	formStart        // nginx: [warn] text
	formWorker       // 2019/03/05 12:31:21 [info] 31067#0: text
	formLibest       // ***EST [INFO][function:1]--> text
	formService      // EnrollmentService.sh : text
	formCAPF         // 14:05:05.236 | text
	formFrame        // 14:05:05.236 |-->function
	formW3C          // 2019-01-16 14:05:02 14.48.31.152 GET ...
	formW3CHead      // #Fields: ...
	formPhone        // 902: NOT 10:19:27.155936 VPNC: text
	formASA          // %ASA-7-725014: text
	formJSON         // {"level":"info",...}
)

// head is what stands before a record's text.
type head struct {
	form form
	text int // where the text begins, from the record's first byte
	when stamp
	pid  int64 // of NGINX's worker
	conn int64 // of NGINX; 0 = none
}

// stamp is a time as a log writes it, in the log's own zone.
type stamp struct {
	ms    int64 // since 1970 as if the zone were UTC; since midnight without a date
	date  bool
	clock bool // false = no time at all
}

func digit(c byte) bool { return c-'0' < 10 }

// number reads exactly n digits at i.
func number(b []byte, i, n int) (int64, bool) {
	if i+n > len(b) {
		return 0, false
	}
	v := int64(0)
	for _, c := range b[i : i+n] {
		if !digit(c) {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	return v, true
}

// clockAt reads hh:mm:ss at i, in milliseconds.
func clockAt(b []byte, i int) (int64, bool) {
	if i+8 > len(b) || b[i+2] != ':' || b[i+5] != ':' {
		return 0, false
	}
	h, ok1 := number(b, i, 2)
	m, ok2 := number(b, i+3, 2)
	s, ok3 := number(b, i+6, 2)
	if !ok1 || !ok2 || !ok3 || h > 23 || m > 59 || s > 60 {
		return 0, false
	}
	return (h*3600 + m*60 + s) * 1000, true
}

// dateAt reads yyyy?mm?dd with a separator, in milliseconds since 1970.
func dateAt(b []byte, separator byte) (int64, bool) {
	if len(b) < 10 || b[4] != separator || b[7] != separator {
		return 0, false
	}
	y, ok1 := number(b, 0, 4)
	m, ok2 := number(b, 5, 2)
	d, ok3 := number(b, 8, 2)
	if !ok1 || !ok2 || !ok3 || m < 1 || m > 12 || d < 1 || d > 31 {
		return 0, false
	}
	// Days from civil: March is the first month of the year.
	if m <= 2 {
		y--
		m += 12
	}
	days := 365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + d - 1 - 719468
	return days * 86400000, true
}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

// headAt reads the head of a record that begins with b.
func headAt(b []byte) (head, bool) {
	if len(b) < 6 {
		return head{}, false
	}
	switch c := b[0]; {
	case c == '*':
		if hasPrefix(b, "***EST [") {
			// ***EST [LEVEL][function:line]--> text
			if at := bytes.Index(b[:min(len(b), 160)], arrow); at > 0 {
				at += len(arrow)
				if at < len(b) && b[at] == ' ' {
					at++
				}
				return head{form: formLibest, text: at}, true
			}
		}
	case c == 'n':
		if hasPrefix(b, "nginx: [") {
			if at := bytes.IndexByte(b[:min(len(b), 24)], ']'); at > 0 {
				return head{form: formStart, text: min(at+2, len(b))}, true
			}
		}
	case c == 'E':
		if hasPrefix(b, "EnrollmentService.sh") {
			return head{form: formService}, true
		}
	case c == '[':
		if at := bytes.IndexByte(b[:min(len(b), 12)], ']'); at > 1 && at+2 < len(b) {
			return workerAt(b, at+2, stamp{})
		}
	case c == '#':
		for _, word := range [...]string{"#Fields:", "#Software:", "#Version:", "#Date:"} {
			if hasPrefix(b, word) {
				return head{form: formW3CHead}, true
			}
		}
	case c == '%':
		if hasPrefix(b, "%ASA-") || hasPrefix(b, "%FTD-") || hasPrefix(b, "%PIX-") {
			return head{form: formASA}, true
		}
	case c == 'V', c == 'S':
		if hasPrefix(b, "VPNC: ") || hasPrefix(b, "SECD: ") {
			return head{form: formPhone, text: 6}, true
		}
	case c == '|':
		return capfBar(b, 0, stamp{})
	case c == 'd':
		if hasPrefix(b, "debug ") && len(b) > 8 && digit(b[6]) && isDevice(b[6:]) {
			return head{form: formCAPF}, true
		}
	case c == '{':
		if hasPrefix(b, `{"level":"`) {
			return head{form: formJSON}, true
		}
	case digit(c):
		return digitHead(b)
	}
	return head{}, false
}

var (
	arrow  = []byte("]-->")
	pidEnd = []byte("#0: ")
)

func digitHead(b []byte) (head, bool) {
	if b[2] == ':' {
		if ms, ok := clockAt(b, 0); ok && len(b) > 13 && b[8] == '.' {
			if part, ok := number(b, 9, 3); ok {
				return capfBar(b, 12, stamp{ms: ms + part, clock: true})
			}
		}
		return phoneAt(b)
	}
	if b[4] == '/' && len(b) > 22 {
		day, ok1 := dateAt(b, '/')
		ms, ok2 := clockAt(b, 11)
		if ok1 && ok2 && b[20] == '[' {
			if at := bytes.IndexByte(b[:min(len(b), 32)], ']'); at > 0 && at+2 < len(b) {
				return workerAt(b, at+2, stamp{ms: day + ms, date: true, clock: true})
			}
		}
		return head{}, false
	}
	if b[4] == '-' && len(b) > 24 {
		day, ok1 := dateAt(b, '-')
		ms, ok2 := clockAt(b, 11)
		if ok1 && ok2 && b[19] == ' ' && isW3C(b[20:]) {
			return head{form: formW3C, text: 21, when: stamp{ms: day + ms, date: true, clock: true}}, true
		}
		return head{}, false
	}
	if h, ok := workerAt(b, 0, stamp{}); ok {
		return h, true
	}
	if h, ok := phoneAt(b); ok {
		return h, true
	}
	if isW3C(b) {
		return head{form: formW3C}, true
	}
	return head{}, false
}

// workerAt reads `31067#0: *5 ` at i.
func workerAt(b []byte, i int, when stamp) (head, bool) {
	begin := i
	for i < len(b) && digit(b[i]) {
		i++
	}
	if i == begin || i-begin > 10 || !bytes.HasPrefix(b[i:], pidEnd) {
		return head{}, false
	}
	h := head{form: formWorker, text: i + len(pidEnd), when: when}
	for _, d := range b[begin:i] {
		h.pid = h.pid*10 + int64(d-'0')
	}
	if i = h.text; i < len(b) && b[i] == '*' {
		i++
		for i < len(b) && digit(b[i]) && i-h.text < 18 {
			h.conn = h.conn*10 + int64(b[i]-'0')
			i++
		}
		if i < len(b) && b[i] == ' ' {
			h.text = i + 1
		} else {
			h.conn = 0
		}
	}
	return h, true
}

// capfBar reads ` | `, ` |-->` or ` |<--` at i.
func capfBar(b []byte, i int, when stamp) (head, bool) {
	if i < len(b) && b[i] == ' ' {
		i++
	}
	if i >= len(b) || b[i] != '|' {
		return head{}, false
	}
	rest := b[i+1:]
	switch {
	case hasPrefix(rest, "-->"), hasPrefix(rest, "<--"):
		return head{form: formFrame, text: i + 4, when: when}, true
	case len(rest) > 1 && rest[0] == ' ' && (when.clock || hasPrefix(rest, " debug ")):
		return head{form: formCAPF, text: i + 2, when: when}, true
	}
	return head{}, false
}

// phoneAt reads `902: NOT 10:19:27.155936 VPNC: `.
func phoneAt(b []byte) (head, bool) {
	i := 0
	for i < len(b) && digit(b[i]) && i < 9 {
		i++
	}
	if i == 0 || i+22 > len(b) || b[i] != ':' || b[i+1] != ' ' || b[i+5] != ' ' {
		return head{}, false
	}
	for _, c := range b[i+2 : i+5] {
		if c < 'A' || c > 'Z' {
			return head{}, false
		}
	}
	ms, ok := clockAt(b, i+6)
	if !ok || b[i+14] != '.' {
		return head{}, false
	}
	at := i + 15
	for at < len(b) && digit(b[at]) {
		at++
	}
	at = min(at+1, len(b))
	if rest := b[at:]; hasPrefix(rest, "VPNC: ") || hasPrefix(rest, "SECD: ") {
		at += 6
	}
	return head{form: formPhone, text: at, when: stamp{ms: ms, clock: true}}, true
}

var rvWords = []byte("Enrollment rv = ")

// quotedRV finds the one line of CAPF's trace that says what failed where it is quoted
// without its head, as docs/failures.md quotes it.
func quotedRV(b []byte) (at int, h head, ok bool) {
	at = bytes.Index(b[:min(len(b), maxOpen)], rvWords)
	if at < 0 || at+len(rvWords) >= len(b) || !digit(b[at+len(rvWords)]) {
		return 0, head{}, false
	}
	return at, head{form: formCAPF}, true
}

// isDevice tells whether b begins with `2:SEP001122334455:`.
func isDevice(b []byte) bool {
	i := 0
	for i < len(b) && digit(b[i]) {
		i++
	}
	return i > 0 && i < 19 && bytes.HasPrefix(b[i:], []byte(":SEP"))
}

// isW3C tells whether b begins like an entry of IIS's log without its time: an
// address, a method and a path.
func isW3C(b []byte) bool {
	i := bytes.IndexByte(b[:min(len(b), 48)], ' ')
	if i < 3 || bytes.IndexByte(b[:i], '.') < 0 && bytes.IndexByte(b[:i], ':') < 0 {
		return false
	}
	for _, c := range b[:i] {
		if !digit(c) && c != '.' && c != ':' && c != '%' && (c < 'a' || c > 'f') {
			return false
		}
	}
	rest := b[i+1:]
	for _, method := range [...]string{"GET /", "POST /", "HEAD /", "OPTIONS "} {
		if hasPrefix(rest, method) {
			return true
		}
	}
	return false
}

// beginsRecord tells the bytes that may begin a record.
var beginsRecord = func() (t [256]bool) {
	for _, c := range []byte("*nE[#%VSd|{0123456789") {
		t[c] = true
	}
	return t
}()

// nextHead finds the first record in b at or behind i.
func nextHead(b []byte, i int) (at int, h head, ok bool) {
	for ; i < len(b); i++ {
		c := b[i]
		if !beginsRecord[c] {
			continue
		}
		if i > 0 {
			p := b[i-1]
			// A record's head does not begin within a word or a number; within a line
			// it stands behind a blank.
			if digit(p) || p >= 'a' && p <= 'z' || p >= 'A' && p <= 'Z' || p == '/' || p == '-' || p == '.' {
				continue
			}
			if (c == 'd' || c == '|' || c == '{' || c == '[' || c == '#' || c == 'V' || c == 'S') && p != ' ' && p != '\t' && p != ':' && p != '>' {
				continue
			}
		}
		if h, ok := headAt(b[i:]); ok {
			return i, h, true
		}
	}
	return 0, head{}, false
}
