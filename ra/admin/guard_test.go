package admin_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ciscora/ra/admin"
)

func TestWhoHasNoTokenSeesOnlyWhetherItIsAliveAndReady(t *testing.T) {
	const token = "0123456789abcdef0123456789abcdef"
	proven := &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{}}}}
	ready := admin.Readiness{Reason: "login: it cannot be reached"}
	for _, test := range []struct {
		name          string
		guard         *admin.Guard
		authorization string
		tls           *tls.ConnectionState
		admitted      bool
		status        int // of one who is not
	}{
		{"nobody asks", nil, "", nil, true, 0},
		{"the token", &admin.Guard{Token: func() string { return token }}, "Bearer " + token, nil, true, 0},
		{"the scheme in small letters", &admin.Guard{Token: func() string { return token }}, "bearer " + token, nil, true, 0},
		{"no token", &admin.Guard{Token: func() string { return token }}, "", nil, false, http.StatusUnauthorized},
		{"another token", &admin.Guard{Token: func() string { return token }}, "Bearer " + token[1:], nil, false, http.StatusUnauthorized},
		{"the token as Basic", &admin.Guard{Token: func() string { return token }}, "Basic " + token, nil, false, http.StatusUnauthorized},
		{"a certificate where a token is wanted", &admin.Guard{Token: func() string { return token }}, "", proven, false, http.StatusUnauthorized},
		{"a certificate", &admin.Guard{Certificates: true}, "", proven, true, 0},
		{"no certificate", &admin.Guard{Certificates: true}, "", &tls.ConnectionState{}, false, http.StatusForbidden},
		{"a token where a certificate is wanted", &admin.Guard{Certificates: true}, "Bearer ", nil, false, http.StatusForbidden},
		{"the token where either will do", &admin.Guard{Certificates: true, Token: func() string { return token }}, "Bearer " + token, nil, true, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := admin.New(admin.Options{
				Guard: test.guard, Ready: func() admin.Readiness { return ready },
				Roots: func() []*x509.Certificate { return []*x509.Certificate{{}} },
			})
			ask := func(method, path string) *httptest.ResponseRecorder {
				r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:8085"+path, nil)
				r.TLS = test.tls
				if test.authorization != "" {
					r.Header.Set("Authorization", test.authorization)
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				return w
			}
			if w := ask(http.MethodGet, "/healthz"); w.Code != http.StatusOK {
				t.Errorf("/healthz: %d", w.Code)
			}
			if w := ask(http.MethodGet, "/readyz"); w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "reached") != test.admitted {
				t.Errorf("/readyz: %d %s", w.Code, w.Body)
			}
			want := http.StatusOK
			if !test.admitted {
				want = test.status
			}
			for _, path := range []string{"/roots", "//roots", "/nothing", "/healthz/"} {
				w := ask(http.MethodGet, path)
				if path == "/roots" && w.Code != want || !test.admitted && w.Code != want {
					t.Errorf("%s: %d, want %d", path, w.Code, want)
				}
				if asks := w.Header().Get("WWW-Authenticate") != ""; asks != (w.Code == http.StatusUnauthorized) {
					t.Errorf("%s: WWW-Authenticate %q with %d", path, w.Header().Get("WWW-Authenticate"), w.Code)
				}
			}
			if w := ask(http.MethodPost, "/healthz"); !test.admitted && w.Code != want {
				t.Errorf("POST /healthz: %d, want %d", w.Code, want)
			}
		})
	}
}
