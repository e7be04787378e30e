package ra

import (
	"time"

	"ciscora/ra/access"
)

// Error is an RA's answer to an EST client. It satisfies the Error interface of
// github.com/globalsign/est and tells the front end, by Challenge, whether a
// 401 asks for credentials.
type Error struct {
	Status     int           // HTTP status
	Text       string        // the one line that the client is shown; no secret, no HTML
	Retry      time.Duration // Retry-After; 0 = none
	Challenged bool          // a 401 comes with WWW-Authenticate
	Offers     []string      // its values; nil = the front end's own, Basic
	Cause      error         // what really happened, for the log; nil where Text says it all
}

func (e *Error) Error() string { return e.Text }

// StatusCode returns the HTTP status of the answer.
func (e *Error) StatusCode() int { return e.Status }

// RetryAfter returns the seconds for Retry-After; 0 = no such header.
func (e *Error) RetryAfter() int { return int((e.Retry + time.Second - 1) / time.Second) }

// Challenge tells whether a 401 comes with a challenge.
func (e *Error) Challenge() bool { return e.Challenged }

// Challenges are the values of WWW-Authenticate; nil = the front end's own.
func (e *Error) Challenges() []string { return e.Offers }

func (e *Error) Unwrap() error { return e.Cause }

const (
	retryCA      = 30 * time.Second // the CA is down or out of reach: a restart of its service takes about that long
	retryPending = 5 * time.Minute  // a person has to approve
	retryLedger  = 10 * time.Second // the ledger's server starts anew

	textNoChain = "no CA chain yet: "
)

// noCredentials is the answer to a request that names nobody.
func noCredentials() *Error {
	return plain{}.unauthorized(&access.Error{Reason: access.ReasonNobody})
}
