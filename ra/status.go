package ra

import (
	"context"
	"errors"
	"net/http"
	"time"

	"ciscora/msca"
	"ciscora/ra/ledger"
)

// Answers chooses what an EST client is told when something fails on the CA's
// side (design, section 6).
type Answers int

const (
	// AnswersPlain tells the leg that failed by the status that HTTP has for it.
	AnswersPlain Answers = iota
	// AnswersCES tells as little as CES: 401 without a challenge for all that
	// fails in its authentication step, 400 for all that fails after it, as
	// libest 2.1.0 does (libest.md, "2.1.0 differences").
	AnswersCES
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

	textUnauthorized = "The server was unable to authorize the request." // libest.md, "Answers, errors"
	textCorrupted    = "Invalid or corrupted pkcs10 request."
	textUpstream     = "There was an issue connecting to the upstream server." // libest.md, "RA mode"
)

// noCredentials is the answer to a request that names nobody.
func noCredentials() *Error {
	return &Error{Status: http.StatusUnauthorized, Text: "no credentials: send the CA account's user name and password with HTTP Basic", Challenged: true}
}

// cesLag is how long CES takes from its time-out to its answer. Its timer and its
// client's are of the same length, and in the document the client's, which began
// first, ends first: after 10.037 s (ces.md F9).
const cesLag = 50 * time.Millisecond

// lagAsCES waits where CES would after a time-out, so that the race of the timers
// ends as at a customer's, and not as the scheduler has it.
func (r *RA) lagAsCES(ctx context.Context, label string, err error) {
	if r.asCES(label) && isKind(err, msca.KindTimeout) {
		sleep(ctx, cesLag)
	}
}

// authenticationError makes the answer for a failure in the authentication step
// (log-in and certrqxt.asp).
func (r *RA) authenticationError(label string, err error) *Error {
	if r.asCES(label) {
		return &Error{Status: http.StatusUnauthorized, Text: textUnauthorized, Cause: err}
	}
	var ca *msca.Error
	if errors.As(err, &ca) {
		switch ca.Kind {
		case msca.KindAuthRejected, msca.KindTemplateNotListed, msca.KindInput:
			return &Error{Status: http.StatusUnauthorized, Text: publicText(ca), Challenged: true, Cause: err}
		}
	}
	return r.plainError(err)
}

// enrollmentError makes the answer for a failure after the authentication step.
func (r *RA) enrollmentError(label string, err error) *Error {
	plain := r.plainError(err)
	if !r.asCES(label) {
		if r.caFailureStatus != 0 && plain.Status >= http.StatusInternalServerError {
			plain.Status, plain.Retry = r.caFailureStatus, 0
		}
		return plain
	}
	if plain.Status == http.StatusAccepted {
		return plain
	}
	// libest 2.1.0 knows one answer for all that fails here.
	answer := &Error{Status: orDefault(r.caFailureStatus, http.StatusBadRequest), Text: textCorrupted, Cause: err}
	if answer.Status != http.StatusBadRequest {
		answer.Text = textUpstream
	}
	return answer
}

func (r *RA) plainError(err error) *Error {
	answer := &Error{Status: http.StatusBadGateway, Cause: err, Text: "the CA's answer could not be used"}
	var ca *msca.Error
	if !errors.As(err, &ca) {
		if errors.Is(err, ledger.ErrUnavailable) || errors.Is(err, ledger.ErrLost) || errors.Is(err, errElsewhere) {
			answer.Status, answer.Text, answer.Retry = http.StatusServiceUnavailable, "the RA cannot record the request now", retryLedger
			return answer
		}
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			answer.Status, answer.Text, answer.Retry = http.StatusServiceUnavailable, "the RA is shutting down", retryCA
		}
		return answer
	}
	answer.Text = publicText(ca)
	switch ca.Kind {
	case msca.KindAuthRejected:
		answer.Status, answer.Challenged = http.StatusUnauthorized, true
	case msca.KindPending:
		answer.Status, answer.Retry = http.StatusAccepted, retryPending
	case msca.KindDenied, msca.KindTemplateNotListed, msca.KindRevoked:
		answer.Status = http.StatusForbidden
	case msca.KindBadCSR:
		answer.Status = http.StatusBadRequest
	case msca.KindTimeout:
		answer.Status = http.StatusGatewayTimeout
	case msca.KindResolve, msca.KindConnect, msca.KindServiceDown, msca.KindUnclear, msca.KindFenced, msca.KindCanceled:
		answer.Status, answer.Retry = http.StatusServiceUnavailable, retryCA
	}
	return answer
}
