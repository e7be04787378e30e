package capf_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"ciscora/est/capf"

	"github.com/google/go-cmp/cmp"
)

func TestAPhoneEnrollsWithTwoConnections(t *testing.T) {
	w := newWorld(t)
	body := certsOnly(t, 64, "\n", w.cert)
	url, got := serve(t, w.tls, inTurn(basic, ok(enrollType, body)))
	var events []string
	client := w.client(t, url, func(o *capf.Options) {
		o.Label = "wifi"
		o.Events = func(e capf.Event) { events = append(events, fmt.Sprintf("%T", e)) }
	})
	r := client.Enroll(t.Context(), w.phone.Name, w.phone.CSR)
	if r.Err != nil || r.RV != capf.StatusNone {
		t.Fatalf("rv %v, error %v", r.RV, r.Err)
	}
	if !r.Challenged || !r.Resumed || r.HTTPStatus != 200 {
		t.Errorf("challenged %v, resumed %v, status %d; want true, true, 200", r.Challenged, r.Resumed, r.HTTPStatus)
	}
	if string(r.PKCS7) != body {
		t.Errorf("PKCS7 is not what came: %d bytes of %d", len(r.PKCS7), len(body))
	}
	if !reflect.DeepEqual(r.DER(), w.cert.Raw) {
		t.Error("DER is not the phone's certificate")
	}
	if block, rest := pem.Decode(r.PEM()); block == nil || len(rest) > 0 || !reflect.DeepEqual(block.Bytes, w.cert.Raw) {
		t.Error("PEM is not the phone's certificate alone")
	}

	requests := got()
	if len(requests) != 2 {
		t.Fatalf("%d requests, want 2", len(requests))
	}
	host := strings.TrimPrefix(url, "https://")
	anonymous := "POST /.well-known/est/wifi/simpleenroll HTTP/1.1\r\n" +
		"User-Agent: Cisco EST client 1.0\r\n" +
		"Connection: close\r\n" +
		"Host: " + host + "\r\n" +
		"Accept: */*\r\n" +
		"Content-Type: application/pkcs10\r\n" +
		fmt.Sprintf("Content-Length: %d\r\n", len(requests[0].body))
	if diff := cmp.Diff(anonymous+"\r\n", requests[0].head); diff != "" {
		t.Errorf("first request (-want +got):\n%s", diff)
	}
	credentials := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(`LAB\ciscora:correct horse`)) + "\r\n"
	if diff := cmp.Diff(anonymous+credentials+"\r\n", requests[1].head); diff != "" {
		t.Errorf("second request (-want +got):\n%s", diff)
	}
	for i, r := range requests {
		if r.state.Version != tls.VersionTLS12 || r.state.NegotiatedProtocol != "" {
			t.Errorf("request %d: TLS %x, ALPN %q", i, r.state.Version, r.state.NegotiatedProtocol)
		}
	}
	text := requests[0].body
	for _, line := range strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n") {
		if len(strings.TrimSuffix(line, "\n")) > 64 || strings.Contains(line, "\r") {
			t.Errorf("body line %q", line)
		}
	}
	if der, err := base64.StdEncoding.DecodeString(text); err != nil || !strings.HasSuffix(text, "\n") || !reflect.DeepEqual(der, w.phone.CSR) {
		t.Errorf("body is not the CSR in base64 with a final line end: %v", err)
	}
	if text != requests[1].body {
		t.Error("the second request does not carry the same body")
	}
	want := []string{"capf.EnrollStarted", "capf.CSRRead", "capf.Challenged", "capf.EnrollFinished", "capf.CertificateWritten", "capf.EnrollDone"}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestTheServerNameIsSent(t *testing.T) {
	w := newWorld(t)
	url, got := serve(t, w.tls, say(ok(enrollType, certsOnly(t, 64, "\n", w.cert))))
	client := w.client(t, url, func(o *capf.Options) { o.ServerName = "est.example" })
	if r := client.Enroll(t.Context(), "", w.phone.CSR); r.Err != nil {
		t.Fatal(r.Err)
	}
	if name := got()[0].state.ServerName; name != "est.example" {
		t.Errorf("SNI %q", name)
	}
}

// The rows of docs/reference/libest.md's client tables.
func TestWhatAnAnswerComesTo(t *testing.T) {
	w := newWorld(t)
	wrapped := certsOnly(t, 64, "\n", w.cert)
	five := []*x509.Certificate{w.authority.cert, w.cert, w.authority.cert, w.authority.cert, w.authority.cert}
	answer := func(status, headers, body string) string {
		return "HTTP/1.1 " + status + "\r\n" + headers + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
	}
	for name, test := range map[string]struct {
		answer string
		rv     capf.Status
		fails  bool // though libest returns 0: what came is no certificate
	}{
		"the certificate alone":                        {ok(enrollType, wrapped), 0, false},
		"the certificate and its CA":                   {ok(enrollType, certsOnly(t, 64, "\n", w.cert, w.authority.cert)), 0, false},
		"five certificates":                            {ok(enrollType, certsOnly(t, 64, "\n", five...)), 0, false},
		"76 columns and LF":                            {ok(enrollType, certsOnly(t, 76, "\n", w.cert)), 0, false},
		"76 columns and CRLF":                          {ok(enrollType, certsOnly(t, 76, "\r\n", w.cert)), 0, false},
		"one line with LF under 1 kB":                  {ok(enrollType, certsOnly(t, 1000, "\n", w.cert)), 0, false},
		"PEM armour":                                   {ok(enrollType, "-----BEGIN PKCS7-----\n"+wrapped+"-----END PKCS7-----\n"), 0, false},
		"a suffix to the Content-Type":                 {ok(enrollType+"; charset=utf-8", wrapped), 0, false},
		"one line without a line end":                  {ok(enrollType, certsOnly(t, 0, "", w.cert)), 0, true},
		"raw DER":                                      {ok(enrollType, string(w.cert.Raw)), 0, true},
		"a certificate for another key":                {ok(enrollType, certsOnly(t, 64, "\n", w.authority.cert)), 0, true},
		"half of the body":                             {strings.Replace(ok(enrollType, wrapped), wrapped, wrapped[:len(wrapped)/2], 1), 0, true},
		"all of the body, and a longer Content-Length": {strings.Replace(ok(enrollType, wrapped), "Content-Length: ", "Content-Length: 1", 1), 0, true},
		"a second Content-Length, of half of the body": {strings.Replace(ok(enrollType, wrapped), "\r\n\r\n", fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n", len(wrapped)/2), 1), 0, true},
		"a first Content-Length, of half of the body":  {strings.Replace(ok(enrollType, wrapped), "Status:", fmt.Sprintf("Content-Length: %d\r\nStatus:", len(wrapped)/2), 1), 0, false},
		"HTML":                                          {ok(enrollType, "<html>no</html>\n"), 0, true},
		"a chunked body":                                {"HTTP/1.1 200 OK\r\nContent-Type: " + enrollType + "\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nMIIBI\r\n0\r\n\r\n", 11, true},
		"an empty body":                                 {ok(enrollType, ""), 11, true},
		"a Content-Type without smime-type":             {ok("application/pkcs7-mime", wrapped), 11, true},
		"a Content-Type without the blank":              {ok("application/pkcs7-mime;smime-type=certs-only", wrapped), 11, true},
		"a Content-Type with quotes":                    {ok(`application/pkcs7-mime; smime-type="certs-only"`, wrapped), 11, true},
		"a Content-Type in upper case":                  {ok(strings.ToUpper(enrollType), wrapped), 11, true},
		"header names in lower case":                    {strings.ToLower(ok(enrollType, wrapped)), 94, true},
		"only the header names in lower case":           {"HTTP/1.1 200 OK\r\ncontent-type: " + enrollType + "\r\ncontent-length: 4\r\n\r\nAAAA", 11, true},
		"a seventeenth header field":                    {"HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: b\r\n", 16) + "Content-Type: " + enrollType + "\r\nContent-Length: 4\r\n\r\nAAAA", 11, true},
		"a Content-Length over two million":             {"HTTP/1.1 200 OK\r\nContent-Type: " + enrollType + "\r\nContent-Length: 2000001\r\n\r\nAAAA", 94, true},
		"202 with Retry-After":                          {answer("202 Accepted", "Retry-After: 7\r\n", ""), 26, true},
		"202 without Retry-After":                       {answer("202 Accepted", "", ""), 62, true},
		"202 with a date in Retry-After":                {answer("202 Accepted", "Retry-After: Fri, 20 Nov 2026 21:42:00 GMT\r\n", ""), 62, true},
		"202 with a negative Retry-After":               {answer("202 Accepted", "Retry-After: -7\r\n", ""), 62, true},
		"202 with eleven digits in Retry-After":         {answer("202 Accepted", "Retry-After: 00000000007\r\n", ""), 62, true},
		"202 with more seconds than an int":             {answer("202 Accepted", "Retry-After: 2147483648\r\n", ""), 62, true},
		"202 alone in the status line, as libest 2.1.0": {"HTTP/1.1 202\r\nRetry-After: 3600\r\n\r\n", 26, true},
		"204":                               {answer("204 No Content", "", ""), 15, true},
		"400":                               {answer("400 Bad Request", "", "Error 400: Bad Request\n"), 13, true},
		"401 without a challenge":           {noCredentials, 22, true},
		"401 with the name as Go writes it": {strings.Replace(basic, "WWW-", "Www-", 1), 22, true},
		"401 with Negotiate before Basic":   {strings.Replace(basic, "WWW-", "WWW-Authenticate: Negotiate\r\nWWW-", 1), 22, true},
		"401 twice":                         {basic, 22, true},
		"404":                               {answer("404 Not Found", "", ""), 14, true},
		"423":                               {answer("423 Locked", "", ""), 16, true},
		"403":                               {answer("403 Forbidden", "", "no\n"), 94, true},
		"405":                               {answer("405 Method Not Allowed", "", ""), 94, true},
		"409":                               {answer("409 Conflict", "", ""), 94, true},
		"413":                               {answer("413 Content Too Large", "", ""), 94, true},
		"415":                               {answer("415 Unsupported Media Type", "", ""), 94, true},
		"429":                               {answer("429 Too Many Requests", "", ""), 94, true},
		"500":                               {answer("500 Internal Server Error", "", ""), 94, true},
		"502":                               {answer("502 Bad Gateway", "", ""), 94, true},
		"503":                               {answer("503 Service Unavailable", "", ""), 94, true},
		"504":                               {answer("504 Gateway Time-out", "", ""), 94, true},
		"103 before the 200":                {"HTTP/1.1 103 Early Hints\r\n\r\n" + ok(enrollType, wrapped), 94, true},
		"HTTP/1.0":                          {strings.Replace(ok(enrollType, wrapped), "1.1", "1.0", 1), 94, true},
		"no HTTP at all":                    {"220 mail.example ESMTP\r\n", 94, true},
		"nothing but line ends":             {"\r\n\r\n", 94, true},
		"the connection closed without an answer":           {"", 14, true},
		"a line of base64 that is too long for one of 1 kB": {ok(enrollType, certsOnly(t, 4000, "\n", five...)), 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, _ := serve(t, w.tls, say(test.answer))
			r := w.client(t, url).Enroll(t.Context(), w.phone.Name, w.phone.CSR)
			if r.RV != test.rv {
				t.Errorf("rv %d (%v), want %d: %v", r.RV, r.RV, test.rv, r.Err)
			}
			if (r.Err != nil) != test.fails || rvOf(r.Err) != test.rv || (r.DER() == nil) != test.fails {
				t.Errorf("error %v, certificate %v; want failure: %v", r.Err, r.DER() != nil, test.fails)
			}
		})
	}
}

func TestAPendingRequestGivesTheDelay(t *testing.T) {
	w := newWorld(t)
	url, _ := serve(t, w.tls, say("HTTP/1.1 202 Accepted\r\nretry-after: 7\r\n\r\n"))
	r := w.client(t, url).Enroll(t.Context(), w.phone.Name, w.phone.CSR)
	if r.RV != capf.StatusEnrollRetry || r.RetryAfter != 7*time.Second {
		t.Errorf("rv %v, retry after %v", r.RV, r.RetryAfter)
	}
}

func TestAnAnswerOverTheBoundIsNotRead(t *testing.T) {
	w := newWorld(t)
	url, _ := serve(t, w.tls, say("HTTP/1.1 200 OK\r\n\r\n"+strings.Repeat("A", 2_000_001)))
	if r := w.client(t, url).Enroll(t.Context(), w.phone.Name, w.phone.CSR); r.RV != capf.StatusBufferTooSmall {
		t.Errorf("rv %v: %v", r.RV, r.Err)
	}
}

func TestTheServersOwnWordsAreInTheError(t *testing.T) {
	w := newWorld(t)
	url, _ := serve(t, w.tls, inTurn(basic, "HTTP/1.1 400 Bad Request\r\nContent-Length: 39\r\n\r\ndenied by\r\npolicy: 0x80094800\x1b[31m\x00\xff\n"))
	r := w.client(t, url).Enroll(t.Context(), w.phone.Name, w.phone.CSR)
	want := `simpleenroll: EST_ERR_HTTP_BAD_REQ (13): HTTP 400: the server refused the request; the server says "denied by policy: 0x80094800 [31m ?"`
	if r.Err == nil || r.Err.Error() != want {
		t.Errorf("error\n%v\nwant\n%s", r.Err, want)
	}
}

func TestWithoutAUserAChallengeEndsIt(t *testing.T) {
	w := newWorld(t)
	url, got := serve(t, w.tls, say(basic))
	r := w.client(t, url, func(o *capf.Options) { o.User = "" }).Enroll(t.Context(), w.phone.Name, w.phone.CSR)
	if r.RV != capf.StatusAuthFail || !r.Challenged || len(got()) != 1 {
		t.Errorf("rv %v, challenged %v, %d requests; want EST_ERR_AUTH_FAIL, true, 1", r.RV, r.Challenged, len(got()))
	}
}

func TestAReenrollmentShowsTheCertificate(t *testing.T) {
	w := newWorld(t)
	config := w.tls.Clone()
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, w.pool()
	url, got := serve(t, config, say(ok(enrollType, certsOnly(t, 64, "\n", w.cert))))
	client := w.client(t, url, func(o *capf.Options) {
		leaf := sign(t, &x509.Certificate{
			Subject: pkix.Name{CommonName: w.phone.Name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}, w.authority.cert, w.phone.Key.Public(), w.key)
		o.Certificate = &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: w.phone.Key}
	})
	if r := client.Reenroll(t.Context(), w.phone.Name, w.phone.CSR); r.Err != nil {
		t.Fatal(r.Err)
	}
	request := got()[0]
	if !strings.HasPrefix(request.head, "POST /.well-known/est/simplereenroll HTTP/1.1\r\n") {
		t.Errorf("request %q", request.head)
	}
	if peer := request.state.PeerCertificates; len(peer) != 1 || peer[0].Subject.CommonName != w.phone.Name {
		t.Errorf("client certificates %v", peer)
	}
}

func TestWhatIsRefusedBeforeItIsSent(t *testing.T) {
	w := newWorld(t)
	client := w.client(t, "https://127.0.0.1:1", func(o *capf.Options) {
		o.Dial = func(context.Context, string, string) (net.Conn, error) {
			t.Error("dialed")
			return nil, net.ErrClosed
		}
	})
	if r := client.Enroll(t.Context(), "", []byte("no CSR")); r.RV != capf.StatusBadPKCS10 || r.Err == nil {
		t.Errorf("garbage: rv %v, error %v", r.RV, r.Err)
	}
	if r := client.Reenroll(t.Context(), "", w.phone.CSR); r.RV != capf.StatusNoCert || r.Err == nil {
		t.Errorf("re-enrollment without a certificate: rv %v, error %v", r.RV, r.Err)
	}
}

func TestOptionsThatCannotWork(t *testing.T) {
	roots := x509.NewCertPool()
	for name, opts := range map[string]capf.Options{
		"no URL":                {Roots: roots},
		"plain HTTP":            {URL: "http://est.example:8084", Roots: roots},
		"a path":                {URL: "https://est.example/x", Roots: roots},
		"a query":               {URL: "https://est.example/?x", Roots: roots},
		"no host":               {URL: "https://:8084", Roots: roots},
		"no URL at all":         {URL: "https://%zz", Roots: roots},
		"credentials in it":     {URL: "https://user:hunter2@est.example", Roots: roots},
		"no roots":              {URL: "https://est.example"},
		"a label of two":        {URL: "https://est.example", Roots: roots, Label: "a/b"},
		"a label with a CR":     {URL: "https://est.example", Roots: roots, Label: "a\r\nb"},
		"a label of dots":       {URL: "https://est.example", Roots: roots, Label: ".."},
		"a label of 129":        {URL: "https://est.example", Roots: roots, Label: strings.Repeat("a", 129)},
		"a colon in the user":   {URL: "https://est.example", Roots: roots, User: "a:b"},
		"two-line User-Agent":   {URL: "https://est.example", Roots: roots, UserAgent: "a\r\nb"},
		"a fragment in the URL": {URL: "https://est.example/#f", Roots: roots},
	} {
		_, err := capf.New(opts)
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the password is in the error: %v", name, err)
		}
	}
}

func TestThePasswordIsNotPrinted(t *testing.T) {
	opts := capf.Options{URL: "https://est.example:8084", Roots: x509.NewCertPool(), User: "user", Password: "hunter2"}
	client, err := capf.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []any{opts, &opts, client} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(verb, value); strings.Contains(text, "hunter2") || !strings.Contains(text, "est.example") {
				t.Errorf("%s of %T: %s", verb, value, text)
			}
		}
	}
}
