package certsrv

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"ciscora/msca/ntlm"

	"go.uber.org/zap"
)

// Options describe a [Server]. The zero value is a CA in memory without users and
// templates.
type Options struct {
	// Dir keeps the CA's keys (RSA 2048) and requests across restarts: root.pem,
	// root.key, issuing.pem, issuing.key, requests.jsonl and its index. It is created
	// when absent, and memory does not grow with the requests. "" keeps all in memory, with EC P-256 keys, which cost nothing.
	Dir string

	Domain    string   // NetBIOS name, also in the CA's name; "" = LAB
	Hosts     []string // DNS names and IP addresses in IIS's certificate; none = localhost, 127.0.0.1, ::1
	Templates []Template
	Users     []User
	Lockout   Lockout      // of accounts
	Binding   ntlm.Binding // Extended Protection
	TLS       TLSVersions

	// FirstReqID is the ReqID of a new CA's first request; 0 = 1. A CA that has
	// requests goes on after its highest.
	FirstReqID int

	// AccessLog gets each request once it is answered, in the order of the
	// answers of its connection. It is called before the last byte of the answer
	// leaves, so that whoever holds an answer finds its entry. It and Events are
	// called from several goroutines at a time and must not block for long.
	AccessLog func(AccessEntry)
	Events    func(Event)

	// Manner is how what real servers do differently is done here.
	Manner Manner
	// Basic offers Basic authentication besides, as IIS does once it is installed:
	// many public clients use it.
	Basic bool

	// Middleware wraps everything IIS does, log-in included, first one
	// outermost; the access log is outside of it and sees what it does.
	Middleware []func(http.Handler) http.Handler

	// Around, where set, wraps all of that, the access log too: when it returns, the request's
	// line is written.
	Around func(http.Handler) http.Handler

	// TLSConfig, where set, decorates the listener's TLS configuration.
	TLSConfig func(*tls.Config) *tls.Config
	// Decide, where set, sees what the policy makes of a request, and returns what
	// is done. ctx is that of the request for certfnsh.asp.
	Decide func(ctx context.Context, d Decision) Decision
	// Offer, where set, returns those of the templates that certrqxt.asp lists.
	Offer func(ctx context.Context, templates []string) []string

	// NewKey, where set, makes the CA's keys and those of its servers, of
	// [Manner].Key's kind; "" = the usual.
	NewKey func(kind string) (crypto.Signer, error)

	Rand   io.Reader        // serial numbers, challenges, session ids; nil = crypto/rand. Keys always come from crypto/rand.
	Now    func() time.Time // nil = time.Now
	Logger *zap.Logger      // nil = none
}

// TLSVersions bound the TLS versions offered, as in [tls.Config]. 0 means 1.2 for
// Min and 1.3 for Max.
type TLSVersions struct{ Min, Max uint16 }

// User is an account that may log in.
type User struct {
	Name   string   // DOMAIN\user, or user alone for one of Options.Domain
	NTHash [16]byte // [ntlm.NTHash] of the password, as good as the password itself
}

// NewUser returns the account name with the hash of its password.
func NewUser(name, password string) User {
	return User{Name: name, NTHash: ntlm.NTHash(password)}
}

// String returns the name, without the hash.
func (u User) String() string { return u.Name }

// GoString returns the same as String: %#v shows no hash either.
func (u User) GoString() string { return u.Name }

// Template is a certificate template published on the CA.
type Template struct {
	// Name is the template's cn, which requests name. Letters, digits, blank
	// and . _ ( ) - only, at most 64; compared without regard to case.
	Name         string
	FriendlyName string // in the page's list; "" = Name
	// OID makes it a template of version 2, which requests may name by it, and whose
	// certificates do; "" = one of version 1.
	OID string

	// SubjectFromRequest takes subject and subjectAltName from the CSR ("O" in
	// the list). Otherwise the subject is the user who asks, and the CSR's names
	// are ignored ("E").
	SubjectFromRequest bool

	MinKeySize  int                // RSA modulus in bits, at least 1024; 0 = 2048. EC keys count from P-256 up.
	Validity    time.Duration      // 0 = one year; never beyond the issuing CA's end
	KeyUsage    x509.KeyUsage      // 0 = digital signature and key encipherment
	ExtKeyUsage []x509.ExtKeyUsage // none = client and server authentication
	Enroll      []string           // users who may enroll, named as in [User]; none = all

	// ManagerApproval makes requests wait for [Server.Approve] or [Server.Deny].
	ManagerApproval bool
}

const (
	defaultDomain   = "LAB"
	defaultValidity = 365 * 24 * time.Hour
	defaultKeySize  = 2048
	minKeySize      = 1024 // below, Go verifies no signature
	maxKeySize      = 16384
	maxFriendlyName = 128
)

var (
	templateName = regexp.MustCompile(`^[A-Za-z0-9 ._()-]{1,64}$`)
	domainName   = regexp.MustCompile(`^[A-Za-z0-9-]{1,15}$`)
)

// complete returns o with defaults filled in, or says what cannot be.
func (o Options) complete() (Options, error) {
	if o.Domain == "" {
		o.Domain = defaultDomain
	}
	if !domainName.MatchString(o.Domain) {
		return o, fmt.Errorf("certsrv: domain %q: not a NetBIOS name, use up to 15 letters, digits and dashes", o.Domain)
	}
	if len(o.Hosts) == 0 {
		o.Hosts = []string{"localhost", "127.0.0.1", "::1"}
	}
	if o.TLS.Min == 0 {
		o.TLS.Min = tls.VersionTLS12
	}
	if o.TLS.Max == 0 {
		o.TLS.Max = tls.VersionTLS13
	}
	if o.TLS.Min > o.TLS.Max {
		return o, fmt.Errorf("certsrv: tls: smallest version %s is above largest %s", tls.VersionName(o.TLS.Min), tls.VersionName(o.TLS.Max))
	}
	if err := o.Manner.valid(); err != nil {
		return o, err
	}
	if o.Manner.HighReqIDs && o.FirstReqID == 0 {
		o.FirstReqID = 2_147_480_000
	}
	if o.Manner.TLS12 && o.TLS.Min <= tls.VersionTLS12 {
		o.TLS.Max = min(o.TLS.Max, tls.VersionTLS12)
	}
	if o.FirstReqID < 0 {
		return o, fmt.Errorf("certsrv: first ReqID %d: must not be negative", o.FirstReqID)
	}
	if o.NewKey == nil {
		o.NewKey = makeKey
		if o.Manner.Key == "" && o.Dir != "" {
			o.Manner.Key = "rsa2048"
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	o.Rand = &lockedReader{r: o.Rand}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.AccessLog == nil {
		o.AccessLog = func(AccessEntry) {}
	}
	if o.Events == nil {
		o.Events = func(Event) {}
	}
	var err error
	if o.Templates, err = completeTemplates(o.Templates); err != nil {
		return o, err
	}
	return o, checkUsers(o.Domain, o.Users)
}

func checkUsers(domain string, users []User) error {
	for i, u := range users {
		_, name := ntlm.ParseUser(u.Name)
		if name == "" {
			return fmt.Errorf("certsrv: user %q: has no name, write DOMAIN\\user", u.Name)
		}
		for _, other := range users[:i] {
			if sameUser(domain, u.Name, other.Name) {
				return fmt.Errorf("certsrv: user %q: named twice", u.Name)
			}
		}
	}
	return nil
}

func completeTemplates(in []Template) ([]Template, error) {
	out := slices.Clone(in)
	for i := range out {
		t := &out[i]
		if t.FriendlyName == "" {
			t.FriendlyName = t.Name
		}
		if t.MinKeySize == 0 {
			t.MinKeySize = defaultKeySize
		}
		if t.Validity == 0 {
			t.Validity = defaultValidity
		}
		if t.KeyUsage == 0 {
			t.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
		}
		if len(t.ExtKeyUsage) == 0 {
			t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
		}
		switch {
		case !templateName.MatchString(t.Name):
			return nil, fmt.Errorf("certsrv: template %q: not a template name, use up to 64 letters, digits, blanks and . _ ( ) -", t.Name)
		case len(t.FriendlyName) > maxFriendlyName || strings.ContainsFunc(t.FriendlyName, func(r rune) bool { return r < ' ' || r == ';' }):
			return nil, fmt.Errorf("certsrv: template %q: friendly name is over %d bytes or has a semicolon or control character", t.Name, maxFriendlyName)
		case t.OID != "" && !validOID(t.OID):
			return nil, fmt.Errorf("certsrv: template %q: OID %q: want numbers with points between, such as 1.3.6.1.4.1.311.21.8.1.2", t.Name, t.OID)
		case t.MinKeySize < minKeySize || t.MinKeySize > maxKeySize:
			return nil, fmt.Errorf("certsrv: template %q: smallest key of %d bits: must be %d to %d", t.Name, t.MinKeySize, minKeySize, maxKeySize)
		case t.Validity < 0:
			return nil, fmt.Errorf("certsrv: template %q: validity %s: must not be negative", t.Name, t.Validity)
		}
		for _, other := range out[:i] {
			if strings.EqualFold(t.Name, other.Name) {
				return nil, fmt.Errorf("certsrv: template %q: named twice", t.Name)
			}
			if t.OID != "" && t.OID == other.OID {
				return nil, fmt.Errorf("certsrv: template %q: its OID is that of %q", t.Name, other.Name)
			}
		}
	}
	return out, nil
}

// lockedReader lets a reader that was handed in serve several connections.
type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(p)
}
