package est_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	globalest "github.com/globalsign/est"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"ciscora/est"
)

const keygenPath = "/.well-known/est/serverkeygen"

func keygen(o *est.Options) { o.ServerKeygen = true }

// RFC 7030 §4.4.2, RFC 8951 §3.2.4: two parts, the key and its certificate.
func TestServerKeygenAnswersWithKeyAndCertificate(t *testing.T) {
	inBothDialectsWith(t, keygen, func(t *testing.T, on *listening) {
		csr, own := phone(t, "SEP001122334455")
		got := on.ask(t, post(keygenPath, lines(csr), credentials))
		media, params, err := mime.ParseMediaType(got.get("Content-Type"))
		if got.status() != 200 || err != nil || media != "multipart/mixed" || got.get("Content-Length") == "" {
			t.Fatalf("%s %q %v", got.line, got.header, err)
		}
		parts := multipart.NewReader(strings.NewReader(got.body), params["boundary"])
		read := func(contentType string) []byte {
			t.Helper()
			part, err := parts.NextRawPart()
			if err != nil {
				t.Fatal(err)
			}
			want := textproto.MIMEHeader{"Content-Type": {contentType}, "Content-Transfer-Encoding": {"base64"}}
			for name, values := range want {
				if part.Header.Get(name) != values[0] {
					t.Errorf("%s: %q", name, part.Header.Get(name))
				}
			}
			return must(base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(must(io.ReadAll(part)))), "")))
		}
		key := must(x509.ParsePKCS8PrivateKey(read("application/pkcs8"))).(*ecdsa.PrivateKey)
		certs := certificates(t, base64.StdEncoding.EncodeToString(read("application/pkcs7-mime; smime-type=certs-only")))
		if _, err := parts.NextRawPart(); err != io.EOF {
			t.Errorf("after both parts: %v", err)
		}
		if len(certs) != 1 || !key.PublicKey.Equal(certs[0].PublicKey) || certs[0].Subject.CommonName != "SEP001122334455" {
			t.Errorf("%d certificates, or not for the key", len(certs))
		}
		if own.PublicKey.Equal(certs[0].PublicKey) {
			t.Error("the CSR's key was certified")
		}
	})
}

// RFC 7030 §4.4.1: the CSR's signature and key count for nothing.
func TestServerKeygenIgnoresTheCSRsSignature(t *testing.T) {
	on := listen(t, newServer(t, keygen))
	csr, _ := phone(t, "phone")
	csr[len(csr)-5] ^= 0xff
	if got := on.ask(t, post(keygenPath, lines(csr), credentials)); got.status() != 200 {
		t.Errorf("%s %q", got.line, got.body)
	}
	if got := on.ask(t, post(enrollPath, lines(csr), credentials)); got.status() != 400 {
		t.Errorf("to enroll, a signature counts: %s", got.line)
	}
}

// RFC 7030 §4.4.1: the public key's value MUST be ignored, what it is worth included.
func TestServerKeygenIgnoresAKeyThatIsNone(t *testing.T) {
	on := listen(t, newServer(t, keygen))
	csr, _ := phone(t, "SEP001122334455", "a.example")
	point := must(x509.ParseCertificateRequest(csr)).PublicKey.(*ecdsa.PublicKey)
	raw := must(point.Bytes())
	for name, key := range map[string][]byte{"zeros": make([]byte, len(raw)), "a point that is not on the curve": append([]byte{4}, bytes.Repeat([]byte{7}, len(raw)-1)...)} {
		got := on.ask(t, post(keygenPath, lines(bytes.Replace(csr, raw, key, 1)), credentials))
		if got.status() != 200 {
			t.Errorf("%s: %s %q", name, got.line, got.body)
		}
		if got := on.ask(t, post(enrollPath, lines(bytes.Replace(csr, raw, key, 1)), credentials)); got.status() != 400 {
			t.Errorf("%s: to enroll, a key counts: %s", name, got.line)
		}
	}
	for name, der := range map[string][]byte{"cut off": csr[:len(csr)-9], "no CSR": lab().root.Raw, "something after it": append(bytes.Clone(csr), 5, 0)} {
		if got := on.ask(t, post(keygenPath, lines(der), credentials)); got.status() != 400 {
			t.Errorf("%s: %s", name, got.line)
		}
	}
}

// RFC 7030 §3.5, §4.4.1: the CSR counts as any but for its key and signature, so a
// proof of possession that is there is checked; there is no key to demand one for.
func TestServerKeygenChecksAProofOfPossessionThatIsThere(t *testing.T) {
	on := listen(t, newServer(t, keygen, func(o *est.Options) { o.ProofOfPossession = func(string) bool { return true } }))
	for name, test := range map[string]struct {
		attributes func(own string) []any
		status     int
	}{
		"none":      {func(string) []any { return nil }, 200},
		"its own":   {func(own string) []any { return []any{challengePassword(own)} }, 200},
		"a foreign": {func(own string) []any { return []any{challengePassword("AAAA" + own[4:])} }, 400},
	} {
		c := on.dialVersion(t, tls.VersionTLS13)
		csr := csrWithAttributes(t, "phone", test.attributes(binding(t, c))...)
		must(io.WriteString(c, post(keygenPath, lines(csr), credentials)))
		if got := must(readWire(bufio.NewReader(c), false)); got.status() != test.status {
			t.Errorf("%s: %s %q, want %d", name, got.line, got.body, test.status)
		}
	}
}

// RFC 7030 §4.4.1.1, §4.4.1.2: never the key in the clear instead.
func TestServerKeygenRefusesToSendAKeyThatShouldBeEncrypted(t *testing.T) {
	for name, oid := range map[string]asn1.ObjectIdentifier{
		"DecryptKeyIdentifier":           {1, 2, 840, 113549, 1, 9, 16, 2, 37},
		"AsymmetricDecryptKeyIdentifier": {1, 2, 840, 113549, 1, 9, 16, 2, 54},
	} {
		for status, d := range map[int]est.Dialect{501: est.DialectRFC8951, 400: est.DialectLibest} {
			on := listen(t, newServer(t, keygen, dialect(d)))
			csr := csrWithAttributes(t, "phone", attributeOf[[]byte]{oid, [][]byte{{1, 2, 3}}})
			got := on.ask(t, post(keygenPath, lines(csr), credentials))
			if got.status() != status || strings.Contains(got.body, "pkcs8") {
				t.Errorf("%s, %v: %s %q", name, d, got.line, got.body)
			}
			// RFC 8951 §5.2: text/plain, or no type; libest sends none.
			plain := strings.HasPrefix(got.get("Content-Type"), "text/plain") && strings.Contains(got.body, "asks for its key to be encrypted")
			if plain != (d == est.DialectRFC8951) || !plain && got.get("Content-Type") != "" {
				t.Errorf("%v: %q %q", d, got.get("Content-Type"), got.body)
			}
		}
	}
}

func TestServerKeygenIsThereOnlyWhereItIsSwitchedOn(t *testing.T) {
	csr, _ := phone(t, "phone")
	if got := listen(t, newServer(t)).ask(t, post(keygenPath, lines(csr), credentials)); got.status() != 404 {
		t.Errorf("switched off: %s", got.line)
	}
	on := listen(t, newServer(t, keygen))
	if got := on.ask(t, post(keygenPath, lines(csr))); got.status() != 401 {
		t.Errorf("without credentials: %s", got.line)
	}
	if got := on.ask(t, get(keygenPath)); got.status() != 405 {
		t.Errorf("GET: %s", got.line)
	}
}

// The key is in the answer and nowhere else: in no event, and no line of the log.
func TestServerKeygenTellsTheKeyToNobodyElse(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	var mu sync.Mutex
	var told strings.Builder
	on := listen(t, newServer(t, keygen, func(o *est.Options) {
		o.Logger = zap.New(core)
		o.Events = func(_ context.Context, e est.Event) {
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(&told, "%+v\n", e)
		}
	}))
	csr, _ := phone(t, "SEP001122334455")
	got := on.ask(t, post(keygenPath, lines(csr), credentials))
	_, params, err := mime.ParseMediaType(got.get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	part := must(multipart.NewReader(strings.NewReader(got.body), params["boundary"]).NextRawPart())
	body := strings.Join(strings.Fields(string(must(io.ReadAll(part)))), "")
	key := must(base64.StdEncoding.DecodeString(body))
	on.stop()
	if err := <-on.done; err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, entry := range logs.All() {
		fmt.Fprintf(&told, "%s %+v\n", entry.Message, entry.ContextMap())
	}
	if !strings.Contains(told.String(), "serverkeygen") {
		t.Fatal("nothing was told at all")
	}
	for form, text := range map[string]string{"base64": body[40:72], "hexadecimal": hex.EncodeToString(key[40:60]), "numbers": strings.Trim(fmt.Sprintf("%d", key[40:50]), "[]")} {
		if strings.Contains(strings.ToLower(told.String()), strings.ToLower(text)) {
			t.Errorf("the key, in %s, is in an event or the log", form)
		}
	}
}

// The globalsign client reads both parts.
func TestGlobalSignsClientGetsAKey(t *testing.T) {
	inBothDialectsWith(t, keygen, func(t *testing.T, on *listening) {
		der, _ := phone(t, "SEP001122334455")
		client := &globalest.Client{Host: on.addr, ExplicitAnchor: roots(), Username: "estuser", Password: "estpwd", DisableKeepAlives: true}
		cert, key, err := client.ServerKeyGen(t.Context(), must(x509.ParseCertificateRequest(der)))
		if err != nil {
			t.Fatal(err)
		}
		if made := must(x509.ParsePKCS8PrivateKey(key)).(*ecdsa.PrivateKey); !made.PublicKey.Equal(cert.PublicKey) {
			t.Error("the certificate is not for the key")
		}
	})
}

func FuzzServerKeygenBody(f *testing.F) {
	csr, _ := phone(f, "phone")
	f.Add(lines(csr))
	f.Add("garbage")
	s := newServer(f, keygen)
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", keygenPath, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/pkcs10")
		r.SetBasicAuth("estuser", "estpwd")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		switch w.Code {
		case 200, 400, 411, 413, 501:
		default:
			t.Errorf("status %d for %q", w.Code, body)
		}
	})
}
