package msca_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"testing"

	"ciscora/msca"
	"ciscora/msca/certsrv"
)

func TestATraceHearsTheWire(t *testing.T) {
	var handshakes []msca.Handshake
	var exchanges []msca.Exchange
	trace := &msca.Trace{
		Handshake: func(_ context.Context, h msca.Handshake) { handshakes = append(handshakes, h) },
		Exchange:  func(_ context.Context, x msca.Exchange) { exchanges = append(exchanges, x) },
	}
	ca := certsrv.NewTestServer()
	defer ca.Close()
	c := newClient(t, msca.Options{URL: ca.URL, TLS: &tls.Config{}, Trust: trust(ca.Server.Root()), Trace: trace})
	s, err := c.Login(t.Context(), msca.Credentials{User: ca.User, Password: ca.Password})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if len(handshakes) != 1 || handshakes[0].Err != nil || handshakes[0].State.Version < tls.VersionTLS12 || len(handshakes[0].State.PeerCertificates) == 0 {
		t.Errorf("handshakes %+v", handshakes)
	}
	if len(exchanges) != 2 || exchanges[0].Status != http.StatusUnauthorized || !strings.HasPrefix(exchanges[1].Request.Get("Authorization"), "NTLM ") || exchanges[1].Answer == nil {
		t.Errorf("exchanges %+v", exchanges)
	}
}

func TestATraceHearsWhyTLSFailed(t *testing.T) {
	ca, p := certsrv.NewTestServer(), newPKI(t)
	defer ca.Close()
	var heard msca.Handshake
	c := newClient(t, msca.Options{
		URL: ca.URL, TLS: &tls.Config{}, Trust: trust(p.root.cert), // another root
		Trace: &msca.Trace{Handshake: func(_ context.Context, h msca.Handshake) { heard = h }},
	})
	if _, err := c.Login(t.Context(), account); err == nil {
		t.Fatal("nobody vouches for the CA")
	}
	var refused *tls.CertificateVerificationError
	if !errors.As(heard.Err, &refused) || len(refused.UnverifiedCertificates) == 0 {
		t.Errorf("%+v", heard)
	}
}

// A page's mark decides, whatever language it is in.
func TestTheDecidingMarkIsNamed(t *testing.T) {
	for page, want := range map[string]string{
		`<a href="certnew.cer?ReqID=12&amp;Enc=b64">`: "certnew.cer?ReqID=12&", `<p id="locDenied">Refusé</p>`: "locDenied", `<p ID="locdenied">non</p>`: "locdenied", `<p id=locInfoReqIDandReason>7</p>`: "locInfoReqIDandReason",
		`<b id=locInfoReqID>7</b>`: "locInfoReqID", `<b id="locInfoChkPnd">`: "locInfoChkPnd", `<b id=locIssRev>`: "locIssRev", `<p>hello</p>`: "", `The error was 0X8009400F (-1)`: "0X8009400F",
		`<td>5 <LocID id=locDispSpacer>`: "5 <LocID id=locDispSpacer",
	} {
		if got := msca.DecidingMark(http.Header{}, []byte(page)); got != want {
			t.Errorf("%s: %q, want %q", page, got, want)
		}
	}
}
