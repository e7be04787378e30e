package explain

import "bytes"

// A log holds what others have sent: a request's line, its User-Agent. Whoever reaches the
// port can write a record into one of these. Prose quotes records, too, and may say that
// they are not there. What may be such a record never makes a verdict certain.

var (
	headerMark = []byte("[log_header")
	httpMark   = []byte("HTTP/1.")
)

// outsideQuotes finds the next record of a line whose last one begins at: none within
// quotation marks, and none within what libest writes of a request's header fields.
func outsideQuotes(b []byte, at, from int) (next int, h head, ok bool) {
	header := bytes.Contains(b[at:min(at+64, len(b))], headerMark)
	marks, counted, begin := 0, at, max(at, from-1)
	for {
		if next, h, ok = nextHead(b, from); !ok {
			return 0, head{}, false
		}
		marks += bytes.Count(b[counted:next], []byte(`"`))
		if marks%2 == 0 && (!header || wholeField(b[begin:next])) {
			return next, h, true
		}
		counted, from = next, next+1
	}
}

// wholeField tells whether this is the value of a header field as libest writes it, from
// its beginning to its end.
func wholeField(b []byte) bool {
	b = bytes.TrimSpace(b)
	return string(b) == "-" || len(b) > 1 && b[0] == '"' && b[len(b)-1] == '"'
}

const (
	maxPrefix      = 160
	maxPrefixWords = 6
)

// wrappers are the names by which collectors of logs hand on a line as a string in JSON.
// Within a string these quotation marks would be escaped.
var wrappers = [...]string{`"log":"`, `"log": "`, `"message":"`, `"message": "`, `"msg":"`, `"msg": "`, `"MESSAGE" : "`, `"MESSAGE":"`}

// ownPrefix tells whether what stands before a record is what syslog, a collector or a
// search puts before each line: at most a word, or few of them behind a time.
func ownPrefix(b []byte) bool {
	b = bytes.TrimRight(b, " \t")
	if len(b) == 0 {
		return true
	}
	for _, w := range wrappers {
		if bytes.HasSuffix(b, []byte(w)) {
			return true
		}
	}
	if len(b) > maxPrefix || bytes.ContainsAny(b, "\"`{“„«") {
		return false
	}
	words := bytes.Fields(b)
	for i, w := range words {
		if colon := bytes.IndexByte(w, ':'); colon >= 2 && len(w) > colon+2 && digit(w[colon-1]) && digit(w[colon+1]) && digit(w[colon+2]) {
			return len(words)-i-1 <= maxPrefixWords
		}
	}
	return len(words) <= 1 || len(words) == 2 && len(words[1]) == 1 // nginx-1 |
}

// quotedIn tells whether a line that is told by its words alone has these from somebody
// else: in quotation marks, or in a request. text is squeezed; begin is where they begin.
func quotedIn(text []byte, from, begin int) bool {
	if begin < from {
		return false
	}
	before := text[from:begin]
	return bytes.Contains(before, httpMark) || bytes.Contains(before, []byte(`"GET/`)) || bytes.Contains(before, []byte(`"POST/`)) ||
		len(before) > 0 && bytes.IndexByte([]byte("\"'`"), before[len(before)-1]) >= 0 || bytes.HasSuffix(before, []byte("“")) || bytes.HasSuffix(before, []byte("„"))
}

// ownWords tells whether what this product's own log has behind before, is the product's:
// a client's words are in the values of other keys, and a quotation mark in them is escaped.
func ownWords(before []byte, words string) bool {
	if words[0] == '"' && !bytes.HasSuffix(before, []byte(`\`)) {
		return true
	}
	value := bytes.LastIndex(before, []byte(`":"`))
	if value < 0 {
		return false
	}
	key := before[bytes.LastIndexByte(before[:value], '"')+1 : value]
	switch string(key) {
	case "msg", "reason", "error", "err", "cause":
		return true
	}
	return false
}
