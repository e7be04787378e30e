package endpoint_test

import (
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/ra/check"
	"ciscora/ra/check/endpoint"
	"ciscora/ra/check/hello"
)

// port is a URL's.
func port(url string) string {
	_, p, _ := strings.Cut(strings.TrimPrefix(url, "https://"), ":")
	p, _, _ = strings.Cut(p, "/")
	return p
}

// gateway is a VPN gateway as an ASA of the document's days: TLS 1.0 and later with
// AES256-SHA and AES128-SHA.
func gateway(t testing.TB, answer http.HandlerFunc, certificates ...*made) (url string) {
	t.Helper()
	if answer == nil {
		answer = func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/+webvpn+/index.html" {
				http.Redirect(w, r, "/+webvpn+/index.html", http.StatusFound)
			}
		}
	}
	s := httptest.NewUnstartedServer(answer)
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{
		tls.TLS_RSA_WITH_AES_256_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
	}}
	for _, m := range certificates {
		s.TLS.Certificates = append(s.TLS.Certificates, tls.Certificate{Certificate: ders(m), PrivateKey: m.key})
	}
	s.Config.ErrorLog = discarded()
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL + "/VPNPhone"
}

// phoneConfig is a phone's, with the document's elements.
func phoneConfig(t testing.TB, url string, hostID bool, trusts *made) string {
	t.Helper()
	sum := sha1.Sum(trusts.Raw)
	on := map[bool]int{true: 1}[hostID]
	text := fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<device><sshUserId>admin</sshUserId><sshPassword>secret-of-the-phone</sshPassword>
<vpnGroup>
<mtu>1290</mtu>
<failConnectTime>30</failConnectTime>
<authMethod>2</authMethod>
<enableHostIDCheck>%d</enableHostIDCheck>
<addresses>
<url1>%s</url1>
</addresses>
<credentials>
<hashAlg>0</hashAlg>
<certHash1>%s</certHash1>
</credentials>
</vpnGroup></device>`, on, url, base64.StdEncoding.EncodeToString(sum[:]))
	return write(t, "SEP8CB64F576113.cnf.xml", []byte(text))
}

func checkVPN(t testing.TB, url, config string) check.Report {
	t.Helper()
	r := check.Report{}
	if err := endpoint.VPN(t.Context(), endpoint.VPNOptions{Outside: outside(), URL: url, PhoneConfig: config}, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAGatewayIsCheckedAsAPhoneDoes(t *testing.T) {
	asa := order{cn: "127.0.0.1", rsa: true, ip: []string{"127.0.0.1"}}.make(t)
	url := gateway(t, nil, asa)
	sum := sha1.Sum(asa.Raw)
	r := checkVPN(t, url, phoneConfig(t, url, true, asa))
	wantFindings(t, r,
		"vpn.config ok: URLs: 1, hashes: 1, host-ID check on", "vpn.url ok", "vpn.connect ok", "vpn.cipher ok: gets TLS 1.0 with AES",
		"vpn.hash ok: "+strings.ToUpper(hex.EncodeToString(sum[:]))+" | "+base64.StdEncoding.EncodeToString(sum[:]), "vpn.host-id ok", "vpn.dates ok",
		"vpn.redirect ok: redirected to the same host")
	if r.Failed() {
		t.Errorf("%+v", r)
	}
	for _, f := range r.Findings {
		if strings.Contains(fmt.Sprint(f), "secret-of-the-phone") {
			t.Errorf("%+v", f)
		}
	}
	// Without the phone's file, what can be seen is told.
	wantFindings(t, checkVPN(t, url, ""), "vpn.config skip", "vpn.hash skip: SHA-1 "+strings.ToUpper(hex.EncodeToString(sum[:])))
}

func TestACertificateThatThePhoneDoesNotTrust(t *testing.T) {
	asa, before := order{cn: "asa", rsa: true}.make(t), order{cn: "asa", rsa: true}.make(t)
	url := gateway(t, nil, asa)
	sum := sha1.Sum(asa.Raw)
	wantFindings(t, checkVPN(t, url, phoneConfig(t, url, false, before)),
		"vpn.hash FAIL: Leaf cert hash = "+strings.ToUpper(hex.EncodeToString(sum[:]))+" | issuer certificate not found and leaf not trusted | notify code: 37 | show run ssl | phone-vpn-trust",
		"vpn.host-id ok: but the phone's host-ID check is off")
	wantFindings(t, checkVPN(t, url, phoneConfig(t, "https://other.vpn.com/VPNPhone", true, asa)), "vpn.url warn: is none of the phone's: https://other.vpn.com/VPNPhone",
		"vpn.host-id FAIL: has no SAN with it")
	wantFindings(t, checkVPN(t, url, write(t, "SEP.cnf.xml", []byte("<device></device>"))), "vpn.config FAIL: no <vpnGroup>")
}

func TestARedirectToAnotherHostAndItsCertificate(t *testing.T) {
	first, second := order{cn: "asa1", rsa: true}.make(t), order{cn: "asa2", rsa: true}.make(t)
	for name, test := range map[string]struct {
		there *made
		want  string
	}{
		"another certificate":  {second, "vpn.redirect FAIL: 302 Found, to another host | another certificate is there: CN=asa2 | login code: 302 (redirected) | without load balancing"},
		"the same certificate": {first, "vpn.redirect FAIL: the same certificate is there"},
	} {
		t.Run(name, func(t *testing.T) {
			other := gateway(t, nil, test.there)
			url := gateway(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, http.StatusFound) }, first)
			wantFindings(t, checkVPN(t, url, phoneConfig(t, url, false, first)), test.want)
		})
	}
}

// The port alone does not make it the same host.
func TestARedirectToAnotherNameOfTheSamePort(t *testing.T) {
	asa := order{cn: "asa", rsa: true}.make(t)
	url := gateway(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://localhost:"+port("https://"+r.Host+"/")+"/", http.StatusFound)
	}, asa)
	wantFindings(t, checkVPN(t, url, ""), "vpn.redirect FAIL: to another host: https://localhost:"+port(url)+"/; the same certificate is there")
}

// What takes TLS and then gives a phone nothing to log in to is no sound gateway.
func TestAGatewayWithoutAPageToLogInTo(t *testing.T) {
	asa := order{cn: "asa", rsa: true}.make(t)
	var cookieless http.HandlerFunc = func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("webvpnlogin"); err != nil {
			http.SetCookie(w, &http.Cookie{Name: "webvpnlogin", Value: "1", Path: "/"})
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}
	}
	hangUp := func(w http.ResponseWriter, _ *http.Request) {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			conn.Close()
		}
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"hangs up":        {hangUp, "vpn.redirect FAIL: no answer"},
		"endless headers": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<17)) }, "vpn.redirect FAIL: no answer"},
		"500":             {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "vpn.redirect FAIL: 500 Internal"},
		"404":             {http.NotFound, "vpn.redirect warn: 404 Not Found"},
		"a circle":        {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, "vpn.redirect warn: 5 redirects on the same host"},
		"a cookie first":  {cookieless, "vpn.redirect ok: redirected to the same host | 200 OK"},
		"out of TLS": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+r.Host+"/", http.StatusFound)
		}, "vpn.redirect FAIL: out of TLS: http://127.0.0.1:"},
		"away from its own page":     {func(w http.ResponseWriter, r *http.Request) { awayFromItsPage(w, r) }, "vpn.redirect FAIL: to another host: https://localhost:1/"},
		"a page, without a redirect": {func(http.ResponseWriter, *http.Request) {}, "vpn.redirect ok: 200 OK, no redirect"},
	} {
		t.Run(name, func(t *testing.T) {
			wantFindings(t, checkVPN(t, gateway(t, test.answer, asa), ""), test.want)
		})
	}
}

func awayFromItsPage(w http.ResponseWriter, r *http.Request) {
	to := "https://localhost:1/"
	if r.URL.Path != "/login" {
		to = "/login"
	}
	http.Redirect(w, r, to, http.StatusFound)
}

// A header that never ends must not pass for a page, nor hold the check up.
func TestAGatewayThatNeverEndsItsAnswer(t *testing.T) {
	asa := order{cn: "asa", rsa: true}.make(t)
	url := gateway(t, func(w http.ResponseWriter, _ *http.Request) {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			defer conn.Close()
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nX")
			_, _ = conn.Read(make([]byte, 1)) // until the check has had enough
		}
	}, asa)
	o := endpoint.VPNOptions{Outside: outside(), URL: url}
	o.Timeout = 2 * time.Second
	var r check.Report
	if err := endpoint.VPN(t.Context(), o, &r); err != nil {
		t.Fatal(err)
	}
	wantFindings(t, r, "vpn.redirect FAIL: no answer | deadline exceeded")
}

func TestWhoOffersCurvesIsShownAnotherCertificate(t *testing.T) {
	ca := order{cn: "CA", ca: true}.make(t)
	asa := order{cn: "asa", rsa: true, by: ca}.make(t)
	self := order{cn: "asa self"}.make(t)
	url := gateway(t, nil, asa, self)
	wantFindings(t, checkVPN(t, url, phoneConfig(t, url, false, asa)), "vpn.leaves FAIL: old session cipher not returned", "vpn.hash ok: CN=asa:", "vpn.hash FAIL: CN=asa self:")
}

func TestAGatewayWithoutThePhonesCiphers(t *testing.T) {
	asa := order{cn: "asa", rsa: true}.make(t)
	address := respond(t, hello.Responder{Versions: []hello.Version{hello.TLS10}, RSA: ders(asa), Suites: ids(t, "RC4-SHA", "DES-CBC3-SHA")})
	url := "https://" + address + "/VPNPhone"
	wantFindings(t, checkVPN(t, url, phoneConfig(t, url, false, asa)),
		"vpn.cipher warn: SSL3_GET_CLIENT_HELLO Reason: no shared cipher", "vpn.hash ok", "vpn.redirect skip: cannot finish a handshake")
	l := loopback(t)
	l.Close()
	wantFindings(t, checkVPN(t, "https://"+l.Addr().String()+"/VPNPhone", ""), "vpn.connect FAIL: connection refused")
}

func TestAHashThatIsNoneIsToldAsThat(t *testing.T) {
	asa := order{cn: "asa", rsa: true}.make(t)
	url := gateway(t, nil, asa)
	good, err := os.ReadFile(phoneConfig(t, url, false, asa))
	if err != nil {
		t.Fatal(err)
	}
	cut := regexp.MustCompile(`<certHash1>....`).ReplaceAll(good, []byte("<certHash1>"))
	wantFindings(t, checkVPN(t, url, write(t, "cut.cnf.xml", cut)),
		"vpn.config warn: URLs: 1, hashes: 0 | not readable as base64 of a SHA-1 or SHA-256: 1 | cut off", "vpn.hash FAIL: no hash of the phone's configuration can be read")
	none := regexp.MustCompile(`<certHash1>.*</certHash1>`).ReplaceAll(good, nil)
	wantFindings(t, checkVPN(t, url, write(t, "none.cnf.xml", none)), "vpn.config ok: hashes: 0", "vpn.hash FAIL: no certificate was put into the VPN gateway")
}

func TestANameThatDNSDoesNotKnowIsToldAsThat(t *testing.T) {
	o := outside()
	o.Dial = func(_ context.Context, network, address string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}}
	}
	r := check.Report{}
	if err := endpoint.TLS(t.Context(), endpoint.TLSOptions{Outside: o, Address: "nohost.invalid:443"}, &r); err != nil {
		t.Fatal(err)
	}
	endpoint.CAPF(t.Context(), endpoint.CAPFOptions{Outside: o, Address: "nohost.invalid:3804"}, &r)
	wantFindings(t, r, "tls.connect FAIL: no such host | add it to DNS", "capf.connect FAIL: Operation Pending | add it to DNS")
}

func TestAPhonesConfigurationThatCannotBeReadIsAMistake(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"cut off":    {"<vpnGroup><addresses>", "the file is cut off"},
		"encrypted":  {"\x01\x00\x02\x00\x00binary", "it is encrypted"},
		"too large":  {strings.Repeat("x", 1<<20+1), "more than 1 MiB"},
		"empty":      {" \n", "the file is empty"},
		"no phone's": {"hello world", "there is no <device> in it"},
		"too deep":   {"<vpnGroup>" + strings.Repeat("<a>", 20) + "</vpnGroup>", "nested too deep"},
	} {
		o := endpoint.VPNOptions{Outside: outside(), URL: "https://127.0.0.1:1/", PhoneConfig: write(t, "x.xml", []byte(test.text))}
		if err := endpoint.VPN(t.Context(), o, &check.Report{}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCAPFIsCheckedAsATSPSeesIt(t *testing.T) {
	check1 := func(address string) check.Report {
		r := check.Report{}
		endpoint.CAPF(t.Context(), endpoint.CAPFOptions{Outside: outside(), Address: address}, &r)
		return r
	}
	capf := order{cn: "CAPF-c5d37298", rsa: true}.make(t)
	as := func(m *made, suites ...string) string {
		return respond(t, hello.Responder{Versions: []hello.Version{hello.TLS12}, RSA: ders(m), Suites: ids(t, suites...)})
	}
	r := check1(as(capf, "AES128-SHA"))
	wantFindings(t, r, "capf.connect ok", "capf.cipher ok: AES128-SHA is taken with TLS 1.2", "capf.certificate ok: CN=CAPF-c5d37298", "capf.dates ok", "capf.profile skip: instance id")
	if r.Failed() {
		t.Errorf("%+v", r)
	}
	wantFindings(t, check1(as(capf, "ECDHE-RSA-AES256-SHA")), "capf.cipher FAIL: AES128-SHA is not taken: alert 40 | Handshake: Finished", "capf.certificate ok", "capf.others ok: ECDHE-RSA-AES256-SHA")
	wantFindings(t, check1(as(order{cn: "cucm11-pub", rsa: true}.make(t), "AES128-SHA")), "capf.certificate FAIL: CN=cucm11-pub | something else listens there")
	wantFindings(t, check1(as(order{cn: "CAPF-c5d37298", rsa: true, days: -2}.make(t), "AES128-SHA")), "capf.dates FAIL: expired | Regenerate CAPF.pem")
	l := loopback(t)
	l.Close()
	wantFindings(t, check1(l.Addr().String()), "capf.connect FAIL: Operation Pending | Activate Cisco Certificate Authority Proxy Function")
}

func TestAnAddressIsHostAndPort(t *testing.T) {
	for _, test := range []struct{ text, port, want string }{
		{"cucm", "3804", "cucm:3804"},
		{"10.1.2.3:443", "3804", "10.1.2.3:443"},
		{"::1", "3804", "[::1]:3804"},
		{"[::1]", "3804", "[::1]:3804"},
		{"[::1]:443", "", "[::1]:443"},
		{"cucm", "", ""},
		{"https://cucm:443", "", ""},
		{"cucm:https", "", ""},
		{"cucm:0", "", ""},
		{":443", "", ""},
	} {
		got, err := endpoint.Address(test.text, test.port)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s: %q, %v", test.text, got, err)
		}
	}
}

// A port that takes connections and says nothing has refused no cipher.
func TestASilentPortHasRefusedNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outside()
		o.Dial = func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, far) }() // until near is closed
			return near, nil
		}
		var capf, vpn check.Report
		endpoint.CAPF(t.Context(), endpoint.CAPFOptions{Outside: o, Address: "192.0.2.1:3804"}, &capf)
		wantFindings(t, capf, "capf.cipher FAIL: the connection opens, and nothing is said | a firewall lets the connection through")
		if err := endpoint.VPN(t.Context(), endpoint.VPNOptions{Outside: o, URL: "https://192.0.2.1/VPNPhone"}, &vpn); err != nil {
			t.Fatal(err)
		}
		wantFindings(t, vpn, "vpn.connect FAIL: the port is open, and nothing is said | a firewall lets the connection through")
	})
}

// A check ends when its context does, whatever the server does.
func TestACheckThatIsStoppedEnds(t *testing.T) {
	l := loopback(t)
	defer l.Close() // nobody accepts: it is silent
	ctx, cancel := context.WithCancel(t.Context())
	o := outside()
	o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		cancel()
		return conn, err
	}
	var r check.Report
	if err := endpoint.TLS(ctx, endpoint.TLSOptions{Outside: o, Address: l.Addr().String()}, &r); err != nil {
		t.Fatal(err)
	}
	if !r.Failed() {
		t.Errorf("%+v", r)
	}
}
