package ra

import (
	"context"
	"crypto/x509"
	"time"

	"ciscora/msca"
	"ciscora/ra/access"
)

// Event is one fact of the RA's life. The context it comes with is that of the
// request it belongs to, so a listener finds the enrollment's id there; the
// events of start-up and refresh come with [RA.Run]'s context.
//
// Listeners are called in the order of events of one enrollment, from the
// goroutine that serves it: they must return soon.
type Event interface{ event() }

// Leg is one exchange with the CA that has ended, well or not.
type Leg struct {
	msca.Leg
	// Attempt is 0 within an enrollment; at start-up and refresh it counts the
	// attempts, from 1.
	Attempt int
}

// Started says that the log-in succeeded and the CA's chain is there.
type Started struct {
	Attempt int
	Chain   []*x509.Certificate // issuing CA first
	Took    time.Duration
}

// StartFailed says that an attempt to log in and read the chain failed. The RA
// is up all the same.
type StartFailed struct {
	Attempt int
	Err     error
	Next    time.Duration // until the next attempt
	// Refused is set where the CA refused the RA's own credentials: the next
	// attempt waits for other ones, since trying these again would lock the
	// account.
	Refused bool
}

// OwnRefused says that the CA refused the RA's own account, and until when nobody tries
// it again.
type OwnRefused struct{ access.OwnRefusal }

// Refreshed says that the chain was read anew.
type Refreshed struct {
	Chain   []*x509.Certificate
	Changed bool
}

// RefreshFailed says that the chain could not be read anew; the old one stays.
type RefreshFailed struct{ Err error }

// IssuerMissing says that the CA issues under a CA certificate that is not in the chain
// that clients get, not even after that was read again.
type IssuerMissing struct {
	Issuer string
	KeyID  []byte // its subject key identifier; nil where the certificate does not tell
}

// Authenticated says who asks, and by which method.
type Authenticated struct {
	Method   string // "relay" or "certificate"
	Account  string // the CA account, or the certificate's subject; never a password
	Template string // the template behind the label
	Vouched  bool   // a log-in with the same credentials less than access.Options.Vouch ago stood for them
}

// NotAuthenticated says why a client was refused before its CSR was read.
type NotAuthenticated struct {
	Account string // "" where none was named
	Err     error
}

// Enrolling says that a CSR is on its way to the CA.
type Enrolling struct {
	Subject  string // RFC 2253
	CN       string
	Template string
	Renewal  bool
}

// Submitted says that the CA took the CSR under this request id.
type Submitted struct{ ReqID int }

// Issued says that the certificate is here and carries the CSR's key.
type Issued struct {
	ReqID       int
	Certificate *x509.Certificate
}

// NotIssued says that an enrollment ended without a certificate.
type NotIssued struct {
	ReqID   int // 0 where the CA gave none
	Pending bool
	Err     error
	Status  int // the EST status that the client is given
}

// Joined says that a request was under way already, or done, and that this one
// shares it.
type Joined struct {
	Row   int64 // in the ledger
	ReqID int   // 0 where the CA gave none yet
	State string
}

// Found says that a certificate was found whose POST had ended without an answer.
type Found struct {
	Row   int64
	ReqID int
}

// Recovered says that a certificate was collected that no client waits for; the
// next request with the same CSR gets it.
type Recovered struct {
	Row         int64
	ReqID       int
	Certificate *x509.Certificate
}

// RecoveryFailed says that a look for a certificate failed; there is another one
// later.
type RecoveryFailed struct {
	Row   int64
	ReqID int
	Err   error
}

// PossibleOrphan says that the CA may have issued a certificate that nobody can
// find.
type PossibleOrphan struct {
	Row       int64
	Submitted time.Time
	// Candidates are the request ids that may be its own: they wait at the CA, were
	// denied, or are not shown.
	Candidates []int
}

// NeverArrived says that a POST that ended without an answer never became a request:
// each number that the CA has given since is another's. The next request is sent.
type NeverArrived struct {
	Row       int64
	Submitted time.Time
}

// LedgerFailed says that something could not be written into the ledger or read
// from it. ReqID, where it is not 0, is then known to this event alone.
type LedgerFailed struct {
	Row   int64 // 0 where it is not about one
	ReqID int
	What  string // what was to be done
	Err   error
}

// LedgerBack says that the ledger can be used again.
type LedgerBack struct{}

func (OwnRefused) event()       {}
func (Joined) event()           {}
func (Found) event()            {}
func (Recovered) event()        {}
func (RecoveryFailed) event()   {}
func (PossibleOrphan) event()   {}
func (NeverArrived) event()     {}
func (LedgerFailed) event()     {}
func (LedgerBack) event()       {}
func (Leg) event()              {}
func (Started) event()          {}
func (StartFailed) event()      {}
func (Refreshed) event()        {}
func (RefreshFailed) event()    {}
func (IssuerMissing) event()    {}
func (Authenticated) event()    {}
func (NotAuthenticated) event() {}
func (Enrolling) event()        {}
func (Submitted) event()        {}
func (Issued) event()           {}
func (NotIssued) event()        {}

func (r *RA) report(ctx context.Context, e Event) {
	if r.Events != nil {
		r.Events(ctx, e)
	}
}
