package ra

import (
	"context"
	"net/http"
	"time"

	"ciscora/msca"
	"ciscora/ra/access"
	"ciscora/ra/policy"
)

// ces is CES's manner. It gives up with its client, remembers nothing, and tells as
// little as libest 2.1.0.
type ces struct{ caFailureStatus int }

const (
	textUnauthorized = "The server was unable to authorize the request." // docs/reference/libest.md, "Answers, errors"
	textCorrupted    = "Invalid or corrupted pkcs10 request."
	textUpstream     = "There was an issue connecting to the upstream server." // docs/reference/libest.md, "RA mode"

	// cesLag is how long CES takes from its time-out to its answer. Its timer and its
	// client's are of the same length, and in the document the client's, which began
	// first, ends first: after 10.037 s (docs/reference/ces.md F9).
	cesLag = 50 * time.Millisecond
)

func (ces) renewsWithoutCertificate() bool { return true }
func (ces) outlives() bool                 { return false }
func (ces) joins() bool                    { return false } // it asks the CA anew (docs/reference/ces.md, "Timers")
func (ces) collects() bool                 { return false }

// lag waits where CES would after a time-out, so that the race of the timers ends as
// at a customer's, and not as the scheduler has it.
func (ces) lag(ctx context.Context, err error) {
	if isKind(err, msca.KindTimeout) {
		sleep(ctx, cesLag)
	}
}

func (ces) unauthorized(e *access.Error) *Error {
	switch {
	case e.Reason == access.ReasonNobody, e.Digest, e.Reason == access.ReasonOwnUnreadable, e.Reason == access.ReasonOwnRefused:
		return plain{}.unauthorized(e)
	}
	// docs/reference/libest.md: "wrong scheme; bad base64; no colon", and all that the CA refuses
	return &Error{Status: http.StatusUnauthorized, Text: textUnauthorized, Offers: e.Challenges, Cause: e.Cause}
}

func (m ces) enrollmentFailure(err error) *Error {
	if answer := answerFor(err); answer.Status == http.StatusAccepted {
		return answer
	}
	// libest 2.1.0 knows one answer for all that fails here.
	answer := &Error{Status: orDefault(m.caFailureStatus, http.StatusBadRequest), Text: textCorrupted, Cause: err}
	if answer.Status != http.StatusBadRequest {
		answer.Text = textUpstream
	}
	return answer
}

func (ces) refusedCSR(refusal *policy.Refusal) *Error {
	return &Error{Status: http.StatusBadRequest, Text: textCorrupted, Cause: refusal}
}

func (ces) noChain(reason string, cause error) *Error {
	return &Error{Status: http.StatusInternalServerError, Text: textNoChain + reason, Cause: cause} // docs/reference/libest.md L8: a status its clients know
}

func (ces) keyGone(cause error) *Error {
	return &Error{Status: http.StatusBadRequest, Text: textCorrupted, Cause: cause}
}
