package est

import (
	"net/http"
	"strings"
	"time"

	globalest "github.com/globalsign/est"
)

// Error is an answer other than a certificate, for a CA or an [Authenticator]
// that has no error type of its own. It satisfies the Error interface of
// github.com/globalsign/est, and so does any error that is served as it says;
// every other error is answered with 500.
type Error struct {
	Status     int           // HTTP status: 202, 204, or 400 to 599
	Text       string        // the one line that the client is shown: no secrets, no HTML
	Retry      time.Duration // Retry-After, rounded up to seconds; 0 = none
	Challenged bool          // a 401 comes with WWW-Authenticate
	Cause      error         // what really happened, for logs and events only
}

var _ globalest.Error = (*Error)(nil)

func (e *Error) Error() string {
	if e.Text == "" {
		return strings.ToLower(http.StatusText(e.Status))
	}
	return e.Text
}

// StatusCode returns the HTTP status of the answer.
func (e *Error) StatusCode() int { return e.Status }

// RetryAfter returns the seconds for Retry-After; 0 = no such header.
func (e *Error) RetryAfter() int { return int((e.Retry + time.Second - 1) / time.Second) }

// Challenge tells whether a 401 comes with a challenge.
func (e *Error) Challenge() bool { return e.Challenged }

func (e *Error) Unwrap() error { return e.Cause }

// reason is why the front end itself refuses a request.
type reason int

const (
	// refusedPath: the path is nowhere near an EST operation.
	refusedPath reason = iota
	// refusedOperation: below /.well-known/est, but no operation that is served.
	refusedOperation
	// refusedNothing: /.well-known or /.well-known/est with nothing after it.
	refusedNothing
	refusedLabel
	refusedMethod
	refusedLength
	refusedSize
	refusedType
	refusedCSR
	// refusedPossession: the proof of possession is missing or wrong.
	refusedPossession
	// refusedUnimplemented: an operation, or a part of one, that is not done here.
	refusedUnimplemented
	refusedSlow
	refusedBusy
	refusedInternal
)

// refusal is an error of the front end's own. Each dialect has its status and
// words for it.
type refusal struct {
	why   reason
	text  string // what is wrong and what to do, for a client of the RFC dialect
	allow string // the methods for Allow, with refusedMethod
	cause error
}

// Error leaves the cause out, since a client is shown this; Unwrap has it.
func (r *refusal) Error() string { return r.text }

func (r *refusal) Unwrap() error { return r.cause }

// maxText bounds what an error may tell a client, in bytes.
const maxText = 1024
