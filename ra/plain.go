package ra

import (
	"context"
	"errors"
	"net/http"

	"ciscora/msca"
	"ciscora/ra/access"
	"ciscora/ra/ledger"
	"ciscora/ra/policy"
	"ciscora/ra/search"
)

// plain is the manner of an RA as one would wish it: it says which leg failed, by the
// status that HTTP has for it.
type plain struct{ caFailureStatus int }

func (plain) renewsWithoutCertificate() bool { return false }
func (plain) outlives() bool                 { return true }
func (plain) joins() bool                    { return true }
func (plain) collects() bool                 { return true }
func (plain) lag(context.Context, error)     {}

func (plain) unauthorized(e *access.Error) *Error {
	answer := &Error{Status: http.StatusUnauthorized, Text: e.Error(), Offers: e.Challenges, Cause: e.Cause, Challenged: true}
	switch e.Reason {
	case access.ReasonLocked:
		answer.Challenged = e.Method != access.MethodRelay
	case access.ReasonOwnUnreadable, access.ReasonOwnRefused:
		answer.Status, answer.Retry, answer.Challenged = http.StatusServiceUnavailable, retryCA, false
	case access.ReasonRevoked:
		answer.Status, answer.Challenged = http.StatusForbidden, false
	case access.ReasonRevocationUnknown:
		answer.Status, answer.Retry, answer.Challenged = http.StatusServiceUnavailable, retryCA, false
	case access.ReasonCA:
		var ca *msca.Error
		if errors.As(e.Cause, &ca) {
			switch ca.Kind {
			case msca.KindAuthRejected, msca.KindInput:
				answer.Text = publicText(ca)
				return answer
			}
		}
		return answerFor(e.Cause)
	}
	return answer
}

func (m plain) enrollmentFailure(err error) *Error {
	answer := answerFor(err)
	if m.caFailureStatus != 0 && answer.Status >= http.StatusInternalServerError {
		answer.Status, answer.Retry = m.caFailureStatus, 0
	}
	return answer
}

func (plain) refusedCSR(refusal *policy.Refusal) *Error {
	answer := &Error{Status: http.StatusForbidden, Text: refusal.Text}
	if refusal.Malformed {
		answer.Status = http.StatusBadRequest
	}
	return answer
}

func (plain) noChain(reason string, cause error) *Error {
	return &Error{Status: http.StatusServiceUnavailable, Retry: retryCA, Text: textNoChain + reason, Cause: cause}
}

func (plain) keyGone(cause error) *Error {
	return &Error{
		Status: http.StatusForbidden, Cause: cause,
		Text: "the request waits for a manager's approval, and the key would be gone by then: make the key yourself and use simpleenroll",
	}
}

// answerFor says which leg failed.
func answerFor(err error) *Error {
	answer := &Error{Status: http.StatusBadGateway, Cause: err, Text: "the CA's answer could not be used"}
	var (
		ca      *msca.Error
		refusal *access.OwnRefusal
		refused *access.Error
	)
	switch {
	case errors.As(err, &refusal):
		// No credentials of the client's would mend it.
		answer.Status, answer.Retry, answer.Text = http.StatusServiceUnavailable, retryCA, "the CA refused the RA's own credentials"
		return answer
	case errors.As(err, &refused):
		return plain{}.unauthorized(refused)
	case !errors.As(err, &ca):
		return otherAnswer(answer, err)
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

// otherAnswer is for what is not the CA's own failure.
func otherAnswer(answer *Error, err error) *Error {
	var (
		lost *lostError
		away *access.TurnedAway
	)
	switch {
	case errors.As(err, &lost):
		answer.Status, answer.Retry = http.StatusAccepted, lost.wait
		answer.Text = "the CA's answer to this CSR was lost: the RA finds out what came of it, ask again"
	case errors.Is(err, errExpired):
		answer.Status, answer.Retry = http.StatusServiceUnavailable, retryLedger
		answer.Text = err.Error() + ": ask again"
	case errors.As(err, &away):
		answer.Status, answer.Retry, answer.Text = http.StatusServiceUnavailable, away.RetryAfter, away.Text
	case errors.Is(err, ledger.ErrUnavailable), errors.Is(err, ledger.ErrLost):
		answer.Status, answer.Text, answer.Retry = http.StatusServiceUnavailable, "the RA cannot record the request now", retryLedger
	case errors.Is(err, search.ErrBusy):
		answer.Status, answer.Text, answer.Retry = http.StatusServiceUnavailable, "the RA is still finding out where the CA's request ids end", retryLedger
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		answer.Status, answer.Text, answer.Retry = http.StatusServiceUnavailable, "the RA is shutting down", retryCA
	}
	return answer
}
