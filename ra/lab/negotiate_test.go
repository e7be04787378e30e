package lab_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"

	"ciscora/config"
	"ciscora/msca"
	"ciscora/ra/lab"
)

// Apache with mod_auth_gssapi takes NTLM in SPNEGO by MIT's library: a server that is
// none of ours, which wants no mechListMIC of a client that has no other mechanism.
func TestTheClientLogsInAtAnApacheByNTLMInSPNEGO(t *testing.T) {
	needApache(t)
	l, a := startBehindApache(t, config.ProfileModern, 100)
	creds, err := config.LoadCredentials(l.Path("credentials.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	client := negotiator(t, l, a.address)
	s, err := client.Login(t.Context(), msca.Credentials{User: creds.User, Password: string(creds.Password)})
	if err != nil {
		t.Fatal(err)
	}
	if list, err := s.Templates(t.Context()); err != nil || len(list) == 0 {
		t.Errorf("%v, %v", list, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	_, err = client.Login(t.Context(), msca.Credentials{User: creds.User, Password: "wrong"})
	var e *msca.Error
	if !errors.As(err, &e) || e.Kind != msca.KindAuthRejected {
		t.Errorf("a wrong password: %v", err)
	}
}

// negotiator is a client of the lab's CA that speaks NTLM in SPNEGO, at an address.
func negotiator(t *testing.T, l *lab.Lab, address string) *msca.Client {
	t.Helper()
	client, err := msca.New(msca.Options{
		URL: l.CertsrvURL, TLS: &tls.Config{RootCAs: l.Roots}, Authentication: "negotiate",
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}
