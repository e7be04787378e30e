package fault_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ciscora/internal/peertest"
	"ciscora/ra/fault"
)

// asking is a server that begins a renegotiation. Its answer takes several records.
func asking(t *testing.T) *httptest.Server {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	registry := fault.NewRegistry(fault.Options{})
	if _, err := registry.Order("est.tls:renegotiate"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("the answer ", 5000)+"has an end")
	}))
	base := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.TLS = registry.TLSConfig(base, fault.ESTTLS, nil)
	server.Listener = registry.Listener(server.Listener, fault.ESTTLS)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

const getIt = "GET / HTTP/1.1\r\nHost: est\r\nConnection: close\r\n\r\n"

func TestARenegotiationIsForTheClientToRefuse(t *testing.T) {
	server := asking(t)
	for name, test := range map[string]struct {
		answer tls.RenegotiationSupport
		suite  uint16
		want   string
	}{
		"a client that wants none":       {tls.RenegotiateNever, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "no renegotiation"},
		"the same with the longer hash":  {tls.RenegotiateNever, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "no renegotiation"},
		"one that begins is turned away": {tls.RenegotiateFreelyAsClient, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "unexpected message"},
	} {
		t.Run(name, func(t *testing.T) {
			config := &tls.Config{InsecureSkipVerify: true, Renegotiation: test.answer, CipherSuites: []uint16{test.suite}}
			conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err = io.WriteString(conn, getIt); err == nil {
				_, err = io.Copy(io.Discard, conn)
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// OpenSSL warns where it wants no renegotiation, and goes on.
func TestAClientThatGoesOnHasItsAnswer(t *testing.T) {
	openssl := peertest.Program(t, "openssl")
	for _, suite := range []string{"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"} {
		client := exec.CommandContext(t.Context(), openssl, "s_client", "-connect", asking(t).Listener.Addr().String(), "-tls1_2", "-cipher", suite, "-no_renegotiation", "-msg", "-ign_eof")
		client.Stdin = strings.NewReader(getIt)
		out, err := client.CombinedOutput()
		for _, want := range []string{"HelloRequest", "no_renegotiation", "the answer has an end"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: %v; %q is not in %.3000s", suite, err, want, out)
			}
		}
	}
}
