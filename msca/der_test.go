package msca_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"ciscora/msca"
	"ciscora/msca/certsrv"
)

// certificateEndingInABlank is a certificate whose DER ends in a byte that is
// white space in ASCII: one of some forty does.
func certificateEndingInABlank(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "phone"}, NotAfter: time.Now().Add(time.Hour)}
	for range 10_000 {
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		if len(bytes.TrimSpace(der)) < len(der) {
			return der
		}
	}
	t.Fatal("no certificate ends in a blank")
	return nil
}

func TestADERCertificateThatEndsInABlankIsRead(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der := certificateEndingInABlank(t, key)
	ca := certsrv.NewTestServer(func(o *certsrv.Options) {
		o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasSuffix(r.URL.Path, "certnew.cer") {
					next.ServeHTTP(w, r)
					return
				}
				_, _ = w.Write(der)
			})
		})
	})
	defer ca.Close()
	client, err := msca.New(msca.Options{URL: ca.URL, TLS: &tls.Config{RootCAs: ca.Roots, MinVersion: tls.VersionTLS12}})
	if err != nil {
		t.Fatal(err)
	}
	session, err := client.Login(t.Context(), msca.Credentials{User: ca.User, Password: ca.Password})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	raw, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "phone"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(raw)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := session.Fetch(t.Context(), 1, csr)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(cert.Raw, der) {
		t.Error("another certificate than the one that was sent")
	}
}
