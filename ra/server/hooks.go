package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"

	globalest "github.com/globalsign/est"

	"ciscora/ra"
)

// DialFunc opens a connection, as [net.Dialer.DialContext].
type DialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// ResolveFunc turns a host's name into addresses.
type ResolveFunc = func(ctx context.Context, host string) ([]netip.Addr, error)

// Hooks decorate what an RA takes from outside; what is nil stays as it is. A lab
// puts its network and its faults in here; a production RA has none.
type Hooks struct {
	Listener   func(net.Listener) net.Listener   // of EST clients, before TLS
	TLS        func(*tls.Config) *tls.Config     // of that listener
	Middleware []func(http.Handler) http.Handler // of each EST operation, once its label is known; the first outermost
	Label      func(label string) bool           // labels besides the configured ones
	// CSR sees each CSR before the core; its error is what the client is told.
	CSR     func(ctx context.Context, csr *x509.CertificateRequest) error
	Isolate func(context.Context) bool // see ra.Options
	Apart   func(label string) bool    // see access.Options
	// Generation grows when kept connections to the CA are to be used no more.
	Generation func() uint64
	Dial       func(DialFunc) DialFunc // towards the CA
	Resolve    func(ResolveFunc) ResolveFunc
}

func (h Hooks) listener(l net.Listener) net.Listener {
	if h.Listener == nil {
		return l
	}
	return h.Listener(l)
}

func (h Hooks) tls(c *tls.Config) *tls.Config {
	if h.TLS == nil {
		return c
	}
	return h.TLS(c)
}

func (h Hooks) label(known func(string) bool) func(string) bool {
	if h.Label == nil {
		return known
	}
	return func(label string) bool { return known(label) || h.Label(label) }
}

func (h Hooks) dial() DialFunc {
	dial := (&net.Dialer{}).DialContext
	if h.Dial == nil {
		return dial
	}
	return h.Dial(dial)
}

func (h Hooks) resolve() ResolveFunc {
	resolve := func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}
	if h.Resolve == nil {
		return resolve
	}
	return h.Resolve(resolve)
}

func (h Hooks) ca(core *ra.RA) globalest.CA {
	if h.CSR == nil {
		return core
	}
	return seenCA{core, h.CSR}
}

// seenCA shows each CSR to a hook before the core has it.
type seenCA struct {
	*ra.RA
	see func(context.Context, *x509.CertificateRequest) error
}

func (c seenCA) check(ctx context.Context, csr *x509.CertificateRequest) error {
	err := c.see(ctx, csr)
	if err == nil {
		return nil
	}
	var answer *ra.Error
	if errors.As(err, &answer) {
		return answer
	}
	return &ra.Error{Status: http.StatusBadRequest, Text: err.Error()}
}

// Enroll is the core's, after the hook.
func (c seenCA) Enroll(ctx context.Context, csr *x509.CertificateRequest, label string, r *http.Request) (*x509.Certificate, error) {
	if err := c.check(ctx, csr); err != nil {
		return nil, err
	}
	return c.RA.Enroll(ctx, csr, label, r)
}

// ServerKeyGen is the core's, after the hook.
func (c seenCA) ServerKeyGen(ctx context.Context, csr *x509.CertificateRequest, label string, r *http.Request) (*x509.Certificate, []byte, error) {
	if err := c.check(ctx, csr); err != nil {
		return nil, nil, err
	}
	return c.RA.ServerKeyGen(ctx, csr, label, r)
}

// Reenroll is the core's, after the hook.
func (c seenCA) Reenroll(ctx context.Context, cert *x509.Certificate, csr *x509.CertificateRequest, label string, r *http.Request) (*x509.Certificate, error) {
	if err := c.check(ctx, csr); err != nil {
		return nil, err
	}
	return c.RA.Reenroll(ctx, cert, csr, label, r)
}
