package est

import (
	"fmt"
	"net/http"
)

// Dialect is the manner in which the front end answers.
type Dialect int

const (
	// DialectRFC8951 answers as RFC 7030 and RFC 8951 say.
	DialectRFC8951 Dialect = iota
	// DialectLibest answers as CES does, by libest 2.1.0.
	DialectLibest
)

func (d Dialect) String() string {
	switch d {
	case DialectRFC8951:
		return "rfc8951"
	case DialectLibest:
		return "libest"
	}
	return fmt.Sprintf("Dialect(%d)", int(d))
}

// style returns what the dialect does its own way.
func (d Dialect) style() (style, error) {
	switch d {
	case DialectRFC8951:
		return rfc8951{}, nil
	case DialectLibest:
		return libest{}, nil
	}
	return nil, fmt.Errorf("est: unknown dialect %d: take DialectRFC8951 or DialectLibest", int(d))
}

// style is what the dialects differ in.
type style interface {
	// path tells why a path is refused that leads to no operation.
	path(path string) reason
	// label tells whether a label may have this many bytes.
	label(length int) bool
	// contentType tells whether a CSR may come as this Content-Type.
	contentType(value string) bool
	// refuse is the answer to a request that the front end itself refuses.
	refuse(*refusal) answer
	// challenge tells whether a 401 asks for credentials: asked is what the error
	// wants, nil where it says nothing.
	challenge(presented credentials, asked *bool) bool
	// checksSubject tells whether simplereenroll compares names (RFC 7030 §4.2.2).
	checksSubject() bool
	// trimsChain tells whether /cacerts leaves out what it cannot vouch for itself.
	trimsChain() bool
	// success sets what a 200 carries besides its type and length.
	success(h http.Header)
	// failure sets what any other answer carries, and returns its body.
	failure(h http.Header, a answer) (body string)
}

// answer is an answer other than 200.
type answer struct {
	status    int
	text      string // without a final LF
	allow     string
	retry     int      // seconds; 0 = no Retry-After
	challenge bool     // 401 with WWW-Authenticate
	offers    []string // its values; none = the server's own
	silent    bool     // no answer: the connection ends
}

// retryAccepted stands in where a 202 comes without its Retry-After, which
// RFC 7030 §4.2.3 demands: libest's default, in seconds.
const retryAccepted = 3600

// retryBusy is when to come back to a front end that is full, in seconds.
const retryBusy = 30
