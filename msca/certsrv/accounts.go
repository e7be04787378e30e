package certsrv

import (
	"strings"

	"ciscora/msca/ntlm"
)

// accounts is the domain's user list, as the NTLM acceptor asks it.
type accounts struct {
	domain string // of bare names
	users  []User
}

// lookup asks the accounts as they are now.
func (s *Server) lookup(domain, user string) (ntlm.Account, bool) {
	return accounts{domain: s.opts.Domain, users: *s.users.Load()}.lookup(domain, user)
}

// lookup finds an account by the names of a type 3 message: domain\user, a bare name
// (of the CA's domain), or a whole user@domain, where the domain is the CA's NetBIOS
// or DNS name (docs/reference/windows-auth.md 4).
func (a accounts) lookup(domain, user string) (ntlm.Account, bool) {
	if domain == "" {
		if name, suffix, ok := strings.Cut(user, "@"); ok {
			user, domain = name, suffix
		}
	}
	asked := user
	if domain != "" {
		asked = domain + `\` + user
	}
	for _, u := range a.users {
		if sameUser(a.domain, u.Name, asked) {
			d, name := splitUser(a.domain, u.Name)
			return ntlm.Account{Domain: d, User: name, NTHash: u.NTHash}, true
		}
	}
	return ntlm.Account{}, false
}

// splitUser is ntlm.ParseUser with the home domain by its NetBIOS name, where a name
// has it by its DNS name, or none.
func splitUser(home, s string) (domain, user string) {
	domain, user = ntlm.ParseUser(s)
	if domain == "" || strings.EqualFold(domain, dnsDomain(home)) {
		domain = home
	}
	return domain, user
}

func sameUser(home, a, b string) bool {
	ad, au := splitUser(home, a)
	bd, bu := splitUser(home, b)
	return strings.EqualFold(ad, bd) && strings.EqualFold(au, bu)
}

// dnsDomain is the DNS name that goes with a NetBIOS name: LAB is lab.test.
func dnsDomain(domain string) string { return strings.ToLower(domain) + ".test" }
