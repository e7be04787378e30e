package explain

import "bytes"

// A report of ra check that somebody has pasted in quotes what products would log, beside the
// cause: it is no log, and none of its lines is evidence.

// reported are the words with which the lines of such a report begin (cmd/ra).
var reported = [...]string{"ok    ", "warn  ", "FAIL  ", "skip  ", "seen as  ", "because  ", "fix      "}

// ofReport tells whether a line is one of a report of ra check, behind what mail puts before it.
func ofReport(b []byte) bool {
	b = bytes.TrimLeft(b, "> ")
	for _, begin := range reported {
		if rest, ok := bytes.CutPrefix(b, []byte(begin)); ok {
			return len(rest) > 0 && rest[0] != ' '
		}
	}
	return false
}
