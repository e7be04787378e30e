package lab

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"sync"

	"ciscora/est"
	"ciscora/msca/certsrv"
	"ciscora/ra/admin"
	"ciscora/ra/fault"
	"ciscora/ra/server"
)

// FaultHooks are the decorators of an RA whose faults a registry holds. shape makes
// certificates for est.tls; without one the registry must refuse those faults, as one
// with ForeignCA does.
func FaultHooks(faults *fault.Registry, shape fault.Shape) server.Hooks {
	return server.Hooks{
		Listener:   func(l net.Listener) net.Listener { return faults.Listener(l, fault.ESTTLS) },
		TLS:        func(c *tls.Config) *tls.Config { return faults.TLSConfig(c, fault.ESTTLS, shape) },
		Middleware: []func(http.Handler) http.Handler{faults.EST(est.Label, est.RequestID)},
		Label:      faults.IsLabel,
		CSR:        faults.SelectByName,
		Isolate:    func(ctx context.Context) bool { return fault.ScopeOf(ctx).Selected() },
		Generation: faults.Generation,
		Dial:       func(next server.DialFunc) server.DialFunc { return faults.Dial(next) },
		Resolve:    func(next server.ResolveFunc) server.ResolveFunc { return faults.Resolve(next) },
	}
}

// AdminFaults is a registry as the admin port has it.
func AdminFaults(faults *fault.Registry) admin.Faults { return adminFaults{faults} }

type adminFaults struct{ *fault.Registry }

func (a adminFaults) List() []admin.Fault {
	list := []admin.Fault{}
	for _, s := range a.Registry.List() {
		list = append(list, admin.Fault(s))
	}
	return list
}

// AdminFaults is the CA's registry as its own admin port has it. The RA in front of it
// does not know of these faults, and would keep the connections that pass them by: so
// the CA hangs up.
func (ca *CA) AdminFaults() admin.Faults { return hangingUp{AdminFaults(ca.faults), ca} }

type hangingUp struct {
	admin.Faults
	ca *CA
}

// Order turns a fault on.
func (h hangingUp) Order(spec string) (id string, err error) {
	before := h.ca.faults.Generation()
	id, err = h.Faults.Order(spec)
	if h.ca.faults.Generation() != before {
		h.ca.HangUp()
	}
	return id, err
}

// OrderFaults turns on the faults that a configuration names; key is where they
// stand in it.
func OrderFaults(faults *fault.Registry, specs []string, problem func(key string, err error) error) error {
	for i, spec := range specs {
		if _, err := faults.Order(spec); err != nil {
			return problem("faults["+strconv.Itoa(i)+"]", err)
		}
	}
	return nil
}

// decorate puts a registry's faults into a built-in CA's options. The CA itself,
// which makes answers and certificates for them, is there later: server returns it.
func decorate(o *certsrv.Options, faults *fault.Registry, server func() *certsrv.Server) {
	o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
		return faults.Certsrv(server())(next)
	})
	hosts := o.Hosts
	shapes := shapesMade{made: map[string]tls.Certificate{}}
	o.TLSConfig = func(c *tls.Config) *tls.Config {
		return faults.TLSConfig(c, fault.CertsrvTLS, func(kind, value string) (tls.Certificate, error) {
			return shapes.get(kind, value, func() (tls.Certificate, error) { return server().Shape(kind, value, hosts) })
		})
	}
	o.Decide = func(ctx context.Context, d certsrv.Decision) certsrv.Decision {
		v := faults.Policy(ctx)
		if v.Denied != 0 {
			d.HRESULT, d.Reason = v.Denied, ""
		}
		d.Pending = d.Pending || v.Pending
		d.OtherKey = d.OtherKey || v.OtherKey
		return d
	}
	o.Offer = faults.Offered
}

// maxShapes bounds how many certificates of faults are kept.
const maxShapes = 64

// shapesMade keeps the certificates of faults: a server shows one as long as it is wrong.
type shapesMade struct {
	mu   sync.Mutex // guards made
	made map[string]tls.Certificate
}

func (s *shapesMade) get(kind, value string, shape func() (tls.Certificate, error)) (tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := kind + "=" + value
	if c, ok := s.made[name]; ok {
		return c, nil
	}
	c, err := shape()
	if err == nil {
		if len(s.made) >= maxShapes {
			clear(s.made)
		}
		s.made[name] = c
	}
	return c, err
}
