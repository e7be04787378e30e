package est_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	globalest "github.com/globalsign/est"

	"ciscora/est"
	"ciscora/internal/peertest"
)

var (
	decryptKeyID = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 37}
	asymmetricID = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 54}
	capabilities = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 15}
)

// What clients say that they can (RFC 8551 §2.5.2, RFC 3565, RFC 5753).
var (
	canAES256 = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}}
	canWrap   = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 45}}
	canECDH   = pkix.AlgorithmIdentifier{
		Algorithm:  asn1.ObjectIdentifier{1, 3, 132, 1, 11, 1},
		Parameters: asn1.RawValue{FullBytes: must(asn1.Marshal(canWrap))},
	}
)

func attributeWith[T any](oid asn1.ObjectIdentifier, values ...T) any {
	return attributeOf[T]{oid, values}
}

func able(algorithms ...pkix.AlgorithmIdentifier) any { return attributeWith(capabilities, algorithms) }

// encrypting has the secret key "site-a" and the certificates of these.
func encrypting(known ...tls.Certificate) func(*est.Options) {
	return func(o *est.Options) {
		o.ServerKeygen = true
		o.KeyEncryption = est.KeyEncryption{
			Signers: func() []tls.Certificate { return []tls.Certificate{lab().server} },
			SecretKey: func(id []byte) []byte {
				if string(id) == "site-a" {
					return siteA
				}
				return nil
			},
			Certificates: func() (all []*x509.Certificate) {
				for _, c := range known {
					all = append(all, c.Leaf)
				}
				return all
			},
		}
	}
}

var siteA = bytes.Repeat([]byte{0x5a}, 32)

// keyed is a client's certificate with that subject key identifier.
func keyed(id string, usage x509.KeyUsage) tls.Certificate {
	return certificateOf(func(c *x509.Certificate) { c.SubjectKeyId, c.KeyUsage = []byte(id), usage }, nil, nil)
}

// askShowing asks with a client certificate, or without where it has none.
func (on *listening) askShowing(t *testing.T, shown tls.Certificate, request string) wire {
	t.Helper()
	config := &tls.Config{RootCAs: roots(), ServerName: "localhost"}
	if shown.Leaf != nil {
		config.Certificates = []tls.Certificate{shown}
	}
	c, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", on.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	must(io.WriteString(c, request))
	return must(readWire(bufio.NewReader(c), false))
}

func trusting(c *tls.Config) {
	c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.VerifyClientCertIfGiven
	c.ClientCAs.AddCert(lab().issuing)
}

// RFC 7030 §4.4.1.1, §4.4.1.2, §4.4.2. OpenSSL opens the envelope and verifies who made
// the key.
func TestServerKeygenEncryptsTheKeyAsTheClientAsks(t *testing.T) {
	onTLS, known := keyed("on TLS", x509.KeyUsageKeyAgreement), keyed("known", 0)
	for name, test := range map[string]struct {
		shown  tls.Certificate
		asks   any
		can    any
		with   tls.Certificate // what opens it; none: the secret key
		secret bool
	}{
		"under a secret key":                     {asks: attributeWith(decryptKeyID, []byte("site-a")), can: able(canAES256, canWrap), secret: true},
		"under the key of the TLS client":        {shown: onTLS, asks: attributeWith(asymmetricID, []byte("on TLS")), can: able(canECDH), with: onTLS},
		"under a key whose certificate is known": {asks: attributeWith(asymmetricID, []byte("known")), can: able(canAES256, canECDH), with: known},
	} {
		t.Run(name, func(t *testing.T) {
			on := listen(t, newServer(t, encrypting(known)), trusting)
			csr := csrWithAttributes(t, "SEP001122334455", test.asks, test.can)
			got := on.askShowing(t, test.shown, post(keygenPath, lines(csr), credentials))
			_, params, err := mime.ParseMediaType(got.get("Content-Type"))
			if got.status() != 200 || err != nil {
				t.Fatalf("%s %v %q", got.line, err, got.body)
			}
			parts := multipart.NewReader(strings.NewReader(got.body), params["boundary"])
			part := must(parts.NextRawPart())
			if is := part.Header.Get("Content-Type"); is != "application/pkcs7-mime; smime-type=server-generated-key" {
				t.Fatalf("the key is %q", is)
			}
			sealed := must(base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(must(io.ReadAll(part)))), "")))
			certs := certificates(t, string(must(io.ReadAll(must(parts.NextRawPart())))))

			peertest.Program(t, "openssl")
			how := []string{"-secretkey", hex.EncodeToString(siteA), "-secretkeyid", hex.EncodeToString([]byte("site-a"))}
			if !test.secret {
				leaf := writeFile(t, "leaf.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: test.with.Certificate[0]}))
				own := writeFile(t, "leaf.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(test.with.PrivateKey))}))
				how = []string{"-recip", leaf, "-inkey", own}
			}
			signed := run(t, sealed, "openssl", append([]string{"cms", "-decrypt", "-inform", "DER", "-binary"}, how...)...)
			info := must(asn1.Marshal(struct {
				Type    asn1.ObjectIdentifier
				Content asn1.RawValue
			}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}, asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: signed}}))
			keys := run(t, info, "openssl", "cms", "-verify", "-inform", "DER", "-binary", "-CAfile", rootFile(t), "-purpose", "any")
			var all []asn1.RawValue
			if rest, err := asn1.Unmarshal(keys, &all); err != nil || len(rest) > 0 || len(all) != 1 {
				t.Fatalf("%d keys, %v", len(all), err)
			}
			key := must(x509.ParsePKCS8PrivateKey(all[0].FullBytes)).(*ecdsa.PrivateKey)
			if len(certs) != 1 || !key.PublicKey.Equal(certs[0].PublicKey) {
				t.Errorf("%d certificates, or not for the key", len(certs))
			}
		})
	}
}

// idle is a CA of which nobody may want anything.
type idle struct {
	globalest.CA
	t *testing.T
}

func (i idle) ServerKeyGen(context.Context, *x509.CertificateRequest, string, *http.Request) (*x509.Certificate, []byte, error) {
	i.t.Error("a key was made")
	return nil, nil, errPlain{500}
}

// RFC 7030 §4.4.1: never the key in the clear instead, and nothing issued.
func TestServerKeygenRefusesWhatItCannotEncryptAsAsked(t *testing.T) {
	known, signing := keyed("known", 0), keyed("signing", x509.KeyUsageDigitalSignature)
	secret, public := attributeWith(decryptKeyID, []byte("site-a")), attributeWith(asymmetricID, []byte("known"))
	garbled := must(asn1.Marshal(decryptKeyID))
	for name, test := range map[string]struct {
		attributes []any
		want       string
	}{
		"a secret key that is not there":       {[]any{attributeWith(decryptKeyID, []byte("site-b")), able(canAES256, canWrap)}, `"site-b"`},
		"a public key that is not there":       {[]any{attributeWith(asymmetricID, []byte("x")), able(canECDH)}, "does not know"},
		"another client's key on TLS":          {[]any{attributeWith(asymmetricID, []byte("on TLS")), able(canECDH)}, "does not know"},
		"a key that may only sign":             {[]any{attributeWith(asymmetricID, []byte("signing")), able(canECDH)}, "key usage"},
		"both":                                 {[]any{secret, public, able(canECDH, canWrap)}, "leave one"},
		"two keys":                             {[]any{attributeWith(decryptKeyID, []byte("site-a"), []byte("site-a")), able(canWrap)}, "name one"},
		"one attribute twice":                  {[]any{secret, secret, able(canWrap)}, "name one"},
		"no key":                               {[]any{attributeWith[[]byte](decryptKeyID), able(canWrap)}, "names no key"},
		"an empty name":                        {[]any{attributeWith(decryptKeyID, []byte{}), able(canWrap)}, "names no key"},
		"a name that is no OCTET STRING":       {[]any{attributeWith(decryptKeyID, 7), able(canWrap)}, "names no key"},
		"no capabilities":                      {[]any{secret}, "SMIMECapabilities once"},
		"capabilities twice":                   {[]any{secret, able(canWrap), able(canWrap)}, "SMIMECapabilities once"},
		"capabilities that are none":           {[]any{secret, attributeWith(capabilities, []byte{1})}, "SMIMECapabilities is no"},
		"a secret key without its wrap":        {[]any{secret, able(canAES256)}, "id-aes256-wrap"},
		"a public key without key agreement":   {[]any{public, able(canAES256, canWrap)}, "dhSinglePass"},
		"an attribute that cannot be read":     {[]any{asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: garbled}, able(canWrap)}, "cannot be read"},
		"an attribute of another kind is none": {[]any{asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: append(bytes.Clone(garbled), 0x04, 0)}}, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, d := range bothDialects {
				on := listen(t, newServer(t, encrypting(known, signing), dialect(d), func(o *est.Options) { o.CA = idle{CA: o.CA, t: t} }), trusting)
				csr := csrWithAttributes(t, "phone", test.attributes...)
				got := on.askShowing(t, tls.Certificate{}, post(keygenPath, lines(csr), credentials))
				if got.status() != 400 || strings.Contains(got.body, "Content-Type") {
					t.Errorf("%v: %s %q", d, got.line, got.body)
				}
				if d == est.DialectRFC8951 && !strings.Contains(got.body, test.want) {
					t.Errorf("%q, want %q in it", got.body, test.want)
				}
			}
		})
	}
}

// What crypto/rsa and the signer think of their keys shows when they are used: that must
// be before the certificate is issued.
func TestServerKeygenIssuesNothingWhoseKeyItCannotDeliver(t *testing.T) {
	small := &x509.Certificate{
		SubjectKeyId: []byte("small"), PublicKeyAlgorithm: x509.RSA,
		PublicKey: &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 767, 1), E: 65537},
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cannotSign := tls.Certificate{Certificate: lab().server.Certificate, PrivateKey: ed}
	canRSA := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}}
	for name, test := range map[string]struct {
		signer     tls.Certificate
		attributes []any
		status     int
		want       string
	}{
		"an RSA key that is too small": {lab().server, []any{attributeWith(asymmetricID, []byte("small")), able(canRSA)}, 400, "768-bit"},
		"nobody who can sign":          {cannotSign, []any{attributeWith(decryptKeyID, []byte("site-a")), able(canWrap)}, 501, "can sign it"},
	} {
		t.Run(name, func(t *testing.T) {
			on := listen(t, newServer(t, encrypting(), dialect(est.DialectRFC8951), func(o *est.Options) {
				o.CA = idle{CA: o.CA, t: t}
				o.KeyEncryption.Signers = func() []tls.Certificate { return []tls.Certificate{test.signer} }
				o.KeyEncryption.Certificates = func() []*x509.Certificate { return []*x509.Certificate{small} }
			}))
			got := on.askShowing(t, tls.Certificate{}, post(keygenPath, lines(csrWithAttributes(t, "phone", test.attributes...)), credentials))
			if got.status() != test.status || !strings.Contains(got.body, test.want) {
				t.Errorf("%s %q, want %d with %q", got.line, got.body, test.status, test.want)
			}
		})
	}
}

// What a client calls a key may be as long as its CSR; the answer and the log are not.
func TestALongNameOfAKeyIsNotRepeatedWhole(t *testing.T) {
	on := listen(t, newServer(t, encrypting(), dialect(est.DialectRFC8951)))
	for _, oid := range []asn1.ObjectIdentifier{decryptKeyID, asymmetricID} {
		csr := csrWithAttributes(t, "phone", attributeWith(oid, bytes.Repeat([]byte("k"), 20_000)), able(canWrap))
		if got := on.askShowing(t, tls.Certificate{}, post(keygenPath, lines(csr), credentials)); got.status() != 400 || len(got.body) > 1000 {
			t.Errorf("%s, %d bytes", got.line, len(got.body))
		}
	}
}

// Who cannot sign is passed over.
func TestServerKeygenSignsWithTheCertificateThatCan(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	on := listen(t, newServer(t, encrypting(), func(o *est.Options) {
		o.KeyEncryption.Signers = func() []tls.Certificate {
			return []tls.Certificate{{Certificate: lab().server.Certificate, PrivateKey: ed}, lab().server}
		}
	}))
	csr := csrWithAttributes(t, "phone", attributeWith(decryptKeyID, []byte("site-a")), able(canWrap))
	if got := on.askShowing(t, tls.Certificate{}, post(keygenPath, lines(csr), credentials)); got.status() != 200 || !strings.Contains(got.body, "server-generated-key") {
		t.Errorf("%s %q", got.line, got.body)
	}
}

// The globalsign client knows the part by its type, and hands it on as it is.
func TestGlobalSignsClientGetsAnEncryptedKey(t *testing.T) {
	inBothDialectsWith(t, encrypting(), func(t *testing.T, on *listening) {
		der := csrWithAttributes(t, "SEP001122334455", attributeWith(decryptKeyID, []byte("site-a")), able(canAES256, canWrap))
		client := &globalest.Client{Host: on.addr, ExplicitAnchor: roots(), Username: "estuser", Password: "estpwd", DisableKeepAlives: true}
		cert, key, err := client.ServerKeyGen(t.Context(), must(x509.ParseCertificateRequest(der)))
		if err != nil {
			t.Fatal(err)
		}
		var info struct {
			Type    asn1.ObjectIdentifier
			Content asn1.RawValue
		}
		if rest, err := asn1.Unmarshal(key, &info); err != nil || len(rest) > 0 || info.Type.String() != "1.2.840.113549.1.7.3" || cert == nil {
			t.Errorf("%v, %s, want an EnvelopedData and a certificate", err, info.Type)
		}
	})
}
