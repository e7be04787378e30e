package exam_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"

	"golang.org/x/crypto/cryptobyte"

	"ciscora/ra/exam"
)

// aHello is what crypto/tls sends first.
func aHello(t testing.TB) []byte {
	t.Helper()
	client, server := net.Pipe()
	go func() {
		defer client.Close()
		_ = tls.Client(client, &tls.Config{ServerName: "est.example.com"}).HandshakeContext(t.Context()) // it has no answer
	}()
	first := make([]byte, 16<<10)
	n, err := server.Read(first)
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	return first[:n]
}

func TestAClientHelloIsRead(t *testing.T) {
	hello := aHello(t)
	if name, ok := exam.ReadsHello(hello); !ok || name != "est.example.com" {
		t.Errorf("%q, %v", name, ok)
	}
	if _, ok := exam.ReadsHello(hello[:40]); ok {
		t.Error("half of one is one")
	}
	if _, ok := exam.ReadsHello([]byte("GET / HTTP/1.1\r\n\r\n")); ok {
		t.Error("clear text is one")
	}
}

func FuzzParseHello(f *testing.F) {
	f.Add(aHello(f))
	f.Add(helloWith(3, []byte{0, 4, 2, 0, 1, 'x'}))
	f.Add(helloWith(47, []byte{0, 3, 0, 1, 'x'}))
	f.Fuzz(func(_ *testing.T, data []byte) { exam.ReadsHello(data) })
}

// helloWith is a Client Hello with one extension.
func helloWith(number uint16, content []byte) []byte {
	var b cryptobyte.Builder
	b.AddUint8(22)
	b.AddUint16(tls.VersionTLS10)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint8(1)
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint16(tls.VersionTLS12)
			b.AddBytes(make([]byte, 33))               // random, and no session
			b.AddBytes([]byte{0, 2, 0xc0, 0x2f, 1, 0}) // a suite, and no compression
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				b.AddUint16(number)
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(content) })
			})
		})
	})
	return b.BytesOrPanic()
}

// prefixed is content behind its length, of 16 bits.
func prefixed(content []byte) []byte {
	return append([]byte{byte(len(content) >> 8), byte(len(content))}, content...)
}

func TestAClientHelloSaysWhichCAsAreTrusted(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := func(name string, key crypto.Signer) *x509.Certificate {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ofRSA, ofEC := root("one", rsaKey), root("two", ecKey)
	point, err := ecKey.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	const trustedKeys, authorities = 3, 47
	sum := func(kind byte, of []byte) []byte {
		s := sha1.Sum(of)
		return append([]byte{kind}, s[:]...)
	}
	for name, test := range map[string]struct {
		extension uint16
		content   []byte
		trusts    *x509.Certificate // of the two; nil = neither
	}{
		"the hash of an RSA key is that of its modulus": {trustedKeys, sum(1, rsaKey.N.Bytes()), ofRSA},
		"the hash of an EC key is that of its point":    {trustedKeys, sum(1, point), ofEC},
		"a name":                    {trustedKeys, append([]byte{2}, prefixed(ofEC.RawSubject)...), ofEC},
		"the hash of a certificate": {trustedKeys, sum(3, ofRSA.Raw), ofRSA},
		"what was agreed on before names nobody by itself":   {trustedKeys, []byte{0}, nil},
		"a name may come behind what was agreed on before":   {trustedKeys, append([]byte{0, 2}, prefixed(ofRSA.RawSubject)...), ofRSA},
		"a hash that is cut off":                             {trustedKeys, sum(3, ofRSA.Raw)[:20], nil},
		"the hash of something else":                         {trustedKeys, sum(3, []byte("else")), nil},
		"TLS 1.3 has names":                                  {authorities, prefixed(ofEC.RawSubject), ofEC},
		"another extension with the same content is no word": {5, prefixed(ofEC.RawSubject), nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, ca := range []*x509.Certificate{ofRSA, ofEC} {
				if got := exam.HelloTrusts(helloWith(test.extension, prefixed(test.content)), ca); got != (ca == test.trusts) {
					t.Errorf("of %s: %v", ca.Subject, got)
				}
			}
		})
	}
}
