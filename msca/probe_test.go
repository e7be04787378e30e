package msca_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"ciscora/msca"
	"ciscora/msca/certsrv"
)

func probed(t *testing.T, ca *certsrv.TestServer, roots *x509.CertPool) *msca.Client {
	t.Helper()
	c, err := msca.New(msca.Options{URL: ca.URL, TLS: &tls.Config{RootCAs: roots}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOpenVerifiesAndLeavesTheConnectionToTheCaller(t *testing.T) {
	ca := certsrv.NewTestServer()
	defer ca.Close()
	conn, err := probed(t, ca, ca.Roots).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if conn.ConnectionState().NegotiatedProtocol != "http/1.1" {
		t.Errorf("%+v", conn.ConnectionState())
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	var e *msca.Error
	if _, err := probed(t, ca, x509.NewCertPool()).Open(t.Context()); !errors.As(err, &e) || e.Kind != msca.KindTLSUntrusted || e.CurlCode != 60 {
		t.Errorf("without its root: %v", err)
	}
}

func TestTheRevocationListIsTheCAs(t *testing.T) {
	ca := certsrv.NewTestServer()
	defer ca.Close()
	if err := ca.Server.Renew(2); err != nil {
		t.Fatal(err)
	}
	s, err := probed(t, ca, ca.Roots).Login(t.Context(), msca.Credentials{User: ca.User, Password: ca.Password})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n, known, err := s.Renewals(t.Context())
	if n != 2 || !known || err != nil {
		t.Errorf("renewals: %d, %v, %v", n, known, err)
	}
	list, err := s.RevocationList(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	if err := list.CheckSignatureFrom(ca.Server.Chain()[0]); err != nil || len(list.RevokedCertificateEntries) != 0 || !list.NextUpdate.After(time.Now()) {
		t.Errorf("%v, %+v", err, list)
	}
	if older, err := s.RevocationList(t.Context(), 0); err != nil || older.CheckSignatureFrom(ca.Server.Chain()[0]) == nil {
		t.Errorf("the first certificate's list: %v", err)
	}
	var e *msca.Error
	if _, err := s.RevocationList(t.Context(), 9); !errors.As(err, &e) || e.HRESULT != 0x80070057 {
		t.Errorf("of a renewal that there was not: %v", err)
	}
}

func TestTheNameIsComparedByEitherRule(t *testing.T) {
	for _, x := range []struct {
		cn       string
		names    []string
		host     string
		golang   bool
		curl     bool
		curlText string
	}{
		{"a.lab.test", nil, "a.lab.test", false, true, ""},
		{"a.lab.test", nil, "b.lab.test", false, false, "SSL: certificate subject name 'a.lab.test' does not match target host name 'b.lab.test'"},
		{"a.lab.test", []string{"b.lab.test"}, "b.lab.test", true, true, ""},
		{"a.lab.test", []string{"b.lab.test"}, "a.lab.test", false, false, "SSL: no alternative certificate subject name matches target host name 'a.lab.test'"},
		{"", []string{"*.lab.test"}, "a.lab.test", true, true, ""},
	} {
		leaf := &x509.Certificate{DNSNames: x.names}
		leaf.Subject.CommonName = x.cn
		if err := msca.VerifyName(leaf, x.host, msca.NameCheckGo); (err == nil) != x.golang {
			t.Errorf("%+v: Go's rule: %v", x, err)
		}
		err := msca.VerifyName(leaf, x.host, msca.NameCheckCurl)
		var e *msca.Error
		if (err == nil) != x.curl || x.curlText != "" && (!errors.As(err, &e) || e.CurlText != x.curlText || e.CurlCode != 51) {
			t.Errorf("%+v: curl's rule: %v", x, err)
		}
	}
}
