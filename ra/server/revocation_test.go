package server_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"ciscora/config"
)

func TestARevokedClientCertificateIsRefusedAsTheConfigurationSays(t *testing.T) {
	s := newSite(t)
	caKey, key := newECKey(t), newECKey(t)
	valid := func(serial int64, name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}
	}
	template := valid(1, "Phones CA")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCRLSign|x509.KeyUsageCertSign
	sign := func(template, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
		t.Helper()
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), caKey)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	ca := sign(template, template, caKey)
	kept, lost := sign(valid(2, "SEP000000000002"), ca, key), sign(valid(3, "SEP000000000003"), ca, key)
	other := *template
	other.SerialNumber, other.Subject = big.NewInt(4), pkix.Name{CommonName: "Other CA"}
	otherCA := sign(&other, &other, caKey)
	crl := func(issuer *x509.Certificate) []byte {
		t.Helper()
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
			Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
			RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: lost.SerialNumber, RevocationTime: time.Now()}},
		}, issuer, caKey)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	s.write("phones-ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw}))
	s.write("phones.crl", crl(ca))
	s.write("others.crl", crl(otherCA))
	cases := []struct {
		name              string
		profile           config.Profile
		way               config.Revocation // "" = the profile's
		file              string
		keptGets, lostGet int
	}{
		{"modern", config.ProfileModern, "", "phones.crl", http.StatusOK, http.StatusForbidden},
		{"hard", config.ProfileModern, config.RevocationHard, "phones.crl", http.StatusOK, http.StatusForbidden},
		{"soft, and nothing is known", config.ProfileModern, config.RevocationSoft, "others.crl", http.StatusOK, http.StatusOK},
		{"hard, and nothing is known", config.ProfileModern, config.RevocationHard, "others.crl", http.StatusServiceUnavailable, http.StatusServiceUnavailable},
		{"as CES", config.ProfileCUCM, "", "", http.StatusOK, http.StatusOK},
		{"as CES, and asked", config.ProfileCUCM, config.RevocationSoft, "phones.crl", http.StatusOK, http.StatusUnauthorized},
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			cfg := s.load("profile: " + string(test.profile) + "\nadmin: {listen: \"\"}\nledger: {dsn: \"sqlite::memory:\"}\n")
			cfg.EST.Trust = []string{s.dir + "/phones-ca.pem"}
			cfg.EST.Authentication = []config.Authentication{config.AuthenticateCertificate}
			if test.way != "" {
				cfg.EST.Revocation = test.way
			}
			if test.file != "" {
				cfg.EST.CRLs = []string{s.dir + "/" + test.file}
			}
			outer := s.t
			s.t = t // the RA ends with this test
			srv := s.run(cfg)
			s.t = outer
			for cert, want := range map[*x509.Certificate]int{kept: test.keptGets, lost: test.lostGet} {
				csr, _ := newCSR(t, cert.Subject.CommonName)
				transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
					RootCAs: s.ca.Roots, MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}},
				}}
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+srv.ESTAddr().String()+"/.well-known/est/simpleenroll",
					bytes.NewReader([]byte(base64.StdEncoding.EncodeToString(csr))))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", "application/pkcs10")
				resp, err := (&http.Client{Transport: transport}).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != want || want == http.StatusForbidden && !strings.Contains(string(body), "the client certificate is revoked") {
					t.Errorf("%s: %s, want %d: %.200s", cert.Subject.CommonName, resp.Status, want, body)
				}
			}
		})
	}
}

func newECKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
