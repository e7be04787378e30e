package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Admin is the HTTP port for health, roots and enrollments: open to all who reach it
// on loopback, beyond it to those with the token or a certificate.
type Admin struct {
	// Listen is its address; empty turns it off. Default 127.0.0.1:8085 for the
	// RA, off for certsrv.
	Listen string `yaml:"listen"`

	// TokenFile holds a token of 20 characters or more, mode 0600: requests carry it as
	// Authorization: Bearer TOKEN. It is read again when it changes.
	TokenFile string `yaml:"token_file" file:"yes"`

	// TLS makes the port HTTPS.
	TLS AdminTLS `yaml:"tls"`
}

// RAAdmin is the RA's admin port.
type RAAdmin struct {
	Admin

	// Detail keeps, in memory, what goes over the wire for the last 500 enrollments, which
	// the console then shows; credentials, tokens and keys are left out. Default false.
	Detail bool `yaml:"detail"`
}

// AdminTLS makes the admin port HTTPS.
type AdminTLS struct {
	// Certificate and Key are the port's: a PEM chain, leaf first, and the leaf's
	// private key.
	Certificate string `yaml:"certificate" file:"yes"`
	Key         string `yaml:"key" file:"yes"`

	// Trust holds the PEM files of the CAs whose client certificates may use the port.
	Trust []string `yaml:"trust" file:"yes"`
}

const (
	minToken = 20
	maxToken = 1024
)

// Guarded tells whether requests to the port must show who they are.
func (a *Admin) Guarded() bool { return a.TokenFile != "" || len(a.TLS.Trust) > 0 }

// BeyondLoopback tells whether others than this machine can reach the port.
func (a *Admin) BeyondLoopback() bool {
	host, _, err := net.SplitHostPort(a.Listen)
	if err != nil || strings.EqualFold(host, "localhost") {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || !ip.Unmap().IsLoopback()
}

func (a *Admin) validate(l *loader) {
	if a.Listen == "" {
		return
	}
	l.address("admin.listen", a.Listen)
	t := a.TLS
	switch {
	case (t.Certificate == "") != (t.Key == ""):
		l.report("admin.tls", "wants both certificate and key: the port's own chain and its private key")
	case t.Certificate == "" && len(t.Trust) > 0:
		l.report("admin.tls", "has trust alone, and wants certificate and key, too: without TLS nobody shows a certificate")
	case a.BeyondLoopback() && !a.Guarded() && !l.reported("admin.listen"):
		l.report("admin.listen", "%s is beyond loopback, and whoever reaches it would see all enrollments: set admin.token_file (a file, mode 0600, such as openssl rand -hex 32 makes), or admin.tls with trust, or listen on 127.0.0.1", a.Listen)
	}
}

// Token reads the token. Its errors name the file and hold nothing of it.
func (a *Admin) Token() (Secret, error) {
	data, err := readPrivate(a.TokenFile)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(data))
	switch {
	case len(token) < minToken || len(token) > maxToken:
		return "", fmt.Errorf("%s holds %d characters, want %d to %d: openssl rand -hex 32 makes 64", a.TokenFile, len(token), minToken, maxToken)
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", fmt.Errorf("%s holds what no header can carry, want one line of printable ASCII without blanks: openssl rand -hex 32 makes one", a.TokenFile)
	}
	return Secret(token), nil
}

// Config reads the files of the port's TLS; nil where it has none. Whoever shows a
// certificate has one under Trust; whoever shows none has yet to be asked for a token.
func (t *AdminTLS) Config() (*tls.Config, error) {
	c, problems := t.read()
	return c, problems.asError()
}

// Files are the paths of what Config reads.
func (t *AdminTLS) Files() []string { return append([]string{t.Certificate, t.Key}, t.Trust...) }

func (t *AdminTLS) read() (*tls.Config, Problems) {
	if t.Certificate == "" {
		return nil, nil
	}
	var problems Problems
	note := func(key string, err error) {
		problems = append(problems, Problem{Key: "admin.tls." + key, Err: err})
	}
	chain, err := readCertificates(t.Certificate)
	if err != nil {
		note("certificate", err)
	}
	key, keyErr := readKey(t.Key)
	if keyErr != nil {
		note("key", keyErr)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if err == nil && keyErr == nil {
		whole, err := pair(chain, key)
		if err != nil {
			note("key", fmt.Errorf("%s: %w %s: name the key for which it was issued", t.Key, err, t.Certificate))
		}
		c.Certificates = []tls.Certificate{whole}
	}
	if len(t.Trust) > 0 {
		c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.VerifyClientCertIfGiven
	}
	for i, path := range t.Trust {
		certs, err := readCertificates(path)
		if err != nil {
			note("trust["+strconv.Itoa(i)+"]", err)
		}
		for _, ca := range certs {
			c.ClientCAs.AddCert(ca)
		}
	}
	return c, problems
}

// check reads the files, and reports what is wrong with them at its key.
func (a *Admin) check(s *source) (problems Problems) {
	if a.Listen == "" {
		return nil
	}
	if a.TokenFile != "" {
		if _, err := a.Token(); err != nil {
			problems = append(problems, s.problem("admin.token_file", err))
		}
	}
	_, wrong := a.TLS.read()
	for _, p := range wrong {
		problems = append(problems, s.problem(p.Key, p.Err))
	}
	return problems
}

var errAdminOff = errors.New("the admin port is off, so there is nothing to ask")

// Address is where a client on this machine reaches the port.
func (a *Admin) Address() (string, error) {
	host, port, err := net.SplitHostPort(a.Listen)
	if err != nil {
		return "", errAdminOff
	}
	ip, _ := netip.ParseAddr(host)
	if host == "" || ip == netip.IPv4Unspecified() {
		host = "127.0.0.1"
	} else if ip == netip.IPv6Unspecified() {
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}
