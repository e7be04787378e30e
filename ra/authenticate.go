package ra

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"ciscora/msca"
)

// identity is who asks. It rides in the request's context from the
// authentication step to the enrollment.
type identity struct {
	method   Method
	account  string // for events and logs
	creds    msca.Credentials
	key      accountKey
	template string
	label    string

	row atomic.Int64 // of the ledger, once there is one
}

// ledgerIdentity is whose requests the ledger joins: an account's, however its
// name is written, or a certificate's subject.
func (who *identity) ledgerIdentity() string {
	return string(who.method) + ":" + strings.ToLower(who.account)
}

type identityKey struct{}

// Authenticate finds out who asks, by the first configured method for which the
// request carries something, and whether that account may use the template
// behind the label (ces.md, "One enrollment", phase "authenticate"). The
// returned context goes to [RA.Enroll]. An error is an [*Error].
//
// It satisfies the front end's Authenticator; the request's body is not read.
func (r *RA) Authenticate(req *http.Request, label string) (context.Context, error) {
	ctx := withLegs(req.Context())
	who, err := r.identify(req, r.templateOf(label), label)
	if err != nil {
		return nil, err
	}
	who.label = label
	vouched, err := r.admit(ctx, who, req)
	if err != nil {
		r.report(ctx, NotAuthenticated{Account: who.account, Err: err})
		return nil, err
	}
	r.report(ctx, Authenticated{Method: string(who.method), Account: who.account, Template: who.template, Vouched: vouched})
	return context.WithValue(ctx, identityKey{}, who), nil
}

// userIdentity is a user of a file, for whom the RA's own account enrolls.
func (r *RA) userIdentity(user, template string) (*identity, error) {
	creds, err := r.credentials()
	if err != nil {
		return nil, &Error{Status: http.StatusServiceUnavailable, Retry: retryCA, Text: "the RA's credentials for the CA cannot be read", Cause: err}
	}
	return &identity{method: MethodUsers, account: user, creds: creds, key: r.accounts.key(creds), template: template}, nil
}

// digestIdentity finds out by HTTP Digest who asks.
func (r *RA) digestIdentity(req *http.Request, template string) (*identity, error) {
	user, err := r.digest.check(req)
	guard := lockoutKey("digest:"+user, req)
	answer := &Error{Status: http.StatusUnauthorized, Text: "the user or the password is wrong", Challenged: true, Offers: r.digest.challenges(false), Cause: err}
	switch blocked := !r.lockout.blocked(guard).IsZero(); {
	case blocked:
		answer.Text = "too many wrong passwords: try again later"
	case err == nil:
		r.lockout.succeeded(guard)
		return r.userIdentity(user, template)
	case errors.Is(err, errDigestStale):
		answer.Text, answer.Offers = "the nonce is too old: try again with the new one", r.digest.challenges(true)
		return nil, answer
	default:
		r.lockout.failed(guard)
	}
	r.report(req.Context(), NotAuthenticated{Account: user, Err: answer})
	return nil, answer
}

// checkUser compares a user's password, unless there were too many wrong ones.
func (r *RA) checkUser(req *http.Request, label, user, password string) error {
	guard := lockoutKey("users:"+user, req)
	refuse := func(text string, cause error) error {
		answer := &Error{Status: http.StatusUnauthorized, Text: text, Challenged: true, Cause: cause}
		if r.asCES(label) {
			answer.Text, answer.Challenged = textUnauthorized, false
		}
		r.report(req.Context(), NotAuthenticated{Account: user, Err: answer})
		return answer
	}
	if until := r.lockout.blocked(guard); !until.IsZero() {
		return refuse("too many wrong passwords: try again later", fmt.Errorf("user %q is not tried before %s (est.lockout)", user, until.Format(time.RFC3339)))
	}
	if !r.users.Check(user, password) {
		r.lockout.failed(guard)
		return refuse("the user or the password is wrong", nil)
	}
	r.lockout.succeeded(guard)
	return nil
}

func (r *RA) identify(req *http.Request, template, label string) (*identity, error) {
	methods := r.methods
	if own := r.labels[label].Methods; len(own) > 0 {
		methods = own
	}
	for i, method := range methods {
		switch method {
		case MethodRelay:
			user, password, ok := req.BasicAuth()
			if !ok {
				continue
			}
			creds := msca.Credentials{User: user, Password: password}
			return &identity{method: method, account: user, creds: creds, key: r.accounts.key(creds), template: template}, nil
		case MethodUsers:
			if r.digest != nil && parseDigest(req.Header.Get("Authorization")) != nil {
				return r.digestIdentity(req, template)
			}
			user, password, ok := req.BasicAuth()
			ok = ok && r.users != nil
			// Where nothing comes after it, an unknown name takes as long as a wrong
			// password.
			if !ok || !r.users.Known(user) && i < len(methods)-1 {
				continue
			}
			if err := r.checkUser(req, label, user, password); err != nil {
				return nil, err
			}
			return r.userIdentity(user, template)
		case MethodCertificate:
			certificate := VerifiedCertificate(req)
			if certificate == nil {
				continue
			}
			creds, err := r.credentials()
			if err != nil {
				return nil, &Error{Status: http.StatusServiceUnavailable, Retry: retryCA, Text: "the RA's credentials for the CA cannot be read", Cause: err}
			}
			return &identity{method: method, account: certificate.Subject.String(), creds: creds, key: r.accounts.key(creds), template: template}, nil
		}
	}
	if req.Header.Get("Authorization") != "" {
		answer := noCredentials()
		answer.Text = "the Authorization header cannot be used: send the CA account's user name and password with HTTP Basic"
		if r.asCES(label) {
			answer.Text, answer.Challenged = textUnauthorized, false // libest.md: "wrong scheme; bad base64; no colon"
		}
		answer.Offers = r.offers(methods)
		return nil, answer
	}
	answer := noCredentials()
	answer.Offers = r.offers(methods)
	return nil, answer
}

// offers are the challenges for those methods, where there are others than Basic's:
// Basic first where it is of use, since some clients look at the first alone
// (libest.md L10).
func (r *RA) offers(methods []Method) []string {
	if r.digest == nil || !slices.Contains(methods, MethodUsers) {
		return nil
	}
	digests := r.digest.challenges(false)
	if r.users != nil || slices.Contains(methods, MethodRelay) {
		return append([]string{`Basic realm="estrealm"`}, digests...)
	}
	return digests
}

// VerifiedCertificate returns the client's TLS certificate if the listener has
// verified it against its trust store, else nil.
func VerifiedCertificate(req *http.Request) *x509.Certificate {
	if req.TLS == nil || len(req.TLS.VerifiedChains) == 0 {
		return nil
	}
	return req.TLS.PeerCertificates[0]
}

// admit asks the CA whether it takes the credentials and offers the template.
// Vouched tells that an earlier log-in with them stood for it.
func (r *RA) admit(ctx context.Context, who *identity, req *http.Request) (vouched bool, err error) {
	guard := lockoutKey(who.account, req)
	// A refusal that a lab makes for one enrollment is nobody else's.
	guarded := who.method == MethodRelay && !r.isolate(ctx)
	if guarded {
		if until := r.lockout.blocked(guard); !until.IsZero() {
			cause := fmt.Errorf("account %q is not tried at the CA before %s: too many refused log-ins from this client (est.lockout)", who.account, until.Format(time.RFC3339))
			answer := &Error{Status: http.StatusUnauthorized, Text: "too many refused log-ins: the CA is not asked again for some time", Cause: cause}
			if r.asCES(who.label) {
				answer.Text = textUnauthorized
			}
			return false, answer
		}
	}
	if !r.pools(ctx, who) {
		err = r.admitByLogin(ctx, who)
	} else {
		vouched, err = r.admitPooled(ctx, who)
	}
	switch {
	case err == nil && guarded:
		r.lockout.succeeded(guard)
	case err != nil && guarded && refused(err):
		r.lockout.failed(guard)
	}
	if err != nil {
		if who.method != MethodRelay && refused(err) {
			// It is the RA's own password that is wrong: asking the client for
			// other credentials would mend nothing.
			return false, &Error{Status: http.StatusServiceUnavailable, Retry: retryCA, Text: "the CA refused the RA's own credentials", Cause: err}
		}
		r.lagAsCES(ctx, who.label, err)
		return false, r.authenticationError(who.label, err)
	}
	return vouched, nil
}

// admitByLogin is CES's way: a connection of its own for log-in and template
// list, closed after it.
func (r *RA) admitByLogin(ctx context.Context, who *identity) error {
	session, err := r.client.Login(ctx, who.creds)
	if err != nil {
		return err
	}
	defer session.Close()
	list, err := session.Templates(ctx)
	if err != nil {
		return err
	}
	return r.offered(list, who.template)
}

// admitPooled logs in only where no log-in of the last minute vouches.
func (r *RA) admitPooled(ctx context.Context, who *identity) (vouched bool, err error) {
	if list, fresh, ok := r.accounts.proven(who.key, r.refresh); ok && fresh && r.offered(list, who.template) == nil {
		return true, nil
	}
	// Several clients with the same credentials wait for one log-in; each may
	// give up on its own, so the log-in must not end with the first one's
	// request.
	result := make(chan error, 1)
	detached, done := r.outlive(ctx, who.label)
	r.own.Go(func() {
		defer done()
		_, err, _ := r.logins.Do(string(who.key[:]), func() (any, error) { return nil, r.prove(detached, who) })
		result <- err
	})
	select {
	case err = <-result:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if err != nil {
		return false, err
	}
	list, _, _ := r.accounts.proven(who.key, r.refresh)
	return false, r.offered(list, who.template)
}

// prove logs in with the account's credentials, unless that was done just now,
// and reads its template list; the connection is kept.
func (r *RA) prove(ctx context.Context, who *identity) error {
	session, opened, err := r.session(ctx, who)
	if err != nil {
		return err
	}
	defer r.accounts.put(who.key, session, opened)
	list, err := session.Templates(ctx)
	if err != nil {
		return err
	}
	r.accounts.setTemplates(who.key, list)
	return nil
}

// pools tells whether the request of this context may use kept connections.
func (r *RA) pools(ctx context.Context, who *identity) bool {
	return r.mannerOf(who.label).Sessions == SessionsPooled && !r.isolate(ctx)
}

// session returns an authenticated connection of this account, a kept one or a
// new one, and when it was opened. Only who's own credentials open or reuse it.
func (r *RA) session(ctx context.Context, who *identity) (*msca.Session, time.Time, error) {
	if r.pools(ctx, who) {
		if s, opened := r.accounts.take(who.key); s != nil {
			s.SetCredentials(who.creds)
			return s, opened, nil
		}
	}
	began := r.now()
	s, err := r.client.Login(ctx, who.creds)
	if err != nil {
		if refused(err) {
			r.accounts.forget(who.key)
		}
		return nil, time.Time{}, err
	}
	if r.pools(ctx, who) {
		r.accounts.prove(who.key, began)
	}
	return s, began, nil
}

// offered returns nil if the list holds the template, and else the error that
// says so (ces.md F6).
func (r *RA) offered(list msca.TemplateList, template string) error {
	if _, ok := list.Find(template); ok {
		return nil
	}
	return &msca.Error{
		Phase: msca.PhaseTemplate, Kind: msca.KindTemplateNotListed, URL: r.caURL + "/certrqxt.asp",
		Message: fmt.Sprintf("template %q is not among the %d that the CA offers to this account", template, len(list)),
	}
}
