package lab_test

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"

	"ciscora/ra/lab"
)

// An RSA signature is what most of a handshake costs, and an old client's is all that
// it can check.
func TestTheListenerShowsECDSAToWhoCanAndRSAToTheOthers(t *testing.T) {
	l := start(t, lab.Options{})
	address := strings.TrimPrefix(l.ESTURL, "https://")
	for _, c := range []struct {
		name   string
		suites []uint16
		want   x509.PublicKeyAlgorithm
	}{
		{"a client of both", nil, x509.ECDSA},
		{"a client of RSA", []uint16{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}, x509.RSA},
	} {
		d := tls.Dialer{Config: &tls.Config{RootCAs: l.Roots, CipherSuites: c.suites, MaxVersion: tls.VersionTLS12}}
		conn, err := d.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := conn.(*tls.Conn).ConnectionState().PeerCertificates[0].PublicKeyAlgorithm; got != c.want {
			t.Errorf("%s is shown %v, want %v", c.name, got, c.want)
		}
		conn.Close()
	}
}
