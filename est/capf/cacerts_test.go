package capf_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"

	"ciscora/est/capf"
)

func TestCACerts(t *testing.T) {
	w := newWorld(t)
	const contentType = "application/pkcs7-mime"
	root := w.authority.cert
	issuingKey := newKey(t)
	issuing := sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Test Issuing"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, root, issuingKey.Public(), w.key)
	other := newAuthority(t, "Other Root")
	stranger := sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "stranger"}}, other.cert, issuingKey.Public(), other.key)
	long := []*x509.Certificate{issuing, root, root, root}

	for name, test := range map[string]struct {
		answer string
		rv     capf.Status
		count  int
	}{
		"issuing CA and root":                  {ok(contentType, certsOnly(t, 64, "\n", issuing, root)), 0, 2},
		"76 columns with CRLF":                 {ok(contentType, certsOnly(t, 76, "\r\n", issuing, root)), 0, 2},
		"a longer Content-Type":                {ok(enrollType, certsOnly(t, 64, "\n", root)), 0, 1},
		"one line under 1 kB":                  {ok(contentType, certsOnly(t, 1000, "\n", root)), 0, 1},
		"one line over 1 kB":                   {ok(contentType, certsOnly(t, 4000, "\n", long...)), 6, 0},
		"one line without a line end":          {ok(contentType, certsOnly(t, 0, "", root)), 6, 0},
		"no line end after the last line":      {ok(contentType, strings.TrimSuffix(certsOnly(t, 64, "\n", root), "\n")), 6, 0},
		"all of it, and a longer length":       {strings.Replace(ok(contentType, certsOnly(t, 64, "\n", root)), "Content-Length: ", "Content-Length: 1", 1), 6, 0},
		"no PKCS#7":                            {ok(contentType, "TUlJQg==\n"), 6, 0},
		"no root":                              {ok(contentType, certsOnly(t, 64, "\n", issuing)), 60, 0},
		"more than the chain verifies":         {ok(contentType, certsOnly(t, 64, "\n", issuing, root, stranger)), 60, 0},
		"a challenge, which is not answered":   {basic, 22, 0},
		"404 until the RA has its chain":       {"HTTP/1.1 404 Not Found\r\n\r\n", 14, 0},
		"204 until the RA has its chain":       {"HTTP/1.1 204 No Content\r\n\r\n", 15, 0},
		"a chunked body, as Go's over 2 kB":    {"HTTP/1.1 200 OK\r\nContent-Type: application/pkcs7-mime\r\n\r\n", 11, 0},
		"a Content-Type of an older day":       {ok("application/x-pkcs7-mime", certsOnly(t, 64, "\n", root)), 11, 0},
		"a connection closed without a answer": {"", 14, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, got := serve(t, w.tls, say(test.answer))
			certs, err := w.client(t, url).CACerts(t.Context())
			if rvOf(err) != test.rv || (err == nil) != (test.rv == 0) || len(certs) != test.count {
				t.Fatalf("%d certificates, error %v; want %d, rv %v", len(certs), err, test.count, test.rv)
			}
			requests := got()
			want := "GET /.well-known/est/cacerts HTTP/1.1\r\nUser-Agent: Cisco EST client 1.0\r\nConnection: close\r\nHost: " +
				strings.TrimPrefix(url, "https://") + "\r\nAccept: */*\r\n\r\n"
			if len(requests) != 1 || requests[0].head != want {
				t.Errorf("requests %+v, want once %q", requests, want)
			}
		})
	}
}
