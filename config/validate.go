package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"ciscora/internal/postgresurl"
)

// validate reports values and combinations that cannot work, and those that
// this version cannot do: better refused than ignored.
func (c *RA) validate(l *loader) {
	c.EST.validate(l)
	c.CA.validate(l)
	if err := c.Ledger.check(); err != nil && !errors.Is(err, postgresurl.ErrFile) && !l.reported("ledger.dsn") {
		l.report("ledger.dsn", "%w", err)
	}
	if c.Logs.Rotate.Size < 1<<20 {
		l.report("logs.rotate.size", "must be 1MiB or more, the default is 100MiB")
	}
	if c.Logs.Rotate.Keep < 1 {
		l.report("logs.rotate.keep", "must be 1 or more, the default is 7")
	}
	l.positive("ledger.join", c.Ledger.Join)
	l.notNegative("ledger.retention", c.Ledger.Retention)
	c.Admin.validate(l)
	if c.Admin.Listen != "" {
		l.apart("est.listen", c.EST.Listen, "admin.listen", c.Admin.Listen)
	}
}

var dsnSyntax = regexp.MustCompile(`^(sqlite:.|postgres(ql)?://.)`)

// check says what is wrong with the DSN. It does not quote it: a password may be in it.
func (c *Ledger) check() error {
	if !dsnSyntax.MatchString(c.DSN) {
		return errors.New("want sqlite:FILE or postgres://USER@HOST/DATABASE")
	}
	if strings.HasPrefix(c.DSN, "sqlite:") {
		return nil
	}
	if _, err := postgresurl.Parse(c.DSN); err != nil {
		return fmt.Errorf("the address of the PostgreSQL server: %w", err)
	}
	return nil
}

// checkFiles says what is wrong with the files that the DSN names.
func (c *Ledger) checkFiles() error {
	path, ok := strings.CutPrefix(c.DSN, "sqlite:")
	if !ok {
		return c.check()
	}
	folder := filepath.Dir(path)
	info, err := os.Stat(folder)
	switch {
	case err != nil:
		return fmt.Errorf("the folder of the ledger: %w: make it, as the RA's user", err)
	case !info.IsDir():
		return fmt.Errorf("the folder of the ledger: %s is a file: name another path", folder)
	}
	return nil
}

func (e *EST) validate(l *loader) {
	l.address("est.listen", e.Listen)
	l.versions("est.tls", e.TLS)
	if e.TLS.Min < tls.VersionTLS11 && !l.reported("est.tls.min") {
		l.report("est.tls.min", "%s is too old for EST, want 1.1 or later (RFC 7030 section 3.3)", e.TLS.Min)
	}
	e.validateAuthentication(l)
	if e.Lockout.Failures < 0 {
		l.report("est.lockout.failures", "is negative, want 0 (never lock) or more")
	}
	l.positive("est.lockout.for", e.Lockout.For)
	e.validateLabels(l)
	e.validatePolicies(l)
	if e.Limits.Body <= 0 {
		l.report("est.limits.body", "must be more than 0, the default is 64KiB")
	}
	l.positive("est.limits.header_timeout", e.Limits.HeaderTimeout)
	l.positive("est.limits.body_timeout", e.Limits.BodyTimeout)
	if e.Limits.InFlight <= 0 {
		l.report("est.limits.in_flight", "must be more than 0, the default is 20000")
	}
	if e.Limits.PerClient <= 0 {
		l.report("est.limits.per_client", "must be more than 0, the default is 1000")
	}
	switch e.CAFailureStatus {
	case 0, 400, 500, 502, 504:
	default:
		l.report("est.ca_failure_status", "%d is not to be had, want 400, 500, 502 or 504, or 0 for the profile's", e.CAFailureStatus)
	}
	l.notNegative("est.drain_delay", e.DrainDelay)
	l.notNegative("est.drain", e.Drain)
	l.notNegative("est.patience", e.Patience)
	if e.Patience > longestPatience {
		l.report("est.patience", "%s is more than can be kept, want %s or less: the status line has nine bytes to send, one each 8s, and libest's client gives up 10s after the last", formatDuration(e.Patience), formatDuration(longestPatience))
	}
	e.validateProxies(l)
	if !e.ServerKeygen {
		const unused = "is for /serverkeygen alone, which is off: set est.server_keygen, or remove this"
		if e.ServerKeygenKeys != "" {
			l.report("est.server_keygen_keys", unused)
		}
		if len(e.ServerKeygenCertificates) > 0 {
			l.report("est.server_keygen_certificates", unused)
		}
	}
	if e.Revocation == RevocationOff && len(e.CRLs) > 0 {
		l.report("est.crls", "is not asked where est.revocation is off: set that to soft or hard, or remove this")
	}
}

func (e *EST) validateProxies(l *loader) {
	for i, text := range e.ProxyProtocol {
		key := "est.proxy_protocol[" + strconv.Itoa(i) + "]"
		network, err := netip.ParsePrefix(text)
		alone, addressErr := netip.ParseAddr(text)
		switch {
		case err != nil && addressErr == nil:
			l.report(key, "%q is an address, write it as %s/%d", text, text, alone.BitLen())
		case err != nil:
			l.report(key, "%q is no network, write it as 10.0.0.0/8 or fd00::/8", text)
		case network.Bits() == 0:
			l.report(key, "%q is everybody, who could then claim any address: name the load balancers' network", text)
		case network != network.Masked():
			l.report(key, "%q goes on after the network's bits, write it as %s", text, network.Masked())
		}
	}
}

// ProxyNetworks are those of ProxyProtocol.
func (e *EST) ProxyNetworks() ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, text := range e.ProxyProtocol {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("est.proxy_protocol: %q is no network, write it as 10.0.0.0/8 or fd00::/8", text)
		}
		networks = append(networks, network)
	}
	return networks, nil
}

func (e *EST) validateAuthentication(l *loader) {
	const key = "est.authentication"
	if len(e.Authentication) == 0 && !l.reported(key) {
		l.report(key, "is empty, want some of relay, certificate and users")
	}
	e.validateMethods(l, key, e.Authentication)
	e.validatePolicyName(l, "est.policy", e.Policy)
}

func (e *EST) validatePolicyName(l *loader, key, name string) {
	if _, ok := e.Policies[name]; name != "" && !ok {
		l.report(key, "%q is not among est.policies%s", name, nearPolicy(name, e.Policies))
	}
}

func nearPolicy(name string, policies map[string]Policy) string {
	if len(policies) == 0 {
		return ", which is empty"
	}
	return ", " + Suggest(name, slices.Sorted(maps.Keys(policies)), "there are")
}

func (e *EST) validateMethods(l *loader, key string, methods []Authentication) {
	for i, a := range methods {
		at := key + "[" + strconv.Itoa(i) + "]"
		switch {
		case slices.Contains(methods[:i], a):
			l.report(at, "%s is there twice, remove one", a)
		case a == AuthenticateUsers && e.Users == "" && e.DigestUsers == "" && !l.reported("est.users"):
			l.report(at, "users needs est.users, the file with their bcrypt hashes, or est.digest_users")
		case a == AuthenticateCertificate && len(e.Trust) == 0 && !l.reported("est.trust"):
			l.report(at, "certificate needs est.trust, the CAs of the clients' certificates")
		}
	}
}

// operations are EST's own path segments (RFC 7030 §3.2.2), which no label can
// be.
var operations = []string{"cacerts", "simpleenroll", "simplereenroll", "fullcmc", "serverkeygen", "csrattrs"}

// labelSyntax is what stands in one path segment without escapes (pchar of
// RFC 3986 §3.3), at most as long as libest takes it (docs/reference/libest.md).
var labelSyntax = regexp.MustCompile(`^[A-Za-z0-9._~!$&'()*+,;=:@-]{1,128}$`)

func (e *EST) validateLabels(l *loader) {
	for _, name := range slices.Sorted(maps.Keys(e.Labels)) {
		key := join("est.labels", name)
		switch {
		case slices.Contains(operations, name):
			l.report(key, "is the name of an EST operation and can be no label, choose another name")
		case name == "." || name == ".." || !labelSyntax.MatchString(name):
			l.report(key, "%q is no label, want 1 to 128 letters, digits or any of ._~!$&'()*+,;=:@-", name)
		case strings.HasPrefix(name, "fault:"):
			l.report(key, "labels that begin with fault: are reserved, choose another name")
		}
		l.template(key+".template", e.Labels[name].Template)
		e.validateMethods(l, key+".authentication", e.Labels[name].Authentication)
		e.validatePolicyName(l, key+".policy", e.Labels[name].Policy)
	}
}

func (c *CA) validate(l *loader) {
	l.caURL("ca.url", c.URL)
	l.template("ca.template", c.Template)
	l.versions("ca.tls", c.TLS)
	l.notNegative("ca.vouch", c.Vouch)
	if c.Pool < 1 || c.Pool > 1000 {
		l.report("ca.pool", "%d is out of range, want 1 to 1000", c.Pool)
	}
	if c.InFlight < 0 || c.InFlight > 10_000 {
		l.report("ca.in_flight", "%d is out of range, want 0 (no bound) to 10000", c.InFlight)
	}
	l.positive("ca.script_timeout", c.ScriptTimeout)
	t := c.Timeouts
	l.positive("ca.timeouts.resolve", t.Resolve)
	l.positive("ca.timeouts.connect", t.Connect)
	l.positive("ca.timeouts.handshake", t.Handshake)
	l.positive("ca.timeouts.login", t.Login)
	l.positive("ca.timeouts.chain", t.Chain)
	l.positive("ca.timeouts.template", t.Template)
	l.positive("ca.timeouts.submit", t.Submit)
	l.positive("ca.timeouts.fetch", t.Fetch)
	l.notNegative("ca.timeouts.request", t.Request)
	l.notNegative("ca.refresh", c.Refresh)
}

// longestPatience is the ninth of the bytes that a client can be fed before the status
// is known, at 72s, and one step more, in which it still waits.
const longestPatience = 80 * time.Second

// templateSyntax keeps all out of a template's name that could begin another
// attribute of the request (docs/reference/certsrv.md 8).
var templateSyntax = regexp.MustCompile(`^[A-Za-z0-9 ._()-]{1,64}$`)

func (l *loader) template(key, name string) {
	switch {
	case name == "": // reported as required
	case !templateSyntax.MatchString(name):
		l.report(key, "%q is no template name, want 1 to 64 letters, digits, blanks or any of ._()-", name)
	case strings.TrimSpace(name) != name:
		l.report(key, "%q begins or ends with a blank, remove it", name)
	}
}

func (l *loader) caURL(key, text string) {
	if text == "" {
		return // reported as required
	}
	u, err := url.Parse(text)
	switch {
	case err != nil: // url's error quotes the text, and a password with it
		l.report(key, "is no URL, write it as https://HOST/certsrv")
	case u.User != nil:
		l.report(key, "holds an account, remove it: ca.credentials has it")
	case u.Scheme != "https":
		l.report(key, "%q is not https, and log-ins go over TLS only: write it as https://HOST/certsrv", text)
	case u.Hostname() == "":
		l.report(key, "%q has no host, write it as https://HOST/certsrv", text)
	case !validPort(u.Port()) || strings.HasSuffix(u.Host, ":"):
		l.report(key, "%q has no valid port, want 1 to 65535 or none", text)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		l.report(key, "%q goes on after the path, write it as https://HOST/certsrv", text)
	case strings.Trim(u.Path, "/") == "":
		l.report(key, "%q has no path, write it as %s/certsrv", text, strings.TrimRight(text, "/"))
	}
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}

// address checks an address to listen on: HOST:PORT, where HOST may be empty.
func (l *loader) address(key, text string) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		l.report(key, "%q is no address, write it as 127.0.0.1:8084, [::1]:8084 or :8084", text)
		return
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		l.report(key, "port %q of %q is no port, want 0 (any that is free) to 65535", port, text)
	}
	if strings.ContainsAny(host, " /@") {
		l.report(key, "host %q of %q is no host name or address", host, text)
	}
}

// apart reports two addresses that cannot both be listened on, at the one that
// was set.
func (l *loader) apart(keyA, a, keyB, b string) {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return
	}
	everywhere := func(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }
	if hostA != hostB && !everywhere(hostA) && !everywhere(hostB) {
		return
	}
	if _, set := l.source.places[keyB]; !set {
		keyA, a, keyB, b = keyB, b, keyA, a
	}
	l.report(keyB, "%s collides with %s (%s), choose another port", b, keyA, a)
}

func (l *loader) versions(key string, v TLS) {
	if v.Min > v.Max && !l.reported(key) {
		l.report(key, "min %s is above max %s, raise max or lower min", v.Min, v.Max)
	}
}

func (l *loader) positive(key string, d time.Duration) {
	if d <= 0 {
		l.report(key, "%s is too short, must be more than 0s", formatDuration(d))
	}
}

func (l *loader) notNegative(key string, d time.Duration) {
	if d < 0 {
		l.report(key, "%s is negative, want 0s or more", formatDuration(d))
	}
}
