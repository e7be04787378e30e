package est_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ciscora/est"
)

// failing is a CA whose every operation ends in err.
func failing(err error) *ca {
	return &ca{
		chain:  func() ([]*x509.Certificate, error) { return nil, err },
		enroll: func(context.Context, *x509.CertificateRequest) (*x509.Certificate, error) { return nil, err },
	}
}

func denyWithChallenge(*http.Request) (context.Context, error) {
	return nil, &est.Error{Status: http.StatusUnauthorized, Challenged: true}
}

func TestSuccessByteForByte(t *testing.T) {
	csr, _ := phone(t, "SEP001122334455")
	for _, d := range bothDialects {
		for _, c := range []struct{ name, request, contentType string }{
			{"cacerts", get(cacertsPath), "application/pkcs7-mime"},
			{"cacerts with a label", get("/.well-known/est/wifi/cacerts"), "application/pkcs7-mime"},
			{"cacerts with a query", get(cacertsPath + "?x=/y"), "application/pkcs7-mime"},
			{"simpleenroll", post(enrollPath, lines(csr), credentials), "application/pkcs7-mime; smime-type=certs-only"}, // L1, L5
			{"simplereenroll", post(reenrollPath, lines(csr), credentials), "application/pkcs7-mime; smime-type=certs-only"},
			{"simpleenroll with a label", post("/.well-known/est/wifi/simpleenroll", lines(csr), credentials), "application/pkcs7-mime; smime-type=certs-only"},
		} {
			t.Run(fmt.Sprintf("%s in %v", c.name, d), func(t *testing.T) {
				t.Parallel()
				on := listen(t, newServer(t, dialect(d), func(o *est.Options) {
					o.Label = func(label string) bool { return label == "wifi" }
				}))
				got := on.ask(t, c.request)
				want := []string{
					fmt.Sprintf("Content-Length: %d", len(got.body)), // L2
					"Content-Transfer-Encoding: base64",
					"Content-Type: " + c.contentType,
				}
				header := slices.Clone(got.header)
				if d == est.DialectLibest {
					want = append(want, "Status: 200 OK") // docs/reference/libest.md, "Answers, success": and no Date
				} else {
					header = slices.DeleteFunc(header, func(line string) bool { return strings.HasPrefix(line, "Date: ") })
				}
				slices.Sort(header)
				if got.line != "HTTP/1.1 200 OK" || !slices.Equal(header, want) {
					t.Errorf("%q %q, want 200 with %q", got.line, header, want)
				}
				if !strings.HasSuffix(got.body, "\n") { // L4
					t.Error("no line end after the last line")
				}
				for line := range strings.Lines(got.body) {
					if len(line) > 65 {
						t.Errorf("a line of %d columns: %q", len(line)-1, line)
					}
				}
			})
		}
	}
}

func TestAnEnrollmentReturnsTheLeafAlone(t *testing.T) { // RFC 7030 §4.2.3
	csr, key := phone(t, "SEP001122334455")
	for _, d := range bothDialects {
		on := listen(t, newServer(t, dialect(d)))
		certs := certificates(t, on.ask(t, post(enrollPath, lines(csr), credentials)).body)
		if len(certs) != 1 || certs[0].Subject.CommonName != "SEP001122334455" || !key.PublicKey.Equal(certs[0].PublicKey) {
			t.Errorf("%v: got %d certificates, not the phone's alone", d, len(certs))
		}
		chain := certificates(t, on.ask(t, get(cacertsPath)).body)
		if len(chain) != 2 || !chain[0].Equal(lab().issuing) || !chain[1].Equal(lab().root) {
			t.Errorf("%v: cacerts has %d certificates, not issuing CA and root", d, len(chain))
		}
	}
}

func TestOneListenerServesBothFormsOfBase64(t *testing.T) { // L4
	anonymous := strings.Replace(get(cacertsPath), "User-Agent: Cisco EST client 1.0\r\n", "", 1)
	for _, d := range bothDialects {
		for _, c := range []struct {
			form    est.Base64
			request string
			single  bool
		}{
			{est.Base64Auto, anonymous, true},
			{est.Base64Auto, get(cacertsPath), false},
			{est.Base64Wrapped, anonymous, false},
			{est.Base64Single, get(cacertsPath), true},
		} {
			on := listen(t, newServer(t, dialect(d), func(o *est.Options) { o.Base64 = c.form }))
			if got := on.ask(t, c.request).body; strings.Contains(got, "\n") == c.single {
				t.Errorf("%v, %v: got %q", d, c.form, got[:70])
			}
		}
	}
}

func TestHeadOfCACertsIsAsGetWithoutABody(t *testing.T) {
	for _, d := range bothDialects {
		on := listen(t, newServer(t, dialect(d), func(o *est.Options) { o.Dialect = d }))
		full := on.ask(t, get(cacertsPath, "Connection: close\r\n"))
		head := on.ask(t, "HEAD"+strings.TrimPrefix(get(cacertsPath, "Connection: close\r\n"), "GET"))
		if head.line != full.line || head.get("Content-Length") != full.get("Content-Length") || head.body != "" {
			t.Errorf("%v: HEAD %q %q, GET %q %q", d, head.line, head.header, full.line, full.header)
		}
	}
}

func TestCSRAttributesAreNone(t *testing.T) { // RFC 7030 §4.5.2; docs/reference/libest.md, "Missing csrattrs: 204"
	for _, d := range bothDialects {
		got := listen(t, newServer(t, dialect(d))).ask(t, get("/.well-known/est/csrattrs"))
		if got.status() != http.StatusNoContent || got.body != "" {
			t.Errorf("%v: %q %q", d, got.line, got.body)
		}
	}
}

// longChain is a chain of n CA certificates.
func longChain(n int) []*x509.Certificate {
	chain := []*x509.Certificate{lab().root, lab().issuing}
	parent, key := lab().issuing, lab().issuingKey
	for i := range n - 2 {
		parent, key = certify(fmt.Sprintf("CA %d", i), nil, parent, key)
		chain = append(chain, parent)
	}
	return chain
}

func TestAnswersAreNeverChunkedAndTakeTwoRecordsAtMost(t *testing.T) {
	// L2: net/http chunks over 2 KiB. And strongSwan 5.9.8 reads exactly twice: 1,024
	// bytes, then what Content-Length says is missing; a read is a record at most.
	for _, certs := range []int{2, 5, 6, 7, 8, 12} {
		chain := longChain(certs)
		for _, d := range bothDialects {
			on := listen(t, newServer(t, dialect(d), func(o *est.Options) {
				o.CA = &ca{chain: func() ([]*x509.Certificate, error) { return chain, nil }}
			}))
			checkLength(t, on.ask(t, get(cacertsPath)))

			c := on.dial(t)
			if _, err := io.WriteString(c, get(cacertsPath)); err != nil {
				t.Fatal(err)
			}
			first := make([]byte, 1024)
			n, err := c.Read(first)
			if err != nil {
				t.Fatal(err)
			}
			header, body, whole := bytes.Cut(first[:n], []byte("\r\n\r\n"))
			if !whole {
				t.Fatalf("%d certificates in %v: the first 1,024 bytes do not hold the header: %q", certs, d, first[:n])
			}
			got, err := readWire(bufio.NewReader(bytes.NewReader(append(slices.Clone(header), "\r\n\r\n"...))), true)
			if err != nil {
				t.Fatal(err)
			}
			length, _ := strconv.Atoi(got.get("Content-Length"))
			if length == len(body) {
				continue
			}
			rest := make([]byte, length-len(body))
			if n, err := c.Read(rest); err != nil || n < len(rest) {
				t.Errorf("%d certificates in %v: the second read has %d bytes of %d, %v", certs, d, n, len(rest), err)
			}
		}
	}
}

func TestBodiesThatAreTaken(t *testing.T) { // RFC 8951 §3.1; docs/reference/libest.md, "Accepted"
	der, _ := phone(t, "SEP001122334455")
	text := base64.StdEncoding.EncodeToString(der)
	armoured := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	for name, body := range map[string]string{
		"lines of 64 columns":          lines(der),
		"one line without an end":      text,
		"one line":                     text + "\n",
		"CRLF":                         strings.ReplaceAll(lines(der), "\n", "\r\n"),
		"blanks and tabs":              " \t" + strings.Join(strings.Split(text, ""), " \t") + "\r",
		"PEM":                          armoured,
		"PEM with CRLF":                strings.ReplaceAll(armoured, "\n", "\r\n"),
		"PEM as old OpenSSL writes it": strings.ReplaceAll(armoured, "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"),
		"PEM without the last LF":      strings.TrimSpace(armoured),
	} {
		csr, err := est.ParseCSR([]byte(body))
		if err != nil || csr.Subject.CommonName != "SEP001122334455" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, d := range bothDialects {
		on := listen(t, newServer(t, dialect(d)))
		for name, request := range map[string]string{
			"chunks (globalsign's client)":        chunked(lines(der)),
			"HTTP/1.0":                            strings.Replace(post(enrollPath, lines(der), credentials), "HTTP/1.1", "HTTP/1.0", 1),
			"a Content-Type with parameters":      strings.Replace(post(enrollPath, lines(der), credentials), "pkcs10\r\n", "pkcs10; charset=x\r\n", 1),
			"a transfer encoding of RFC 7030":     post(enrollPath, lines(der), credentials, "Content-Transfer-Encoding: base64\r\n"),
			"a transfer encoding that is ignored": post(enrollPath, lines(der), credentials, "Content-Transfer-Encoding: 8bit\r\n"), // RFC 8951 §3
		} {
			if got := on.ask(t, request); got.status() != http.StatusOK {
				t.Errorf("%v, %s: %q %q", d, name, got.line, got.body)
			}
		}
	}
}

func TestBodiesThatAreRefusedSayWhy(t *testing.T) {
	der, _ := phone(t, "SEP001122334455")
	armoured := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	for _, c := range []struct{ name, body, why string }{
		{"nothing", "", "empty"},
		{"white space", " \r\n\t", "empty"},
		{"base64 without padding", "QUI", "padding"},
		{"PEM that is cut off", armoured[:100], "cut off"},
		{"PEM with a second block", armoured + armoured, "alone"},
		{"PEM of a certificate", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: lab().root.Raw})), "is a CERTIFICATE:"},
		{"a certificate in base64", lines(lab().root.Raw), "no PKCS #10 request"},
		{"an RSA key that takes seconds to check", lines(hugeKey(t)), "at most 16384"},
	} {
		if _, err := est.ParseCSR([]byte(c.body)); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v, want it to say %q", c.name, err, c.why)
		}
	}
}

// hugeKey is a CSR with an RSA key of 20,000 bits and no good signature.
func hugeKey(t *testing.T) []byte {
	t.Helper()
	der, _ := phone(t, "SEP001122334455")
	var csr struct {
		Info struct {
			Version    int
			Subject    asn1.RawValue
			PublicKey  asn1.RawValue
			Attributes asn1.RawValue `asn1:"tag:0"`
		}
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &csr); err != nil {
		t.Fatal(err)
	}
	n := new(big.Int).Lsh(big.NewInt(1), 20000)
	n.Add(n, big.NewInt(1))
	spki, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	csr.Info.PublicKey = asn1.RawValue{FullBytes: spki}
	out, err := asn1.Marshal(csr)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLibestGetsNoMoreThanItCanVerify(t *testing.T) { // L12
	stranger, _ := certify("Stranger", nil, nil, nil)
	double, doubleKey := certify("EST Test Root", nil, nil, nil)
	orphan, _ := certify("Orphan", nil, double, doubleKey) // names the root, is not signed by it
	root, issuing := lab().root, lab().issuing
	for _, c := range []struct {
		name     string
		in, want []*x509.Certificate
	}{
		{"a chain stays", []*x509.Certificate{issuing, root}, []*x509.Certificate{issuing, root}},
		{"two roots stay", []*x509.Certificate{issuing, root, stranger}, []*x509.Certificate{issuing, root, stranger}},
		{"an orphan goes", []*x509.Certificate{orphan, issuing, root}, []*x509.Certificate{issuing, root}},
		{"without a root all stays", []*x509.Certificate{issuing}, []*x509.Certificate{issuing}},
	} {
		if got := est.SelfContained(c.in); !slices.EqualFunc(got, c.want, (*x509.Certificate).Equal) {
			t.Errorf("%s: %d certificates are left", c.name, len(got))
		}
	}
}

func TestReenrollmentComparesNames(t *testing.T) { // RFC 7030 §4.2.2
	der, key := phone(t, "SEP001122334455", "a.example", "b.example")
	old := must(issue(must(x509.ParseCertificateRequest(der))))
	sorted, _ := phone(t, "SEP001122334455", "b.example", "a.example")
	other, _ := phone(t, "SEPFFFFFFFFFFFF", "a.example", "b.example")
	fewer, _ := phone(t, "SEP001122334455", "a.example")
	none, _ := phone(t, "SEP001122334455")
	name := func(cn string) []byte { return must(asn1.Marshal(pkix.Name{CommonName: cn}.ToRDNSequence())) }
	dns := func(names ...string) []byte {
		var all []asn1.RawValue
		for _, n := range names {
			all = append(all, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte(n)})
		}
		return must(asn1.Marshal(all))
	}
	change := func(cn string, value ...[]byte) []byte {
		sequence := must(asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: bytes.Join(value, nil)}))
		return csrWithAttributes(t, cn, attributeOf[asn1.RawValue]{
			asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 7, 36}, []asn1.RawValue{{FullBytes: sequence}},
		})
	}
	extensions := func(names ...string) any { // extensionRequest with a subjectAltName
		type list []pkix.Extension
		return attributeOf[list]{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 14}, []list{{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: dns(names...)}}}}
	}
	changeAltNames := csrWithAttributes(t, "SEP001122334455", extensions("new.example"), attributeOf[asn1.RawValue]{
		asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 7, 36},
		[]asn1.RawValue{{FullBytes: must(asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: dns("new.example")}))}},
	})
	for _, c := range []struct {
		name  string
		csr   []byte
		wrong string
	}{
		{"the same names", der, ""},
		{"the same names in another order", sorted, ""},
		{"another subject", other, "subject is not"},
		{"fewer alternative names", fewer, "alternative names are not"},
		{"no alternative names", none, "alternative names are not"},
		{"alternative names that ChangeSubjectName asks for", changeAltNames, ""},
		{"a subject that ChangeSubjectName asks for, without the alternative names", change("SEPFFFFFFFFFFFF", name("SEPFFFFFFFFFFFF")), "alternative names are not those that its ChangeSubjectName asks for"},
		{"another subject than ChangeSubjectName asks for", change("SEPFFFFFFFFFFFF", name("SEPAAAAAAAAAAAA")), "subject is not the one that its ChangeSubjectName asks for"},
		{"the old subject beside a ChangeSubjectName", change("SEP001122334455", name("SEPAAAAAAAAAAAA")), "put the new ones there, too"},
		{"another subject where ChangeSubjectName has alternative names alone", change("SEPFFFFFFFFFFFF", dns("a.example")), "subject is not"},
		{"an empty ChangeSubjectName", change("SEP001122334455"), "cannot be read"},
		{"a ChangeSubjectName the wrong way round", change("SEP001122334455", dns("a.example"), name("SEP001122334455")), "cannot be read"},
	} {
		err := est.SameSubject(must(x509.ParseCertificateRequest(c.csr)), old)
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v", c.name, err)
		}
	}

	for _, d := range bothDialects {
		authority := &ca{}
		on := listen(t, newServer(t, dialect(d), func(o *est.Options) { o.CA = authority }), func(c *tls.Config) {
			c.ClientCAs, c.ClientAuth = roots(), tls.VerifyClientCertIfGiven
		})
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: roots(),
			Certificates: []tls.Certificate{{
				Certificate: [][]byte{old.Raw, lab().issuing.Raw}, PrivateKey: key,
			}},
		}}}
		send := func(csr []byte) int {
			r := must(http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+on.addr+reenrollPath, strings.NewReader(lines(csr))))
			r.Header.Set("Content-Type", "application/pkcs10")
			r.SetBasicAuth("estuser", "estpwd")
			answer, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			return answer.StatusCode
		}
		want := map[est.Dialect]int{est.DialectRFC8951: 400, est.DialectLibest: 200}[d] // libest: "no check in the library"
		if same, differs := send(der), send(other); same != 200 || differs != want {
			t.Errorf("%v: %d for the same names, %d for others, want 200 and %d", d, same, differs, want)
		}
		if len(authority.renewed) == 0 || !old.Equal(authority.renewed[0]) {
			t.Errorf("%v: the CA was not shown the client's certificate", d)
		}
		client.CloseIdleConnections()
		// Without a certificate it is the CA's decision.
		if got := on.ask(t, post(reenrollPath, lines(der), credentials)); got.status() != 200 {
			t.Errorf("%v: without a certificate %q", d, got.line)
		}
		if last := authority.renewed[len(authority.renewed)-1]; last != nil {
			t.Errorf("%v: the CA was shown %v where the client had no certificate", d, last.Subject)
		}
	}
}

// A CA that takes names from where crypto/x509 does not look hands in its own reading.
func TestARenewalIsComparedByTheNamesThatTheCAReads(t *testing.T) {
	der, key := phone(t, "SEP001122334455", "a.example")
	old := must(issue(must(x509.ParseCertificateRequest(der))))
	var names func(*x509.CertificateRequest) ([]byte, []byte, error)
	on := listen(t, newServer(t, func(o *est.Options) {
		o.Names = func(csr *x509.CertificateRequest) ([]byte, []byte, error) { return names(csr) }
	}), func(c *tls.Config) { c.ClientCAs, c.ClientAuth = roots(), tls.VerifyClientCertIfGiven })
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: roots(), Certificates: []tls.Certificate{{Certificate: [][]byte{old.Raw, lab().issuing.Raw}, PrivateKey: key}},
	}}}
	defer client.CloseIdleConnections()
	alternatives := must(asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte("a.example")}}))
	for _, c := range []struct {
		what         string
		alternatives []byte
		err          error
		status       int
		says         string
	}{
		{"the same names", alternatives, nil, 200, ""},
		{"others", append([]byte{}, 0x30, 0), nil, 400, "alternative names are not those"},
		{"names that it cannot read", nil, errors.New("the CSR says two things"), 400, "the CSR says two things"},
	} {
		names = func(csr *x509.CertificateRequest) ([]byte, []byte, error) {
			return csr.RawSubject, c.alternatives, c.err
		}
		r := must(http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+on.addr+reenrollPath, strings.NewReader(lines(der))))
		r.Header.Set("Content-Type", "application/pkcs10")
		r.SetBasicAuth("estuser", "estpwd")
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body := must(io.ReadAll(answer.Body))
		answer.Body.Close()
		if answer.StatusCode != c.status || !strings.Contains(string(body), c.says) {
			t.Errorf("%s: %d %s, want %d %s", c.what, answer.StatusCode, body, c.status, c.says)
		}
	}
}

func TestACertificateThatNobodyVerifiedIsNone(t *testing.T) {
	der, _ := phone(t, "SEP001122334455")
	forged, forgedKey := certify("SEP001122334455", func(c *x509.Certificate) { c.IsCA = false }, nil, nil)
	authority := &ca{}
	on := listen(t, newServer(t, func(o *est.Options) { o.CA = authority }), func(c *tls.Config) {
		c.ClientAuth = tls.RequestClientCert // asks, and does not verify
	})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs:      roots(),
		Certificates: []tls.Certificate{{Certificate: [][]byte{forged.Raw}, PrivateKey: forgedKey}},
	}}}
	defer client.CloseIdleConnections()
	r := must(http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+on.addr+reenrollPath, strings.NewReader(lines(der))))
	r.Header.Set("Content-Type", "application/pkcs10")
	r.SetBasicAuth("estuser", "estpwd")
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if len(authority.renewed) != 1 || authority.renewed[0] != nil {
		t.Errorf("the CA was shown %v", authority.renewed)
	}
}
