package est_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	globalest "github.com/globalsign/est"

	"ciscora/est"
)

// Of go test -fuzz, up to Go 1.26: "context deadline exceeded" at the end of -fuzztime,
// with no input written to testdata, is a race in Go's own coordinator
// (golang/go#75804) and no finding. -fuzztime 100000x, a number, has no deadline.

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

// FuzzSimpleenrollBody: whatever the body holds, it is answered, and a certificate
// comes for a CSR whose signature is right and whose proof, if it has one, is too.
func FuzzSimpleenrollBody(f *testing.F) { fuzzBody(f, enrollPath) }

// FuzzSimplereenrollBody: the same, and its names are those of the certificate.
func FuzzSimplereenrollBody(f *testing.F) { fuzzBody(f, reenrollPath) }

func fuzzBody(f *testing.F, path string) {
	const unique = "twelve bytes"
	plain, _ := phone(f, "SEP001122334455", "a.example")
	proof := base64.StdEncoding.EncodeToString([]byte(unique))
	for _, der := range [][]byte{
		plain,
		csrWithAttributes(f, "SEP001122334455", challengePassword(proof)),
		csrWithAttributes(f, "SEP001122334455", challengePassword("wrong")),
		csrWithAttributes(f, "SEP001122334455", challengePassword(proof), challengePassword(proof)),
		csrWithAttributes(f, "SEP001122334455", attributeOf[int]{oidChallengePassword, []int{1, 2}}),
	} {
		f.Add(lines(der))
		f.Add(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})))
	}
	f.Add("garbage")
	old := must(issue(must(x509.ParseCertificateRequest(plain))))
	state := &tls.ConnectionState{
		Version: tls.VersionTLS12, TLSUnique: []byte(unique), HandshakeComplete: true,
		PeerCertificates: []*x509.Certificate{old}, VerifiedChains: [][]*x509.Certificate{{old}},
	}
	server := newServer(f)
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/pkcs10")
		r.SetBasicAuth("estuser", "estpwd")
		r.TLS = state
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		switch w.Code {
		case http.StatusBadRequest, http.StatusLengthRequired, http.StatusRequestEntityTooLarge:
			if strings.Count(w.Body.String(), "\n") != 1 {
				t.Errorf("refused in %q", w.Body)
			}
		case http.StatusOK:
			csr, err := est.ParseCSR([]byte(body))
			if err != nil || csr.CheckSignature() != nil {
				t.Errorf("a certificate for what is no CSR: %v", err)
			}
			if certs := certificates(t, w.Body.String()); len(certs) != 1 {
				t.Errorf("%d certificates", len(certs))
			}
		case http.StatusInternalServerError:
			// The CA of these tests cannot certify every key that x509 reads.
			if csr, err := est.ParseCSR([]byte(body)); err != nil || csr.CheckSignature() != nil {
				t.Errorf("%v: %q", err, w.Body)
			}
		default:
			t.Errorf("status %d for %q", w.Code, body)
		}
	})
}

// FuzzFullCMCBody: nothing that comes as a full CMC request (RFC 7030 §4.3) gets more
// than the answer that it is not served, in one line.
func FuzzFullCMCBody(f *testing.F) {
	plain, _ := phone(f, "SEP001122334455")
	f.Add("application/pkcs7-mime; smime-type=CMC-request", lines(plain))
	f.Add("application/pkcs10", "garbage")
	f.Add("", "")
	servers := map[est.Dialect]*est.Server{}
	for _, d := range bothDialects {
		servers[d] = newServer(f, dialect(d))
	}
	f.Fuzz(func(t *testing.T, contentType, body string) {
		for d, want := range map[est.Dialect]int{est.DialectRFC8951: http.StatusNotImplemented, est.DialectLibest: http.StatusBadRequest} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/.well-known/est/fullcmc", strings.NewReader(body))
			r.Header.Set("Content-Type", contentType)
			r.SetBasicAuth("estuser", "estpwd")
			w := httptest.NewRecorder()
			servers[d].ServeHTTP(w, r)
			if w.Code == http.StatusRequestEntityTooLarge && len(body) > 64<<10 {
				continue
			}
			if w.Code != want || strings.Count(w.Body.String(), "\n") > 1 {
				t.Errorf("%v: %d %q", d, w.Code, w.Body)
			}
		}
	})
}

// FuzzKeygenParts: what is written as multipart reads back the same (RFC 2046 §5.1.1),
// whatever key and certificate are made of.
func FuzzKeygenParts(f *testing.F) {
	f.Add([]byte("key"), []byte("certificate"))
	f.Add([]byte{}, bytes.Repeat([]byte{0}, 1000))
	f.Add([]byte("--est-server-boundary--"), []byte("\r\n--est-server-boundary\r\n"))
	f.Fuzz(func(t *testing.T, key, p7 []byte) {
		body, err := est.KeygenParts(key, p7)
		if err != nil {
			t.Fatal(err)
		}
		parts := multipart.NewReader(bytes.NewReader(body), "est-server-boundary")
		for _, want := range []struct {
			contentType string
			content     []byte
		}{{"application/pkcs8", key}, {"application/pkcs7-mime; smime-type=certs-only", p7}} {
			part, err := parts.NextRawPart()
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(part)
			if err != nil {
				t.Fatal(err)
			}
			got, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(text)), ""))
			if err != nil || !bytes.Equal(got, want.content) || part.Header.Get("Content-Type") != want.contentType {
				t.Errorf("%q %x, %v, want %q %x", part.Header.Get("Content-Type"), got, err, want.contentType, want.content)
			}
		}
		if _, err := parts.NextRawPart(); err != io.EOF {
			t.Errorf("after both parts: %v", err)
		}
	})
}

// FuzzCSRAttributes: what the CA tells reaches the client the same, challengePassword
// once besides (RFC 7030 §4.5.2).
func FuzzCSRAttributes(f *testing.F) {
	f.Add("1.2.840.113549.1.1.1", 2048, true)
	f.Add("1.2.840.113549.1.9.7", 0, true)
	f.Add("2.5.29.17", -1, false)
	f.Fuzz(func(t *testing.T, text string, value int, demanded bool) {
		var oid asn1.ObjectIdentifier
		for part := range strings.SplitSeq(text, ".") {
			n, err := strconv.Atoi(part)
			if err != nil || n < 0 || n > math.MaxInt32 {
				return
			}
			oid = append(oid, n)
		}
		if _, err := asn1.Marshal(oid); err != nil {
			return
		}
		attrs := globalest.CSRAttrs{
			OIDs:       []asn1.ObjectIdentifier{oid},
			Attributes: []globalest.Attribute{{Type: oid, Values: globalest.AttributeValueSET{value}}},
		}
		s := newServer(t, func(o *est.Options) {
			o.CA, o.ProofOfPossession = &ca{attrs: attrs}, func(string) bool { return demanded }
		})
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/.well-known/est/csrattrs", nil))
		der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(w.Body.String()), ""))
		var got globalest.CSRAttrs
		if err != nil || got.Unmarshal(der) != nil {
			t.Fatalf("%d %q: %v", w.Code, w.Body, err)
		}
		asked := 0
		for _, o := range got.OIDs {
			if o.Equal(oidChallengePassword) {
				asked++
			}
		}
		if want := demanded || oid.Equal(oidChallengePassword); (asked == 1) != want || asked > 1 {
			t.Errorf("challengePassword is asked for %d times, demanded %v", asked, demanded)
		}
		if len(got.Attributes) != 1 || !got.Attributes[0].Type.Equal(oid) {
			t.Errorf("%+v, want %v", got.Attributes, oid)
		}
		if !endsInOID(t, der) {
			t.Errorf("%x ends in no OID: libest's client never comes to its end", der)
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
		if !readable && len(w.Header()["WWW-Authenticate"]) > 0 { //nolint:staticcheck // spelled so on purpose: docs/reference/libest.md L3
			t.Errorf("%q: challenged", header)
		}
	})
}

// FuzzSameSubject: the comparison takes any CSR that parses, and finds each equal
// to the certificate that carries its names.
func FuzzSameSubject(f *testing.F) {
	der, _ := phone(f, "SEP001122334455", "a.example")
	f.Add(der)
	f.Add(csrWithAttributes(f, "SEP001122334455", attributeOf[[]asn1.RawValue]{
		asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 7, 36},
		[][]asn1.RawValue{{{FullBytes: must(asn1.Marshal(pkix.Name{CommonName: "a"}.ToRDNSequence()))}}},
	}))
	f.Fuzz(func(t *testing.T, der []byte) {
		csr, err := x509.ParseCertificateRequest(der)
		if err != nil {
			return
		}
		twin := &x509.Certificate{RawSubject: csr.RawSubject, Extensions: csr.Extensions}
		// One that asks for a change must ask for it in both places.
		change := must(asn1.Marshal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 7, 36}))
		if err := est.SameSubject(csr, twin); err != nil && !bytes.Contains(csr.Raw, change) {
			t.Error(err)
		}
	})
}
