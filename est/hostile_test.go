package est_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"ciscora/est"
)

// RFC 9112 §9.3: after an error the connection goes on where the dialect lets it, and
// requests that are sent ahead of their answers are answered in order.
func TestPipelinedRequestsAreAnsweredInOrderErrorsIncluded(t *testing.T) {
	csr, _ := phone(t, "SEP001122334455")
	requests := []struct {
		text   string
		status int
	}{
		{get(cacertsPath), 200},
		{post(enrollPath, lines(csr)), 401},
		{post(enrollPath, lines(csr), credentials), 200},
		{post(enrollPath, "AAAA", credentials), 400},
		{strings.Replace(post(enrollPath, lines(csr), credentials), "application/pkcs10", "text/plain", 1), 415},
		{get("/.well-known/est/nowhere/cacerts"), 404},
		{get(enrollPath), 405},
		{post(reenrollPath, lines(csr), credentials), 200},
		{get(cacertsPath, "Connection: close\r\n"), 200},
	}
	for name, change := range map[string]func(*est.Options){"plain": func(*est.Options) {}, "patient": patient} {
		t.Run(name, func(t *testing.T) {
			on := listen(t, newServer(t, change))
			c := on.dial(t)
			var all strings.Builder
			for _, r := range requests {
				all.WriteString(r.text)
			}
			if _, err := io.WriteString(c, all.String()); err != nil {
				t.Fatal(err)
			}
			in := bufio.NewReader(c)
			for i, r := range requests {
				got, err := readWire(in, false)
				if err != nil || got.status() != r.status {
					t.Fatalf("answer %d: %q, %v, want %d", i+1, got.line, err, r.status)
				}
			}
			if _, err := in.ReadByte(); err != io.EOF {
				t.Errorf("after the last answer: %v", err)
			}
		})
	}
}

// Whatever comes, an answer is no HTML, and tells nothing of the server's inside.
func TestHostileRequestsGetPlainAnswersAndTheServerGoesOn(t *testing.T) {
	csr, _ := phone(t, "SEP001122334455")
	script := "<script>alert(1)</script>"
	enroll := post(enrollPath, lines(csr), credentials)
	for name, test := range map[string]struct {
		request string
		status  int // 0 = any refusal
	}{
		"no HTTP at all":                     {"\x00\x01\x02\xff\r\n\r\n", 400},
		"an unknown version":                 {"GET " + cacertsPath + " HTTP/2.7\r\nHost: ra\r\n\r\n", 505},
		"no Host":                            {"GET " + cacertsPath + " HTTP/1.1\r\n\r\n", 400},
		"two Hosts":                          {"GET " + cacertsPath + " HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
		"a blank before a header's colon":    {"GET " + cacertsPath + " HTTP/1.1\r\nHost: ra\r\nX : y\r\n\r\n", 400},
		"two lengths":                        {strings.Replace(enroll, "Content-Length: ", "Content-Length: 3\r\nContent-Length: ", 1), 400},
		"a length below zero":                {"POST " + enrollPath + " HTTP/1.1\r\nHost: ra\r\nContent-Type: application/pkcs10\r\nContent-Length: -1\r\n\r\n", 400},
		"a transfer coding that is none":     {"POST " + enrollPath + " HTTP/1.1\r\nHost: ra\r\nContent-Type: application/pkcs10\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
		"a header without an end":            {"GET " + cacertsPath + " HTTP/1.1\r\nHost: ra\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", 431},
		"a thousand headers":                 {"GET " + cacertsPath + " HTTP/1.1\r\nHost: ra\r\n" + strings.Repeat("X-Header: 12345678\r\n", 1500) + "\r\n", 431},
		"TRACE":                              {strings.Replace(get(cacertsPath, "X-Secret: mirrored\r\n"), "GET", "TRACE", 1), 405},
		"CONNECT":                            {"CONNECT 10.0.0.1:443 HTTP/1.1\r\nHost: 10.0.0.1:443\r\n\r\n", 0},
		"a script as path":                   {get("/" + script), 404},
		"a script as label":                  {post("/.well-known/est/"+script+"/simpleenroll", lines(csr), credentials), 404},
		"a script as query":                  {get("/.well-known/est/nowhere?" + script), 404},
		"a script as PEM type":               {post(enrollPath, "-----BEGIN "+script+"-----\nAAAA\n-----END "+script+"-----\n", credentials), 400},
		"a script as Content-Type":           {strings.Replace(enroll, "application/pkcs10", script, 1), 415},
		"a way out of the prefix":            {get("/.well-known/est/../../etc/passwd"), 0},
		"an encoded way out of the prefix":   {get("/.well-known/est/%2e%2e/%2e%2e/cacerts"), 404},
		"an encoded slash in a label":        {post("/.well-known/est/wi%2ffi/simpleenroll", lines(csr), credentials), 404},
		"a zero byte in a label":             {post("/.well-known/est/%00/simpleenroll", lines(csr), credentials), 404},
		"percent signs that encode nothing":  {get("/.well-known/est/%zz/cacerts"), 400},
		"a chunk whose size is none":         {strings.Replace(chunked("AAAA"), "4\r\nAAAA", "zz\r\nAAAA", 1), 400},
		"a chunk beyond every bound":         {strings.Replace(chunked("AAAA"), "4\r\nAAAA", "fffffffffffffffff\r\nAAAA", 1), 400},
		"a password with a line end":         {post(enrollPath, lines(csr), "Authorization: Basic ZXN0dXNlcgo6YQ==\r\n"), 401},
		"credentials of a hundred thousand":  {post(enrollPath, lines(csr), "Authorization: Basic "+strings.Repeat("A", 100_000)+"\r\n"), 431},
		"a CSR that is a certificate":        {post(enrollPath, lines(lab().root.Raw), credentials), 400},
		"DER whose length is beyond its end": {post(enrollPath, "MIT/////", credentials), 400},
	} {
		for _, d := range bothDialects {
			t.Run(fmt.Sprintf("%s/%v", name, d), func(t *testing.T) {
				t.Parallel() // net/http keeps some of these for half a second
				on := listen(t, newServer(t, dialect(d)))
				c := on.dial(t)
				_, _ = io.WriteString(c, test.request) // it may be cut off before its end
				got, err := readWire(bufio.NewReader(c), false)
				if err != nil {
					t.Fatal(err)
				}
				if d == est.DialectRFC8951 && test.status != 0 && got.status() != test.status || got.status() < 400 {
					t.Errorf("%s, want %d", got.line, test.status)
				}
				whole := got.line + strings.Join(got.header, "\n") + got.body
				for _, inside := range []string{"<", "goroutine", ".go:", "panic", "127.0.0.1", "[::1]", "localhost", "mirrored", "text/html", "asn1", "x509"} {
					if strings.Contains(whole, inside) {
						t.Errorf("%q is in the answer %q", inside, whole)
					}
				}
				if after := on.ask(t, get(cacertsPath)); after.status() != 200 {
					t.Errorf("the server after that: %s", after.line)
				}
			})
		}
	}
}

// A client that speaks no TLS gets a word of HTTP, and no more.
func TestPlainHTTPOnTheTLSPortIsRefusedInOneLine(t *testing.T) {
	on := listen(t, newServer(t))
	c := must((&net.Dialer{}).DialContext(t.Context(), "tcp", on.addr))
	defer c.Close()
	must(io.WriteString(c, get(cacertsPath)))
	answer := must(io.ReadAll(c))
	if !strings.HasPrefix(string(answer), "HTTP/1.0 400 Bad Request\r\n") || strings.Contains(string(answer), "<") {
		t.Errorf("%q", answer)
	}
}

// Who asks is who holds the connection, whatever a header says: anybody can write one.
func TestForwardingHeadersAreNotBelieved(t *testing.T) {
	const forged = "203.0.113.77"
	core, logs := observer.New(zap.DebugLevel)
	events := newRecorder()
	var seen []string
	on := listen(t, newServer(t, func(o *est.Options) {
		o.Logger, o.Events = zap.New(core), events.record
		o.Middleware = []func(http.Handler) http.Handler{func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				seen = append(seen, est.ClientAddr(r.Context()).String(), r.RemoteAddr)
				next.ServeHTTP(w, r)
			})
		}}
	}))
	on.ask(t, get(cacertsPath, "X-Forwarded-For: "+forged+"\r\n", "X-Real-IP: "+forged+"\r\n", "Forwarded: for="+forged+"\r\n", "True-Client-IP: "+forged+"\r\n", "X-Request-Id: "+forged+"\r\n"))
	<-events.ended
	for _, e := range of[est.Answered](events) {
		seen = append(seen, e.Client.String(), e.ID, e.Received.ID)
	}
	for _, entry := range logs.All() {
		seen = append(seen, fmt.Sprint(entry.ContextMap()))
	}
	if len(seen) < 6 {
		t.Fatalf("only %q", seen)
	}
	for _, text := range seen {
		if strings.Contains(text, forged) {
			t.Errorf("believed: %q", text)
		}
	}
}
