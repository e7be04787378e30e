package access_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"ciscora/msca"
	"ciscora/msca/certsrv"
	"ciscora/ra/access"
)

// A password that is changed, or an account that is locked, shows when the CA closes a
// connection and the session logs in once more.
func TestARefusalOnASessionEndsWhatTheAccountHasProven(t *testing.T) {
	csr := newCSR(t)
	for name, use := range map[string]func(*testing.T, *access.Session) error{
		"submitting": func(t *testing.T, s *access.Session) error {
			_, err := s.Submit(t.Context(), csr, label.Template, nil)
			return err
		},
		"looking": func(t *testing.T, s *access.Session) error {
			_, err := s.Look(t.Context(), 1)
			return err
		},
		"fetching": func(t *testing.T, s *access.Session) error {
			_, err := s.Fetch(t.Context(), 1, csr)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			var refuses atomic.Bool
			var f *fixture
			f = newFixture(t, func(*access.Options) {}, func(o *certsrv.Options) {
				o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						const opening = "NTLM TlRMTVNTUAAB" // a type 1 message, which is answered as ever
						if !refuses.Load() || strings.HasPrefix(r.Header.Get("Authorization"), opening) || !f.ca.Server.AnswerAs(w, r, "wrong-password") {
							next.ServeHTTP(w, r)
						}
					})
				})
			})
			who, err := f.ask(t.Context(), f.ca.User, f.ca.Password)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := f.ask(t.Context(), f.ca.User, f.ca.Password); err != nil || !again.Vouched {
				t.Fatalf("a log-in a moment ago does not vouch: %v", err)
			}
			s, err := f.Session(t.Context(), who)
			if err != nil {
				t.Fatal(err)
			}
			refuses.Store(true)
			err = use(t, s)
			s.Release()
			if e, ok := errors.AsType[*msca.Error](err); !ok || e.Kind != msca.KindAuthRejected {
				t.Fatalf("%v, want a refused log-in", err)
			}
			if _, err := f.ask(t.Context(), f.ca.User, f.ca.Password); reason(err) != access.ReasonCA {
				t.Errorf("the next client with these credentials: %v", err)
			}
		})
	}
}

func newCSR(t *testing.T) *x509.CertificateRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}
