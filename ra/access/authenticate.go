package access

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"unicode/utf8"

	"ciscora/internal/clientaddr"
	"ciscora/internal/printable"
	"ciscora/internal/x501"
	"ciscora/msca"
	"ciscora/ra/ledger"
)

// Authenticate finds out who asks, by the first method of the label for which the
// request carries something, and whether that account may use the label's template
// (docs/reference/ces.md, "One enrollment", phase "authenticate"). The request's body is not read.
// An error is an [*Error].
func (a *Access) Authenticate(ctx context.Context, req *http.Request, label Label) (*Identity, error) {
	if err := a.checkRevocation(ctx, req); err != nil {
		return nil, err
	}
	who, err := a.identify(req, label)
	if err != nil {
		return nil, err
	}
	who.client = clientaddr.Of(req.RemoteAddr)
	if err := a.admit(ctx, who); err != nil {
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
			user, password, ok := basicText(req)
			if !ok {
				continue
			}
			if len(user) > longestName { // no account of Windows's is: the guard need not read it
				return nil, &Error{Reason: ReasonWrong, Method: MethodRelay, Account: printable.Shorten(user, 64)}
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
			return a.certified(certificate, label)
		}
	}
	nobody := &Error{Reason: ReasonNobody, Challenges: a.challenges(methods)}
	if req.Header.Get("Authorization") != "" {
		nobody.Reason = ReasonUnusable
	}
	return nil, nobody
}

// basicText is what a client says in HTTP Basic, as text. RFC 7617 §2 leaves its encoding
// open; what is not UTF-8 as a whole is ISO 8859-1, which old clients send and libcurl, CES's,
// hands on as such. So the guard counts the very name that the CA is asked for: bytes that
// one of them drops would give each such spelling guesses of its own.
func basicText(req *http.Request) (user, password string, ok bool) {
	user, password, ok = req.BasicAuth()
	if ok && (!utf8.ValidString(user) || !utf8.ValidString(password)) {
		user, password = x501.Latin1(user), x501.Latin1(password)
	}
	return user, password, ok
}

func (a *Access) identity(method Method, account string, creds msca.Credentials, label Label) *Identity {
	return &Identity{
		Method: method, Account: account, Label: label.Name, Template: label.Template,
		creds: creds, key: a.accounts.key(creds), pooled: label.Pooled,
	}
}

// enrolledFor is somebody without a password for the CA: the RA's own account enrolls.
func (a *Access) enrolledFor(method Method, account string, label Label) (*Identity, error) {
	creds, err := a.own.read()
	if err != nil {
		return nil, &Error{Reason: ReasonOwnUnreadable, Method: method, Account: account, Cause: err}
	}
	return a.identity(method, account, creds, label), nil
}

// certified is who has a certificate, by its whole subject.
func (a *Access) certified(certificate *x509.Certificate, label Label) (*Identity, error) {
	subject, err := x501.Parse(certificate.RawSubject)
	if err != nil {
		return nil, &Error{Reason: ReasonCertificate, Method: MethodCertificate, Cause: fmt.Errorf("the subject of the client's certificate: %w", err)}
	}
	who, err := a.enrolledFor(MethodCertificate, subject.String(), label)
	if err != nil {
		return nil, err
	}
	who.Certificate = certificate
	return who, nil
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
func (a *Access) checkDigest(req *http.Request) (string, error) {
	named := parseDigest(req.Header.Get("Authorization"))["username"]
	refused := func(reason Reason, cause error) *Error {
		return &Error{Reason: reason, Method: MethodUsers, Digest: true, Account: named, Challenges: a.Digest.challenges(reason == ReasonStale), Cause: cause}
	}
	// A response proves a password and shows none: each is guessed at anew.
	end, err := a.tryUser(req, "digest:"+named, rand.Text(), refused)
	if err != nil {
		return "", err
	}
	user, err := a.Digest.check(req)
	switch {
	case err == nil:
		end(notWrong)
		return user, nil
	case errors.Is(err, errDigestStale):
		end(notWrong)
		return "", refused(ReasonStale, err)
	}
	end(wasWrong)
	return "", refused(ReasonWrong, err)
}

// checkUser compares a user's password, unless there were too many wrong ones.
func (a *Access) checkUser(req *http.Request, user, password string) error {
	refused := func(reason Reason, cause error) *Error {
		return &Error{Reason: reason, Method: MethodUsers, Account: user, Cause: cause}
	}
	end, err := a.tryUser(req, user, password, refused)
	if err != nil {
		return err
	}
	right, err := a.Users.Check(req.Context(), clientaddr.Of(req.RemoteAddr), user, password)
	if err != nil {
		end(notWrong)
		return refused(ReasonCA, err)
	}
	if !right {
		end(wasWrong)
		return refused(ReasonWrong, nil)
	}
	end(wasRight)
	return nil
}

// tryUser waits until a password of one of the RA's own users may be tried. Nobody can
// lock them but this RA, so one address's guesses shut out no other.
func (a *Access) tryUser(req *http.Request, user, password string, said func(Reason, error) *Error) (end func(verdict), err error) {
	if a.guard.off() {
		return func(verdict) {}, nil
	}
	address := clientaddr.Of(req.RemoteAddr)
	t, err := a.guard.enter(req.Context(), presented{
		at: ledger.GuessAt{Kind: ledger.GuessUser, Name: user + " from " + address}, address: address, said: said,
		key: a.accounts.key(msca.Credentials{User: "users\x00" + user, Password: password}),
	})
	if err != nil {
		if refused, ok := errors.AsType[*Error](err); ok {
			return nil, refused
		}
		return nil, said(ReasonCA, err)
	}
	return func(v verdict) { t.end(req.Context(), v, nil) }, nil
}

// challenges are those for the methods, where there are others than Basic's: Basic
// first where it is of use, since some clients look at the first alone (docs/reference/libest.md L10).
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
