package certsrv

import (
	"crypto/subtle"
	"net/http"

	"ciscora/msca/ntlm"
)

// logIn is logIn, or with Basic, where that is on, it is who the request itself names
// (RFC 7617), and the connection is nobody's.
func (i *iis) logIn(h http.Header, r *http.Request) (*ntlm.Identity, *answer) {
	name, password, basic := r.BasicAuth()
	if !i.server.opts.Basic || !basic {
		who, refused := logIn(h, r)
		return who, i.offerBasic(r, refused)
	}
	if c, ok := r.Context().Value(connectionKey{}).(*connection); ok {
		c.who = nil
	}
	domain, user := ntlm.ParseUser(name)
	account, known := i.server.lookup(domain, user)
	hash := ntlm.NTHash(password)
	right := subtle.ConstantTimeCompare(hash[:], account.NTHash[:]) == 1
	if !known || !i.server.lockouts.permit(account.String(), right) {
		return nil, i.offerBasic(r, unauthorized(1, win32LogonDenied))
	}
	return &ntlm.Identity{Domain: account.Domain, User: account.User}, nil
}

// offerBasic adds Basic to a list of providers.
func (i *iis) offerBasic(r *http.Request, a *answer) *answer {
	if i.server.opts.Basic && a != nil && len(a.challenges) > 1 {
		a.challenges = append(a.challenges, `Basic realm="`+hostname(r)+`"`)
	}
	return a
}
