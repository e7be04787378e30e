package capf

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
)

// connect opens a TLS connection to the server and verifies it. An error comes
// with libest's return value for it.
func (c *Client) connect(ctx context.Context, sessions tls.ClientSessionCache) (*tls.Conn, Status, error) {
	tcp, err := c.dial(ctx)
	if err != nil {
		var dns *net.DNSError
		if errors.As(err, &dns) {
			return nil, StatusAddress, err
		}
		return nil, StatusConnect, err
	}
	conn := tls.Client(tcp, c.tlsConfig(sessions))
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = tcp.Close()
		return nil, StatusSSLConnect, fmt.Errorf("TLS handshake: %w", err)
	}
	if err := verifyName(conn.ConnectionState().PeerCertificates[0], c.opts.ServerName); err != nil {
		_ = conn.Close()
		return nil, StatusFQDNMismatch, err
	}
	return conn, StatusNone, nil
}

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	return c.opts.Dial(ctx, "tcp", c.address)
}

// tlsConfig is libest's: TLS 1.2 alone, SNI, no ALPN. (Go sends no SNI for an
// IP address, where libest does.)
func (c *Client) tlsConfig(sessions tls.ClientSessionCache) *tls.Config {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		MaxVersion:         tls.VersionTLS12,
		ServerName:         c.opts.ServerName,
		ClientSessionCache: sessions,
		Time:               c.opts.Now,
		// libest verifies the chain within the handshake and the name after it,
		// with a rule for the name that Go does not have: so VerifyConnection
		// does the one, connect the other. Resumed sessions come by here too.
		InsecureSkipVerify: true, //nolint:gosec // verified in VerifyConnection and verifyName
		VerifyConnection: func(state tls.ConnectionState) error {
			return c.verifyChain(state.PeerCertificates)
		},
	}
	if cert := c.opts.Certificate; cert != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	return config
}

func (c *Client) verifyChain(chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return errors.New("the server showed no certificate")
	}
	intermediates := x509.NewCertPool()
	for _, cert := range chain[1:] {
		intermediates.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: c.opts.Roots, Intermediates: intermediates, CurrentTime: c.opts.Now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return err
}

// verifyName checks host against the certificate as libest does, whose rule is
// curl's: the common name counts where there is no subject alternative name.
func verifyName(cert *x509.Certificate, host string) error {
	if len(cert.DNSNames) > 0 || len(cert.IPAddresses) > 0 {
		return cert.VerifyHostname(host)
	}
	name := cert.Subject.CommonName
	if net.ParseIP(host) != nil {
		if name == host {
			return nil
		}
	} else if name != "" && (&x509.Certificate{DNSNames: []string{name}}).VerifyHostname(host) == nil {
		return nil
	}
	return fmt.Errorf("certificate is for the common name %q, not %s", name, strings.ToValidUTF8(host, "?"))
}
