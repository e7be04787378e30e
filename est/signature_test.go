package est_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"testing"

	"ciscora/est"
)

// request makes a CSR.
func request(tb testing.TB, key crypto.Signer, algorithm x509.SignatureAlgorithm) []byte {
	tb.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "SEP001122334455"}, SignatureAlgorithm: algorithm,
	}, key)
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

// withSignatureOf is a CSR with another one's signature, which is a good one of its
// own key.
func withSignatureOf(tb testing.TB, csr, other []byte) []byte {
	tb.Helper()
	type signed struct {
		Info      asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	var a, b signed
	_, errA := asn1.Unmarshal(csr, &a)
	_, errB := asn1.Unmarshal(other, &b)
	if errA != nil || errB != nil {
		tb.Fatal(errA, errB)
	}
	a.Algorithm, a.Signature = b.Algorithm, b.Signature
	return must(asn1.Marshal(a))
}

// What the core joins requests by leaves the signature out: so no CSR may reach it, or
// be told of, whose signature has not been found right, of whatever key.
func TestNoCSRWithAWrongSignatureReachesTheCA(t *testing.T) {
	rsaKey, otherRSA := must(rsa.GenerateKey(rand.Reader, 2048)), must(rsa.GenerateKey(rand.Reader, 2048))
	for _, c := range []struct {
		name       string
		key, other crypto.Signer
		algorithm  x509.SignatureAlgorithm
	}{
		{"RSA", rsaKey, otherRSA, x509.SHA256WithRSA},
		{"RSA-PSS", rsaKey, otherRSA, x509.SHA256WithRSAPSS},
		{"P-256", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), x509.ECDSAWithSHA256},
		{"P-384", must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), x509.ECDSAWithSHA384},
		{"P-521", must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)), must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)), x509.ECDSAWithSHA512},
		{"Ed25519", ed25519.NewKeyFromSeed(make([]byte, 32)), ed25519.NewKeyFromSeed(slices.Repeat([]byte{1}, 32)), x509.PureEd25519},
		{"an algorithm of another kind of key", rsaKey, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			good := request(t, c.key, 0)
			if c.algorithm != 0 {
				good = request(t, c.key, c.algorithm)
			}
			damaged := slices.Clone(good)
			damaged[len(damaged)-5] ^= 0x55
			renamed := slices.Clone(good)
			renamed[slices.Index(renamed, 'S')]++ // the subject
			foreign := withSignatureOf(t, good, request(t, c.other, c.algorithm))
			for _, path := range []string{enrollPath, reenrollPath} {
				asked, events := 0, newRecorder()
				on := listen(t, newServer(t, func(o *est.Options) {
					o.Events = events.record
					o.CA = &ca{enroll: func(_ context.Context, csr *x509.CertificateRequest) (*x509.Certificate, error) {
						asked++
						return issue(csr)
					}}
				}))
				for name, csr := range map[string][]byte{"damaged": damaged, "of another subject": renamed, "of another key": foreign} {
					if got := on.ask(t, post(path, lines(csr), credentials)); got.status() != 400 {
						t.Errorf("%s, a signature %s: %q %q", path, name, got.line, got.body)
					}
				}
				if told := of[est.CSRRead](events); asked > 0 || len(told) > 0 {
					t.Errorf("%s: the CA was asked %d times, %d were told of", path, asked, len(told))
				}
				if got := on.ask(t, post(path, lines(good), credentials)); got.status() != 200 || asked != 1 {
					t.Errorf("%s: the good one: %q %q", path, got.line, got.body)
				}
			}
		})
	}
}
