package ra

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	globalest "github.com/globalsign/est"
	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"ciscora/msca"
	"ciscora/ra/ledger"
)

// Sessions chooses how the RA logs in to the CA.
type Sessions int

const (
	// SessionsPooled keeps authenticated connections and uses them again.
	SessionsPooled Sessions = iota
	// SessionsPerEnrollment logs in twice per enrollment, on two connections, as
	// CES does (ces.md, "One enrollment").
	SessionsPerEnrollment
)

// Method is a way for an EST client to say who it is.
type Method string

const (
	// MethodRelay logs in to the CA with the client's own Basic credentials.
	MethodRelay Method = "relay"
	// MethodCertificate takes a TLS client certificate that the listener has
	// verified against the EST trust store; the RA's account then enrolls.
	MethodCertificate Method = "certificate"
	// MethodUsers takes Basic credentials of [Options.Users]; the RA's account then
	// enrolls. A name that is not there is left to the next method.
	MethodUsers Method = "users"
)

// Label is what an additional path segment changes.
type Label struct {
	Template string
	Policy   *Policy  // nil = the RA's
	Methods  []Method // none = the RA's
	Manner   *Manner  // nil = the RA's
}

// Manner is how an RA deals with client and CA: as one would wish, or as CES.
type Manner struct {
	Sessions Sessions
	Answers  Answers
}

// Lockout guards the CA's accounts, whose own lock-out a lab of phones with an
// old password would trip (design, section 4).
type Lockout struct {
	Failures int           // refused log-ins per account and client address; 0 = no guard
	For      time.Duration // then 401 without asking the CA for this long
}

// Options is what an RA is made of.
type Options struct {
	// CA says how the CA is reached. Its Observe, where set, still sees each leg.
	CA msca.Options
	// Credentials returns the RA's own account at the CA, for start-up and
	// maintenance and for clients without a password to relay. It is called
	// before each use, so a changed file takes effect.
	Credentials func() (msca.Credentials, error)
	Template    string
	Labels      map[string]Label
	// Methods are tried in this order; the first one for which the request
	// carries something decides.
	Methods []Method
	Policy  Policy // of CSRs, where a label has none of its own
	// Users and Digest, or one of them, are those of MethodUsers.
	Users  *Users
	Digest *DigestUsers
	// Manner is that of all labels that have none of their own.
	Manner
	// Vouch is how long a log-in stands for the credentials it was made with;
	// then they are tried anew. Only with SessionsPooled; 0 means a minute.
	Vouch time.Duration
	// Idle is how many authenticated connections are kept per account; 0 means 8.
	Idle int
	// Refresh is how often chain and template lists are read anew; 0 means only
	// at the start.
	Refresh time.Duration
	Lockout Lockout
	// CAFailureStatus is the answer when the CA is slow or down after the log-in:
	// 400, 500, 502 or 504. 0 means 400 with AnswersCES, and with AnswersPlain
	// what fits the failure.
	CAFailureStatus int
	// Ledger records what is asked, issued and delivered; nil: one in memory, which
	// ends with the RA.
	Ledger *ledger.Ledger
	// Join is how long after the delivery the same CSR gets the same certificate
	// again; 0 means ten minutes. AnswersCES joins nothing.
	Join time.Duration
	// Retention is how long the ledger keeps a row that nothing happens to; 0 = for
	// ever.
	Retention time.Duration
	// CSRAttributes is how /csrattrs tells, under a label, "" without one, what a
	// CSR should have; nil = not at all.
	CSRAttributes func(label string) CSRAttributes
	// ServerKeygen lets the RA make keys for its clients.
	ServerKeygen bool
	// EnrollmentID names, for the ledger, the request that a context belongs to;
	// nil: rows name none.
	EnrollmentID func(context.Context) string
	// Isolate tells whether the request that a context belongs to gets connections
	// to the CA of its own, never kept ones; nil: none does.
	Isolate func(context.Context) bool
	Events  func(context.Context, Event)
	Now     func() time.Time
	Logger  *zap.Logger
}

// RA is the registration authority's core. It implements the CA interface of
// github.com/globalsign/est and the front end's Authenticator.
type RA struct {
	client      *msca.Client
	caURL       string
	credentials func() (msca.Credentials, error)
	template    string
	labels      map[string]Label
	methods     []Method
	policy      Policy
	users       *Users
	digest      *DigestUsers
	manner      Manner
	vouch       time.Duration
	refresh     time.Duration
	events      func(context.Context, Event)
	now         func() time.Time
	log         *zap.Logger

	caFailureStatus int

	ledger        *ledger.Ledger
	ownsLedger    bool
	join          time.Duration
	retention     time.Duration
	csrAttributes func(label string) CSRAttributes
	ownTemplates  ownTemplates
	serverKeygen  bool
	enrollmentID  func(context.Context) string
	isolate       func(context.Context) bool
	ledgerErr     atomic.Pointer[ledgerState]
	watchers      watchers

	accounts *accounts
	lockout  *lockout
	chain    atomic.Pointer[chainState]

	// stop ends what the RA does on its own account: log-ins that several
	// clients wait for, and the refresh. Close calls it and waits for own.
	stop context.CancelFunc
	base context.Context
	own  sync.WaitGroup
	// logins joins the log-ins of clients that ask at once with the same
	// credentials: one refused password then counts once at the CA.
	logins singleflight.Group
}

var _ globalest.CA = (*RA)(nil)

// New makes an RA; nothing is sent to the CA before [RA.Run] or a client asks.
// It fails where the options cannot work, such as a template name that could
// smuggle request attributes (certsrv.md 8).
func New(o Options) (*RA, error) {
	if o.Credentials == nil {
		return nil, errors.New("ra: no credentials for the CA: set Options.Credentials")
	}
	if len(o.Methods) == 0 {
		o.Methods = []Method{MethodRelay}
	}
	if o.Users == nil && o.Digest == nil && slices.Contains(o.Methods, MethodUsers) {
		return nil, errors.New("ra: no file of users: set Options.Users")
	}
	if err := msca.ValidTemplate(o.Template); err != nil {
		return nil, fmt.Errorf("ca.template: %w", err)
	}
	for name, label := range o.Labels {
		if label.Template == "" {
			continue
		}
		if err := msca.ValidTemplate(label.Template); err != nil {
			return nil, fmt.Errorf("est.labels.%s.template: %w", name, err)
		}
	}
	r := &RA{
		credentials:     o.Credentials,
		template:        o.Template,
		labels:          o.Labels,
		methods:         o.Methods,
		policy:          o.Policy,
		users:           o.Users,
		digest:          o.Digest,
		manner:          o.Manner,
		vouch:           orDefault(o.Vouch, time.Minute),
		refresh:         o.Refresh,
		caFailureStatus: o.CAFailureStatus,
		ledger:          o.Ledger,
		join:            orDefault(o.Join, 10*time.Minute),
		retention:       o.Retention,
		csrAttributes:   o.CSRAttributes,
		serverKeygen:    o.ServerKeygen,
		enrollmentID:    o.EnrollmentID,
		isolate:         o.Isolate,
		watchers:        watchers{byKey: map[[32]byte]*watcher{}},
		events:          o.Events,
		now:             o.Now,
		log:             o.Logger,
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.log == nil {
		r.log = zap.NewNop()
	}
	if r.enrollmentID == nil {
		r.enrollmentID = func(context.Context) string { return "" }
	}
	if r.csrAttributes == nil {
		r.csrAttributes = func(string) CSRAttributes { return CSRAttributesNone }
	}
	if r.isolate == nil {
		r.isolate = func(context.Context) bool { return false }
	}
	r.chain.Store(&chainState{replaced: make(chan struct{})})
	r.base, r.stop = context.WithCancel(context.Background())
	r.lockout = newLockout(o.Lockout, r.now)

	observe := o.CA.Observe
	o.CA.Observe = func(ctx context.Context, leg msca.Leg) {
		if observe != nil {
			observe(ctx, leg)
		}
		legsOf(ctx).add(leg)
		r.report(ctx, Leg{Leg: leg, Attempt: attemptOf(ctx)})
	}
	client, err := msca.New(o.CA)
	if err != nil {
		r.stop()
		return nil, err
	}
	r.client, r.caURL = client, client.URL()
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		r.stop()
		return nil, fmt.Errorf("ra: read randomness: %w", err)
	}
	r.accounts = newAccounts(key, orDefault(o.Idle, 8), r.vouch, r.now)
	if r.ledger == nil {
		r.ledger, err = ledger.Open(r.base, "sqlite::memory:", ledger.Options{Now: r.now, Logger: r.log})
		if err != nil {
			r.stop()
			return nil, fmt.Errorf("ra: %w", err)
		}
		r.ownsLedger = true
	}
	return r, nil
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// Close ends the log-ins that the RA makes on its own account and closes the
// kept connections. Call it after the front end has drained.
func (r *RA) Close() {
	r.stop()
	r.own.Wait()
	r.accounts.close()
	if r.ownsLedger {
		_ = r.ledger.Close() // it goes with all that is in it
	}
}

// HasLabel tells whether label is one of the configured ones.
func (r *RA) HasLabel(label string) bool {
	_, ok := r.labels[label]
	return ok
}

// mannerOf returns the manner of a label; "" is the plain path.
func (r *RA) mannerOf(label string) Manner {
	if l, ok := r.labels[label]; ok && l.Manner != nil {
		return *l.Manner
	}
	return r.manner
}

func (r *RA) asCES(label string) bool { return r.mannerOf(label).Answers == AnswersCES }

// templateOf returns the template behind a label; "" is the plain path.
func (r *RA) templateOf(label string) string {
	if l, ok := r.labels[label]; ok && l.Template != "" {
		return l.Template
	}
	return r.template
}

// CACerts returns the CA's chain, issuing CA first (RFC 7030 §4.1), or an error
// that says why there is none yet.
func (r *RA) CACerts(_ context.Context, label string, _ *http.Request) ([]*x509.Certificate, error) {
	s := r.chain.Load()
	if len(s.chain) > 0 {
		return s.chain, nil
	}
	answer := &Error{Status: http.StatusServiceUnavailable, Retry: retryCA, Text: "no CA chain yet: " + s.reason(), Cause: s.err}
	if r.asCES(label) {
		answer.Status, answer.Retry = http.StatusInternalServerError, 0 // libest.md L8: a status its clients know
	}
	return nil, answer
}

// TPMEnroll is not offered: it is no operation of RFC 7030.
func (r *RA) TPMEnroll(context.Context, *x509.CertificateRequest, []*x509.Certificate, []byte, []byte, string, *http.Request) ([]byte, []byte, []byte, error) {
	return nil, nil, nil, notImplemented("tpmenroll")
}

func notImplemented(operation string) error {
	return &Error{Status: http.StatusNotImplemented, Text: operation + " is not implemented by this RA"}
}
