package ra_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ciscora/msca/certsrv"
	"ciscora/ra"
	"ciscora/ra/ledger"
)

// RFC 7030 §4.4: the RA makes the key, of the kind of the CSR's, and keeps it
// nowhere.
func TestServerKeygenEnrollsAKeyOfTheRAs(t *testing.T) {
	ecKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	book, err := ledger.Open(t.Context(), "sqlite::memory:", ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { book.Close() })
	f := newFixture(t, func(o *ra.Options) { o.ServerKeygen, o.Ledger = true, book })
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "phone"}, DNSNames: []string{"phone.example"}}, ecKey)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
	req.SetBasicAuth(f.ca.User, f.ca.Password)
	ctx, err := f.Authenticate(req, "")
	if err != nil {
		t.Fatal(err)
	}
	cert, pkcs8, err := f.ServerKeyGen(ctx, csr, "", req)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		t.Fatal(err)
	}
	key, ok := made.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P384() || !key.PublicKey.Equal(cert.PublicKey) || key.PublicKey.Equal(csr.PublicKey) {
		t.Errorf("the key is %T", made)
	}
	if cert.Subject.CommonName != "phone" || len(cert.DNSNames) != 1 || cert.DNSNames[0] != "phone.example" {
		t.Errorf("the names: %s %v", cert.Subject, cert.DNSNames)
	}
	rows, err := book.List(t.Context(), ledger.Filter{})
	if err != nil || len(rows) != 1 || rows[0].State != ledger.StateIssued {
		t.Errorf("the ledger: %+v, %v", rows, err)
	}
	rsaCSR := newCSR(t, "other")
	rsaCSR.PublicKey = &rsa.PublicKey{}
	if _, _, err := newFixture(t, modern).ServerKeyGen(ctx, rsaCSR, "", req); status(err) != http.StatusNotImplemented {
		t.Errorf("switched off: %v", err)
	}
}

// RFC 7030 §4.4.1: but for its key and signature the CSR counts as any, so its
// extensions meet the label's policy, and what passes reaches the CA.
func TestServerKeygenTreatsTheCSRsExtensionsAsThoseOfAnyCSR(t *testing.T) {
	keyUsage := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: []byte{3, 2, 5, 0xa0}}
	keyIdentifier := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 14}, Value: []byte{4, 4, 1, 2, 3, 4}}
	securityIdentifier := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 25, 2}, Value: []byte{0x30, 0}}
	for _, test := range []struct {
		name      string
		extension pkix.Extension
		forbid    asn1.ObjectIdentifier
		status    int
	}{
		{"a usage of the key", keyUsage, nil, 0},
		{"a usage of the key, which the policy forbids", keyUsage, keyUsage.Id, http.StatusForbidden},
		{"a Windows account's security identifier", securityIdentifier, nil, http.StatusForbidden},
		{"the identifier of the CSR's own key, which is not certified", keyIdentifier, keyIdentifier.Id, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, func(o *ra.Options) {
				o.ServerKeygen = true
				if test.forbid != nil {
					o.Policy.Forbid = []asn1.ObjectIdentifier{test.forbid}
				}
			})
			err := f.serverKeygen(t, "", test.extension)
			if test.status == 0 && err != nil || test.status != 0 && status(err) != test.status {
				t.Errorf("%v, want status %d", err, test.status)
			}
		})
	}
}

// The key is kept nowhere, so nobody could be given it after an approval: the client is
// not told to come back, for another key and another request each time.
func TestServerKeygenDoesNotWaitForAManager(t *testing.T) {
	for name, test := range map[string]struct {
		profile
		status int
		text   string
	}{
		"modern":    {modern, http.StatusForbidden, "use simpleenroll"},
		"cucm-12.5": {cucm, http.StatusBadRequest, "Invalid or corrupted pkcs10 request."},
	} {
		f := newFixture(t, func(o *ra.Options) { test.profile(o); o.ServerKeygen = true }, func(o *certsrv.Options) {
			o.Templates = append(o.Templates, certsrv.Template{Name: "Supervised", SubjectFromRequest: true, ManagerApproval: true})
		})
		err := f.serverKeygen(t, "supervised")
		answer, ok := errors.AsType[*ra.Error](err)
		if !ok || answer.Status != test.status || !strings.Contains(answer.Text, test.text) || answer.RetryAfter() != 0 {
			t.Errorf("%s: %+v", name, err)
		}
	}
}

// serverKeygen asks for a key, with a CSR that asks for these extensions.
func (f *fixture) serverKeygen(t *testing.T, label string, extensions ...pkix.Extension) error {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "phone"}, ExtraExtensions: extensions}, key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	req := httpRequest(t, f.ca.User, f.ca.Password)
	ctx, err := f.Authenticate(req, label)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = f.ServerKeyGen(ctx, csr, label, req)
	return err
}

// A key of a kind that the policy refuses is not made for nothing: that may take seconds.
func TestServerKeygenMakesNoKeyThatItsPolicyRefuses(t *testing.T) {
	f := newFixture(t, func(o *ra.Options) { o.ServerKeygen, o.Policy.Keys = true, []string{"rsa4096"} })
	req := httpRequest(t, f.ca.User, f.ca.Password)
	ctx, err := f.Authenticate(req, "")
	if err != nil {
		t.Fatal(err)
	}
	// Who has gone waits for no key: of so many one would be told that, were they to wait.
	gone, cancel := context.WithCancel(ctx)
	cancel()
	for range 30 {
		if _, _, err := f.ServerKeyGen(gone, newCSR(t, "phone"), "", req); status(err) != http.StatusBadRequest {
			t.Fatalf("a key was about to be made: %v", err)
		}
	}
}

// A key of a kind that is not made is no reason to refuse: another takes its place.
func TestServerKeygenJudgesTheKeyThatItMakesAndNotTheCSRs(t *testing.T) {
	f := newFixture(t, func(o *ra.Options) { o.ServerKeygen, o.Policy.Keys = true, []string{"rsa2048"} })
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "phone"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	req := httpRequest(t, f.ca.User, f.ca.Password)
	ctx, err := f.Authenticate(req, "")
	if err != nil {
		t.Fatal(err)
	}
	certificate, _, err := f.ServerKeyGen(ctx, csr, "", req)
	if err != nil {
		t.Fatal(err)
	}
	if key, ok := certificate.PublicKey.(*rsa.PublicKey); !ok || key.N.BitLen() != 2048 {
		t.Errorf("certified is a %T", certificate.PublicKey)
	}
}

// Whoever hangs up before the CSR is sent, at whatever step, leaves nothing that anybody
// must look for.
func TestServerKeygenLeavesNoOrphanWhereNothingWasSent(t *testing.T) {
	for name, profile := range map[string]profile{"modern": modern, "cucm-12.5": cucm} {
		for step := range int32(30) {
			t.Run(fmt.Sprintf("%s, step %d", name, step), func(t *testing.T) {
				book, err := ledger.Open(t.Context(), "sqlite::memory:", ledger.Options{})
				if err != nil {
					t.Fatal(err)
				}
				var sent atomic.Bool
				ctx, hangUp := context.WithCancel(t.Context())
				t.Cleanup(func() { // once the RA has ended what it does in the background
					defer book.Close()
					rows, err := book.List(context.WithoutCancel(t.Context()), ledger.Filter{})
					if err != nil {
						t.Fatal(err)
					}
					for _, row := range rows {
						if row.Orphan() && !sent.Load() {
							t.Errorf("nothing was sent, and the row is %s, an orphan: %s", row.State, row.Error)
						}
					}
				})
				var steps atomic.Int32
				steps.Store(-1000)
				f := newFixture(t, func(o *ra.Options) {
					profile(o)
					o.ServerKeygen, o.Ledger = true, book
					o.Now = func() time.Time { // which each step looks at
						if steps.Add(1) == step {
							hangUp()
						}
						return time.Now()
					}
				}, func(o *certsrv.Options) {
					o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
						return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
							if strings.HasSuffix(r.URL.Path, "certfnsh.asp") {
								sent.Store(true)
							}
							next.ServeHTTP(w, r)
						})
					})
				})
				req := httpRequest(t, f.ca.User, f.ca.Password).WithContext(ctx)
				asking, err := f.Authenticate(req, "")
				if err != nil {
					t.Fatal(err)
				}
				steps.Store(-1)
				_, _, _ = f.ServerKeyGen(asking, newCSR(t, "phone"), "", req)
			})
		}
	}
}
