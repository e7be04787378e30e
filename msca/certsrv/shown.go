package certsrv

import (
	"crypto/tls"
	"crypto/x509"
	"net"
)

// Extended Protection compares the client's channel binding with the certificate that this
// very connection was shown (RFC 5929 section 4), which need not be the server's own:
// [Options.TLSConfig] may choose another one for a connection.

// shownListener accepts connections that know which certificate they were shown.
type shownListener struct{ net.Listener }

type shownConn struct {
	net.Conn
	leaf *x509.Certificate // nil: the server's own
}

// NetConn is the connection beneath, as of [tls.Conn].
func (c *shownConn) NetConn() net.Conn { return c.Conn }

func (l shownListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &shownConn{Conn: c}, nil
}

// noteShown has each connection note the certificate that is chosen for it alone.
func noteShown(c *tls.Config) *tls.Config {
	choose := c.GetConfigForClient
	if choose == nil {
		return c
	}
	noting := c.Clone()
	noting.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		own, err := choose(hello)
		if conn, ok := hello.Conn.(*shownConn); ok && err == nil && own != nil && len(own.Certificates) == 1 {
			conn.leaf = own.Certificates[0].Leaf
		}
		return own, err
	}
	return noting
}

// shownOn is the certificate that a connection was shown; nil = the server's own.
func shownOn(c net.Conn) *x509.Certificate {
	if styled, ok := c.(*mannerConn); ok {
		c = styled.Conn
	}
	if secure, ok := c.(*tls.Conn); ok {
		if conn, ok := secure.NetConn().(*shownConn); ok {
			return conn.leaf
		}
	}
	return nil
}
