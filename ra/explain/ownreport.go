package explain

import "bytes"

// A report of ra check, or of ra explain, that somebody has pasted in, or saved beside the logs,
// quotes what products would log, and what they have logged, beside the cause: it is no log, and
// none of its lines is evidence.

// reported are the words with which the lines of such a report begin (cmd/ra).
var reported = [...]string{"ok    ", "warn  ", "FAIL  ", "skip  ", "seen as  ", "because  ", "fix      "}

// ofReport tells whether a line is one of a report of ra check, behind what mail puts before it.
func ofReport(b []byte) bool {
	for _, begin := range reported {
		if rest, ok := bytes.CutPrefix(b, []byte(begin)); ok {
			return len(rest) > 0 && rest[0] != ' '
		}
	}
	return false
}

// ownReport tells which lines are of a report of this program, as it goes through a file.
type ownReport struct {
	paragraph bool // of a report of ra explain, to the next empty line
	explained bool // such a report has begun in this file
	json      bool // of one in JSON, to its end
}

// howSure is how the line of each finding of ra explain begins that says how sure it is.
var howSure = [...]string{"how sure: sure: ", "how sure: likely: ", "how sure: possible: ", "how sure: unknown: "}

// gap is an empty line.
func (o *ownReport) gap() { o.paragraph = false }

// outermost tells whether a line as it stands in the file closes what is not indented.
func outermost(raw []byte) bool {
	for bytes.HasPrefix(raw, []byte(">")) { // a mail's
		raw = bytes.TrimPrefix(raw[1:], []byte(" "))
	}
	return bytes.HasPrefix(raw, []byte("}"))
}

// has tells whether a line is one of a report; raw is the same line as it stands in the file.
func (o *ownReport) has(raw, line []byte) bool {
	b := bytes.TrimLeft(line, "> ")
	if len(b) == 0 {
		o.gap()
		return false
	}
	if o.json {
		o.json = !outermost(raw)
		return true
	}
	if bytes.HasPrefix(b, []byte(`"findings": [`)) || bytes.HasPrefix(b, []byte(`{"findings":[`)) {
		o.json = len(b) < 20 // else it stands in one line
		return true
	}
	for _, begin := range howSure {
		if bytes.HasPrefix(b, []byte(begin)) {
			o.paragraph, o.explained = true, true
		}
	}
	if o.explained && (bytes.HasPrefix(b, []byte("Not understood:")) || bytes.HasPrefix(b, []byte("Read:"))) {
		o.paragraph = true
	}
	return o.paragraph || ofReport(b)
}
