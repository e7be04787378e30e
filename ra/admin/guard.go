package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// Guard says who may use the port where others than this machine reach it.
type Guard struct {
	// Token returns the token that requests may carry (Authorization: Bearer,
	// RFC 6750); nil: there is none.
	Token func() string
	// Certificates: a client certificate that TLS has verified will do.
	Certificates bool
}

// openPaths are for load balancers and for the host's own health check, which keep no
// secret: they say whether the RA is alive and ready, and to strangers no more.
var openPaths = []string{"/healthz", "/readyz", "/servingz"}

// admits tells whether a request has shown who it is, where that is wanted.
func (h *handler) admits(r *http.Request) bool {
	g := h.Guard
	if g == nil {
		return true
	}
	if g.Certificates && r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return true
	}
	if g.Token == nil {
		return false
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	// Of sums, since the time of a comparison tells the length of what it compares.
	want, got := sha256.Sum256([]byte(g.Token())), sha256.Sum256([]byte(strings.TrimSpace(token)))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// checkGuard refuses strangers all but the open paths.
func (h *handler) checkGuard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.admits(r) || isOpen(r) {
			next.ServeHTTP(w, r)
			return
		}
		if h.Guard.Token == nil {
			fail(w, http.StatusForbidden, "a client certificate is wanted, of a CA under admin.tls.trust")
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="ra admin"`)
		fail(w, http.StatusUnauthorized, `the token of admin.token_file is wanted: curl -K FILE, where FILE has the line header = "Authorization: Bearer TOKEN"`)
	})
}

func isOpen(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	for _, path := range openPaths {
		if r.URL.Path == path {
			return true
		}
	}
	return false
}
