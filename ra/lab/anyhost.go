package lab

import (
	"crypto"
	"crypto/tls"
	"regexp"
	"slices"
	"strings"
	"time"

	"ciscora/internal/bounded"
)

// maxHosts bounds the names for which certificates are kept.
const maxHosts = 1000

var hostName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,62}(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*$`)

// IsHostName tells whether a certificate may have a DNS name: as crypto/x509 sees it, but
// for a wildcard and a dot at the end.
func IsHostName(name string) bool { return len(name) <= 253 && hostName.MatchString(name) }

// anyHost decorates the RA's TLS configuration so that a client that asks for a name
// (SNI) is shown a certificate for it, whatever it is. known are names that the RA's own
// certificates have; keys are those of its certificates, the cheapest first.
func (l *Lab) anyHost(known []string, keys []crypto.Signer) func(*tls.Config) *tls.Config {
	made := bounded.New[string, []tls.Certificate](maxHosts, 24*time.Hour, l.now)
	certificates := func(host string) ([]tls.Certificate, error) {
		if have, ok := made.Get(host); ok {
			return have, nil
		}
		var all []tls.Certificate
		for _, key := range keys {
			c, err := l.ca.IssueServerCertificateFor(key, []string{host})
			if err != nil {
				return nil, err
			}
			all = append(all, c)
		}
		made.Put(host, all)
		return all, nil
	}
	return func(base *tls.Config) *tls.Config {
		c := base.Clone()
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			config := base
			if base.GetConfigForClient != nil {
				own, err := base.GetConfigForClient(hello)
				if err != nil {
					return nil, err
				}
				if own != nil {
					config = own
				}
			}
			host := strings.ToLower(hello.ServerName)
			if !IsHostName(host) || slices.Contains(known, host) {
				return config, nil
			}
			all, err := certificates(host)
			if err != nil {
				return nil, err
			}
			config = config.Clone()
			config.Certificates = all
			config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				for i := range all {
					if hello.SupportsCertificate(&all[i]) == nil {
						return &all[i], nil
					}
				}
				return &all[len(all)-1], nil // the handshake says what does not fit
			}
			return config, nil
		}
		return c
	}
}
