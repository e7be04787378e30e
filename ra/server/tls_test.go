package server_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"ciscora/config"
)

// selfSigned makes a certificate for 127.0.0.1 that stands for itself, and its
// key, both in PEM.
func selfSigned(t *testing.T, name string, key crypto.Signer) (certificate, private []byte) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func newKeys(t *testing.T) (ec, rs crypto.Signer) {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err = rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return ec, rs
}

// shown returns the common name of the certificate that a client is shown.
func shown(t *testing.T, address string, suites ...uint16) string {
	t.Helper()
	return shownTo(t, address, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: suites})
}

func shownTo(t *testing.T, address string, client *tls.Config) string {
	t.Helper()
	client.InsecureSkipVerify = true
	d := tls.Dialer{Config: client}
	c, err := d.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestTheListenersFilesAreReadAnewAndBadOnesKeepTheOld(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ec, rs := newKeys(t)
	certificate, key := selfSigned(t, "first", ec)
	s.write("est.pem", certificate)
	s.write("est.key", key)
	srv := s.run(s.load("admin: {listen: \"\"}\n"))
	address := srv.ESTAddr().String()
	if name := shown(t, address); name != "first" {
		t.Fatalf("the certificate of %s", name)
	}
	certificate, key = selfSigned(t, "second", rs)
	s.write("est.key", key)
	s.write("est.pem", certificate)
	await(t, func() bool { return shown(t, address) == "second" })

	s.write("est.pem", []byte("no certificate at all\n"))
	await(t, func() bool {
		shown(t, address) // a handshake is what makes it look
		return s.logs.FilterMessage("the changed TLS files of EST are not taken, the old ones stay").Len() == 1
	})
	if name := shown(t, address); name != "second" {
		t.Errorf("after a bad file: %s", name)
	}
}

func TestCertificatesOfRSAAndECDSAServeTheClientsThatCanUseThem(t *testing.T) {
	s := newSite(t)
	ec, rs := newKeys(t)
	certificate, key := selfSigned(t, "rsa", rs)
	s.write("est.pem", certificate)
	s.write("est.key", key)
	certificate, key = selfSigned(t, "ecdsa", ec)
	s.write("ec.pem", certificate)
	s.write("ec.key", key)
	cfg := s.load("admin: {listen: \"\"}\n")
	cfg.EST.Certificates = append(cfg.EST.Certificates, config.CertificateFiles{Certificate: s.dir + "/ec.pem", Key: s.dir + "/ec.key"})
	address := s.run(cfg).ESTAddr().String()
	if name := shown(t, address, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256); name != "rsa" {
		t.Errorf("a client of RSA is shown %s", name)
	}
	// Neither certificate has the name; what a client can use counts all the same.
	for suite, want := range map[uint16]string{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: "rsa", tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "ecdsa"} {
		client := &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}, ServerName: "ra.example"}
		if name := shownTo(t, address, client); name != want {
			t.Errorf("a client that asks for another name, of %s alone, is shown %s", want, name)
		}
	}
	if name := shownTo(t, address, &tls.Config{MinVersion: tls.VersionTLS13}); name != "ecdsa" {
		t.Errorf("a client of TLS 1.3 is shown %s", name)
	}
	if name := shown(t, address, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256); name != "ecdsa" {
		t.Errorf("a client of ECDSA is shown %s", name)
	}
	if name := shown(t, address); name != "ecdsa" {
		t.Errorf("a client of both is shown %s, which costs the RA ten times as much", name)
	}
}

// A client's session is not resumed across a change of the trust store.
func TestAChangeOfTheTrustStoreEndsTheSessionsOfTheOldOne(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ec, _ := newKeys(t)
	phones, _ := selfSigned(t, "phones", ec)
	s.write("phones.pem", phones)
	cfg := s.load("admin: {listen: \"\"}\n")
	cfg.EST.Trust = []string{s.dir + "/phones.pem"}
	address := s.run(cfg).ESTAddr().String()
	client := &tls.Config{RootCAs: s.ca.Roots, MaxVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	resumed := func() bool {
		t.Helper()
		d := tls.Dialer{Config: client}
		c, err := d.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.(*tls.Conn).ConnectionState().DidResume
	}
	if resumed() || !resumed() {
		t.Fatal("sessions are not resumed at all")
	}
	s.write("phones.pem", []byte(strings.Repeat(string(phones), 2)))
	await(t, func() bool {
		fresh := !resumed()
		return fresh && s.logs.FilterMessage("TLS files of EST read anew").Len() == 1
	})
}
