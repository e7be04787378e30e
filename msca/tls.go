package msca

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"ciscora/internal/printable"
)

// NameCheck is how the name in IIS's certificate is compared with the URL's host.
type NameCheck int

const (
	// NameCheckGo takes subject alternative names alone.
	NameCheckGo NameCheck = iota
	// NameCheckCurl verifies as curl 7.61 with OpenSSL 1.0.2 does: the path,
	// purposes, signatures and dates, then the name, where the common name
	// counts if there is no alternative name. A self-issued certificate that may
	// not sign certificates is refused even if it is in the trust store, and a CA
	// whose root is not there. It needs Options.Trust.
	NameCheckCurl
)

// clientTLS is the configuration of every handshake.
func (c *Client) clientTLS() (*tls.Config, error) {
	given, anchors := c.opts.TLS, []*x509.Certificate(nil)
	if c.opts.Trust != nil && given != nil {
		given = given.Clone()
		given.RootCAs, anchors = c.opts.Trust()
	}
	switch {
	case given == nil || given.RootCAs == nil:
		return nil, errors.New("msca: there is no trust store for the CA's TLS certificate: set TLS.RootCAs")
	case c.opts.NameCheck == NameCheckCurl && c.opts.Trust == nil:
		return nil, errors.New("msca: NameCheckCurl needs Options.Trust: it looks at the anchors themselves, and a pool does not show them")
	case given.InsecureSkipVerify:
		return nil, errors.New("msca: TLS.InsecureSkipVerify is set: credentials go to verified servers only")
	}
	cfg := given.Clone()
	cfg.ServerName = strings.TrimSuffix(c.url.Hostname(), ".")
	cfg.NextProtos = []string{"http/1.1"} // NTLM is bound to a connection, HTTP/2 is not
	cfg.EncryptedClientHelloConfigList = nil
	// IIS asks for a client certificate once it knows the folder, whose SSL settings
	// may say Accept or Require: with TLS 1.2 in a second handshake. crypto/tls lets
	// that have the same server certificate only, to which the log-in is bound.
	cfg.Renegotiation = tls.RenegotiateOnceAsClient
	if cfg.MinVersion == 0 {
		cfg.MinVersion = tls.VersionTLS12
	}
	if cfg.Time == nil {
		cfg.Time = c.opts.Now
	}
	if c.opts.NameCheck == NameCheckCurl {
		v := &curlVerifier{roots: cfg.RootCAs, anchors: anchors, host: cfg.ServerName, now: cfg.Time}
		// Not a missing check: Go's own stops at a missing alternative
		// name and looks at dates before the chain. VerifyConnection does
		// all of it, for resumed connections too, and without it nothing
		// gets past the handshake.
		cfg.InsecureSkipVerify = true
		next := cfg.VerifyConnection
		cfg.VerifyConnection = func(state tls.ConnectionState) error {
			if err := v.verify(state.PeerCertificates); err != nil || next == nil {
				return err
			}
			return next(state)
		}
	}
	return cfg, nil
}

// certificateError is a certificate that was refused, in this package's and in
// curl's terms.
type certificateError struct {
	kind Kind
	code int
	text string
	err  error
}

func (e *certificateError) Error() string { return e.err.Error() }
func (e *certificateError) Unwrap() error { return e.err }

// curlVerifier verifies a server's certificates as curl and its OpenSSL do.
type curlVerifier struct {
	roots   *x509.CertPool
	anchors []*x509.Certificate
	host    string
	now     func() time.Time
}

func (v *curlVerifier) verify(certs []*x509.Certificate) error {
	if len(certs) == 0 {
		return untrusted(errors.New("the server sent no certificate"), wordsLocalMissing)
	}
	leaf, now := certs[0], v.now()
	if refused := opensslVerify(certs, v.anchors, now); refused != nil {
		if selfIssued(leaf) && !MaySign(leaf) {
			refused.err = errors.New("a self-signed certificate that may not sign certificates is not supported, not even in the trust store")
		}
		return refused
	}
	// OpenSSL's path is for the words. What is trusted must pass x509, too, or, where
	// that does not look for SHA-1, what stands in for it.
	intermediates := x509.NewCertPool()
	for _, c := range certs[1:] {
		intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: v.roots, Intermediates: intermediates, CurrentTime: now}); err != nil {
		chain := sha1Chain(certs, v.anchors)
		if chain == nil {
			return untrusted(err, cmp.Or(wordsOf(err), wordsLocalMissing))
		}
		if err := checkDates(chain, now); err != nil {
			return err
		}
		if err := serverPurpose(chain); err != nil {
			return untrusted(err, wordsPurpose)
		}
	}
	return v.checkName(leaf)
}

// checkDates walks from the root to the leaf, as OpenSSL does.
func checkDates(chain []*x509.Certificate, now time.Time) error {
	for _, c := range slices.Backward(chain) {
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return invalidAt(now, c, x509.CertificateInvalidError{Cert: c, Reason: x509.Expired, Detail: validity(c, now)})
		}
	}
	return nil
}

// checkName is curl 7.61's rule: any DNS or IP alternative name, and the common
// name does not count.
func (v *curlVerifier) checkName(leaf *x509.Certificate) error {
	if len(leaf.DNSNames) > 0 || len(leaf.IPAddresses) > 0 {
		if err := leaf.VerifyHostname(v.host); err != nil {
			return wrongName(leaf, v.host, err)
		}
		return nil
	}
	cn := leaf.Subject.CommonName
	if cn != "" && matchCommonName(cn, v.host) {
		return nil
	}
	return wrongName(leaf, v.host, x509.HostnameError{Certificate: leaf, Host: v.host})
}

func wrongName(leaf *x509.Certificate, host string, err error) *certificateError {
	text := "SSL: certificate subject name '" + leaf.Subject.CommonName + "' does not match target host name '" + host + "'"
	switch {
	case len(leaf.DNSNames) > 0 || len(leaf.IPAddresses) > 0:
		text = "SSL: no alternative certificate subject name matches target host name '" + host + "'"
	case leaf.Subject.CommonName == "":
		text = "SSL: unable to obtain common name from peer certificate"
	}
	return &certificateError{KindTLSName, 51, printable.Line(text, 0), err}
}

// matchCommonName compares without regard to case; a wildcard stands for the
// whole first label, and at least two more must follow it.
func matchCommonName(pattern, host string) bool {
	pattern, host = strings.TrimSuffix(pattern, "."), strings.TrimSuffix(host, ".")
	if strings.EqualFold(pattern, host) {
		return true
	}
	suffix, wildcard := strings.CutPrefix(pattern, "*.")
	if !wildcard || strings.Contains(suffix, "*") || !strings.Contains(suffix, ".") || net.ParseIP(host) != nil {
		return false
	}
	label, rest, _ := strings.Cut(host, ".")
	return label != "" && strings.EqualFold(suffix, rest)
}
