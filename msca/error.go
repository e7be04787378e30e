package msca

import (
	"context"
	"fmt"
	"strings"
	"time"
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

	// What libcurl would have returned, 0 where it would have seen no error
	// (reference: certsrv.md 10).
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
	return oneLine(b.String())
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
	case KindResolve, KindConnect, KindTimeout, KindServiceDown, KindClosed, KindPending:
		return true
	case KindHTTP:
		return e.Status >= 500
	}
	return false
}

// oneLine joins lines and drops control characters: the CA's words go into log
// lines and answers.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == '\u0085' || r == '\u2028' || r == '\u2029'
	}), " ")
}
