package msca_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"ciscora/msca"
)

func TestNewRefuses(t *testing.T) {
	p := newPKI(t)
	for _, c := range []struct {
		name   string
		change func(*msca.Options)
		want   string
	}{
		{"plain HTTP", func(o *msca.Options) { o.URL = "http://lab-dc/certsrv" }, "https only"},
		{"no scheme", func(o *msca.Options) { o.URL = "lab-dc/certsrv" }, "https only"},
		{"no host", func(o *msca.Options) { o.URL = "https:///certsrv" }, "host is missing"},
		{"no path", func(o *msca.Options) { o.URL = "https://lab-dc/" }, "path is missing"},
		{"a query", func(o *msca.Options) { o.URL = "https://lab-dc/certsrv?x" }, "query"},
		{"credentials in the URL", func(o *msca.Options) { o.URL = "https://u:hunter2@lab-dc/certsrv" }, "holds credentials"},
		{"an unreadable URL with credentials", func(o *msca.Options) { o.URL = "https://u:hunter2@lab dc:x/certsrv" }, "cannot be parsed"},
		{"no trust store", func(o *msca.Options) { o.Trust = nil }, "trust store"},
		{"a check of the anchors without any", func(o *msca.Options) {
			o.Trust, o.TLS, o.NameCheck = nil, &tls.Config{RootCAs: x509.NewCertPool()}, msca.NameCheckCurl
		}, "NameCheckCurl needs Options.Trust"},
		{"no TLS configuration", func(o *msca.Options) { o.TLS, o.Trust = nil, nil }, "trust store"},
		{"no verification", func(o *msca.Options) { o.TLS.InsecureSkipVerify = true }, "InsecureSkipVerify"},
		{"an unknown authentication", func(o *msca.Options) { o.Authentication = "kerberos" }, "ntlm, negotiate or basic"},
		{"a user agent of two lines", func(o *msca.Options) { o.UserAgent = "a\r\nb" }, "user agent"},
		{"a renewal below the newest", func(o *msca.Options) { o.Renewal = -2 }, "renewal"},
		{"a negative time-out", func(o *msca.Options) { o.Timeouts.Fetch = -time.Second }, "negative"},
		{"a longer wait for acknowledgements than others rely on", func(o *msca.Options) { o.Timeouts.Unacknowledged = msca.UserTimeout + 1 }, "at most 20s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := p.options(t, nil)
			c.change(&o)
			_, err := msca.New(o)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestTheURLIsKeptAsWritten(t *testing.T) {
	o := newPKI(t).options(t, nil)
	o.URL += "/"
	if got := newClient(t, o).URL(); got != caURL {
		t.Error(got)
	}
}

func TestCredentialsNeverShowThePassword(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	zap.New(core).Info("x", zap.Object("account", account), zap.Any("any", account), zap.Stringer("s", account))
	encoded, err := json.Marshal(account)
	if err != nil {
		t.Fatal(err)
	}
	shown := []string{string(encoded), fmt.Sprint(logs.All()[0].ContextMap())}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown = append(shown, fmt.Sprintf(verb, account), fmt.Sprintf(verb, &account), fmt.Sprintf(verb, struct{ C msca.Credentials }{account}))
	}
	for _, s := range shown {
		if strings.Contains(s, password) || strings.Contains(s, fmt.Sprintf("%x", password)) {
			t.Errorf("shows the password: %s", s)
		}
		if s == "" {
			t.Error("shows nothing")
		}
	}
}

func TestValidTemplate(t *testing.T) {
	for name, good := range map[string]bool{
		"CiscoRA": true, "Web Server v1.0": true, "WebServer(PrivateKeyExportable)": true, "a_b-c": true, "X": true,
		"1.3.6.1.4.1.311.21.8.1174692.16553431.3625626.5194880.5395137.142.9203577.10535170.1": true,
		strings.Repeat("a", 64): true,
		strings.Repeat("a", 65): false, "": false, " a": false, "a ": false, "a\r\nSAN:upn=x": false, "a\nb": false, "a\x00b": false,
		"a;b": false, "a:b": false, "Zürich": false, "a\tb": false, "a\u2028b": false, "a&b=c": false,
	} {
		if err := msca.ValidTemplate(name); (err == nil) != good {
			t.Errorf("ValidTemplate(%q) = %v", name, err)
		} else if err != nil && strings.ContainsAny(err.Error(), "\r\n\x00") {
			t.Errorf("the error is not one line: %q", err)
		}
	}
}

func TestErrorIsOneLineAndComplete(t *testing.T) {
	e := &msca.Error{
		Phase: msca.PhaseSubmit, Kind: msca.KindDenied, URL: caURL + "/certfnsh.asp", Status: 200, ReqID: 26, HRESULT: 0x80094012,
		Symbol: "CERTSRV_E_TEMPLATE_DENIED", Message: "Denied by\r\n Policy Module",
	}
	want := "CA submit: denied at " + caURL + "/certfnsh.asp: request 26: 0x80094012 (CERTSRV_E_TEMPLATE_DENIED): Denied by Policy Module"
	if got := e.Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if e.Temporary() || !(&msca.Error{Kind: msca.KindHTTP, Status: 502}).Temporary() || (&msca.Error{Kind: msca.KindAuthRejected}).Temporary() {
		t.Error("Temporary")
	}
}
