package est_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	globalest "github.com/globalsign/est"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"ciscora/est"
)

var oidChallengePassword = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}

// csrWithAttributes makes a CSR by hand: crypto/x509 writes extensions only.
func csrWithAttributes(tb testing.TB, cn string, attributes ...any) []byte {
	tb.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	plain, _ := phone(tb, cn)
	subject := must(x509.ParseCertificateRequest(plain)).RawSubject
	var set []asn1.RawValue
	for _, a := range attributes {
		set = append(set, asn1.RawValue{FullBytes: must(asn1.Marshal(a))})
	}
	info := must(asn1.Marshal(struct {
		Version    int
		Subject    asn1.RawValue
		PublicKey  asn1.RawValue
		Attributes []asn1.RawValue `asn1:"tag:0,set"`
	}{0, asn1.RawValue{FullBytes: subject}, asn1.RawValue{FullBytes: must(x509.MarshalPKIXPublicKey(key.Public()))}, set}))
	digest := sha256.Sum256(info)
	signature := must(ecdsa.SignASN1(rand.Reader, key, digest[:]))
	type algorithm struct{ Type asn1.ObjectIdentifier }
	return must(asn1.Marshal(struct {
		Info      asn1.RawValue
		Algorithm algorithm
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: info}, algorithm{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}}))
}

type attributeOf[T any] struct {
	Type   asn1.ObjectIdentifier
	Values []T `asn1:"set"`
}

func challengePassword(value string) any {
	return attributeOf[string]{oidChallengePassword, []string{value}}
}

// binding is the connection's, as a client has it.
func binding(tb testing.TB, c *tls.Conn) string {
	tb.Helper()
	if err := c.HandshakeContext(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	state := c.ConnectionState()
	if state.Version == tls.VersionTLS13 {
		return base64.StdEncoding.EncodeToString(must(state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)))
	}
	return base64.StdEncoding.EncodeToString(state.TLSUnique)
}

// RFC 7030 §3.5 (tls-unique), RFC 9266 §2 and §3 (tls-exporter in TLS 1.3).
func TestProofOfPossessionIsCheckedWhenItIsThereAndDemandedWhereConfigured(t *testing.T) {
	for _, path := range []string{enrollPath, reenrollPath} {
		for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
			for _, test := range []struct {
				name      string
				demanded  bool
				attribute func(own string) []any
				good      bool
				says      string
			}{
				{"none is there, and none demanded", false, func(string) []any { return nil }, true, ""},
				{"none is there, and it is demanded", true, func(string) []any { return nil }, false, "no proof of possession"},
				{"the right one", true, func(own string) []any { return []any{challengePassword(own)} }, true, ""},
				{"the right one, not demanded", false, func(own string) []any { return []any{challengePassword(own)} }, true, ""},
				{"a wrong one, not demanded", false, func(own string) []any { return []any{challengePassword("AAAA" + own[4:])} }, false, "is not that of this TLS connection"},
				{"a wrong one", true, func(string) []any { return []any{challengePassword("secret")} }, false, "is not that of this TLS connection"},
				{"two", true, func(own string) []any { return []any{challengePassword(own), challengePassword(own)} }, false, "more than one challengePassword"},
				{"a number", true, func(string) []any { return []any{attributeOf[int]{oidChallengePassword, []int{7}}} }, false, "is no string"},
			} {
				t.Run(path+"/"+name+"/"+test.name, func(t *testing.T) {
					s := newServer(t, func(o *est.Options) { o.ProofOfPossession = func(string) bool { return test.demanded } })
					on := listen(t, s)
					c := on.dialVersion(t, version)
					csr := csrWithAttributes(t, "phone", test.attribute(binding(t, c))...)
					if _, err := io.WriteString(c, post(path, lines(csr), credentials)); err != nil {
						t.Fatal(err)
					}
					got, err := readWire(bufio.NewReader(c), false)
					if err != nil {
						t.Fatal(err)
					}
					if want := map[bool]int{true: 200, false: 400}[test.good]; got.status() != want || !test.good && !strings.Contains(got.body, test.says) {
						t.Errorf("%s %q, want %d %s", got.line, got.body, want, test.says)
					}
				})
			}
		}
	}
}

func (on *listening) dialVersion(tb testing.TB, version uint16) *tls.Conn {
	tb.Helper()
	d := tls.Dialer{Config: &tls.Config{RootCAs: roots(), ServerName: "localhost", MinVersion: version, MaxVersion: version}}
	c, err := d.DialContext(tb.Context(), "tcp", on.addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c.(*tls.Conn)
}

// RFC 7030 §3.5: the value belongs to one connection.
func TestAProofOfAnotherConnectionIsRefused(t *testing.T) {
	for _, path := range []string{enrollPath, reenrollPath} {
		for _, d := range bothDialects {
			on := listen(t, newServer(t, dialect(d)))
			first := on.dialVersion(t, tls.VersionTLS13)
			csr := csrWithAttributes(t, "phone", challengePassword(binding(t, first)))
			if got := on.ask(t, post(path, lines(csr), credentials)); got.status() != 400 {
				t.Errorf("%s, %v: replayed on another connection: %s", path, d, got.line)
			}
		}
	}
}

// RFC 7627 §5.4: the tls-unique of a resumed session is the connection's own where the
// extended master secret is in use; that of the session's first connection, replayed,
// is wrong.
func TestAProofOfTheSessionsFirstConnectionIsRefusedOnTheOneThatResumesIt(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			on := listen(t, newServer(t))
			config := &tls.Config{RootCAs: roots(), ServerName: "localhost", MinVersion: version, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
			dial := func() *tls.Conn {
				c := must((&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", on.addr)).(*tls.Conn)
				t.Cleanup(func() { c.Close() })
				return c
			}
			send := func(c *tls.Conn, request string) wire {
				must(io.WriteString(c, request))
				return must(readWire(bufio.NewReader(c), false))
			}
			first := dial()
			old := binding(t, first)
			send(first, get(cacertsPath)) // 1.3 sends its ticket with the answer
			for proof, status := range map[string]int{"old": 400, "own": 200} {
				c := dial()
				value := binding(t, c)
				if !c.ConnectionState().DidResume {
					t.Fatal("not resumed")
				}
				if value == old {
					t.Fatal("both connections have the same binding")
				}
				if proof == "old" {
					value = old
				}
				got := send(c, post(enrollPath, lines(csrWithAttributes(t, "phone", challengePassword(value))), credentials))
				if got.status() != status {
					t.Errorf("%s binding: %s %q, want %d", proof, got.line, got.body, status)
				}
			}
		})
	}
}

// RFC 7627 §1: without the extended master secret a man in the middle can give two
// resumed sessions the same tls-unique. crypto/tls then has none, and no proof is
// good, an empty one least of all.
func TestWhereTheConnectionHasNoBindingNoProofIsGood(t *testing.T) {
	for name, state := range map[string]*tls.ConnectionState{
		"resumed without the extended master secret": {Version: tls.VersionTLS12, DidResume: true, HandshakeComplete: true},
		"no TLS that this server knows of":           nil,
	} {
		for _, value := range []string{"", "AAAA"} {
			for _, demanded := range []bool{true, false} {
				s := newServer(t, func(o *est.Options) { o.ProofOfPossession = func(string) bool { return demanded } })
				r := httptest.NewRequestWithContext(t.Context(), "POST", enrollPath, strings.NewReader(lines(csrWithAttributes(t, "phone", challengePassword(value)))))
				r.Header.Set("Content-Type", "application/pkcs10")
				r.SetBasicAuth("estuser", "estpwd")
				r.TLS = state
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				if w.Code != 400 || !strings.Contains(w.Body.String(), "no channel binding") {
					t.Errorf("%s, demanded %v, proof %q: %d %q", name, demanded, value, w.Code, w.Body)
				}
			}
		}
	}
}

// RFC 2985 §5.4.1: challengePassword is a DirectoryString; older software writes
// IA5String and T61String.
func TestAProofMayComeAsAnyKindOfString(t *testing.T) {
	for name, tag := range map[string]int{"PrintableString": asn1.TagPrintableString, "UTF8String": asn1.TagUTF8String, "IA5String": asn1.TagIA5String, "T61String": asn1.TagT61String} {
		on := listen(t, newServer(t))
		c := on.dialVersion(t, tls.VersionTLS13)
		value := asn1.RawValue{Tag: tag, Bytes: []byte(binding(t, c))}
		csr := csrWithAttributes(t, "phone", attributeOf[asn1.RawValue]{oidChallengePassword, []asn1.RawValue{value}})
		must(io.WriteString(c, post(enrollPath, lines(csr), credentials)))
		if got := must(readWire(bufio.NewReader(c), false)); got.status() != 200 {
			t.Errorf("%s: %s %q", name, got.line, got.body)
		}
	}
}

// RFC 9266 §4.1: a binding is for one authentication, good or not, and the connection
// ends with the answer.
func TestAConnectionOnWhichPossessionWasToBeProvedEndsWithItsAnswer(t *testing.T) {
	for _, path := range []string{enrollPath, reenrollPath, keygenPath} {
		for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
			for _, d := range bothDialects {
				for status, spoil := range map[int]func(string) string{
					200: func(own string) string { return own },
					400: func(own string) string { return "AAAA" + own[4:] },
				} {
					on := listen(t, newServer(t, keygen, dialect(d)))
					c := on.dialVersion(t, version)
					csr := csrWithAttributes(t, "phone", challengePassword(spoil(binding(t, c))))
					must(io.WriteString(c, post(path, lines(csr), credentials)))
					in := bufio.NewReader(c)
					got, err := readWire(in, false)
					if err != nil || got.status() != status || got.get("Connection") != "close" {
						t.Fatalf("%s, %s, %v: %s %q %v, want %d and a close", path, name, d, got.line, got.header, err, status)
					}
					if _, err := in.ReadByte(); err != io.EOF {
						t.Errorf("%s, %s, %v, %d: the connection goes on: %v", path, name, d, status, err)
					}
				}
			}
		}
	}
}

// RFC 9266 §4: the binding is for nothing else. It is in no answer and no line of the
// log, right or wrong.
func TestTheChannelBindingIsToldToNobody(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	on := listen(t, newServer(t, func(o *est.Options) { o.Logger = zap.New(core) }))
	var values, answers []string
	for _, right := range []bool{true, false} {
		c := on.dialVersion(t, tls.VersionTLS13)
		value := binding(t, c)
		if !right {
			value = "AAAA" + value[4:]
		}
		values = append(values, value, binding(t, c))
		must(io.WriteString(c, post(enrollPath, lines(csrWithAttributes(t, "phone", challengePassword(value))), credentials)))
		got := must(readWire(bufio.NewReader(c), false))
		answers = append(answers, fmt.Sprintf("%s %q %s", got.line, got.header, got.body))
	}
	on.stop()
	if err := <-on.done; err != nil {
		t.Fatal(err)
	}
	told := strings.Join(answers, "\n")
	for _, entry := range logs.All() {
		told += fmt.Sprintf("%s %+v\n", entry.Message, entry.ContextMap())
	}
	if logs.Len() < 2 {
		t.Fatalf("%d lines in the log", logs.Len())
	}
	for _, value := range values {
		if strings.Contains(told, value[8:24]) {
			t.Errorf("a binding is in an answer or the log:\n%s", told)
		}
	}
}

// docs/reference/libest.md: 2.1.0 answers a mismatch as any bad request.
func TestAWrongProofInLibestsWords(t *testing.T) {
	on := listen(t, newServer(t, dialect(est.DialectLibest)))
	csr := csrWithAttributes(t, "phone", challengePassword("wrong"))
	if got := on.ask(t, post(enrollPath, lines(csr), credentials)); got.status() != 400 || !strings.Contains(got.body, "Invalid or corrupted pkcs10 request.") {
		t.Errorf("%s %q", got.line, got.body)
	}
}

// RFC 7030 §4.5.2, RFC 8951 §3.1.
func TestCSRAttributesAreToldAsTheCASays(t *testing.T) {
	rsa := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	attrs := globalest.CSRAttrs{
		Attributes: []globalest.Attribute{{Type: rsa, Values: globalest.AttributeValueSET{2048}}},
		OIDs:       []asn1.ObjectIdentifier{{1, 2, 840, 113549, 1, 1, 11}},
	}
	for _, d := range bothDialects {
		on := listen(t, newServer(t, dialect(d), func(o *est.Options) {
			o.CA = &ca{attrs: attrs}
			o.ProofOfPossession = func(label string) bool { return label == "wifi" }
			o.Label = func(label string) bool { return label == "wifi" }
		}))
		for label, oids := range map[string]int{"": 1, "wifi/": 2} {
			got := on.ask(t, get("/.well-known/est/"+label+"csrattrs"))
			if got.status() != 200 || got.get("Content-Type") != "application/csrattrs" ||
				got.get("Content-Transfer-Encoding") != "base64" || got.get("Content-Length") == "" {
				t.Fatalf("%v: %s %q", d, got.line, got.header)
			}
			der := must(base64.StdEncoding.DecodeString(strings.Join(strings.Fields(got.body), "")))
			var read globalest.CSRAttrs
			if err := read.Unmarshal(der); err != nil {
				t.Fatal(err)
			}
			if !endsInOID(t, der) {
				t.Errorf("%v %q: %x ends in no OID: libest's client never comes to its end", d, label, der)
			}
			if len(read.Attributes) != 1 || !read.Attributes[0].Type.Equal(rsa) || len(read.OIDs) != oids {
				t.Errorf("%v %q: %+v", d, label, read)
			}
			if oids == 2 && !read.OIDs[1].Equal(oidChallengePassword) {
				t.Errorf("%v: the label demands proof of possession, and challengePassword is not asked for", d)
			}
		}
	}
}

// endsInOID tells whether the last of a CsrAttrs is an OID alone.
func endsInOID(t *testing.T, der []byte) bool {
	t.Helper()
	var all []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &all); err != nil || len(rest) > 0 || len(all) == 0 {
		t.Fatalf("%x: %v, %d bytes more", der, err, len(rest))
	}
	return all[len(all)-1].Tag == asn1.TagOID
}
