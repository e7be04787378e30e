package explain

import "bytes"

// This product's own log says of each request how it was answered, at level info and
// without a word for an error: `"msg":"answered",...,"status":400,...,"reason":"..."`.

var (
	answeredMark  = []byte(`"msg":"answered"`)
	answeredPath  = []byte(`,"path":"/.well-known/est/`)
	answeredWith  = []byte(`,"status":`)
	answeredWhy   = []byte(`,"reason":"`)
	enrollmentID  = []byte(`,"enrollment":"`)
	requestID     = []byte(`,"req_id":`)
	stillPending  = []byte(`"kind":"pending"`)
	askedToLogIn  = []byte("nocredentials:")     // squeezed
	startFailed   = []byte(`"msg":"startfailed`) // squeezed
	ownRefused    = []byte(`"msg":"theCArefusedtheRA'sownaccount`)
	ofFault       = []byte(`"logger":"fault"`)
	orphanMessage = []byte(`"msg":"possibleorphan`)
)

// refused tells whether a squeezed record of the RA's log is of a request that got an
// error, or a certificate that nobody has; shape is what such lines have in common.
func refused(text []byte) (shape []byte, ok bool) {
	if bytes.Contains(text, orphanMessage) {
		return orphanMessage, true
	}
	at := bytes.Index(text, answeredMark)
	if at < 0 {
		return nil, false
	}
	text = text[at:]
	// What a client sends cannot make these: a quote in JSON's strings is escaped.
	path, status := bytes.Index(text, answeredPath), bytes.Index(text, answeredWith)
	if path < 0 || status < 0 { // what else is asked for is no enrollment
		return nil, false
	}
	code := text[status+len(answeredWith):]
	if len(code) < 3 || code[0] != '4' && code[0] != '5' || !digit(code[1]) || !digit(code[2]) {
		return nil, false
	}
	var why []byte
	if i := bytes.Index(code, answeredWhy); i >= 0 {
		why = code[i+len(answeredWhy):]
	}
	if string(code[:3]) == "401" && bytes.HasPrefix(why, askedToLogIn) {
		return nil, false // how each log-in begins
	}
	return append(bytes.Clone(code[:3]), why...), true
}

// reqIDOf is the request at the CA that a squeezed record of the RA's log is of: who polls
// for it comes under an id of its own each time.
func reqIDOf(text []byte) string {
	_, id, ok := bytes.Cut(text, requestID)
	if !ok {
		return ""
	}
	end := 0
	for end < len(id) && end < 20 && digit(id[end]) {
		end++
	}
	return string(id[:end])
}

// idOf is the enrollment that a squeezed record of the RA's log is of.
func idOf(text []byte) string {
	i := bytes.Index(text, enrollmentID)
	if i < 0 {
		return ""
	}
	id := text[i+len(enrollmentID):]
	return string(id[:max(0, bytes.IndexByte(id[:min(len(id), 64)], '"'))])
}

// explained are the latest enrollments of the RA's log that a card has explained: how
// they were answered says nothing more.
type explained struct {
	ids  map[string]bool
	ring [1024]string
	next int
}

func (e *explained) add(id string) {
	if id == "" || e.ids[id] {
		return
	}
	if e.ids == nil {
		e.ids = map[string]bool{}
	}
	delete(e.ids, e.ring[e.next])
	e.ids[id], e.ring[e.next] = true, id
	e.next = (e.next + 1) % len(e.ring)
}
