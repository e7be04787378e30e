package certsrv_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// chainOf is a server certificate's verification by a client that trusts root.
func chainOf(t *testing.T, chain [][]byte, host string, roots ...*x509.Certificate) error {
	t.Helper()
	options := x509.VerifyOptions{DNSName: host, Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool()}
	for _, root := range roots {
		options.Roots.AddCert(root)
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, der := range chain[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		options.Intermediates.AddCert(c)
	}
	_, err = leaf.Verify(options)
	return err
}

func TestAFrontEndsCertificateIsWrongInOneWayAlone(t *testing.T) {
	srv := start(t).Server
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var critical x509.UnhandledCriticalExtension
	for _, test := range []struct {
		kind, value, host string
		wrong             any // nil = nothing
	}{
		{"cn-only", "", "est.example.com", &name},
		{"san", "dns", "127.0.0.1", &name},
		{"san", "dns", "est.example.com", nil},
		{"san", "wildcard", "est.example.com", &name},
		{"san", "dns-ip", "[127.0.0.1]", &name},
		{"dns", "other.example.com", "est.example.com", &name},
		{"dns", "*.example.com", "est.example.com", nil},
		{"eku", "client", "est.example.com", &invalid},
		{"eku", "cmcra", "est.example.com", &name},
		{"issuer", "not-ca", "est.example.com", &unknown},
		{"issuer", "name-constraint", "est.example.com", &invalid},
		{"revoked", "", "est.example.com", nil}, // its staple says it
		{"key", "rsa1024", "est.example.com", nil},
		{"signature", "sha1", "est.example.com", &unknown},
		{"critical-extension", "", "est.example.com", &critical},
		{"extra-certificates", "", "est.example.com", nil},
		{"rotate", "new", "est.example.com", &unknown},
		{"rotate", "stranger", "est.example.com", &unknown},
		{"rotate", "leaf", "est.example.com", &unknown},
	} {
		c, err := srv.Shape(test.kind, test.value, []string{"est.example.com", "127.0.0.1"})
		if err != nil {
			t.Errorf("%s=%s: %v", test.kind, test.value, err)
			continue
		}
		err = chainOf(t, c.Certificate, test.host, srv.Root())
		if test.wrong == nil && err != nil || test.wrong != nil && !errors.As(err, test.wrong) {
			t.Errorf("%s=%s: %v (%T), want %T", test.kind, test.value, err, err, test.wrong)
		}
	}
	// What no chain tells.
	revoked, err := srv.Shape("revoked", "", []string{"est.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if told, err := ocsp.ParseResponseForCert(revoked.OCSPStaple, revoked.Leaf, srv.Chain()[0]); err != nil || told.Status != ocsp.Revoked {
		t.Errorf("revoked: its staple says %+v, %v", told, err)
	}
	weak, err := srv.Shape("key", "rsa1024", []string{"est.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if key, ok := weak.Leaf.PublicKey.(*rsa.PublicKey); !ok || key.N.BitLen() != 1024 {
		t.Errorf("a weak key: %T", weak.Leaf.PublicKey)
	}
	cmcRA, err := srv.Shape("eku", "cmcra", []string{"est.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(cmcRA.Leaf.UnknownExtKeyUsage); got != "[1.3.6.1.5.5.7.3.28]" {
		t.Errorf("an EST server by its purpose: %s", got)
	}
	extra, err := srv.Shape("extra-certificates", "", []string{"est.example.com"})
	if err != nil || len(extra.Certificate) != 4 {
		t.Errorf("with others among its chain: %d certificates, %v", len(extra.Certificate), err)
	}
	if _, err := srv.Shape("no-such", "", []string{"x"}); err == nil {
		t.Error("there is a certificate of the kind no-such")
	}
}

func TestAnotherRootIsLedToFromTheOldOne(t *testing.T) {
	srv := start(t).Server
	newRoot, oldWithNew, newWithOld, sub, err := srv.Rollover()
	if err != nil {
		t.Fatal(err)
	}
	parse := func(der []byte) *x509.Certificate {
		t.Helper()
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	again, _, _, _, err := srv.Rollover()
	if err != nil || string(again) != string(newRoot) {
		t.Errorf("another one each time: %v", err)
	}
	rotated, err := srv.Shape("rotate", "new", []string{"est.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if err := chainOf(t, rotated.Certificate, "est.example.com", parse(newRoot)); err != nil {
		t.Errorf("by the new root: %v", err)
	}
	// Who knows the old root alone is led to the new one by its certificate from the old.
	if err := chainOf(t, append(rotated.Certificate, newWithOld), "est.example.com", srv.Root()); err != nil {
		t.Errorf("by the old root and newWithOld: %v", err)
	}
	usual, err := srv.Shape("san", "dns", []string{"est.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if err := chainOf(t, append(usual.Certificate, oldWithNew), "est.example.com", parse(newRoot)); err != nil {
		t.Errorf("the old chain by the new root and oldWithNew: %v", err)
	}
	if err := parse(sub).CheckSignatureFrom(parse(newRoot)); err != nil {
		t.Error(err)
	}
	der, err := srv.Stranger()
	if err != nil {
		t.Fatal(err)
	}
	// Of several roots the newest counts (RFC 7030 section 4.1.3): a stranger is none.
	if stranger := parse(der); !stranger.NotAfter.Before(srv.Root().NotAfter) || stranger.CheckSignatureFrom(stranger) != nil {
		t.Errorf("%s ends %s, the root %s", stranger.Subject, stranger.NotAfter, srv.Root().NotAfter)
	}
}

func TestACertificateIsIssuedOnceMore(t *testing.T) {
	srv := start(t).Server
	der, err := srv.OtherCertificate()
	if err != nil {
		t.Fatal(err)
	}
	old, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for how, differs := range map[string]func(*x509.Certificate) bool{
		"not-yet-valid": func(c *x509.Certificate) bool { return c.NotBefore.After(now) },
		"expired":       func(c *x509.Certificate) bool { return c.NotAfter.Before(now) },
		"other-subject": func(c *x509.Certificate) bool { return c.Subject.CommonName == "another subject" },
	} {
		again, err := srv.Recertify(der, how)
		if err != nil {
			t.Errorf("%s: %v", how, err)
			continue
		}
		c, err := x509.ParseCertificate(again)
		if err != nil || !differs(c) || c.SerialNumber.Cmp(old.SerialNumber) == 0 || !old.PublicKey.(*ecdsa.PublicKey).Equal(c.PublicKey) {
			t.Errorf("%s: %v, %v", how, c, err)
		}
		if err := c.CheckSignatureFrom(srv.Chain()[0]); err != nil {
			t.Errorf("%s: %v", how, err)
		}
	}
	if _, err := srv.Recertify(der, "no-such"); err == nil {
		t.Error("it was issued as no-such")
	}
	if _, err := srv.Recertify([]byte("none"), "expired"); err == nil {
		t.Error("what is no certificate was issued")
	}
}
