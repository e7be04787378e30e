package certsrv_test

import (
	"bufio"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"ciscora/msca/certsrv"

	"github.com/smallstep/pkcs7"
)

func TestASeedIsAManner(t *testing.T) {
	seen := map[string]uint64{}
	for seed := range uint64(300) {
		m := certsrv.MannerOf(seed)
		if m != certsrv.MannerOf(seed) {
			t.Errorf("seed %d draws twice, and not the same", seed)
		}
		if other, ok := seen[m.String()]; ok {
			t.Errorf("seeds %d and %d are one manner: %s", other, seed, m)
		}
		seen[m.String()] = seed
	}
	if m := certsrv.MannerOf(0); m != (certsrv.Manner{}) || m.String() != "as usual" {
		t.Errorf("seed 0: %s", m)
	}
	if got := (certsrv.Manner{BOM: true, Language: "de", Pieces: 2}).String(); got != "Pieces=2 Language=de BOM" {
		t.Errorf("%q", got)
	}
}

func TestAMannerThatThereIsNotIsAnError(t *testing.T) {
	for _, m := range []certsrv.Manner{{HeaderCase: "camel"}, {Language: "tlh"}, {KeepAlive: 2}, {Key: "rsa1"}} {
		if _, err := certsrv.New(certsrv.Options{Manner: m}); err == nil || !strings.Contains(err.Error(), "manner") {
			t.Errorf("%s: %v", m, err)
		}
	}
}

// rawHead sends a request and returns the answer as it stands on the wire: its head,
// with what is informational before it, and its body as net/http reads it.
func rawHead(t *testing.T, srv *certsrv.TestServer, request string) (lines []string, resp *http.Response, body string) {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(srv.URL, "https://"), "/certsrv"), &tls.Config{RootCAs: srv.Roots, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	var wire strings.Builder
	resp, err = http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &wire)), nil)
	for err == nil && resp.StatusCode < 200 {
		t.Fatal("this helper takes no informational answers")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(wire.String(), "\r\n\r\n")
	return strings.Split(head, "\r\n"), resp, string(data)
}

const anonymous = "GET /certsrv/ HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n"

func TestTheWireOfAManner(t *testing.T) {
	has := func(lines []string, want string) bool {
		for _, l := range lines {
			if l == want {
				return true
			}
		}
		return false
	}
	for _, c := range []struct {
		manner certsrv.Manner
		want   func(lines []string, resp *http.Response, body string) bool
	}{
		{certsrv.Manner{HeaderCase: "lower", HeaderBlank: "none"}, func(l []string, _ *http.Response, _ string) bool { return has(l, "www-authenticate:NTLM") }},
		{certsrv.Manner{HeaderCase: "upper", HeaderBlank: "tab"}, func(l []string, _ *http.Response, _ string) bool { return has(l, "WWW-AUTHENTICATE:\tNTLM") }},
		{certsrv.Manner{NoReason: true}, func(l []string, _ *http.Response, _ string) bool { return l[0] == "HTTP/1.1 401 " }},
		{certsrv.Manner{Server: "-"}, func(_ []string, r *http.Response, _ string) bool { return r.Header.Get("Server") == "" }},
		{certsrv.Manner{CloseOn401: true}, func(_ []string, r *http.Response, _ string) bool { return r.Close }},
		{certsrv.Manner{Cookies: 2}, func(_ []string, r *http.Response, _ string) bool { return len(r.Cookies()) == 2 }},
		{certsrv.Manner{Pieces: 3}, func(_ []string, r *http.Response, b string) bool {
			return r.ContentLength < 0 && len(r.TransferEncoding) == 1 && strings.HasSuffix(b, "</html>\r\n")
		}},
		{certsrv.Manner{Gzip: true}, func(_ []string, _ *http.Response, b string) bool {
			z, err := gzip.NewReader(strings.NewReader(b))
			if err != nil {
				return false
			}
			text, err := io.ReadAll(z)
			return err == nil && strings.Contains(string(text), "401 - Unauthorized")
		}},
		{certsrv.Manner{Providers: "reversed", HeaderOrder: 7}, func(_ []string, r *http.Response, _ string) bool {
			return fmt.Sprint(r.Header.Values("WWW-Authenticate")) == "[NTLM Negotiate]"
		}},
		{certsrv.Manner{Providers: "one-header"}, func(_ []string, r *http.Response, _ string) bool {
			return r.Header.Get("WWW-Authenticate") == "Negotiate, NTLM"
		}},
	} {
		t.Run(c.manner.String(), func(t *testing.T) {
			srv := start(t, func(o *certsrv.Options) { o.Manner = c.manner })
			if lines, resp, body := rawHead(t, srv, anonymous); resp.StatusCode != 401 || !c.want(lines, resp, body) {
				t.Errorf("%q\n%q", lines, body)
			}
		})
	}
}

func TestAStrictIISRefuses(t *testing.T) {
	srv := start(t, func(o *certsrv.Options) { o.Manner.Strict = true })
	if _, resp, _ := rawHead(t, srv, "GET /certsrv/ HTTP/1.1\r\nHost: other.test\r\n\r\n"); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a host of others: %d", resp.StatusCode)
	}
	b := loggedIn(t, srv)
	form := "Mode=newreq&CertRequest=x"
	if got := b.do(http.MethodPost, "/certfnsh.asp", form, "Content-Type", "text/plain"); !strings.Contains(got.body, "0x80070057") {
		t.Errorf("a form under another type: %d %s", got.status, got.body)
	}
}

func TestTheCAOfAManner(t *testing.T) {
	srv := start(t, func(o *certsrv.Options) {
		o.Manner = certsrv.Manner{Key: "rsa2048", PSS: true, Digest: 384, Names: "bmp", Renewals: 1, CrossSigned: true, HighReqIDs: true}
	})
	b := loggedIn(t, srv)
	if page := b.submit(phoneCSR(t), ciscoRA).body; !strings.Contains(page, "ReqID=2147480000&") {
		t.Errorf("issued:\n%s", page)
	}
	p7, err := pkcs7.Parse([]byte(b.get("/certnew.p7b?ReqID=CACert&Renewal=1&Enc=bin").body))
	if err != nil {
		t.Fatal(err)
	}
	if len(p7.Certificates) != 4 {
		t.Errorf("%d certificates, want issuing CA, root, the root's by an older one, and that", len(p7.Certificates))
	}
	issuing := srv.Server.Chain()[0]
	if issuing.SignatureAlgorithm != x509.SHA384WithRSAPSS || issuing.Subject.CommonName != "LAB Issuing CA Köln" {
		t.Errorf("%s, signed with %s", issuing.Subject, issuing.SignatureAlgorithm)
	}
	for _, c := range p7.Certificates {
		if c.Subject.CommonName == srv.Server.Root().Subject.CommonName && !c.Equal(srv.Server.Root()) {
			if err := issuing.CheckSignatureFrom(c); err != nil {
				t.Errorf("the cross certificate is not the root's key: %v", err)
			}
		}
	}
}

func TestALogInForOneRequest(t *testing.T) {
	srv := start(t, func(o *certsrv.Options) { o.Manner.PerRequest = true })
	if got := loggedIn(t, srv).get("/certrqxt.asp"); got.status != http.StatusUnauthorized {
		t.Errorf("a second request: %d", got.status)
	}
}
