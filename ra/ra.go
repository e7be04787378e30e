package ra

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	globalest "github.com/globalsign/est"
	"go.uber.org/zap"

	"ciscora/internal/owner"
	"ciscora/msca"
	"ciscora/ra/access"
	"ciscora/ra/ledger"
	"ciscora/ra/policy"
	"ciscora/ra/queue"
	"ciscora/ra/search"
)

// Label is what an additional path segment changes.
type Label struct {
	Template string
	Policy   *policy.Policy  // nil = the RA's
	Methods  []access.Method // none = the RA's
	Manner   *Manner         // nil = the RA's
}

// Options is what an RA is made of.
type Options struct {
	// CA says how the CA is reached. Its Observe, where set, still sees each leg.
	CA msca.Options
	// Access says who may ask, and how the CA is asked for them. Where its Now,
	// Isolate or Refresh is not set the RA's counts; Pooled is that of Manner.
	Access   access.Options
	Template string
	Labels   map[string]Label
	Policy   policy.Policy // of CSRs, where a label has none of its own
	// Manner is that of all labels that have none of their own.
	Manner
	// Refresh is how often chain and template lists are read anew; 0 means only
	// at the start.
	Refresh time.Duration
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
	// InFlight is how many requests may be under way at the CA at a time; the others
	// wait in line. 0 = no bound.
	InFlight int
	// Patience is how long a client may wait in that line; who would wait longer is
	// told when to come back. 0 = no bound.
	Patience time.Duration
	// Breaker is when the CA counts as down and clients are told so without asking it.
	// The zero value: never.
	Breaker queue.Breaker
	// ScriptTimeout is how long the CA's page may be at work on a POST that nobody
	// waits for any more (IIS's AspScriptTimeout); 0 = 90 s. No CSR is sent again before.
	ScriptTimeout time.Duration
	// Retention is how long the ledger keeps a row that nothing happens to; 0 = for
	// ever.
	Retention time.Duration
	// CSRAttributes is how /csrattrs tells, under a label, "" without one, what a
	// CSR should have; nil = not at all.
	CSRAttributes func(label string) policy.Form
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
	Options
	access     *access.Access
	queue      *queue.Queue
	search     *search.Search
	wake       chan struct{}          // wakes the search
	stranger   chan *x509.Certificate // whose issuer is not in the chain
	keys       chan struct{}          // holds one for each key that is being made
	ownsLedger bool
	ledgerErr  atomic.Pointer[ledgerState]
	watchers   watchers
	chain      atomic.Pointer[chainState]
	// background is what the RA does on its own account, and what goes on without a
	// client; Close ends it.
	background *owner.Owner
}

var _ globalest.CA = (*RA)(nil)

// New makes an RA; nothing is sent to the CA before [RA.Run] or a client asks.
// It fails where the options cannot work, such as a template name that could
// smuggle request attributes (docs/reference/certsrv.md 8).
func New(o Options) (*RA, error) {
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
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.EnrollmentID == nil {
		o.EnrollmentID = func(context.Context) string { return "" }
	}
	if o.CSRAttributes == nil {
		o.CSRAttributes = func(string) policy.Form { return policy.FormNone }
	}
	if o.Isolate == nil {
		o.Isolate = func(context.Context) bool { return false }
	}
	o.Join = orDefault(o.Join, 10*time.Minute)
	r := &RA{
		Options: o, watchers: watchers{byKey: map[[32]byte]*watcher{}},
		wake: make(chan struct{}, 1), stranger: make(chan *x509.Certificate, 1), keys: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}

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
		return nil, err
	}
	r.queue, err = queue.New(queue.Options{InFlight: o.InFlight, Patience: o.Patience, Breaker: o.Breaker, Now: time.Now, Logger: o.Logger.Named("queue")})
	if err != nil {
		return nil, fmt.Errorf("ra: %w", err)
	}
	r.chain.Store(&chainState{replaced: make(chan struct{})})
	r.background = owner.New()
	if r.Ledger == nil {
		r.Ledger, err = ledger.Open(r.background.Context(), "sqlite::memory:", ledger.Options{Now: o.Now, Logger: o.Logger})
		if err != nil {
			r.background.Close()
			return nil, fmt.Errorf("ra: %w", err)
		}
		r.ownsLedger = true
	}
	r.access, err = access.New(client, r.accessOptions())
	if err != nil {
		r.background.Close()
		r.closeLedger()
		return nil, fmt.Errorf("ra: %w", err)
	}
	r.search = r.newSearch(o.ScriptTimeout)
	return r, nil
}

func (r *RA) accessOptions() access.Options {
	o, a := r.Options, r.Access
	a.Pooled = o.Sessions == SessionsPooled
	a.Enter = r.enter
	a.Ledger = r.Ledger
	a.OwnRefused = func(refusal access.OwnRefusal) { r.report(r.background.Context(), OwnRefused{refusal}) }
	if a.Refresh == 0 {
		a.Refresh = o.Refresh
	}
	if a.Isolate == nil {
		a.Isolate = o.Isolate
	}
	if a.Now == nil {
		a.Now = o.Now
	}
	return a
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
	r.background.Close()
	r.access.Close()
	r.closeLedger()
}

func (r *RA) closeLedger() {
	if r.ownsLedger {
		_ = r.Ledger.Close() // it goes with all that is in it
	}
}

// HasLabel tells whether label is one of the configured ones.
func (r *RA) HasLabel(label string) bool {
	_, ok := r.Labels[label]
	return ok
}

// templateOf returns the template behind a label; "" is the plain path.
func (r *RA) templateOf(label string) string {
	if l, ok := r.Labels[label]; ok && l.Template != "" {
		return l.Template
	}
	return r.Template
}

// CACerts returns the CA's chain, issuing CA first (RFC 7030 §4.1), or an error
// that says why there is none yet.
func (r *RA) CACerts(_ context.Context, label string, _ *http.Request) ([]*x509.Certificate, error) {
	s := r.chain.Load()
	if len(s.chain) > 0 {
		return s.chain, nil
	}
	return nil, r.mannerOf(label).noChain(s.reason(), s.err)
}

// policyOf returns the policy of a label; "" is the plain path.
func (r *RA) policyOf(label string) policy.Policy {
	if l, ok := r.Labels[label]; ok && l.Policy != nil {
		return *l.Policy
	}
	return r.Policy
}

// TPMEnroll is not offered: it is no operation of RFC 7030.
func (r *RA) TPMEnroll(context.Context, *x509.CertificateRequest, []*x509.Certificate, []byte, []byte, string, *http.Request) ([]byte, []byte, []byte, error) {
	return nil, nil, nil, notImplemented("tpmenroll")
}

func notImplemented(operation string) error {
	return &Error{Status: http.StatusNotImplemented, Text: operation + " is not implemented by this RA"}
}
