package est_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ciscora/est"
)

// FuzzParseCSR: what is taken is one CSR whose DER comes back the same in the form
// that the front end itself would send, and what is refused is refused in words.
func FuzzParseCSR(f *testing.F) {
	der, _ := phone(f, "SEP001122334455", "a.example")
	f.Add([]byte(lines(der)))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	f.Add(der)
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\nproc-type: 4\n\nMIIB\n-----END CERTIFICATE REQUEST-----"))
	f.Add([]byte("MII B\t\r\n="))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, body []byte) {
		csr, err := est.ParseCSR(body)
		if err != nil {
			if err.Error() == "" || len(err.Error()) > 2000 {
				t.Errorf("refused with %q", err)
			}
			return
		}
		again, err := est.DecodeBody([]byte(lines(csr.Raw)))
		if err != nil || !bytes.Equal(again, csr.Raw) {
			t.Errorf("%v: a CSR does not survive base64", err)
		}
	})
}

// FuzzAuthorization: whatever the header holds, no certificate comes without the
// password, and no challenge follows credentials that libest cannot read.
func FuzzAuthorization(f *testing.F) {
	for _, header := range []string{
		"Basic ZXN0dXNlcjplc3Rwd2Q=", "basic ZXN0dXNlcjplc3Rwd2Q=", "Basic", "Basic ", "Basic %%", "Basic ZXN0", "Negotiate TlRMTVNTUAAB", "Digest username=\"a\"", "\x00", "",
	} {
		f.Add(header)
	}
	der, _ := phone(f, "SEP001122334455")
	body := lines(der)
	var admitted bool
	server := newServer(f, dialect(est.DialectLibest), func(o *est.Options) {
		o.Authenticator = est.AuthenticatorFunc(func(r *http.Request) (context.Context, error) {
			ctx, err := basic(r)
			admitted = err == nil
			return ctx, err
		})
	})
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, enrollPath, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/pkcs10")
		r.Header.Set("Content-Length", "1")
		r.Header["Authorization"] = []string{header}
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		user, password, readable := r.BasicAuth()
		if right := user == "estuser" && password == "estpwd"; right != (w.Code == http.StatusOK) || right != admitted {
			t.Errorf("%q: %d", header, w.Code)
		}
		if !readable && len(w.Header()["WWW-Authenticate"]) > 0 { //nolint:staticcheck // spelled so on purpose: libest.md L3
			t.Errorf("%q: challenged", header)
		}
	})
}

// FuzzSameSubject: the comparison takes any CSR that parses, and finds each equal
// to the certificate that carries its names.
func FuzzSameSubject(f *testing.F) {
	der, _ := phone(f, "SEP001122334455", "a.example")
	f.Add(der)
	f.Fuzz(func(t *testing.T, der []byte) {
		csr, err := x509.ParseCertificateRequest(der)
		if err != nil {
			return
		}
		twin := &x509.Certificate{RawSubject: csr.RawSubject, Extensions: csr.Extensions}
		if err := est.SameSubject(csr, twin); err != nil {
			t.Error(err)
		}
	})
}

func FuzzOneLine(f *testing.F) {
	f.Add("denied\r\n\tby policy\x00\xff")
	f.Add(strings.Repeat("ä", 2000))
	f.Fuzz(func(t *testing.T, text string) {
		got := est.OneLine(text)
		if strings.ContainsAny(got, "\r\n\x00") || len(got) > 1100 || !strings.HasPrefix(got, strings.TrimSpace(got)) {
			t.Errorf("%q", got)
		}
	})
}
