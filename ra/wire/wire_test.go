package wire_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ciscora/msca"
	"ciscora/msca/ntlm"
	"ciscora/ra/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type idKey struct{}

func idOf(ctx context.Context) string { id, _ := ctx.Value(idKey{}).(string); return id }

func of(t testing.TB, id string) context.Context {
	return context.WithValue(t.Context(), idKey{}, id)
}

func newRecorder(change ...func(*wire.Options)) *wire.Recorder {
	o := wire.Options{ID: idOf}
	for _, c := range change {
		c(&o)
	}
	return wire.New(o)
}

var (
	ours   = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000}
	theirs = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443}
	noon   = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
)

func text(t testing.TB, r *wire.Recorder, id string) string {
	t.Helper()
	record, ok := r.Get(id)
	if !ok {
		t.Fatal("nothing is kept")
	}
	out, err := json.MarshalIndent(record, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// csr makes one with a challengePassword.
func csr(t testing.TB, cn, password string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: cn},
		//nolint:staticcheck // the one way to have such an attribute
		Attributes: []pkix.AttributeTypeAndValueSET{{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}, Value: [][]pkix.AttributeTypeAndValue{{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: password}}}}},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestNoSecretIsKept(t *testing.T) {
	const secret = "correct-horse-battery"
	r := newRecorder()
	encoded := base64.StdEncoding.EncodeToString([]byte(`LAB\ann:` + secret))
	for name, value := range map[string]string{
		"Authorization": "Basic " + encoded, "Proxy-Authorization": "Basic " + encoded, "Cookie": "ASPSESSIONID=" + secret, "X-Api-Key": secret,
		"X-Vendor": secret, "Location": "https://ann:" + secret + "@sso.example/login?code=" + secret, "Set-Cookie": "a=" + secret, "Authentication-Info": secret,
	} {
		r.Trace().Exchange(of(t, "1"), msca.Exchange{Local: ours, Remote: theirs, Method: "GET", URI: "/certsrv", Request: http.Header{name: {value}}, Status: 200, Answer: http.Header{name: {value}}})
	}
	for _, value := range []string{"Bearer " + secret, "Digest username=\"ann\", response=\"" + secret + "\"", secret, "NTLM " + secret, "Negotiate !" + secret} {
		r.Trace().Exchange(of(t, "1"), msca.Exchange{Local: ours, Remote: theirs, Method: "GET", URI: "/certsrv", Request: http.Header{"Authorization": {value}}, Status: 401, Answer: http.Header{"WWW-Authenticate": {value}}})
	}
	form := url.Values{"Mode": {"newreq"}, "CertRequest": {base64.StdEncoding.EncodeToString(csr(t, "SEP1", secret))}, "Password": {secret}}.Encode()
	r.Trace().Exchange(of(t, "1"), msca.Exchange{Local: ours, Remote: theirs, Method: "POST", URI: "/certsrv/certfnsh.asp", Form: form, Status: 200, Answer: http.Header{}})
	handler := r.Middleware(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		w.Header().Set("Content-Type", "multipart/mixed; boundary=b")
		_, _ = io.WriteString(w, "--b\r\nContent-Type: application/pkcs8\r\n\r\n"+secret+"\r\n--b--\r\n")
	}))
	for _, kind := range []string{"application/pkcs10", "text/plain", ""} {
		body := base64.StdEncoding.EncodeToString(csr(t, "SEP1", secret))
		if kind != "application/pkcs10" {
			body = secret
		}
		req := httptest.NewRequestWithContext(of(t, "1"+kind), http.MethodPost, "/.well-known/est/serverkeygen", strings.NewReader(body))
		req.Header.Set("Content-Type", kind)
		req.SetBasicAuth(`LAB\ann`, secret)
		handler.ServeHTTP(httptest.NewRecorder(), req)
		shown := text(t, r, "1"+kind)
		if strings.Contains(shown, secret) || strings.Contains(shown, encoded) {
			t.Errorf("%q: the secret is in\n%s", kind, shown)
		}
	}
	shown := text(t, r, "1")
	if strings.Contains(shown, secret) || strings.Contains(shown, encoded) {
		t.Errorf("the secret is in\n%s", shown)
	}
	for _, want := range []string{"Basic, 40 characters, not shown", "Bearer, 21 characters, not shown", "challengePassword, "} {
		if !strings.Contains(shown+text(t, r, "1application/pkcs10"), want) {
			t.Errorf("no %q in\n%s", want, shown)
		}
	}
}

// A request's line is for all to read; a client may have put its password there.
func TestAnAccountAndAQueryInTheTargetAreNotShown(t *testing.T) {
	r := newRecorder()
	for i, test := range []struct{ target, want string }{
		{"/.well-known/est/simpleenroll", "POST /.well-known/est/simpleenroll HTTP/1.1"},
		{"/.well-known/est/a@b/simpleenroll", "POST /.well-known/est/a@b/simpleenroll HTTP/1.1"},
		{"/.well-known/est/simpleenroll?password=s3cret", "POST /.well-known/est/simpleenroll?(15 characters, not shown) HTTP/1.1"},
		{"https://ann:s3cret@ra.example/.well-known/est/cacerts", "POST https://(10 characters, not shown)@ra.example/.well-known/est/cacerts HTTP/1.1"},
		{"https://ann:s3@s3cret@ra.example?s3cret", "POST https://(13 characters, not shown)@ra.example?(6 characters, not shown) HTTP/1.1"},
		{"https://ann:" + strings.Repeat("s3cret", 1000) + "@ra.example/", "POST https://(6004 characters, not shown)@ra.example/ HTTP/1.1"},
	} {
		id := fmt.Sprint(i)
		req := httptest.NewRequestWithContext(of(t, id), http.MethodPost, "/", nil)
		req.RequestURI = test.target
		req.Header.Set("Referer", "https://ann:s3cret@ra.example/")
		r.Middleware(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), req)
		record, _ := r.Get(id)
		if got := record.Client.Request.Line; got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
		if shown := text(t, r, id); strings.Contains(shown, "s3cret") {
			t.Errorf("the secret is in\n%s", shown)
		}
	}
}

// A page for debugging prints what came, and a proxy may redirect with it.
func TestCredentialsThatAnAnswerEchoesAreNotShown(t *testing.T) {
	const password = "correct-horse/battery&staple"
	basic := base64.StdEncoding.EncodeToString([]byte(`LAB\ann:` + password))
	ntlm3 := "TlRMTVNTUAADAAAA+GAAYAEA/AAAYABg=="
	spnego := "oYIBazCCAWegAwoBAaKCAV4EggFaTlRM/+A="
	for name, test := range map[string]struct{ sent, secret string }{
		"NTLM": {"NTLM " + ntlm3, ntlm3}, "SPNEGO": {"Negotiate " + spnego, spnego}, "Basic": {"Basic " + basic, basic},
		"the account": {"Basic " + basic, `LAB\ann:` + password}, "the password": {"Basic " + basic, password}, "an earlier message": {"", ntlm3},
	} {
		for form, secret := range map[string]string{"as it is": test.secret, "in a URL": url.QueryEscape(test.secret), "in a page": html.EscapeString(test.secret)} {
			r := newRecorder()
			page := "<p>ALL_RAW: Authorization: " + secret + "</p>" + strings.Repeat("x", 16<<10-60) + secret
			request := http.Header{}
			if test.sent != "" {
				request.Set("Authorization", test.sent)
			}
			r.Trace().Exchange(of(t, "1"), msca.Exchange{
				Local: ours, Remote: theirs, Method: "GET", URI: "/certsrv", Request: request, Status: 500,
				Answer: http.Header{"Content-Type": {"text/html"}, "Location": {"/x/" + secret}, "Server": {secret}}, Body: []byte(page), Err: errors.New("to " + secret),
			})
			if shown := text(t, r, "1"); strings.Contains(shown, secret[:12]) || strings.Contains(shown, password[:8]) || strings.Count(shown, "(a credential, not shown)") < 4 {
				t.Errorf("%s, %s: %.3000s", name, form, shown)
			}
		}
	}
}

func TestALogInIsTakenApart(t *testing.T) {
	r := newRecorder()
	for _, token := range []string{"NTLM " + base64.StdEncoding.EncodeToString(ntlm.NegotiateMessage()), "Negotiate " + base64.StdEncoding.EncodeToString(ntlm.NegotiateInit())} {
		r.Trace().Exchange(of(t, "1"), msca.Exchange{Local: ours, Remote: theirs, Start: noon, Method: "GET", URI: "/certsrv", Host: "ca", Request: http.Header{"Authorization": {token}}, Status: 401, Answer: http.Header{}})
	}
	r.Leg(of(t, "1"), wire.Leg{Name: "login", Start: noon})
	shown := text(t, r, "1")
	for _, want := range []string{`"name": "login"`, "NTLM, a token of 40 bytes", "NEGOTIATE_MESSAGE (type 1)", "SPNEGO NegTokenInit", "NTLMSSP (1.3.6.1.4.1.311.2.2.10)", `"under_way": null`} {
		if !strings.Contains(shown, want) {
			t.Errorf("no %s in\n%s", want, shown)
		}
	}
}

func TestThePagesMarkIsShownWhereItStands(t *testing.T) {
	for name, test := range map[string]struct{ page, mark, title string }{
		"a link":        {`<html><p>here</p><a href="certnew.cer?ReqID=7&amp;Enc=b64">it</a><script>alert(1)</script></html>`, "certnew.cer?ReqID=7&", "a page, 97 bytes"},
		"a disposition": {`<td>30 <LocID id=locDispSpacer></td>`, "30 <LocID id=locDispSpacer", "a page, 36 bytes"},
		"an error":      {`<p>0X8009400F</p>`, "0X8009400F", "a page, 17 bytes"},
		"none":          {`<p>hello</p>`, "", "a page, 12 bytes"},
		// It must not seem to stand at the end of what is shown.
		"far behind": {strings.Repeat("<br>\n", 1000) + "<p id=locDenied>no</p>", "", "a page, 5022 bytes, decided by locDenied"},
	} {
		r := newRecorder()
		r.Trace().Exchange(of(t, "1"), msca.Exchange{Local: ours, Remote: theirs, Method: "POST", URI: "/certsrv/certfnsh.asp", Status: 200, Answer: http.Header{"Content-Type": {"text/html"}}, Body: []byte(test.page)})
		record, _ := r.Get("1")
		v := record.UnderWay[0].Exchange.Answer.Body.View()
		if v.Mark != test.mark || v.Title != test.title || !strings.HasPrefix(test.page, v.Before+v.Mark+v.After) {
			t.Errorf("%s: %q %q %.100q %.100q", name, v.Title, v.Mark, v.Before, v.After)
		}
	}
}

func certificate(t testing.TB, change func(*x509.Certificate), parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "leaf"}, NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour)}
	change(template)
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCertificatesStandAsATreeWithWhatIsWrong(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := certificate(t, func(c *x509.Certificate) { c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid = "root", true, true }, nil, key)
	middle := certificate(t, func(c *x509.Certificate) { c.Subject.CommonName, c.NotAfter = "middle", noon.Add(-time.Minute) }, root, key)
	leaf := certificate(t, func(c *x509.Certificate) {
		c.DNSNames, c.ExtKeyUsage = []string{"other.example"}, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}, middle, key)
	r := newRecorder()
	r.Trace().Handshake(of(t, "1"), msca.Handshake{
		Local: ours, Remote: theirs, Start: noon, Name: "ca.example", Err: errors.New("no such name"),
		State: tls.ConnectionState{Version: tls.VersionTLS12, CipherSuite: tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, PeerCertificates: []*x509.Certificate{leaf, middle, root}},
	})
	r.Leg(of(t, "1"), wire.Leg{Name: "handshake", Start: noon})
	record, _ := r.Get("1")
	h := record.Legs[0].Steps[0].Handshake
	if h.TLS.Version != "TLS 1.2" || h.TLS.Cipher != "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" || h.Error == "" {
		t.Errorf("%+v", h)
	}
	tree := h.TLS.Certificates()
	if len(tree) != 1 || tree[0].Subject != "CN=root" || len(tree[0].Signed) != 1 || len(tree[0].Signed[0].Signed) != 1 {
		t.Fatalf("%+v", tree)
	}
	if wrong := tree[0].Wrong; len(wrong) != 0 {
		t.Errorf("the root: %q", wrong)
	}
	if wrong := fmt.Sprint(tree[0].Signed[0].Wrong); !strings.Contains(wrong, "it ended at 2026-11-26 11:59 UTC") || !strings.Contains(wrong, "may not sign") {
		t.Errorf("the middle one: %s", wrong)
	}
	if wrong := fmt.Sprint(tree[0].Signed[0].Signed[0].Wrong); !strings.Contains(wrong, "none of its names is ca.example") || !strings.Contains(wrong, "not for TLS servers") {
		t.Errorf("the leaf: %s", wrong)
	}
}

// What a peer shows may name each other as issuers.
func TestCertificatesInACircleEnd(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := certificate(t, func(c *x509.Certificate) { c.Subject.CommonName = "a" }, &x509.Certificate{Subject: pkix.Name{CommonName: "b"}}, key)
	b := certificate(t, func(c *x509.Certificate) { c.Subject.CommonName = "b" }, &x509.Certificate{Subject: pkix.Name{CommonName: "a"}}, key)
	leaf := certificate(t, func(*x509.Certificate) {}, a, key)
	shown := 0
	var count func(tree []wire.Certificate)
	count = func(tree []wire.Certificate) {
		for _, c := range tree {
			shown++
			count(c.Signed)
		}
	}
	count(wire.TLS{Peer: []*x509.Certificate{leaf, a, b, a, b}, At: noon}.Certificates())
	if shown != 5 {
		t.Errorf("%d certificates of 5 are shown", shown)
	}
}

// Whoever trusts a root does not look at its signature, which is its own.
func TestARootsOwnSignatureIsNotWrong(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	middle := *root
	middle.RawSubject = []byte{0x30, 0}
	for _, c := range []*x509.Certificate{root, &middle} {
		c.SignatureAlgorithm = x509.SHA1WithRSA // which crypto/x509 does not make any more
	}
	tree := wire.TLS{Peer: []*x509.Certificate{&middle, root}, At: noon}.Certificates()
	if len(tree) != 1 || len(tree[0].Wrong) != 0 || len(tree[0].Signed) != 1 || !strings.Contains(fmt.Sprint(tree[0].Signed[0].Wrong), "can be forged") {
		t.Errorf("%+v", tree)
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	r := newRecorder(func(o *wire.Options) { o.Enrollments, o.Bytes = 3, 32<<10 })
	long := strings.Repeat("x<script>\u202e", 3<<9)
	for id := range 5 {
		ctx := of(t, fmt.Sprint(id))
		for range 150 {
			r.Trace().Exchange(ctx, msca.Exchange{
				Local: ours, Remote: theirs, Method: "GET", URI: "/" + long, Request: http.Header{"User-Agent": {long}}, Status: 200,
				Answer: http.Header{"Content-Type": {"text/html"}, "Server": {long}}, Body: []byte(long),
			})
			r.Lines(ctx, "nginx", []byte(long))
			r.Leg(ctx, wire.Leg{Name: "login", Start: noon})
		}
	}
	kept := 0
	for id := range 5 {
		record, ok := r.Get(fmt.Sprint(id))
		if !ok {
			continue
		}
		kept++
		if !record.Cut || len(record.Legs) > 100 {
			t.Errorf("cut %v, %d legs", record.Cut, len(record.Legs))
		}
		if n := len(text(t, r, fmt.Sprint(id))); n > 512<<10 {
			t.Errorf("%d bytes of one enrollment", n)
		}
	}
	if kept != 3 {
		t.Errorf("%d enrollments are kept", kept)
	}
	for i := range 2000 {
		r.CALine(fmt.Sprintf("10.0.0.%d:%d", i%250, i), long)
	}
	r.Clear()
	if _, ok := r.Get("4"); ok {
		t.Error("it is there after Clear")
	}
}

// bigChallenge is a CHALLENGE_MESSAGE whose many AV pairs are much longer once they are
// taken apart.
func bigChallenge() []byte {
	const header, pairs = 48, 4000
	b := append([]byte("NTLMSSP\x00\x02\x00\x00\x00"), make([]byte, header-12)...)
	binary.LittleEndian.PutUint16(b[40:], 4*pairs)
	binary.LittleEndian.PutUint32(b[44:], header)
	for range pairs - 1 {
		b = append(b, 77, 0, 0, 0)
	}
	return append(b, 0, 0, 0, 0)
}

func TestTokensAndCertificatesCountToo(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	big := certificate(t, func(c *x509.Certificate) {
		for i := range 200 {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("name-%d.example", i))
		}
	}, nil, key)
	state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{big, big, big, big}}
	token := "NTLM " + base64.StdEncoding.EncodeToString(bigChallenge())
	times := func(n int, f func(*wire.Recorder)) func(*wire.Recorder) {
		return func(r *wire.Recorder) {
			for range n {
				f(r)
			}
		}
	}
	for name, send := range map[string]func(*wire.Recorder){
		"tokens of the CA": times(20, func(r *wire.Recorder) {
			r.Trace().Exchange(of(t, "1"), msca.Exchange{Local: ours, Remote: theirs, Method: "GET", URI: "/certsrv", Status: 401, Answer: http.Header{"Www-Authenticate": {token}}})
		}),
		"certificates of the CA": times(20, func(r *wire.Recorder) {
			r.Trace().Handshake(of(t, "1"), msca.Handshake{Local: ours, Remote: theirs, State: state})
		}),
		"a client's token and certificates": func(r *wire.Recorder) {
			req := httptest.NewRequestWithContext(of(t, "1"), http.MethodPost, "/.well-known/est/simpleenroll", nil)
			req.Header.Set("Authorization", token)
			req.TLS = &state
			r.Middleware(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), req)
		},
	} {
		r := newRecorder(func(o *wire.Options) { o.Bytes = 8 << 10 })
		send(r)
		record, _ := r.Get("1")
		if n := len(text(t, r, "1")); n > 64<<10 || !record.Cut {
			t.Errorf("%s: %d bytes are shown of 8192 that are kept, cut: %v", name, n, record.Cut)
		}
	}
}

func TestALegTooManyIsToldAndGetsNoLines(t *testing.T) {
	r := newRecorder()
	ctx := of(t, "1")
	for range 101 {
		r.Leg(ctx, wire.Leg{Name: "login", Start: noon})
	}
	r.Lines(ctx, "nginx", []byte("of the last one\n"))
	record, _ := r.Get("1")
	if len(record.Legs) != 100 || !record.Cut || len(record.Lines) != 1 || record.Lines[0].Leg != -1 {
		t.Errorf("%d legs, cut: %v, lines %v", len(record.Legs), record.Cut, record.Lines)
	}
}

func TestTheCAsLinesFindTheirEnrollment(t *testing.T) {
	r := newRecorder()
	exchange := func(id string, port int, err error) {
		r.Trace().Exchange(of(t, id), msca.Exchange{Local: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}, Remote: theirs, Method: "GET", URI: "/certsrv", Status: 200, Answer: http.Header{}, Err: err})
		r.Leg(of(t, id), wire.Leg{Name: "login", Start: noon})
	}
	r.CALine("127.0.0.1:1", "one")
	exchange("a", 1, nil)
	r.CALine("127.0.0.1:1", "two")
	exchange("b", 1, nil) // the connection is used by another one
	exchange("c", 2, errors.New("time is up"))
	r.CALine("127.0.0.1:2", "three") // IIS logs when it has answered
	for id, want := range map[string]string{"a": "one", "b": "two", "c": "three"} {
		record, _ := r.Get(id)
		if len(record.Lines) != 1 || record.Lines[0].Text != want || record.Lines[0].Leg != 0 {
			t.Errorf("%s: %+v", id, record.Lines)
		}
	}
}

func TestLinesBelongToTheEventBefore(t *testing.T) {
	r := newRecorder()
	ctx := of(t, "1")
	r.Lines(ctx, "nginx", []byte("at first\n"))
	r.Leg(ctx, wire.Leg{Name: "login", Start: noon})
	r.Lines(ctx, "nginx", []byte("of the log-in\r\nstill\n"))
	r.Event(ctx)
	r.Lines(ctx, "nginx", []byte("of the answer\n"))
	record, _ := r.Get("1")
	if got := fmt.Sprint(record.Lines); got != "[{nginx at first -1} {nginx of the log-in 0} {nginx still 0} {nginx of the answer -1}]" {
		t.Error(got)
	}
}

func TestWithoutARecorderNothingHappens(t *testing.T) {
	var r *wire.Recorder
	r.Leg(t.Context(), wire.Leg{Name: "login", Start: noon})
	r.Event(t.Context())
	r.Lines(t.Context(), "nginx", []byte("x"))
	r.CALine("127.0.0.1:1", "x")
	r.Clear()
	if _, ok := r.Get("1"); ok || r.Trace() != nil {
		t.Error("it records")
	}
	next := http.NewServeMux()
	if r.Middleware(next) != http.Handler(next) {
		t.Error("it stands between")
	}
	// A context without an enrollment leaves nothing either.
	some := newRecorder()
	some.Trace().Exchange(t.Context(), msca.Exchange{Local: ours, Remote: theirs})
	if _, ok := some.Get(""); ok {
		t.Error("nobody's is kept")
	}
}

// FuzzExchange takes what a hostile CA answers.
func FuzzExchange(f *testing.F) {
	f.Add("WWW-Authenticate", "NTLM TlRMTVNTUAACAAAA", "text/html", []byte("<p id=locDenied>"))
	f.Add("WWW-Authenticate", "Negotiate YGE=", "application/x-pkcs7-certificates", []byte{0x30, 0x80})
	f.Add("Set-Cookie", "a=b", "application/pkcs10", []byte("MII="))
	f.Fuzz(func(t *testing.T, name, value, kind string, body []byte) {
		r := newRecorder()
		h := http.Header{name: {value}}
		h.Set("Content-Type", kind)
		r.Trace().Exchange(of(t, "1"), msca.Exchange{Local: ours, Remote: theirs, Method: "GET", URI: value, Request: h, Form: string(body), Status: 200, Answer: h, Body: body})
		_ = text(t, r, "1")
	})
}

func TestNothingThatIsShownBreaksALine(t *testing.T) {
	r := newRecorder()
	for _, value := range []string{"a\nb", "a\u202eb", " a", "a  b", "a ", "\x1b[2J", ""} {
		r.Trace().Exchange(of(t, "1"), msca.Exchange{Local: ours, Remote: theirs, Method: "GET", URI: "/" + value, Request: http.Header{"User-Agent": {value}}})
	}
	record, _ := r.Get("1")
	for _, s := range record.UnderWay {
		for _, h := range s.Exchange.Request.Headers {
			if strings.ContainsAny(h.Value, "\n\u202e\x1b") || strings.Contains(h.Value, "  ") || strings.TrimSpace(h.Value) != h.Value {
				t.Errorf("%q", h.Value)
			}
		}
	}
}
