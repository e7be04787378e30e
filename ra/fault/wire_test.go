package fault_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"ciscora/ra/fault"
)

// none is the label, and the id, of a request that has neither.
func none(context.Context) string { return "" }

// answering is a server whose one answer is body, as the front end gives it.
func answering(t *testing.T, r *fault.Registry, body string) *httptest.Server {
	t.Helper()
	server := httptest.NewTLSServer(r.EST(none, none)(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") == "" && strings.HasSuffix(req.URL.Path, "reenroll") {
			w.Header()["WWW-Authenticate"] = []string{`Basic realm="estrealm"`}
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/pkcs7-mime")
		w.Header().Set("Content-Transfer-Encoding", "base64")
		asked, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, body+string(asked))
	})))
	t.Cleanup(server.Close)
	return server
}

// dialed is a connection that ends with the test, and is not waited for longer than 30 s.
func dialed(t *testing.T, server *httptest.Server) net.Conn {
	t.Helper()
	conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the server may have closed it
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// raw sends a request and returns every byte that comes, and how it ended.
func raw(t *testing.T, server *httptest.Server, operation string) (string, error) {
	t.Helper()
	conn := dialed(t, server)
	if _, err := io.WriteString(conn, "GET /.well-known/est/"+operation+" HTTP/1.1\r\nHost: est\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(io.LimitReader(bufio.NewReader(conn), 200_000))
	return string(all), err
}

func TestAnAnswerGoesOutAsNoLibraryWouldWriteIt(t *testing.T) {
	body := strings.Repeat("QUJD", 16) + "\n" + strings.Repeat("QUJD", 16) + "\n" + strings.Repeat("QUJD", 4) + "\n"
	for spec, test := range map[string]struct{ has, lacks string }{
		"header-case=lower":                  {"\r\ncontent-type: application/pkcs7-mime\r\n", "Content-Type"},
		"header-size=5000":                   {"X-Fault: " + strings.Repeat("x", 5000), ""},
		"header-lines=300":                   {"X-Fault-299: x\r\n", ""},
		"http=1.0":                           {"HTTP/1.0 200 OK\r\n", "HTTP/1.1"},
		"interim=102,times=2":                {"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200", ""},
		"length=+500":                        {"Content-Length: 647\r\n", ""},
		"length=-1":                          {"Content-Length: -1\r\n", ""},
		"length=two":                         {"Content-Length: 147\r\nContent-Length: 73\r\n", ""},
		"length=0":                           {"Content-Length: 0\r\n", "QUJD"},
		"no-length":                          {body, "Content-Length"},
		"truncate":                           {"Content-Length: 147\r\n", body},
		"trailers":                           {"\r\n0\r\nX-Fault: behind the chunks\r\n\r\n", "Content-Length"},
		"tail":                               {body + "\r\nThis is behind", ""},
		"split=10":                           {"HTTP/1.1 200 OK\r\n", ""},
		"endless":                            {strings.Repeat("A", 64) + "\n" + strings.Repeat("A", 64), "Content-Length"},
		"cte=none":                           {"Content-Type", "Content-Transfer-Encoding"},
		"cte=8bit":                           {"Content-Transfer-Encoding: 8bit", "base64"},
		"gzip":                               {"Content-Encoding: gzip", "QUJD"},
		"single-line":                        {strings.Repeat("QUJD", 36), "QUJD\nQUJD"},
		"base64=crlf76":                      {strings.Repeat("QUJD", 19) + "\r\nQUJD", ""},
		"base64=blanks":                      {"\t", ""},
		"base64=corrupt":                     {"!!!!", ""},
		"base64=pem":                         {"-----BEGIN PKCS7-----", ""},
		"base64=der":                         {strings.Repeat("ABC", 36), "QUJD"},
		"status=201,body=good":               {"HTTP/1.1 201 Created", ""},
		"status=403,body=text":               {"\x1b[31m", ""},
		"status=202,retry-after=99999999999": {"Retry-After: 99999999999\r\n", ""},
		"status=202,retry-after=date+60s":    {" GMT\r\n", ""},
		"redirect=same,code=307":             {"Location: https://est/.well-known/est/cacerts\r\n", ""},
		"redirect=http":                      {"HTTP/1.1 302 Found\r\n", "Location: https"},
		"redirect=https://other:7,code=308":  {"Location: https://other:7/.well-known/est/cacerts\r\n", ""},
	} {
		t.Run(spec, func(t *testing.T) {
			t.Parallel()
			r := fault.NewRegistry(fault.Options{})
			if _, err := r.Order("est.cacerts:" + spec); err != nil {
				t.Fatal(err)
			}
			all, err := raw(t, answering(t, r, body), "cacerts")
			if err != nil && spec != "endless" {
				t.Errorf("it does not end well: %v", err)
			}
			if !strings.Contains(all, test.has) || test.lacks != "" && strings.Contains(all, test.lacks) {
				t.Errorf("%.2000q", all)
			}
		})
	}
}

func TestAConnectionEndsAsNoLibraryWouldEndIt(t *testing.T) {
	r := fault.NewRegistry(fault.Options{})
	server := answering(t, r, "QUJD\n")
	order := func(spec string) string {
		t.Helper()
		id, err := r.Order("est.cacerts:" + spec)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	id := order("hang,after=half")
	conn := dialed(t, server)
	if _, err := io.WriteString(conn, "GET /cacerts HTTP/1.1\r\nHost: est\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	from := bufio.NewReader(conn)
	answer, err := http.ReadResponse(from, nil)
	if err != nil || answer.ContentLength != 5 {
		t.Fatalf("%v, %v", answer, err)
	}
	if half, err := io.ReadAll(io.LimitReader(answer.Body, 2)); err != nil || string(half) != "QU" {
		t.Errorf("%q, %v", half, err)
	}
	answer.Body.Close()
	r.Clear() // whoever waits in it is let go
	if _, err := from.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it is held still: %v", err)
	}
	if r.Remove(id) {
		t.Error("it is on still")
	}

	order("close,when=idle")
	transport := server.Client()
	for range 2 { // the second request meets a connection that goes away, and net/http takes another
		got, err := transport.Get(server.URL + "/cacerts")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(got.Body)
		got.Body.Close()
		if err != nil || string(text) != "QUJD\n" {
			t.Errorf("%q, %v", text, err)
		}
	}
}

func TestAChallengeIsChanged(t *testing.T) {
	for how, want := range map[string]string{
		"lower": `basic realm="estrealm"`, "unknown-first": `Newauth realm="apps"`, "unknown-in-line": `Newauth realm="apps", type=1, Basic realm="estrealm"`, "unknown-only": `Newauth realm="apps"`,
	} {
		r := fault.NewRegistry(fault.Options{})
		if _, err := r.Order("est.any:challenge=" + how); err != nil {
			t.Fatal(err)
		}
		all, err := raw(t, answering(t, r, "QUJD\n"), "simplereenroll")
		if err != nil || !strings.Contains(all, "WWW-Authenticate: "+want+"\r\n") || strings.Contains(all, "WWW-Authenticate: Basic") != (how == "unknown-first") {
			t.Errorf("%s: %v\n%s", how, err, all)
		}
	}
}

// twoCAs is a CA behind a front end.
type twoCAs struct{ other []byte }

func (c twoCAs) Rollover() (a, b, d, e []byte, err error) {
	return c.other, c.other, c.other, c.other, nil
}
func (c twoCAs) Recertify([]byte, string) ([]byte, error) { return c.other, nil }
func (c twoCAs) Stranger() ([]byte, error)                { return c.other, nil }
func (c twoCAs) EndEntity() ([]byte, error)               { return c.other, nil }

func TestThePKCS7IsMadeOfOtherCertificates(t *testing.T) {
	certificate := httptest.NewTLSServer(nil)
	certificate.Close()
	der := certificate.Certificate().Raw
	p7, err := pkcs7.DegenerateCertificate(append(append([]byte{}, der...), der...))
	if err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(p7)
	for word, want := range map[string]int{"root-first": 2, "duplicates": 4, "many": 40, "crl": 2, "empty": 0, "ber": 2, "rollover": 6, "new": 2, "stranger": 3, "leaf": 3, "no-root": 2} {
		r := fault.NewRegistry(fault.Options{})
		r.Behind(twoCAs{der})
		if _, err := r.Order("est.cacerts:p7=" + word); err != nil {
			t.Fatal(err)
		}
		all, err := raw(t, answering(t, r, text), "cacerts")
		_, body, _ := strings.Cut(all, "\r\n\r\n")
		if strings.Contains(body, "\n") {
			t.Errorf("%s: the base64 has changed its form", word)
		}
		got, err2 := base64.StdEncoding.DecodeString(body)
		if word == "ber" && (len(got) < 2 || got[1] != 0x80) {
			t.Error("ber: the length is definite")
		}
		parsed, err3 := pkcs7.Parse(got)
		if errors.Join(err, err2, err3) != nil {
			t.Errorf("%s: %v", word, errors.Join(err, err2, err3))
			continue
		}
		// httptest's certificate is its own issuer.
		if n := len(parsed.Certificates); n != want && word != "no-root" {
			t.Errorf("%s: %d certificates, want %d", word, n, want)
		}
	}
}

func TestAForeignCAMakesNoNewRoot(t *testing.T) {
	r := fault.NewRegistry(fault.Options{ForeignCA: true})
	for _, spec := range []string{"est.cacerts:p7=rollover", "est.cacerts:p7=new", "est.cacerts:p7=stranger", "est.simpleenroll:certificate=expired", "est.tls:rotate=new", "est.tls:cn-only"} {
		if _, err := r.Order(spec); err == nil || !strings.Contains(err.Error(), "ra lab") {
			t.Errorf("%s was taken: %v", spec, err)
		}
	}
	for _, spec := range []string{"est.cacerts:p7=duplicates", "est.tls:tls1.1", "est.tls:cipher=null"} {
		if _, err := r.Order(spec); err != nil {
			t.Error(err)
		}
	}
}
