package config

import "time"

// RA is ra.yaml: a registration authority between EST clients and a Microsoft
// CA. Make one with [LoadRA] or [Default].
type RA struct {
	// Profile chooses the defaults of all other keys: "modern" or "cucm-12.5",
	// which behaves as CES of CUCM 12.5. Default modern.
	Profile Profile `yaml:"profile" enum:"modern cucm-12.5"`

	EST    EST     `yaml:"est"`
	CA     CA      `yaml:"ca"`
	Ledger Ledger  `yaml:"ledger"`
	Logs   Logs    `yaml:"logs"`
	Admin  RAAdmin `yaml:"admin"`

	// Faults are faults that are on from the start, such as
	// "est.simpleenroll:delay=12s". `ra serve` refuses them without --allow-faults.
	Faults []string `yaml:"faults"`

	source *source
}

// EST is what EST clients meet.
type EST struct {
	// Listen is the TLS listener's address. Default 0.0.0.0:8084.
	Listen string `yaml:"listen"`

	// Certificate and Key are the listener's: a PEM chain, leaf first, and the
	// leaf's private key. Required.
	Certificate string `yaml:"certificate" file:"yes" required:"yes"`
	Key         string `yaml:"key" file:"yes" required:"yes"`

	// Certificates are further ones, such as an ECDSA one beside one of RSA: each
	// client gets one that it can use, of ECDSA where it can, which costs the RA a
	// tenth of RSA.
	Certificates []CertificateFiles `yaml:"certificates"`

	// Trust holds the PEM files of the EST trust store: CAs whose client
	// certificates are taken. Authentication by certificate requires it.
	Trust []string `yaml:"trust" file:"yes"`

	// Revocation says what becomes of a client certificate: "off" asks nobody, "soft"
	// refuses a revoked one, and with "hard" also one of which nothing can be found
	// out. CRLs, of CRLs and of the certificates' distribution points, are asked, and
	// where none tells the certificates' OCSP responders. Default soft; off in
	// cucm-12.5.
	Revocation Revocation `yaml:"revocation" enum:"off soft hard"`

	// CRLs are files of CRLs, in PEM or DER. They are read again when they change.
	CRLs []string `yaml:"crls" file:"yes"`

	// TLS bounds the protocol versions. Default 1.2 to 1.3; in cucm-12.5 only 1.2.
	TLS TLS `yaml:"tls"`

	// Dialect is the manner of answering: "rfc8951", or "libest", as libest's
	// server does. Default rfc8951; libest in cucm-12.5.
	Dialect Dialect `yaml:"dialect" enum:"libest rfc8951"`

	// Base64 is the form of the answers' bodies: "wrapped" in lines, a "single"
	// line, or "auto", which suits libest and strongSwan alike (see
	// docs/reference/libest.md L4). Default auto.
	Base64 Base64 `yaml:"base64" enum:"auto wrapped single"`

	// Authentication lists the ways in which a client may say who it is, in
	// order: "relay" asks the CA with the client's own Basic credentials,
	// "certificate" takes a TLS client certificate under Trust, "users" Basic
	// credentials of the file Users. The first for which the request carries
	// something decides. Default [relay].
	Authentication []Authentication `yaml:"authentication" enum:"relay certificate users"`

	// Users is the file for authentication by users: lines of a name, a colon and
	// a bcrypt hash, as htpasswd -B writes them. It is read again when it changes.
	Users string `yaml:"users" file:"yes"`

	// DigestUsers is the file for authentication by users with HTTP Digest: lines
	// of a name, the realm and HA1 (MD5 or SHA-256), as htdigest writes them, mode
	// 0600. It is read again when it changes.
	DigestUsers string `yaml:"digest_users" file:"yes"`

	// Lockout spares the CA's accounts. Default 3 failures, for 15m.
	Lockout Lockout `yaml:"lockout"`

	// CSRAttributes is how /csrattrs tells what a CSR for the template should
	// have: "classic" (RFC 7030), "template" (RFC 9908) or "none", which is 204.
	// The template cannot ask for proof of possession: where that is demanded the
	// classic form is told. libest's client (estclient -a) never comes to the end of a
	// template: it is for clients that know RFC 9908. Default classic; none in
	// cucm-12.5.
	CSRAttributes string `yaml:"csr_attributes" enum:"classic template none"`

	// ServerKeygen serves /serverkeygen: the RA makes the key. Default false.
	ServerKeygen bool `yaml:"server_keygen"`

	// ServerKeygenKeys is the file of secret keys under which clients may ask for theirs
	// to be encrypted (RFC 7030 §4.4.1.1): lines of the DecryptKeyIdentifier (as text, or
	// 0x and hexadecimal digits), a colon and an AES key in hexadecimal digits, mode 0600.
	// It is read again when it changes.
	ServerKeygenKeys string `yaml:"server_keygen_keys" file:"yes"`

	// ServerKeygenCertificates are PEM files of certificates under whose keys clients may
	// ask for theirs to be encrypted, by the subjectKeyIdentifier (RFC 7030 §4.4.1.2),
	// besides the certificate that they show themselves. They are read again when they
	// change.
	ServerKeygenCertificates []string `yaml:"server_keygen_certificates" file:"yes"`

	// Labels are additional path segments (RFC 7030 §3.2.2) and what each
	// changes. A request with a label that is not here gets 404.
	Labels map[string]Label `yaml:"labels"`

	// Policies are what a CSR must be before the CA sees it, by name; Policy is the
	// one that holds where a label names none.
	Policies map[string]Policy `yaml:"policies"`
	Policy   string            `yaml:"policy"`

	// ProofOfPossession demands that a CSR is tied to its TLS connection
	// (RFC 7030 §3.5, RFC 9266). A proof that is there is always checked. Default
	// false.
	ProofOfPossession bool `yaml:"proof_of_possession"`

	// CMCRA lets clients whose certificate comes from this CA and has the extended
	// key usage id-kp-cmcRA enroll for others: their re-enrollments may name any
	// subject, and no proof of possession is demanded of them. Default false.
	CMCRA bool `yaml:"cmc_ra"`

	// Limits bounds what one client may cost.
	Limits Limits `yaml:"limits"`

	// Patience is how long a client is kept waiting while the CA works: after 8s
	// the start of the status line is sent, a byte each 8s, nine at most, since
	// libest's time-out of 10s counts per read (docs/reference/libest.md). Clients that
	// send no User-Agent (strongSwan) are left alone. 0s is off, 80s the most. Default
	// 0s.
	Patience time.Duration `yaml:"patience"`

	// ProxyProtocol are the networks of load balancers in front of the listener, as
	// 10.0.0.0/8: each connection from there must begin with a PROXY protocol header
	// of version 2 (HAProxy: send-proxy-v2), which says whose it is. None is believed
	// from elsewhere. Default none.
	ProxyProtocol []string `yaml:"proxy_protocol"`

	// CAFailureStatus is the answer to a CA that is slow or down after the
	// log-in: 400, 500, 502 or 504; 0 as the profile has it, which is 400 in
	// cucm-12.5 and what fits the failure in modern. Default 0.
	CAFailureStatus int `yaml:"ca_failure_status"`

	// DrainDelay is how long a shutdown goes on taking connections while /servingz and
	// /readyz of the admin port say 503, so that load balancers notice before the port
	// closes. 0s where none is in front. Default 5s.
	DrainDelay time.Duration `yaml:"drain_delay"`

	// Drain is how long a shutdown waits for requests in flight. Default 30s.
	Drain time.Duration `yaml:"drain"`
}

// CertificateFiles are a PEM chain, leaf first, and the leaf's private key.
type CertificateFiles struct {
	Certificate string `yaml:"certificate" file:"yes" required:"yes"`
	Key         string `yaml:"key" file:"yes" required:"yes"`
}

// Lockout tries no more wrong passwords at an account than this, from wherever they
// come, for a while: the CA's own lock-out would hit the account everywhere. Passwords
// that were right lately still pass.
type Lockout struct {
	Failures int           `yaml:"failures"` // 0 = never lock
	For      time.Duration `yaml:"for"`
}

// Label is what an additional path segment changes.
type Label struct {
	// Template is asked for instead of CA.Template.
	Template string `yaml:"template" required:"yes"`

	// Profile is that of this label: it decides est.dialect, est.csr_attributes,
	// ca.sessions and what clients are told when the CA fails, by the profile's own
	// defaults. TLS on both sides and ca.timeouts stay the RA's. Empty = the RA's.
	Profile Profile `yaml:"profile" enum:"modern cucm-12.5"`

	// Authentication is that of this label; empty = EST's.
	Authentication []Authentication `yaml:"authentication" enum:"relay certificate users"`

	// Policy names one of EST.Policies; empty = EST.Policy.
	Policy string `yaml:"policy"`

	// ProofOfPossession demands it under this label, whatever EST says.
	ProofOfPossession bool `yaml:"proof_of_possession"`
}

// Policy is what a CSR must be before the CA sees it. Whatever it says, Windows
// security identifiers (1.3.6.1.4.1.311.25.2, as an extension or in a URI), user
// principal names (otherName 1.3.6.1.4.1.311.20.2.3) and application policies
// (1.3.6.1.4.1.311.21.10) are refused unless Allow has them.
type Policy struct {
	// Keys that are taken; empty = all.
	Keys []string `yaml:"keys" enum:"rsa2048 rsa3072 rsa4096 ec256 ec384 ec521 ed25519"`

	// Identity is a regular expression that the common name of the client's certificate
	// matches; its groups are {1}, {2} ... in Subject and SAN, where that is no count then.
	// Empty = whoever.
	Identity string `yaml:"identity"`

	// Subject are regular expressions, one of which the whole subject (RFC 4514,
	// such as CN=SEP001122334455) matches; empty = all. {user} stands for the account's
	// name (of the CA's: without its domain), {cn} for the common name of the client's
	// certificate, {san} for each of its subject alternative names.
	Subject []string `yaml:"subject"`

	// SAN are regular expressions, one of which each subject alternative name
	// matches, as dns:NAME, ip:ADDRESS, email:ADDRESS, uri:URI, dir:SUBJECT, oid:1.2.3,
	// upn:NAME or other:TYPE=#HEX; empty = all. The words are those of Subject; {san}
	// stands for a whole name here, such as dns:phone.example.com.
	SAN []string `yaml:"san"`

	// Ambiguous takes CSRs that say two things: a subject with several common names,
	// an extension twice. Default false.
	Ambiguous bool `yaml:"ambiguous"`

	// Forbid and Allow are object identifiers of extensions.
	Forbid []string `yaml:"forbid"`
	Allow  []string `yaml:"allow"`
}

// Limits bounds what one client may cost.
type Limits struct {
	Body          Size          `yaml:"body"`           // of a request; default 64KiB
	HeaderTimeout time.Duration `yaml:"header_timeout"` // handshake and header; default 10s
	BodyTimeout   time.Duration `yaml:"body_timeout"`   // default 30s
	InFlight      int           `yaml:"in_flight"`      // requests at once; default 20000
	PerClient     int           `yaml:"per_client"`     // connections of one IPv4 address or IPv6 /64, which a load balancer is, too, without proxy_protocol; default 1000
}

// CA is the Microsoft CA's Web Enrollment, and how the RA asks it.
type CA struct {
	// URL is that of the Web Enrollment pages, https and with its path:
	// https://HOST:443/certsrv. A port that is written is repeated in Referer
	// and logs. Required.
	URL string `yaml:"url" required:"yes"`

	// Template is the name (CN, not the display name) of the certificate
	// template to ask for. Required.
	Template string `yaml:"template" required:"yes"`

	// Authentication is "ntlm", "negotiate" (NTLM in SPNEGO) or
	// "basic". Default ntlm.
	Authentication string `yaml:"authentication" enum:"ntlm negotiate basic"`

	// Credentials is a file with the keys user and password, mode 0600: the
	// account for start-up and maintenance, and for clients without a password
	// to relay. Required.
	Credentials string `yaml:"credentials" file:"yes" required:"yes"`

	// Trust holds the PEM files of the web trust store: CAs under which the
	// server's certificate must stand. Required.
	Trust []string `yaml:"trust" file:"yes" required:"yes"`

	// TLS bounds the protocol versions. Default 1.2 to 1.3; 1.0 to 1.2 in cucm-12.5.
	TLS TLS `yaml:"tls"`

	// NameCheck is the rule by which the server's certificate must name the
	// URL's host: "go", or "curl", where the CN counts when there is no DNS
	// name. Default go; curl in cucm-12.5.
	NameCheck string `yaml:"name_check" enum:"go curl"`

	// Sessions are "pooled" (logged-in connections are kept and used again by
	// the same account) or "per-enrollment" (two log-ins on two connections,
	// as CES). Default pooled; per-enrollment in cucm-12.5.
	Sessions Sessions `yaml:"sessions" enum:"pooled per-enrollment"`

	// Vouch is how long a kept connection vouches for the credentials that
	// opened it, before they are tried anew. Default 1m.
	Vouch time.Duration `yaml:"vouch"`

	// Pool is how many idle connections are kept for one account. Default 8.
	Pool int `yaml:"pool"`

	// InFlight is how many requests may be under way at the CA at a time; the others
	// wait in line, fair between accounts, and who would wait too long gets 503 with
	// Retry-After. Where it is not 0, a CA that cannot be reached five times in a row
	// is asked by one request at a time until it is back. 0 = no bound. Default 32; 0
	// in cucm-12.5.
	InFlight int `yaml:"in_flight"`

	// ScriptTimeout is the CA's own (IIS: AspScriptTimeout): so long its page may be
	// at work on a POST whose answer was lost. No CSR is sent again before. Default
	// 90s.
	ScriptTimeout time.Duration `yaml:"script_timeout"`

	// Renewal chooses the CA certificate for the chain: "newest", or a number,
	// 0 being the first. Default newest; 0 in cucm-12.5.
	Renewal Renewal `yaml:"renewal"`

	// TemplateCheck is "list", where nobody enrolls for a template that the page
	// certrqxt.asp does not list, as with CES, or "off": the CA decides about the CSR.
	// The page leaves out machine templates and newer versions, and a stand-alone CA
	// lists none. Default off; list in cucm-12.5.
	TemplateCheck string `yaml:"template_check" enum:"off list"`

	// ChannelBinding sends the TLS channel binding with NTLM, as Extended
	// Protection wants. Default true; false in cucm-12.5.
	ChannelBinding bool `yaml:"channel_binding"`

	Timeouts Timeouts `yaml:"timeouts"`

	// Refresh is how often chain and template list are read anew; 0s only at
	// start-up. Default 1h.
	Refresh time.Duration `yaml:"refresh"`
}

// Timeouts bounds each phase of an exchange with the CA.
type Timeouts struct {
	Resolve   time.Duration `yaml:"resolve"`   // default 5s
	Connect   time.Duration `yaml:"connect"`   // default 10s
	Handshake time.Duration `yaml:"handshake"` // default 10s
	Login     time.Duration `yaml:"login"`     // default 10s
	Chain     time.Duration `yaml:"chain"`     // default 10s
	Template  time.Duration `yaml:"template"`  // default 10s
	Submit    time.Duration `yaml:"submit"`    // default 120s
	Fetch     time.Duration `yaml:"fetch"`     // default 30s

	// Request is one budget for a whole request, from the name's resolution to
	// the last byte, both NTLM legs included, as curl counts. Where it is not
	// 0s it replaces all others. Default 0s; 10s in cucm-12.5.
	Request time.Duration `yaml:"request"`
}

// Ledger is where asked, issued and delivered certificates are recorded.
type Ledger struct {
	// DSN is sqlite:FILE or postgres://... Default sqlite:ra.db.
	DSN string `yaml:"dsn"`

	// Join is how long after its delivery the same CSR gets the same certificate
	// again, and not a new one. Not in cucm-12.5, which joins nothing. Default 10m.
	Join time.Duration `yaml:"join"`

	// Retention is how long a row stays that nothing happens to; 0s = for ever.
	// The default outlives a certificate of a year. Default 400d.
	Retention time.Duration `yaml:"retention"`
}

// Logs are the RA's own log and those in the words of the real products.
type Logs struct {
	// Level of the structured log on standard error: debug, info, warn, error.
	// Default info.
	Level string   `yaml:"level" enum:"debug info warn error"`
	Files LogFiles `yaml:"files"`

	// Rotate says when a log of Files begins a new file, and how many old ones
	// stay. Default 100MiB and 7.
	Rotate Rotate `yaml:"rotate"`
}

// Rotate bounds what a log takes on the disk.
type Rotate struct {
	Size Size `yaml:"size"` // of one file, in whole MiB
	Keep int  `yaml:"keep"` // old files
}

// LogFiles are the emulated logs; an empty path turns one off.
type LogFiles struct {
	NGINX   string `yaml:"nginx" file:"yes"`   // default logs/nginx-error.log
	CiscoRA string `yaml:"ciscora" file:"yes"` // default logs/ciscora.log
}

// TLS bounds protocol versions, both ends included.
type TLS struct {
	Min TLSVersion `yaml:"min"`
	Max TLSVersion `yaml:"max"`
}

// Profile names a set of defaults.
type Profile string

// The profiles.
const (
	ProfileModern Profile = "modern"
	ProfileCUCM   Profile = "cucm-12.5"
)

// Dialect is a manner of answering EST clients.
type Dialect string

// The dialects.
const (
	DialectLibest  Dialect = "libest"
	DialectRFC8951 Dialect = "rfc8951"
)

// Base64 is the form of an answer's body.
type Base64 string

// The forms.
const (
	Base64Auto    Base64 = "auto"
	Base64Wrapped Base64 = "wrapped"
	Base64Single  Base64 = "single"
)

// Revocation says what becomes of client certificates that are revoked, or may be.
type Revocation string

// The ways.
const (
	RevocationOff  Revocation = "off"
	RevocationSoft Revocation = "soft"
	RevocationHard Revocation = "hard"
)

// Authentication is a way in which an EST client says who it is.
type Authentication string

// The ways.
const (
	AuthenticateRelay       Authentication = "relay"
	AuthenticateCertificate Authentication = "certificate"
	AuthenticateUsers       Authentication = "users"
)

// Sessions says how long a log-in at the CA is used.
type Sessions string

// The ways of using log-ins.
const (
	SessionsPooled        Sessions = "pooled"
	SessionsPerEnrollment Sessions = "per-enrollment"
)
