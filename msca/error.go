package msca

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"ciscora/internal/printable"
)

// Phase is the leg towards the CA on which something happened.
type Phase string

// The phases, in the order in which an enrollment passes them.
const (
	PhaseResolve   Phase = "resolve"
	PhaseConnect   Phase = "connect"
	PhaseHandshake Phase = "handshake"
	PhaseLogin     Phase = "login"
	PhaseChain     Phase = "chain"
	PhaseTemplate  Phase = "template"
	PhaseSubmit    Phase = "submit"
	PhaseFetch     Phase = "fetch"
)

// Kind is what went wrong.
type Kind string

// The kinds of failure.
const (
	KindResolve           Kind = "resolve"             // the host has no address
	KindConnect           Kind = "connect"             // refused or unreachable
	KindTLSUntrusted      Kind = "tls-untrusted"       // no chain to the trust store
	KindTLSName           Kind = "tls-name"            // the certificate is another host's
	KindTLSValidity       Kind = "tls-validity"        // expired or not yet valid
	KindTLSHandshake      Kind = "tls-handshake"       // TLS failed otherwise
	KindTimeout           Kind = "timeout"             // the phase's time was up
	KindAuthRejected      Kind = "auth-rejected"       // the CA refused the credentials
	KindAuthScheme        Kind = "auth-scheme"         // the CA does not offer the authentication
	KindForbidden         Kind = "forbidden"           // 403, 401 after the log-in, or access denied
	KindNotFound          Kind = "not-found"           // 404
	KindHTTP              Kind = "http"                // another status
	KindServiceDown       Kind = "service-down"        // IIS answers, the CA behind it does not
	KindTemplateNotListed Kind = "template-not-listed" // certrqxt.asp lacks the template
	KindDenied            Kind = "denied"              // by policy or by a manager
	KindPending           Kind = "pending"             // a manager must approve
	KindBadCSR            Kind = "bad-csr"             // the CA cannot use the CSR
	KindUnknownRequest    Kind = "unknown-request"     // the CA does not know the ReqID
	KindRevoked           Kind = "revoked"             // the certificate was revoked
	KindParse             Kind = "parse"               // not what this page answers
	KindWrongCertificate  Kind = "wrong-certificate"   // for another key than the CSR's
	KindRedirect          Kind = "redirect"            // to another place
	KindClosed            Kind = "closed"              // the connection was lost
	KindCanceled          Kind = "canceled"            // the caller's context ended
	KindInput             Kind = "input"               // refused before anything was sent
	KindUnclear           Kind = "unclear"             // the CA's page failed and does not tell what became of the request
	KindFenced            Kind = "fenced"              // the fence of a submit, or a session's gate, forbade it; nothing was sent
)

// Error is a failure towards the CA. Fields that do not apply are zero.
type Error struct {
	Phase       Phase
	Kind        Kind
	URL         string // of the page, or of the CA before the log-in
	Status      int    // HTTP
	Disposition int    // CR_DISP_*: 1 error, 2 denied, 3 issued, 5 pending, 6 revoked
	ReqID       int
	HRESULT     uint32
	Symbol      string // of HRESULT
	Message     string // the CA's own words, in its language, without markup

	// Sent is true of a submit of which at least one byte has left, unless the CA
	// answered 401, which it does before it runs a page.
	Sent bool

	// Unanswered is true of a log-in whose credentials have left, and whose answer did
	// not come: the CA may have counted them as wrong.
	Unanswered bool

	// What libcurl would have returned, 0 where it would have seen no error
	// (docs/reference/certsrv.md 10).
	CurlCode int
	CurlText string

	Elapsed time.Duration // since the phase began, or since the request's budget did
	Err     error
}

// Error returns one line: the phase, the page, the reason, the CA's own words.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "CA %s: %s", e.Phase, e.Kind)
	if e.URL != "" {
		fmt.Fprintf(&b, " at %s", e.URL)
	}
	if e.Kind == KindTimeout {
		fmt.Fprintf(&b, " after %v", e.Elapsed.Round(time.Millisecond))
	}
	if e.ReqID != 0 {
		fmt.Fprintf(&b, ": request %d", e.ReqID)
	}
	if e.Status != 0 && e.Status != 200 {
		fmt.Fprintf(&b, ": HTTP status %d", e.Status)
	}
	if e.HRESULT != 0 {
		fmt.Fprintf(&b, ": 0x%08x", e.HRESULT)
		if e.Symbol != "" {
			fmt.Fprintf(&b, " (%s)", e.Symbol)
		}
	}
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", e.Message)
	}
	// The text of an ended context says less than the kind.
	if e.Err != nil && e.Kind != KindTimeout {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return printable.Line(b.String(), 0)
}

// Unwrap returns what lies beneath, nil where the CA's answer is all there is. For
// KindTimeout errors.Is finds [context.DeadlineExceeded].
func (e *Error) Unwrap() error {
	if e.Kind == KindTimeout && e.Err == nil {
		return context.DeadlineExceeded
	}
	return e.Err
}

// Temporary reports whether the same request may well succeed later, with nobody
// having changed anything on this side.
func (e *Error) Temporary() bool {
	switch e.Kind {
	case KindResolve, KindConnect, KindTimeout, KindServiceDown, KindClosed, KindPending, KindUnclear, KindFenced:
		return true
	case KindHTTP:
		return e.Status >= 500
	}
	return false
}

// MayHaveIssued reports, of a submit, whether the CA has, or may have, taken the
// CSR: it gave no answer, or one that proves nothing, or it keeps the request for a
// manager. False: nothing was sent, or the CA has surely refused.
func (e *Error) MayHaveIssued() bool {
	return e.Sent && (e.Kind == KindPending || e.proves() >= provesNothing)
}

// MayStillWork reports, of a submit, whether the CA may even be at work on the CSR
// still: what failed is the way to it or back. False: whoever answered is done.
func (e *Error) MayStillWork() bool { return e.Sent && e.proves() == provesLost }

// proves tells what the failure of a submit that was sent proves about the request.
func (e *Error) proves() proof {
	switch {
	case e.Kind == KindTimeout, e.Kind == KindClosed, e.Kind == KindCanceled:
		return provesLost
	case e.Kind == KindDenied, e.Kind == KindBadCSR, e.Disposition == dispositionDenied:
		return provesRefused
	case e.Disposition == dispositionIssued:
		return provesNothing // issued, and yet an error page
	case e.Status == http.StatusServiceUnavailable:
		return provesNotTaken // http.sys: the application pool is stopped, or its queue is full
	case e.Status >= http.StatusInternalServerError:
		return provesLost // the script was ended, or a proxy gave up
	case e.Status >= http.StatusMultipleChoices:
		return provesNotTaken // IIS answers so in place of the page
	case e.HRESULT != 0:
		return hresult(e.HRESULT).proves
	case e.Kind == KindServiceDown:
		return provesNotTaken // the page says that the CA's service has not been started
	}
	return provesNothing
}
