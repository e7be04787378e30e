package fault

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// DialFunc opens a connection, as [net.Dialer.DialContext].
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// ResolveFunc turns a host's name into addresses.
type ResolveFunc func(ctx context.Context, host string) ([]netip.Addr, error)

// Dial decorates the dialer towards the CA: the connections of an enrollment that
// has selected faults are known by their address at the other end.
func (r *Registry) Dial(next DialFunc) DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := next(ctx, network, address)
		if err != nil {
			return nil, err
		}
		scope := ScopeOf(ctx)
		if !scope.Selected() {
			return conn, nil
		}
		r.bind(conn, scope)
		return &boundConn{Conn: conn, release: sync.OnceFunc(func() { r.unbind(conn, scope) })}, nil
	}
}

type boundConn struct {
	net.Conn
	release func()
}

// NetConn returns the connection beneath.
func (c *boundConn) NetConn() net.Conn { return c.Conn }

func (c *boundConn) Close() error {
	c.release()
	return c.Conn.Close()
}

// Resolve decorates the resolver of the CA's name.
func (r *Registry) Resolve(next ResolveFunc) ResolveFunc {
	return func(ctx context.Context, host string) ([]netip.Addr, error) {
		faults := r.bite(ScopeOf(ctx), nil, Resolve)
		switch {
		case len(faults) == 0:
			return next(ctx, host)
		case faults[0].Kind == "not-found":
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
		}
		<-ctx.Done()
		return nil, fmt.Errorf("look up %s: %w", host, context.Cause(ctx))
	}
}

// Listener decorates a TLS listener's port: what happens to a connection before
// and in its handshake. place is CertsrvTLS or ESTTLS.
func (r *Registry) Listener(l net.Listener, place Place) net.Listener {
	return &listener{l, r, place}
}

type listener struct {
	net.Listener
	registry *Registry
	place    Place
}

func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &disturbedConn{Conn: conn, registry: l.registry, place: l.place}, nil
}

// disturbedConn meets its fault when the handshake's first bytes are read: by then
// it is known whose connection it is.
type disturbedConn struct {
	net.Conn
	registry *Registry
	place    Place
	once     sync.Once
	err      error

	renegotiation *renegotiation // nil = none; set in the handshake
}

// NetConn returns the connection beneath.
func (c *disturbedConn) NetConn() net.Conn { return c.Conn }

func (c *disturbedConn) Read(p []byte) (int, error) {
	c.once.Do(func() { c.err = c.meet() })
	if c.err != nil {
		return 0, c.err
	}
	return c.Conn.Read(p)
}

func (c *disturbedConn) Write(p []byte) (int, error) {
	if c.renegotiation == nil {
		return c.Conn.Write(p)
	}
	out, err := c.renegotiation.rewrite(p)
	if err == nil {
		_, err = c.Conn.Write(out)
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

var errFault = errors.New("a fault was ordered here")

// onConnection tells which faults come before the handshake.
func onConnection(f Fault) bool {
	switch f.Kind {
	case "stall", "reset", "refuse", "plain-http", "cipher":
		return true
	}
	return false
}

func (c *disturbedConn) meet() error {
	scope := c.registry.scopeAt(c.RemoteAddr().String())
	for _, f := range c.registry.bite(scope, onConnection, c.place) {
		switch f.Kind {
		case "stall":
			// Until the other end, or this one's time for a handshake, gives up.
			_, err := io.Copy(io.Discard, c.Conn)
			return errors.Join(errFault, err)
		case "reset":
			c.readSome()
			Reset(c.Conn)
			return errFault
		case "refuse":
			c.Close()
			return errFault
		case "cipher":
			c.readSome()
			_, _ = c.Write(serverHello(f.Value))
			_ = c.SetReadDeadline(time.Now().Add(maxRaw))
			_, err := io.Copy(io.Discard, c.Conn) // what the client says to that
			return errors.Join(errFault, err)
		case "plain-http":
			c.readSome()
			const page = "<html><body><h2>Bad Request</h2></body></html>"
			fmt.Fprintf(c.Conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nServer: Microsoft-HTTPAPI/2.0\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(page), page)
			c.Close()
			return errFault
		}
	}
	return nil
}

// serverHello chooses a cipher suite of a kind that nobody should use, in TLS 1.2.
func serverHello(kind string) []byte {
	suite := map[string]uint16{
		"null":   0x003b, // TLS_RSA_WITH_NULL_SHA256
		"anon":   0x006c, // TLS_DH_anon_WITH_AES_128_CBC_SHA256
		"export": 0x0003, // TLS_RSA_EXPORT_WITH_RC4_40_MD5
		"des":    0x0009, // TLS_RSA_WITH_DES_CBC_SHA
	}[kind]
	hello := []byte{3, 3} // and 32 bytes that are not random: nothing is encrypted with them
	hello = append(hello, make([]byte, 32)...)
	hello = append(hello, 0, byte(suite>>8), byte(suite), 0)
	hello = append(hello, 0, 5, 0xff, 0x01, 0, 1, 0) // renegotiation_info (RFC 5746)
	message := append([]byte{2, 0, 0, byte(len(hello))}, hello...)
	return append([]byte{22, 3, 3, 0, byte(len(message))}, message...)
}

// readSome reads the ClientHello, or what of it comes first.
func (c *disturbedConn) readSome() {
	buffer := make([]byte, 4096)
	_, _ = c.Conn.Read(buffer)
}

// Reset ends a connection with a reset, where what is beneath can be reset as a TCP
// connection; else it closes it.
func Reset(conn net.Conn) {
	for beneath := conn; beneath != nil; {
		switch c := beneath.(type) {
		case interface{ SetLinger(sec int) error }:
			_ = c.SetLinger(0)
			beneath.Close() // before TLS says goodbye
			beneath = nil
		case interface{ NetConn() net.Conn }:
			beneath = c.NetConn()
		default:
			beneath.Close()
			beneath = nil
		}
	}
	conn.Close()
}

// Shape makes the server certificate of a kind in the catalog's rows for
// certsrv.tls and est.tls; value is the fault's.
type Shape func(kind, value string) (tls.Certificate, error)

// TLSConfig decorates a listener's TLS configuration. It takes over
// GetConfigForClient, and calls the one that was there.
func (r *Registry) TLSConfig(base *tls.Config, place Place, shape Shape) *tls.Config {
	decorated := base.Clone()
	before := base.GetConfigForClient
	decorated.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		var config *tls.Config // nil: the listener's own, with what it added to base
		if before != nil {
			own, err := before(hello)
			if err != nil {
				return nil, err
			}
			config = own
		}
		inHandshake := func(f Fault) bool { return !onConnection(f) }
		faults := r.bite(r.scopeAt(hello.Conn.RemoteAddr().String()), inHandshake, place)
		if len(faults) == 0 {
			return config, nil
		}
		if config == nil {
			config = base
		}
		config = config.Clone()
		config.GetConfigForClient = nil
		config.DynamicRecordSizingDisabled = true // an answer in as few records as can be (docs/reference/libest.md)
		for _, f := range faults {
			switch f.Kind {
			case "tls1.0":
				config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
			case "tls1.3":
				config.MinVersion, config.MaxVersion = tls.VersionTLS13, tls.VersionTLS13
			case "tls1.1":
				config.MinVersion, config.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
			case "tls1.2":
				config.MinVersion, config.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
			case "renegotiate":
				if err := renegotiate(hello.Conn, config); err != nil {
					return nil, fmt.Errorf("%s: %w", f, err)
				}
			case "no-resumption":
				config.SessionTicketsDisabled = true
			case "client-certificate":
				switch f.Value {
				case "ask":
					config.ClientAuth = tls.VerifyClientCertIfGiven
				case "require":
					config.ClientAuth = tls.RequireAndVerifyClientCert
				default:
					config.ClientAuth = tls.RequireAnyClientCert
				}
			default:
				certificate, err := shape(f.Kind, f.Value)
				if err != nil {
					return nil, fmt.Errorf("make the certificate of %s: %w", f, err)
				}
				config.Certificates = []tls.Certificate{certificate}
				config.GetCertificate = nil
			}
		}
		return config, nil
	}
	return decorated
}

// needsCertificate tells which kinds at est.tls a Shape makes a certificate for.
func needsCertificate(kind string) bool {
	switch kind {
	case "self-signed", "wrong-name", "expired", "not-yet-valid", "missing-intermediate", "extra-certificates", "unknown-root",
		"revoked", "key", "signature", "cn-only", "san", "dns", "eku", "issuer", "critical-extension", "rotate":
		return true
	}
	return false
}
