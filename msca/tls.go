package msca

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"time"

	"ciscora/internal/printable"
	"ciscora/internal/x501"
)

// NameCheck is how the name in IIS's certificate is compared with the URL's host.
type NameCheck int

const (
	// NameCheckGo takes subject alternative names alone.
	NameCheckGo NameCheck = iota
	// NameCheckCurl verifies as curl 7.61 with OpenSSL 1.0.2 does: chain,
	// then dates, then name, where the common name counts if there is no
	// alternative name; a self-issued certificate that may not sign
	// certificates is refused even if it is in the trust store (see
	// docs/reference/certsrv.md 10).
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

// curlVerifier verifies a server's certificates in the order of OpenSSL: chain,
// dates, purpose, name.
type curlVerifier struct {
	roots   *x509.CertPool
	anchors []*x509.Certificate
	host    string
	now     func() time.Time
}

func (v *curlVerifier) verify(certs []*x509.Certificate) error {
	if len(certs) == 0 {
		return untrusted(errors.New("the server sent no certificate"), certs)
	}
	leaf, now := certs[0], v.now()
	// OpenSSL 1.0.2 takes such a certificate for one whose issuer is missing.
	if selfIssued(leaf) && !maySign(leaf) {
		return untrusted(errors.New("a self-signed certificate that may not sign certificates is not supported, not even in the trust store"), certs)
	}
	chain, err := v.chain(certs, now)
	weak := err != nil
	if weak {
		if chain = sha1Chain(certs, v.anchors); chain == nil {
			return untrusted(err, certs)
		}
	}
	if err := checkDates(chain, now); err != nil {
		return err
	}
	if weak {
		err = serverPurpose(chain)
	} else {
		_, err = leaf.Verify(v.options(certs, now, x509.ExtKeyUsageServerAuth))
	}
	if err != nil {
		return &certificateError{KindTLSUntrusted, 60, "SSL certificate problem: unsupported certificate purpose", err}
	}
	return v.checkName(leaf)
}

func (v *curlVerifier) options(certs []*x509.Certificate, at time.Time, usage x509.ExtKeyUsage) x509.VerifyOptions {
	intermediates := x509.NewCertPool()
	for _, c := range certs[1:] {
		intermediates.AddCert(c)
	}
	return x509.VerifyOptions{Roots: v.roots, Intermediates: intermediates, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage}}
}

// chain builds the chain whatever the date: Go looks at dates while it builds, and so
// it is asked for every moment at which the validity of a sent certificate begins
// or ends too.
func (v *curlVerifier) chain(certs []*x509.Certificate, now time.Time) ([]*x509.Certificate, error) {
	moments := []time.Time{now}
	for _, c := range certs[:min(len(certs), 8)] {
		moments = append(moments, c.NotBefore, c.NotAfter)
	}
	var first error
	for _, at := range moments {
		chains, err := certs[0].Verify(v.options(certs, at, x509.ExtKeyUsageAny))
		if err == nil {
			return chains[0], nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// checkDates walks from the root to the leaf, as OpenSSL does.
func checkDates(chain []*x509.Certificate, now time.Time) error {
	for i := len(chain) - 1; i >= 0; i-- {
		c := chain[i]
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return invalidAt(now, c, x509.CertificateInvalidError{Cert: c, Reason: x509.Expired, Detail: validity(c, now)})
		}
	}
	return nil
}

func validity(c *x509.Certificate, now time.Time) string {
	return x501.Text(c.RawSubject) + " is valid from " + c.NotBefore.UTC().Format(time.RFC3339) + " to " + c.NotAfter.UTC().Format(time.RFC3339) +
		", it is now " + now.UTC().Format(time.RFC3339)
}

func invalidAt(now time.Time, c *x509.Certificate, err error) *certificateError {
	text := "certificate has expired"
	if now.Before(c.NotBefore) {
		text = "certificate is not yet valid"
	}
	return &certificateError{KindTLSValidity, 60, "SSL certificate problem: " + text, err}
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

func untrusted(err error, certs []*x509.Certificate) *certificateError {
	return &certificateError{KindTLSUntrusted, 60, "SSL certificate problem: " + untrustedText(certs), err}
}

// untrustedText is what OpenSSL 1.0.2 says of a chain without an anchor, by its
// shape.
func untrustedText(certs []*x509.Certificate) string {
	if len(certs) > 0 {
		if selfIssued(certs[0]) && maySign(certs[0]) {
			return "self signed certificate"
		}
		for _, c := range certs[1:] {
			if selfIssued(c) {
				return "self signed certificate in certificate chain"
			}
		}
		for i, issuer := range certs[1:] {
			switch {
			case !bytes.Equal(certs[i].RawIssuer, issuer.RawSubject):
			case !issuer.IsCA:
				return "invalid CA certificate"
			case (issuer.MaxPathLen > 0 || issuer.MaxPathLenZero) && i > issuer.MaxPathLen:
				return "path length constraint exceeded"
			}
		}
	}
	return "unable to get local issuer certificate"
}

func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) }

// maySign is also true of a certificate that does not restrict its key's usage.
func maySign(c *x509.Certificate) bool {
	return c.KeyUsage == 0 || c.KeyUsage&x509.KeyUsageCertSign != 0
}
