package lab_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"ciscora/config"
	"ciscora/ra/lab"
)

// shown is the certificate that the RA shows to who asks for a name; the client can
// only RSA, or all.
func shown(t *testing.T, l *lab.Lab, name string, onlyRSA bool) (*x509.Certificate, error) {
	t.Helper()
	c := &tls.Config{RootCAs: l.Roots, ServerName: name, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}
	if onlyRSA {
		c.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	}
	conn, err := (&tls.Dialer{Config: c}).DialContext(t.Context(), "tcp", strings.TrimPrefix(l.ESTURL, "https://"))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

func TestTheCertificateHasTheNamesThatWereAskedFor(t *testing.T) {
	l := start(t, lab.Options{Hosts: []string{"ra", "est.example.com", "192.0.2.9"}})
	for _, name := range []string{"ra", "est.example.com", "192.0.2.9", "localhost", "127.0.0.1"} {
		if _, err := shown(t, l, name, false); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := shown(t, l, "other.example.com", false); err == nil {
		t.Error("any name will do")
	}
	// The admin port is called by the same names.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.AdminURL+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{"est.example.com:8085": 200, "evil.example:8085": 403} {
		r.Host = host
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s", host, resp.Status)
		}
	}
}

func TestAClientThatSpeaksHTTP10AloneIsServed(t *testing.T) {
	for _, anyHost := range []bool{false, true} {
		l := start(t, lab.Options{AnyHost: anyHost})
		c := &tls.Config{RootCAs: l.Roots, ServerName: "localhost", NextProtos: []string{"http/1.0"}, MinVersion: tls.VersionTLS12}
		conn, err := (&tls.Dialer{Config: c}).DialContext(t.Context(), "tcp", strings.TrimPrefix(l.ESTURL, "https://"))
		if err != nil {
			t.Error(err)
			continue
		}
		conn.Close()
	}
}

func TestAnyHostShowsACertificateForWhateverNameIsAskedFor(t *testing.T) {
	l := start(t, lab.Options{AnyHost: true})
	for _, name := range []string{"ra", "est.example.com", "a-b.c_d.example", "localhost"} {
		for _, onlyRSA := range []bool{false, true} {
			c, err := shown(t, l, name, onlyRSA)
			if err != nil {
				t.Errorf("%s, only RSA %v: %v", name, onlyRSA, err)
				continue
			}
			if !slices.Contains(c.DNSNames, name) {
				t.Errorf("%s: %s", name, c.DNSNames)
			}
		}
	}
	if _, err := shown(t, l, "192.0.2.9", false); err == nil {
		t.Error("an address is no name that a client asks for")
	}
	// A fault of the certificate is one for whatever name.
	if _, err := l.Faults.Order("est.tls:expired,count=1"); err != nil {
		t.Fatal(err)
	}
	if _, err := shown(t, l, "est.example.com", false); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("%v, want that it has expired", err)
	}
}

func TestTheAccountIsTheOneThatWasAskedFor(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ user, password, wantUser, wantPassword string }{
		{"tester", "s3cret", "tester", "s3cret"},
		{"", "", "tester", "s3cret"}, // as an earlier run left it
		{"", "other", "tester", "other"},
		{`LAB\alice`, "", `LAB\alice`, "other"},
	} {
		l := start(t, lab.Options{Dir: dir, Profile: config.ProfileModern, User: c.user, Password: c.password})
		enrollPhone(t, l)
		creds, err := config.LoadCredentials(l.Path("credentials.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if creds.User != c.wantUser || string(creds.Password) != c.wantPassword {
			t.Errorf("%+v: %s", c, creds.User)
		}
		if text, err := os.ReadFile(l.Path("curl.conf")); err != nil || !strings.Contains(string(text), c.wantPassword) {
			t.Errorf("curl.conf: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatIsAHostName(t *testing.T) {
	for name, want := range map[string]bool{
		"ra": true, "EST.example.com": true, "a-b.c_d.example": true, strings.Repeat("a", 63): true,
		"": false, "-ra": false, "bad host": false, "a..b": false, "a.": false, "*.example.com": false, "ä.example": false,
		strings.Repeat("a", 64): false, strings.Repeat("a.", 126) + "aa": false,
	} {
		if got := lab.IsHostName(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}
