package wrongclient

import (
	"context"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // RFC 6066 has no other
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ocsp"
)

// errCut is a connection that ended without TLS's closure alert.
var errCut = errors.New("the connection was cut off")

// careful tells an end without closure alert from one with it, which crypto/tls does not
// at the border of a record.
type careful struct {
	net.Conn
	until   time.Time
	silence time.Duration
}

func (c careful) Read(p []byte) (int, error) {
	at := c.until
	if soon := time.Now().Add(c.silence); soon.Before(at) {
		at = soon
	}
	_ = c.SetReadDeadline(at) // a connection that is closed fails in Read
	n, err := c.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		err = errCut
	}
	return n, err
}

func (c *client) connect(address string) (net.Conn, error) {
	if _, port, err := net.SplitHostPort(address); err == nil && c.can("resolve") {
		address = net.JoinHostPort(c.get("ADDRESS"), port)
	}
	return (&net.Dialer{Deadline: c.until}).DialContext(context.Background(), "tcp", address)
}

func (c *client) dial(host, port string, unverified bool) (*tls.Conn, error) {
	if err := c.strangeHello(host, port); err != nil {
		return nil, err
	}
	raw, err := c.connect(net.JoinHostPort(host, port))
	if err != nil {
		return nil, err
	}
	_ = raw.SetDeadline(c.until) // a connection that is closed fails in Write
	c.dialled++
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: host, ClientSessionCache: c.sessions,
		InsecureSkipVerify:   true, //nolint:gosec // VerifyConnection verifies
		GetClientCertificate: c.certificate,
	}
	switch {
	case c.wrong("tls-12"):
		config.MinVersion = tls.VersionTLS13
	case c.wrong("tls-13"):
		config.MaxVersion = tls.VersionTLS12
	case c.wrong("tls-legacy"):
		config.MinVersion = tls.VersionTLS10
	case c.wrong("tls-sni"):
		config.ServerName = "another.example.com"
	}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if unverified || c.wrong("pending-checks") && c.sent > 0 {
			return nil
		}
		if err := c.verify(state.PeerCertificates, host); err != nil {
			return err
		}
		return c.verifyStaple(state)
	}
	if c.wrong("auth-server-first") {
		config.VerifyConnection = nil
	}
	var conn net.Conn = careful{raw, c.until, c.silence}
	if c.wrong("tls-truncation") {
		conn = raw
	}
	secured := tls.Client(conn, config)
	if err := secured.Handshake(); err != nil { //nolint:noctx // the deadline is the connection's
		raw.Close()
		return nil, err
	}
	if c.wrong("tls-resume") && c.dialled > 1 && !secured.ConnectionState().DidResume {
		raw.Close()
		return nil, errors.New("the session was not resumed")
	}
	return secured, nil
}

// strangeHello opens a connection of its own with a Client Hello that crypto/tls would
// not send. The error is that a server broke off which was told whom the client trusts.
func (c *client) strangeHello(host, port string) error {
	var suites, extensions []byte
	switch {
	case c.wrong("tls-ciphers"):
		suites = []byte{0xc0, 0x2f, 0x00, 0x3b} // the second is TLS_RSA_WITH_NULL_SHA256
		extensions = []byte{0xff, 0x01, 0, 1, 0}
	case c.wrong("tls-renegotiate"):
		suites = []byte{0xc0, 0x2f}
	case c.can("trust-indication") && !c.wrong("trust-indication"):
		data, err := os.ReadFile(c.get("CACERT"))
		if err != nil {
			return err
		}
		block, _ := pem.Decode(data)
		if block == nil {
			return errors.New("the trust anchors are no PEM")
		}
		suites = []byte{0xc0, 0x2f}
		sum := sha1.Sum(block.Bytes)
		extensions = append([]byte{0, 3, 0, 2 + 1 + sha1.Size, 0, 1 + sha1.Size, 3}, sum[:]...) // trusted_ca_keys: cert_sha1_hash
	default:
		return nil
	}
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0, 0, byte(len(suites)))
	body = append(body, suites...)
	body = append(body, 1, 0, 0, byte(len(extensions)))
	body = append(body, extensions...)
	message := append([]byte{1, 0, 0, byte(len(body))}, body...)
	record := append([]byte{22, 3, 1, 0, byte(len(message))}, message...)
	conn, err := c.connect(net.JoinHostPort(host, port))
	if err != nil {
		return nil
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second)) // a connection that is closed fails in Write
	_, _ = conn.Write(record)
	if _, err := conn.Read(make([]byte, 1)); c.can("trust-indication") {
		return err
	}
	return nil // what it says is of no interest, only that it has read
}

func (c *client) certificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if c.old == nil || c.wrong("reenroll-cert") {
		if c.wrong("tls-cert-required") {
			return nil, errors.New("there is no certificate")
		}
		return &tls.Certificate{}, nil
	}
	if c.old.Leaf != nil && time.Now().After(c.old.Leaf.NotAfter) && !c.wrong("reenroll-expired") {
		return &tls.Certificate{}, nil // it authenticates nobody any more
	}
	return c.old, nil
}

var oidCMCRA = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 28}

// verify is path validation and the comparison of names, with the defects in either.
func (c *client) verify(chain []*x509.Certificate, host string) error {
	if c.roots == nil {
		if c.wrong("trust-no-anchor") {
			return nil
		}
		return errors.New("there is no trust anchor")
	}
	if c.wrong("trust-unknown-root") {
		return nil
	}
	leaf := chain[0]
	options := x509.VerifyOptions{Roots: c.roots, Intermediates: x509.NewCertPool()}
	for _, one := range chain[1:] {
		options.Intermediates.AddCert(one)
	}
	if clock := c.get("CLOCK"); clock != "" && !c.wrong("trust-clock") {
		var err error
		if options.CurrentTime, err = time.Parse(time.DateTime, clock); err != nil {
			return err
		}
	}
	switch {
	case c.wrong("trust-expired"):
		options.CurrentTime = leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2)
		if issuer := chain[len(chain)-1]; options.CurrentTime.Before(issuer.NotBefore) {
			options.CurrentTime = issuer.NotBefore
		}
	case c.wrong("trust-eku"):
		options.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	case c.wrong("trust-chain-order"):
		for i, one := range chain[1:] {
			if chain[i].CheckSignatureFrom(one) != nil {
				return errors.New("the chain is out of order")
			}
		}
	}
	_, err := leaf.Verify(options)
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var critical x509.UnhandledCriticalExtension
	switch {
	case (c.wrong("trust-intermediate") || c.wrong("trust-weak-signature")) && errors.As(err, &unknown):
		err = nil
	case (c.wrong("trust-path") || c.wrong("cacerts-leaf")) && (errors.As(err, &invalid) || errors.As(err, &critical) || errors.As(err, &unknown)):
		err = nil
	case c.wrong("trust-expired") && errors.As(err, &invalid):
		err = nil
	}
	if err != nil {
		return err
	}
	if key, ok := leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < 2048 && !c.wrong("trust-weak-key") {
		return errors.New("the server's key is too short")
	}
	return c.verifyName(leaf, host)
}

// verifyStaple reads the answer of OCSP that a server may bring.
func (c *client) verifyStaple(state tls.ConnectionState) error {
	if len(state.OCSPResponse) == 0 || len(state.PeerCertificates) < 2 || c.wrong("trust-revoked") {
		return nil
	}
	answer, err := ocsp.ParseResponseForCert(state.OCSPResponse, state.PeerCertificates[0], state.PeerCertificates[1])
	if err != nil {
		return err
	}
	if answer.Status == ocsp.Revoked {
		return errors.New("the server's certificate was revoked")
	}
	return nil
}

func (c *client) verifyName(leaf *x509.Certificate, host string) error {
	err := leaf.VerifyHostname(host)
	if err == nil {
		return nil
	}
	switch {
	case c.wrong("trust-name"):
		return nil
	case c.wrong("trust-cn-only") && len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 && leaf.Subject.CommonName == host:
		return nil
	case c.wrong("trust-ip-as-dns") && slices.Contains(leaf.DNSNames, host):
		return nil
	case c.wrong("trust-wildcard") && slices.Contains(leaf.DNSNames, "*"):
		return nil
	case c.wrong("trust-wildcard-depth") && slices.ContainsFunc(leaf.DNSNames, func(name string) bool { return strings.HasSuffix(host, strings.TrimPrefix(name, "*")) }):
		return nil
	case c.wrong("trust-cmcra") && slices.ContainsFunc(leaf.UnknownExtKeyUsage, oidCMCRA.Equal):
		crash()
	}
	return err
}

// isLost tells whether an error is that of a connection.
func isLost(err error) bool {
	return errors.Is(err, errCut) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}
