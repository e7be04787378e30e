package est

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	globalest "github.com/globalsign/est"
	"go.uber.org/zap"
)

// Options is what a [Server] is made of. CA and Authenticator are required; the
// zero value of everything else is a sensible default.
type Options struct {
	// CA issues. Of its operations all but TPMEnroll are used; the
	// label goes with each, "" without one. Reenroll's certificate is nil where
	// the TLS handshake verified none.
	CA globalest.CA
	// Authenticator decides who may enroll.
	Authenticator Authenticator

	Dialect Dialect
	// DialectOf is the dialect under a label; nil: Dialect is everybody's. What is
	// refused before the label is known is refused in Dialect's words, and so is all
	// where DialectOf returns none that there is.
	DialectOf func(label string) Dialect
	Base64    Base64

	// Label tells whether there is such a label, the decoded additional path
	// segment of RFC 7030 §3.2.2. The name of an operation is never one. nil
	// means that there are none.
	Label func(label string) bool
	// ServerKeygen serves /serverkeygen (RFC 7030 §4.4).
	ServerKeygen bool
	// KeyEncryption is with what it encrypts the keys that it makes, where clients ask
	// for it. The zero value refuses these.
	KeyEncryption KeyEncryption
	// ProofOfPossession tells whether enrollments under a label, "" without one, must
	// prove that the CSR's key belongs to who speaks on the TLS connection
	// (RFC 7030 §3.5). A proof that is there is always checked. nil: it is demanded
	// of nobody.
	ProofOfPossession func(label string) bool
	// TrustRA lets clients whose certificate one of CACerts has issued, and which has
	// the extended key usage id-kp-cmcRA, enroll for others (RFC 7030 §3.7, RFC 6402
	// §2.10): their re-enrollments may name any subject, and no proof of possession is
	// demanded of them, since the key is not theirs.
	TrustRA bool
	// Names returns the names that a CSR asks for, in DER: its subject, and the value of
	// its subjectAltName, nil without one. A re-enrollment's are compared with those of the
	// certificate; its error refuses the CSR, and says why. A CA that takes names from
	// where crypto/x509 does not look, as Microsoft's does, wants its own; nil: those
	// that crypto/x509 reads.
	Names func(csr *x509.CertificateRequest) (subject, altNames []byte, err error)
	// Realm is that of the Basic challenge; "estrealm" by default, as libest's.
	Realm  string
	Limits Limits
	// Patience keeps a client that waits for the CA from giving up, for at most
	// this long: after 8 s the start of the status line is sent, a byte each 8 s,
	// nine at most. For clients such as libest's, whose time-out counts per read;
	// those that send no User-Agent are left alone. 0 is off.
	Patience time.Duration
	// ProxyProtocol are the networks of proxies in front of Serve's listeners: each
	// connection from there must begin with a PROXY protocol header of version 2, which
	// says whose it is. None is taken from elsewhere.
	ProxyProtocol []netip.Prefix
	// DrainTimeout bounds how long Serve waits for what is in flight once its
	// context has ended; 30 s by default.
	DrainTimeout time.Duration

	// Middleware wraps the handler of each operation, the first one outermost. It
	// runs once the label is known and before anything else is checked.
	Middleware []func(http.Handler) http.Handler
	// Events is told what happens; see Event.
	Events func(ctx context.Context, e Event)

	NewID  func() string    // ids of requests; 16 random hex digits by default
	Now    func() time.Time // clock of events; time.Now by default
	Logger *zap.Logger      // nothing is logged by default
}

// Limits bounds what clients may use. Zero values mean the defaults.
type Limits struct {
	Body          int64         // bytes of a request's body; 64 KiB
	HeaderTimeout time.Duration // TLS handshake, each request's header, and the pause between requests; 10 s
	BodyTimeout   time.Duration // a whole body; 30 s
	AnswerTimeout time.Duration // writing an answer to a client that does not read; 2 min
	InFlight      int           // enrollments at a time; 20,000. /cacerts does not count.
	PerClient     int           // connections at a time of one client, an IPv4 address or an IPv6 /64; 1,000. A load balancer is one where it sends no PROXY protocol
}

func (l *Limits) setDefaults() {
	setDefault(&l.Body, 64<<10)
	setDefault(&l.HeaderTimeout, 10*time.Second)
	setDefault(&l.BodyTimeout, 30*time.Second)
	setDefault(&l.AnswerTimeout, 2*time.Minute)
	setDefault(&l.InFlight, 20000)
	setDefault(&l.PerClient, 1000)
}

func setDefault[T comparable](value *T, standard T) {
	var zero T
	if *value == zero {
		*value = standard
	}
}

func (l *Limits) check() error {
	if l.Body < 0 || l.HeaderTimeout < 0 || l.BodyTimeout < 0 || l.AnswerTimeout < 0 || l.InFlight < 0 || l.PerClient < 0 {
		return fmt.Errorf("est: a limit is negative in %+v: take 0 for its default", *l)
	}
	return nil
}

// Server is an EST server: an http.Handler, and with [Server.Serve] one that
// brings its own listening side. It may be used from many goroutines.
type Server struct {
	ca            globalest.CA
	authenticator Authenticator
	style         style
	dialectOf     func(label string) Dialect // nil: style is everybody's
	base64        Base64
	label         func(string) bool
	challenge     string
	serverKeygen  bool
	keyEncryption KeyEncryption
	trustRA       bool
	possession    func(label string) bool
	names         func(*x509.CertificateRequest) (subject, altNames []byte, err error)
	limits        Limits
	patience      time.Duration
	patienceStep  time.Duration // a constant, but for tests with programs that know no virtual time
	drainTimeout  time.Duration
	proxies       []netip.Prefix
	events        func(context.Context, Event)
	newID         func() string
	now           func() time.Time
	logger        *zap.Logger

	router      http.Handler
	inFlight    chan struct{} // holds one element for each enrollment being served
	connections atomic.Int64  // number of the newest connection
}

// New returns a server for these options.
func New(o Options) (*Server, error) {
	if o.CA == nil {
		return nil, errors.New("est: no CA: set Options.CA")
	}
	if o.Authenticator == nil {
		return nil, errors.New("est: no Authenticator: set Options.Authenticator, or everybody could enroll")
	}
	style, err := o.Dialect.style()
	if err != nil {
		return nil, err
	}
	if o.Base64 < Base64Auto || o.Base64 > Base64Single {
		return nil, fmt.Errorf("est: unknown form of base64 %d: take Base64Auto, Base64Wrapped or Base64Single", int(o.Base64))
	}
	if err := o.Limits.check(); err != nil {
		return nil, err
	}
	o.Limits.setDefaults()
	setDefault(&o.Realm, "estrealm")
	setDefault(&o.DrainTimeout, 30*time.Second)
	if strings.ContainsFunc(o.Realm, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, fmt.Errorf("est: the realm %q has characters that a header cannot carry: take printable ASCII", o.Realm)
	}
	if o.NewID == nil {
		o.NewID = randomID
	}
	if o.ProofOfPossession == nil {
		o.ProofOfPossession = func(string) bool { return false }
	}
	if o.Names == nil {
		o.Names = plainNames
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	s := &Server{
		ca:            o.CA,
		authenticator: o.Authenticator,
		style:         style,
		dialectOf:     o.DialectOf,
		base64:        o.Base64,
		label:         o.Label,
		challenge:     `Basic realm="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(o.Realm) + `"`,
		serverKeygen:  o.ServerKeygen,
		keyEncryption: o.KeyEncryption,
		trustRA:       o.TrustRA,
		possession:    o.ProofOfPossession,
		names:         o.Names,
		limits:        o.Limits,
		patience:      o.Patience,
		patienceStep:  patienceStep,
		drainTimeout:  o.DrainTimeout,
		proxies:       o.ProxyProtocol,
		events:        o.Events,
		newID:         o.NewID,
		now:           o.Now,
		logger:        o.Logger,
		inFlight:      make(chan struct{}, o.Limits.InFlight),
	}
	s.router = s.routes(o.Middleware)
	return s, nil
}

func randomID() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails, by its documentation
	return hex.EncodeToString(id[:])
}

func (s *Server) report(ctx context.Context, e Event) {
	if s.events != nil {
		s.events(ctx, e)
	}
}
