package access

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"ciscora/internal/clientaddr"
	"ciscora/msca"
)

// Authenticate finds out who asks, by the first method of the label for which the
// request carries something, and whether that account may use the label's template
// (ces.md, "One enrollment", phase "authenticate"). The request's body is not read.
// An error is an [*Error].
func (a *Access) Authenticate(ctx context.Context, req *http.Request, label Label) (*Identity, error) {
	if err := a.checkRevocation(ctx, req); err != nil {
		return nil, err
	}
	who, err := a.identify(req, label)
	if err != nil {
		return nil, err
	}
	if err := a.admit(ctx, who, req); err != nil {
		return nil, err
	}
	return who, nil
}

func (a *Access) identify(req *http.Request, label Label) (*Identity, error) {
	methods := a.Methods
	if len(label.Methods) > 0 {
		methods = label.Methods
	}
	if a.Digest != nil && slices.Contains(methods, MethodUsers) {
		if err := a.Digest.ready(req.Context()); err != nil {
			return nil, &Error{Reason: ReasonCA, Method: MethodUsers, Digest: true, Cause: err}
		}
	}
	for i, method := range methods {
		switch method {
		case MethodRelay:
			user, password, ok := req.BasicAuth()
			if !ok {
				continue
			}
			return a.identity(MethodRelay, user, msca.Credentials{User: user, Password: password}, label), nil
		case MethodUsers:
			if a.Digest != nil && parseDigest(req.Header.Get("Authorization")) != nil {
				user, err := a.checkDigest(req)
				if err != nil {
					return nil, err
				}
				return a.enrolledFor(MethodUsers, user, label)
			}
			user, password, ok := req.BasicAuth()
			ok = ok && a.Users != nil
			// Where nothing comes after it, an unknown name is answered as a wrong password.
			if !ok || !a.Users.Known(user) && i < len(methods)-1 {
				continue
			}
			if err := a.checkUser(req, user, password); err != nil {
				return nil, err
			}
			return a.enrolledFor(MethodUsers, user, label)
		case MethodCertificate:
			certificate := verifiedCertificate(req)
			if certificate == nil {
				continue
			}
			return a.enrolledFor(MethodCertificate, certificate.Subject.String(), label)
		}
	}
	nobody := &Error{Reason: ReasonNobody, Challenges: a.challenges(methods)}
	if req.Header.Get("Authorization") != "" {
		nobody.Reason = ReasonUnusable
	}
	return nil, nobody
}

func (a *Access) identity(method Method, account string, creds msca.Credentials, label Label) *Identity {
	return &Identity{
		Method: method, Account: account, Label: label.Name, Template: label.Template,
		creds: creds, key: a.accounts.key(creds), pooled: label.Pooled,
	}
}

// enrolledFor is somebody without a password for the CA: the RA's own account enrolls.
func (a *Access) enrolledFor(method Method, account string, label Label) (*Identity, error) {
	creds, err := a.ownCredentials()
	if err != nil {
		return nil, &Error{Reason: ReasonOwnUnreadable, Method: method, Account: account, Cause: err}
	}
	return a.identity(method, account, creds, label), nil
}

// verifiedCertificate returns the client's TLS certificate if the listener has
// verified it against its trust store, else nil.
func verifiedCertificate(req *http.Request) *x509.Certificate {
	if req.TLS == nil || len(req.TLS.VerifiedChains) == 0 {
		return nil
	}
	return req.TLS.PeerCertificates[0]
}

// checkDigest finds out by HTTP Digest who asks.
func (a *Access) checkDigest(req *http.Request) (user string, err error) {
	user, err = a.Digest.check(req)
	guard := lockoutKey("digest:"+user, req)
	refused := &Error{Reason: ReasonWrong, Method: MethodUsers, Digest: true, Account: user, Challenges: a.Digest.challenges(false), Cause: err}
	switch blocked := !a.lockout.blocked(guard).IsZero(); {
	case blocked:
		refused.Reason = ReasonLocked
	case err == nil:
		a.lockout.succeeded(guard)
		return user, nil
	case errors.Is(err, errDigestStale):
		refused.Reason, refused.Challenges = ReasonStale, a.Digest.challenges(true)
	default:
		a.lockout.failed(guard)
	}
	return "", refused
}

// checkUser compares a user's password, unless there were too many wrong ones.
func (a *Access) checkUser(req *http.Request, user, password string) error {
	guard := lockoutKey("users:"+user, req)
	if until := a.lockout.blocked(guard); !until.IsZero() {
		cause := fmt.Errorf("user %q is not tried before %s (est.lockout)", user, until.Format(time.RFC3339))
		return &Error{Reason: ReasonLocked, Method: MethodUsers, Account: user, Cause: cause}
	}
	right, err := a.Users.Check(req.Context(), clientaddr.Of(req.RemoteAddr), user, password)
	if err != nil {
		return &Error{Reason: ReasonCA, Method: MethodUsers, Account: user, Cause: err}
	}
	if !right {
		a.lockout.failed(guard)
		return &Error{Reason: ReasonWrong, Method: MethodUsers, Account: user}
	}
	a.lockout.succeeded(guard)
	return nil
}

// challenges are those for the methods, where there are others than Basic's: Basic
// first where it is of use, since some clients look at the first alone (libest.md L10).
func (a *Access) challenges(methods []Method) []string {
	if a.Digest == nil || !slices.Contains(methods, MethodUsers) {
		return nil
	}
	digests := a.Digest.challenges(false)
	if a.Users != nil || slices.Contains(methods, MethodRelay) {
		return append([]string{`Basic realm="estrealm"`}, digests...)
	}
	return digests
}
