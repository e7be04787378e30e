package access

import (
	"errors"

	"ciscora/msca"
)

// Reason is why nobody was let in.
type Reason int

const (
	// ReasonNobody says: the request names nobody.
	ReasonNobody Reason = iota
	// ReasonUnusable says: its Authorization header is of no use to any of the methods.
	ReasonUnusable
	// ReasonWrong says: the user or the password is wrong.
	ReasonWrong
	// ReasonStale says: its Digest nonce is too old, or used; all else may be right.
	ReasonStale
	// ReasonLocked says: there were too many wrong passwords, so this one was not tried.
	ReasonLocked
	// ReasonOwnUnreadable says: the RA's own credentials for the CA cannot be read.
	ReasonOwnUnreadable
	// ReasonOwnRefused says: the CA refused the RA's own credentials.
	ReasonOwnRefused
	// ReasonCertificate says: the client's certificate has a subject that cannot be read.
	ReasonCertificate
	// ReasonCA says: the CA refused the client's credentials or the template, or could not
	// be asked. The cause says which, as an [*msca.Error] where it is the CA's.
	ReasonCA
	// ReasonRevoked says: the client certificate is revoked.
	ReasonRevoked
	// ReasonRevocationUnknown says: whether it is revoked cannot be found out.
	ReasonRevocationUnknown
)

var reasonTexts = map[Reason]string{
	ReasonNobody:        "no credentials: send the CA account's user name and password with HTTP Basic",
	ReasonUnusable:      "the Authorization header cannot be used: send the CA account's user name and password with HTTP Basic",
	ReasonWrong:         "the user or the password is wrong",
	ReasonStale:         "the nonce is too old: try again with the new one",
	ReasonLocked:        "too many wrong passwords: try again later",
	ReasonOwnUnreadable: "the RA's credentials for the CA cannot be read",
	ReasonOwnRefused:    "the CA refused the RA's own credentials",
	ReasonCertificate:   "the client certificate's subject cannot be read: take one whose subject is made of strings",
	ReasonCA:            "the CA did not let the client in",
	ReasonRevoked:       "the client certificate is revoked",

	ReasonRevocationUnknown: "whether the client certificate is revoked cannot be found out: try again later",
}

// Error says why nobody was let in. Its text holds no secret and may be shown to a
// client.
type Error struct {
	Reason  Reason
	Method  Method // that decided; "" where none did
	Account string // that was named; "" = none
	// Challenges are the values for WWW-Authenticate; nil = that of Basic alone.
	Challenges []string
	// Digest: it was HTTP Digest that decided.
	Digest bool
	Cause  error // nil where the reason says it all
}

func (e *Error) Error() string {
	if e.Reason == ReasonLocked && e.Method == MethodRelay {
		return "too many refused log-ins: the CA is not asked again for some time"
	}
	return reasonTexts[e.Reason]
}

func (e *Error) Unwrap() error { return e.Cause }

// Refused tells whether the CA refused a log-in, now or a while ago.
func Refused(err error) bool {
	ca, ok := errors.AsType[*msca.Error](err)
	return ok && ca.Kind == msca.KindAuthRejected || isOwnRefusal(err)
}
