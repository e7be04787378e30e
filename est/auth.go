package est

import (
	"context"
	"errors"
	"net/http"

	globalest "github.com/globalsign/est"

	"ciscora/internal/printable"
)

// Authenticator decides who may enroll.
type Authenticator interface {
	// Authenticate looks at r's TLS state and Authorization header and returns a
	// context derived from r's that carries what the CA needs to know about the
	// client. It is called after the Content-Type is checked and before the body
	// is read, which it must leave alone, for enrollments only.
	//
	// An error with the methods of github.com/globalsign/est's Error is answered
	// as it says; where it has a method Challenge() bool too, that tells whether a
	// 401 asks for credentials, and where it has Challenges() []string, with which
	// values of WWW-Authenticate, if there are any. Any other error is answered with 500.
	Authenticate(r *http.Request) (context.Context, error)
}

// AuthenticatorFunc is a function as an [Authenticator].
type AuthenticatorFunc func(r *http.Request) (context.Context, error)

// Authenticate calls f(r).
func (f AuthenticatorFunc) Authenticate(r *http.Request) (context.Context, error) { return f(r) }

// credentials tells what a request's Authorization header is good for.
type credentials int

const (
	credentialsAbsent credentials = iota
	credentialsBasic
	// credentialsUnreadable: another scheme, no base64, or no colon in it.
	credentialsUnreadable
)

func presentedBy(r *http.Request) credentials {
	if len(r.Header.Values("Authorization")) == 0 {
		return credentialsAbsent
	}
	if _, _, ok := r.BasicAuth(); !ok {
		return credentialsUnreadable
	}
	return credentialsBasic
}

// authenticate asks the Authenticator, reports what it says, and returns the
// request with the context that it gave.
func (s *Server) authenticate(x *exchange, r *http.Request) (*http.Request, error) {
	start := s.now()
	ctx, err := s.authenticator.Authenticate(r)
	took := s.now().Sub(start)
	if err != nil {
		a := x.answerTo(r, err)
		if a.challenge && presentedBy(r) == credentialsAbsent {
			s.report(r.Context(), Challenged{x.origin()})
		} else {
			s.report(r.Context(), AuthenticationFailed{
				Origin: x.origin(), Status: a.status, Challenged: a.challenge, Err: err, Duration: took,
			})
		}
		return nil, err
	}
	r = r.WithContext(ctx)
	x.ctx = ctx
	s.report(ctx, Authenticated{x.origin(), took})
	return r, nil
}

// answerTo turns an error of the front end, the Authenticator or the CA into the
// answer to r.
func (x *exchange) answerTo(r *http.Request, err error) answer {
	if own, ok := errors.AsType[*refusal](err); ok {
		return x.style.refuse(own)
	}
	theirs, ok := errors.AsType[globalest.Error](err)
	if !ok || !answerable(theirs.StatusCode()) {
		return x.style.refuse(&refusal{why: refusedInternal, text: "internal error: the server's log says more, see there or try again"})
	}
	a := answer{status: theirs.StatusCode(), text: printable.Line(theirs.Error(), maxText), retry: max(theirs.RetryAfter(), 0)}
	switch a.status {
	case http.StatusUnauthorized:
		var asked *bool
		if c, ok := theirs.(interface{ Challenge() bool }); ok {
			wants := c.Challenge()
			asked = &wants
		}
		a.challenge = x.style.challenge(presentedBy(r), asked)
		if c, ok := theirs.(interface{ Challenges() []string }); ok {
			a.offers = c.Challenges()
		}
	case http.StatusAccepted:
		if a.retry == 0 {
			a.retry = retryAccepted
		}
	}
	return a
}

// answerable tells whether an error may choose this status.
func answerable(status int) bool {
	return status == http.StatusAccepted || status == http.StatusNoContent || status >= 400 && status < 600
}
