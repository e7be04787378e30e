package access

import (
	"crypto/x509"

	"ciscora/msca"
	"ciscora/ra/ledger"
)

// Method is a way for an EST client to say who it is.
type Method string

const (
	// MethodRelay logs in to the CA with the client's own Basic credentials.
	MethodRelay Method = "relay"
	// MethodCertificate takes a TLS client certificate that the listener has
	// verified against the EST trust store; the RA's account then enrolls.
	MethodCertificate Method = "certificate"
	// MethodUsers takes the credentials of [Options.Users] or [Options.Digest]; the
	// RA's account then enrolls. A name that is not there is left to the next method.
	MethodUsers Method = "users"
)

// Label is what a label means for who asks.
type Label struct {
	Name     string   // "" is the plain path
	Template string   // which the account must be offered
	Methods  []Method // none = those of [Options]
	Pooled   bool     // connections are kept, and a log-in vouches for those that follow
}

// Identity is who asks.
type Identity struct {
	Method      Method // "" is the RA itself
	Account     string // for events and logs: of the CA, of the RA's users, or a certificate's subject
	Label       string
	Template    string
	Certificate *x509.Certificate // by which it asks; nil with another method
	Vouched     bool              // a log-in with the same credentials less than [Options.Vouch] ago stood for them

	client string // its address, as guesses are counted by
	creds  msca.Credentials
	key    accountKey
	pooled bool
}

// LedgerIdentity is whose requests the ledger joins: an account's, however its
// name is written, or a certificate's subject.
func (i *Identity) LedgerIdentity() string {
	return ledger.Identity(string(i.Method), i.Account)
}

// SameCredentials tells whether two identities log in to the CA with the same name and
// password.
func (i *Identity) SameCredentials(other *Identity) bool { return i.key == other.key }
