package fault_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ciscora/ra/fault"
)

// A key that was made by the server can come in the form of its kind.
func TestAKeyComesInTheFormOfItsKind(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ofRSA, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		key   any
		reads func(der []byte) (same bool)
	}{
		"EC, RFC 5915": {ec, func(der []byte) bool {
			key, err := x509.ParseECPrivateKey(der)
			return err == nil && key.Equal(ec)
		}},
		"RSA, PKCS #1": {ofRSA, func(der []byte) bool {
			key, err := x509.ParsePKCS1PrivateKey(der)
			return err == nil && key.Equal(ofRSA)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			pkcs8, err := x509.MarshalPKCS8PrivateKey(test.key)
			if err != nil {
				t.Fatal(err)
			}
			registry := fault.NewRegistry(fault.Options{})
			if _, err := registry.Order("est.serverkeygen:parts=pkcs1"); err != nil {
				t.Fatal(err)
			}
			handler := registry.EST(none, none)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				parts := multipart.NewWriter(w)
				w.Header().Set("Content-Type", "multipart/mixed; boundary="+parts.Boundary())
				for _, der := range [][]byte{pkcs8, []byte("the certificate")} {
					part, err := parts.CreatePart(map[string][]string{"Content-Type": {"application/pkcs8"}})
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.WriteString(part, base64.StdEncoding.EncodeToString(der))
				}
				if err := parts.Close(); err != nil {
					t.Error(err)
				}
			}))
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/.well-known/est/serverkeygen", http.NoBody))
			_, boundary, _ := strings.Cut(w.Header().Get("Content-Type"), "boundary=")
			first, err := multipart.NewReader(w.Body, boundary).NextRawPart()
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(first)
			if err != nil {
				t.Fatal(err)
			}
			der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(text)), ""))
			if err != nil || !test.reads(der) {
				t.Errorf("%v; %x", err, der)
			}
		})
	}
}
