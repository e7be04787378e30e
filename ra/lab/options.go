package lab

import (
	"crypto"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"go.uber.org/zap"

	"ciscora/config"
	"ciscora/ra/console"
	"ciscora/ra/explain"
	"ciscora/ra/fault"
)

// Options is what a lab is made of. The zero value listens on the fixed ports of
// `ra lab` and keeps its state in a new temporary folder.
type Options struct {
	Dir     string // state, kept across runs; "" = a new temporary folder
	EST     string // the RA's address; "" = 127.0.0.1:8084, port 0 works
	Certsrv string // the built-in CA's; "" = 127.0.0.1:8443
	Admin   string // the admin port's; "" = 127.0.0.1:8085
	// User and Password are the lab's account; "" = LAB\ciscora, and the password of an
	// earlier run in Dir, or else a new one.
	User, Password string
	// Hosts are names and addresses of the RA besides this machine's own.
	Hosts []string
	// AnyHost shows each client a certificate for the name that it asks for (SNI).
	AnyHost bool
	// Seed makes the lab the same each time: keys, serial numbers, password and the
	// sample phone. Whoever knows it knows the keys. Dir must be new, or
	// be of the same seed. 0 = all is left to chance.
	Seed uint64
	// OpenAdmin leaves the admin port open to whoever reaches it; else it wants a token
	// where it listens beyond loopback, see [Lab.AdminCurl].
	OpenAdmin bool
	Profile   config.Profile // "" = cucm-12.5
	// Faults are those that are on; nil = none so far, see [Lab.Faults].
	Faults *fault.Registry
	// Early are specs of faults that are on when it starts.
	Early []string
	// Variant is how this lab differs from the usual one.
	Variant Variant
	// Lockout is the RA's est.lockout.failures; 0 = no guard, since those who try a lab
	// out try wrong passwords all day.
	Lockout int
	// Network is where the lab listens and connects; nil = TCP.
	Network Network
	// Watch sees each step of each enrollment as it happens; nil = nobody does.
	Watch func(Step)
	// Middleware sees each EST operation before its faults do; the first is outermost.
	Middleware []func(http.Handler) http.Handler
	// Logged is called whenever something has been written to one of the
	// emulated logs of RA and CA, from several goroutines; nil = nobody is told.
	Logged func()
	// Unrecorded keeps nothing of what goes over the wires: the console's pages show the
	// legs alone then.
	Unrecorded bool
	// Catalog is what is known of failures, by which the console's pages tell a cause;
	// nil = they tell none.
	Catalog func() (*explain.Catalog, error)
	// Cards are the failures that the console's pages can play; nil = none.
	Cards console.Cards
	// KeyLog gets the secrets of each TLS connection to RA and CA, in the form of
	// SSLKEYLOGFILE, by which Wireshark decrypts a capture; nil = none are told.
	// There is no such thing outside a lab.
	KeyLog io.Writer
	// NewKey makes the keys of the CA and of both TLS servers; nil = new ones, RSA 2048.
	NewKey  func() (crypto.Signer, error)
	Version string // of this build, as /info tells it
	Logger  *zap.Logger
	Now     func() time.Time
}

// SetProfile sets the profile by its name.
func (o *Options) SetProfile(name string) (err error) {
	o.Profile, err = config.ParseProfile(name)
	return err
}

// Variant is how a lab differs from the usual one; zero values change nothing.
type Variant struct {
	CAURL      string   // of the CA, as ra.yaml has it; any port leads to the built-in CA
	CANames    []string // further names of the built-in CA's server, which resolve to it
	Template   string   // the RA's
	Enroll     []string // who may enroll for the lab's template
	MinKeySize int      // of the lab's template, in bits
	Patience   time.Duration
	Handshake  time.Duration // how long the RA bears with a handshake, and with a header
	// DigestUsers is the file of those who may enroll, by HTTP Digest; "" = whom the CA
	// knows may, by Basic.
	DigestUsers string
	// KeygenKeys is the file of secret keys under which /serverkeygen encrypts; "" = none.
	KeygenKeys string
	// Trust stands in both trust stores, before the lab's root. Both are the same then,
	// as CUCM's are: the issuing CA is in neither.
	Trust []*x509.Certificate
}

// port is that of the CA's URL, which IIS logs, whatever port it has here: the logs of
// RA and CA would name two. 0 = the one that it has.
func (v Variant) port() int {
	u, err := url.Parse(v.CAURL)
	if err != nil {
		return 0 // the configuration says why
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return 0
	}
	return port
}

func (v Variant) apply(ra *config.RA, ca *config.Certsrv) {
	if v.CAURL != "" {
		ra.CA.URL = v.CAURL
	}
	ca.Hosts = append(ca.Hosts, v.CANames...)
	if len(v.Trust) > 0 {
		ra.CA.Trust = append([]string{fileOthers}, ra.CA.Trust...)
		ra.EST.Trust = ra.CA.Trust
	}
	if v.Template != "" {
		ra.CA.Template = v.Template
	}
	if v.Enroll != nil {
		ca.Templates[0].Enroll = v.Enroll
	}
	if v.Patience != 0 {
		ra.EST.Patience = v.Patience
	}
	if v.DigestUsers != "" {
		ra.EST.DigestUsers = v.DigestUsers
		ra.EST.Authentication = []config.Authentication{config.AuthenticateUsers, config.AuthenticateCertificate}
	}
	if v.KeygenKeys != "" {
		ra.EST.ServerKeygenKeys = v.KeygenKeys
	}
	if v.Handshake != 0 {
		ra.EST.Limits.HeaderTimeout = v.Handshake
	}
	if v.MinKeySize != 0 {
		ca.Templates[0].MinKeySize = v.MinKeySize
	}
}

func (o Options) withDefaults() Options {
	set := func(s *string, def string) {
		if *s == "" {
			*s = def
		}
	}
	set(&o.EST, "127.0.0.1:8084")
	set(&o.Certsrv, "127.0.0.1:8443")
	set(&o.Admin, "127.0.0.1:8085")
	if o.Profile == "" {
		o.Profile = config.ProfileCUCM
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Network == nil {
		o.Network = tcp{}
	}
	if o.NewKey == nil {
		o.NewKey = draws{o.Seed}.rsaKeys("keys")
	}
	if o.Faults == nil {
		o.Faults = fault.NewRegistry(fault.Options{Now: o.Now, Logger: o.Logger.Named("fault")})
	}
	return o
}
