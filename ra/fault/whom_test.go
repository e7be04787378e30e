package fault_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"ciscora/ra/fault"
)

func csrOf(t testing.TB, names ...string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: names[0]}, DNSNames: names[1:]}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestAFaultBitesThoseWhomItIsFor(t *testing.T) {
	for _, c := range []struct {
		spec, label string
		names       []string
		want        bool
	}{
		{"est.any:status=503,label=test-a", "test-a", []string{"x"}, true},
		{"est.any:status=503,label=test-a", "test-b", []string{"x"}, false},
		{"est.any:status=503,label=test-a", "", []string{"x"}, false},
		{"est.any:status=503,label=test-*", "test-b", []string{"x"}, true},
		{"est.any:status=503,cn=SEP1", "", []string{"SEP1"}, true},
		{"est.any:status=503,cn=SEP1", "", []string{"SEP11"}, false},
		{"est.any:status=503,cn=SEP1*", "wifi", []string{"SEP11"}, true},
		{"est.any:status=503,cn=b.example", "", []string{"a", "b.example"}, true},
		{"est.any:status=503,cn=SEP*,label=wifi", "wifi", []string{"SEP1"}, true},
		{"est.any:status=503,cn=SEP*,label=wifi", "", []string{"SEP1"}, false},
		{"est.any:status=503", "test-a", []string{"x"}, true},
	} {
		r := fault.NewRegistry(fault.Options{})
		if _, err := r.Order(c.spec); err != nil {
			t.Fatal(err)
		}
		served := ""
		h := r.EST(func(context.Context) string { return c.label }, func(context.Context) string { return "id" })(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			body, _ := io.ReadAll(req.Body)
			served = string(body)
		}))
		body := base64.StdEncoding.EncodeToString(csrOf(t, c.names...))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/.well-known/est/simpleenroll", strings.NewReader(body)))
		if got := w.Code == http.StatusServiceUnavailable; got != c.want {
			t.Errorf("%s, label %q, names %q: %d", c.spec, c.label, c.names, w.Code)
		}
		if !c.want && served != body {
			t.Errorf("%s: what was looked at did not come as it was: %q", c.spec, served)
		}
	}
}

// Who is asked for its body only (Expect) is not asked by a look at it.
func TestABodyThatWaitsToBeAskedForIsNotLookedAt(t *testing.T) {
	r := fault.NewRegistry(fault.Options{})
	if _, err := r.Order("est.any:status=503,cn=SEP1"); err != nil {
		t.Fatal(err)
	}
	h := r.EST(func(context.Context) string { return "" }, func(context.Context) string { return "id" })(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	req := httptest.NewRequest(http.MethodPost, "/.well-known/est/simpleenroll", readsNothing{t})
	req.Header.Set("Expect", "100-continue")
	h.ServeHTTP(httptest.NewRecorder(), req)
}

type readsNothing struct{ t *testing.T }

func (r readsNothing) Read([]byte) (int, error) {
	r.t.Error("the body is read")
	return 0, io.EOF
}

func TestWhomAFaultIsForIsToldAndChecked(t *testing.T) {
	for spec, want := range map[string]string{
		"certsrv.submit:hang":                     "everybody",
		"certsrv.submit:hang,label=test-a":        "the label test-a",
		"certsrv.submit:hang,cn=SEP*":             "the name SEP*",
		"certsrv.submit:hang,label=wifi,cn=a=b c": "the name a=b c under the label wifi",
	} {
		f, err := fault.Parse(spec)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Whom(); got != want || f.String() != spec {
			t.Errorf("%s: %q, %s", spec, got, f)
		}
	}
	for _, spec := range []string{"certsrv.submit:hang,label=", "certsrv.submit:hang,cn", "certsrv.submit:hang,cn=a\x00", "est.tls:expired,label=a", "est.tls:reset,cn=a"} {
		if _, err := fault.Parse(spec); err == nil {
			t.Errorf("%q is taken", spec)
		}
	}
}

func FuzzNames(f *testing.F) {
	der := csrOf(f, "SEP1", "a.example")
	f.Add(der)
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	f.Add([]byte(base64.StdEncoding.EncodeToString(der)))
	f.Add([]byte("no CSR"))
	f.Fuzz(func(t *testing.T, body []byte) {
		names := fault.Names(body)
		if slices.Contains(names, "SEP1") && len(body) < 50 {
			t.Error("out of nothing")
		}
	})
}
