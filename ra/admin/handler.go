package admin

import (
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"
	"go.uber.org/zap"
)

// Options are what the admin port shows. Each may be nil; what it would show is
// then not served.
type Options struct {
	Ready       func() Readiness           // whether an enrollment would work now
	Serving     func() Readiness           // whether a load balancer should send clients here
	Warnings    func() []string            // of /readyz?verbose
	Roots       func() []*x509.Certificate // the trust anchors of the RA's own servers
	Enrollments *Enrollments
	Metrics     http.Handler // for Prometheus
	Console     http.Handler // the pages for people, / and /console/
	Lockouts    Lockouts
	Certsrv     CertsrvQueue // only where the built-in CA runs
	Faults      Faults       // only where faults are allowed
	Lab         *Lab         // only in a lab
	Guard       *Guard       // nil: the port is open to whoever reaches it
	// Hosts are names, besides localhost and addresses, by which a client may
	// call the port where it listens on a loopback address.
	Hosts  []string
	Logger *zap.Logger // nil: none
}

// New returns the admin port's handler. A request with wait lasts up to
// [MaxWait]: a server's write time-out must be longer, and its shutdown must
// cancel the requests' contexts.
func New(o Options) http.Handler {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	h := &handler{o}
	r := chi.NewRouter()
	r.Use(h.checkHost, http.NewCrossOriginProtection().Handler, headers, h.checkGuard)
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, h.whyNotFound(r.URL.Path))
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Allow", strings.Join(allowed(r, req.URL.Path), ", "))
		fail(w, http.StatusMethodNotAllowed, "the method "+req.Method+" is not for "+req.URL.Path)
	})
	for _, t := range h.routes() {
		if t.on {
			t.mount(r)
		}
	}
	if o.Console != nil {
		r.Handle("/", o.Console)
		r.Handle("/console/*", o.Console)
	}
	if o.Metrics != nil {
		r.Get("/metrics", o.Metrics.ServeHTTP)
		r.Head("/metrics", o.Metrics.ServeHTTP)
	}
	return r
}

type handler struct{ Options }

// whyNotFound says where to find what is elsewhere.
func (h *handler) whyNotFound(path string) string {
	switch {
	case h.Certsrv == nil && strings.HasPrefix(path, "/certsrv/"):
		return "no CA runs in this process: ra certsrv has its queue on a port of its own, admin.listen in certsrv.yaml"
	case h.Faults == nil && strings.HasPrefix(path, "/faults"):
		return "faults are not allowed here: ra lab has them, and ra serve with --allow-faults"
	}
	return "no such page: " + path
}

// checkHost refuses names that only an attacker's DNS points here: a page in a
// browser of this machine could else read the port (DNS rebinding). On other
// than loopback addresses the port was opened on purpose, under names that it
// cannot know.
func (h *handler) checkHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if onLoopback(r) && !h.known(hostname(r.Host)) {
			fail(w, http.StatusForbidden, "not for this host name: call localhost or 127.0.0.1")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func onLoopback(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return true // unknown: the stricter rule
	}
	address, err := netip.ParseAddrPort(local.String())
	return err != nil || address.Addr().Unmap().IsLoopback()
}

func (h *handler) known(host string) bool {
	if address, err := netip.ParseAddr(host); err == nil {
		return address.IsLoopback() || slices.Contains(h.Hosts, host)
	}
	same := func(name string) bool { return strings.EqualFold(name, host) }
	return same("localhost") || slices.ContainsFunc(h.Hosts, same)
}

// hostname returns a Host header without port and brackets.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// allowed returns the methods for a path, for Allow (RFC 9110 §10.2.1).
func allowed(routes chi.Routes, path string) []string {
	var methods []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete} {
		if routes.Match(chi.NewRouteContext(), method, path) {
			methods = append(methods, method)
		}
	}
	return methods
}
