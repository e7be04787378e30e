package cms_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"hash"
	"strings"
	"sync"
	"testing"

	"ciscora/internal/cms"
)

// The algorithms by the names that RFC 3565, RFC 4055 and RFC 5753 give them.
const (
	aes128CBC, aes192CBC, aes256CBC    = "2.16.840.1.101.3.4.1.2", "2.16.840.1.101.3.4.1.22", "2.16.840.1.101.3.4.1.42"
	aes128Wrap, aes192Wrap, aes256Wrap = "2.16.840.1.101.3.4.1.5", "2.16.840.1.101.3.4.1.25", "2.16.840.1.101.3.4.1.45"
	aes256GCM, des3                    = "2.16.840.1.101.3.4.1.46", "1.2.840.113549.3.7"
	rsaEncryption, rsaOAEP             = "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.7"
	dhSHA1, dhSHA256, dhSHA384         = "1.3.133.16.840.63.0.2", "1.3.132.1.11.1", "1.3.132.1.11.2"
	dhSHA512                           = "1.3.132.1.11.3"
	unknown                            = "1.2.3.4"
)

var oidData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}

func oid(text string) (o asn1.ObjectIdentifier) {
	n := 0
	for _, c := range text + "." {
		if c == '.' {
			o, n = append(o, n), 0
			continue
		}
		n = 10*n + int(c-'0')
	}
	return o
}

// capable is the attribute's value for these algorithms; "dh/wrap" has the wrap as its
// parameters.
func capable(t testing.TB, names ...string) []byte {
	t.Helper()
	var list []pkix.AlgorithmIdentifier
	for _, name := range names {
		name, wrap, has := strings.Cut(name, "/")
		a := pkix.AlgorithmIdentifier{Algorithm: oid(name)}
		if has {
			der, err := asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: oid(wrap)})
			if err != nil {
				t.Fatal(err)
			}
			a.Parameters = asn1.RawValue{FullBytes: der}
		}
		list = append(list, a)
	}
	der, err := asn1.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func can(t testing.TB, names ...string) cms.Capabilities {
	t.Helper()
	c, err := cms.ParseCapabilities(capable(t, names...))
	if err != nil || len(c) != len(names) {
		t.Fatalf("%d capabilities, %v", len(c), err)
	}
	return c
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// RFC 7030 §4.4.2: kekri, version 4, the identifier of the request, a key wrap of the
// client's.
func TestASecretKeyWrapsTheContentsKeyAsTheRecipientCan(t *testing.T) {
	for _, c := range []struct {
		name     string
		bytes    int
		can      []string
		wrap     string
		content  string
		keyBytes int
	}{
		{"128 bits", 16, []string{aes128Wrap, aes128CBC}, aes128Wrap, aes128CBC, 16},
		{"192 bits", 24, []string{aes128Wrap, aes192Wrap, aes192CBC}, aes192Wrap, aes192CBC, 24},
		{"256 bits", 32, []string{aes256CBC, aes256Wrap}, aes256Wrap, aes256CBC, 32},
		{"the cipher that the recipient likes best", 32, []string{aes256GCM, des3, aes128CBC, aes256CBC, aes256Wrap}, aes256Wrap, aes128CBC, 16},
		{"nothing said of the content", 16, []string{unknown, aes128Wrap}, aes128Wrap, aes256CBC, 32},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, secret := []byte("site-a"), bytes.Repeat([]byte{7}, c.bytes)
			e, err := cms.ToSecretKey(id, secret, can(t, c.can...))
			if err != nil {
				t.Fatal(err)
			}
			for n := range 40 { // every padding
				content := bytes.Repeat([]byte{'x'}, n)
				der, err := e.Seal(oidData, content)
				if err != nil {
					t.Fatal(err)
				}
				got := parseEnvelope(t, der)
				gotID, key, wrap := got.kek(t, secret)
				if !bytes.Equal(gotID, id) || wrap != c.wrap || len(key) != c.keyBytes || got.Content.Algorithm.Algorithm.String() != c.content {
					t.Fatalf("id %q by %s, a key of %d bytes for %s", gotID, wrap, len(key), got.Content.Algorithm.Algorithm)
				}
				if !got.Content.Type.Equal(oidData) || !bytes.Equal(got.decrypt(t, key), content) {
					t.Fatalf("%d bytes are not what was sealed", n)
				}
			}
		})
	}
}

func TestAnRSAKeyTransportsTheContentsKeyAsTheRecipientCan(t *testing.T) {
	id := []byte{1, 2, 3}
	for _, c := range []struct {
		name string
		can  []byte
		want string
		hash hash.Hash
	}{
		{"PKCS #1 1.5", capable(t, aes128CBC, rsaEncryption), rsaEncryption, nil},
		{"OAEP without parameters", capable(t, rsaOAEP, rsaEncryption), rsaOAEP, sha1.New()},
		{"OAEP with SHA-256", oaep(t, "2.16.840.1.101.3.4.2.1", "2.16.840.1.101.3.4.2.1"), rsaOAEP, sha256.New()},
		{"OAEP with two hashes is passed over", oaep(t, "2.16.840.1.101.3.4.2.1", "1.3.14.3.2.26"), rsaEncryption, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			list, err := cms.ParseCapabilities(c.can)
			if err != nil {
				t.Fatal(err)
			}
			e, err := cms.ToPublicKey(id, rsaKey().Public(), list)
			if err != nil {
				t.Fatal(err)
			}
			der, err := e.Seal(oidData, []byte("content"))
			if err != nil {
				t.Fatal(err)
			}
			got := parseEnvelope(t, der)
			gotID, key, algorithm := got.transport(t, rsaKey(), c.hash)
			if !bytes.Equal(gotID, id) || algorithm != c.want || string(got.decrypt(t, key)) != "content" {
				t.Errorf("id %x by %s, want %x by %s", gotID, algorithm, id, c.want)
			}
		})
	}
}

// oaep is a list of RSAES-OAEP with these hashes (RFC 4055 §4.1), and of rsaEncryption.
func oaep(t *testing.T, digest, mask string) []byte {
	t.Helper()
	marshal := func(v any) asn1.RawValue {
		der, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return asn1.RawValue{FullBytes: der}
	}
	of := func(name string) pkix.AlgorithmIdentifier { return pkix.AlgorithmIdentifier{Algorithm: oid(name)} }
	mgf := of("1.2.840.113549.1.1.8")
	mgf.Parameters = marshal(of(mask))
	a := of(rsaOAEP)
	a.Parameters = marshal(struct {
		Hash pkix.AlgorithmIdentifier `asn1:"explicit,tag:0"`
		Mask pkix.AlgorithmIdentifier `asn1:"explicit,tag:1"`
	}{of(digest), mgf})
	return marshal([]pkix.AlgorithmIdentifier{a, of(rsaEncryption)}).FullBytes
}

func TestAnEllipticCurveKeyAgreesOnTheKeyThatWrapsTheContents(t *testing.T) {
	for _, c := range []struct {
		curve        elliptic.Curve
		can          []string
		scheme, wrap string
	}{
		{elliptic.P256(), []string{dhSHA256 + "/" + aes128Wrap, aes128CBC}, dhSHA256, aes128Wrap},
		{elliptic.P384(), []string{dhSHA1 + "/" + aes128Wrap, dhSHA384 + "/" + aes256Wrap}, dhSHA384, aes256Wrap},
		{elliptic.P521(), []string{dhSHA512 + "/" + unknown, dhSHA256, aes192Wrap}, dhSHA256, aes192Wrap},
	} {
		t.Run(c.curve.Params().Name, func(t *testing.T) {
			id, key := []byte{9, 8}, ecKey(t, c.curve)
			e, err := cms.ToPublicKey(id, key.Public(), can(t, c.can...))
			if err != nil {
				t.Fatal(err)
			}
			der, err := e.Seal(oidData, []byte("content"))
			if err != nil {
				t.Fatal(err)
			}
			got := parseEnvelope(t, der)
			gotID, content, scheme, wrap := got.agreement(t, key)
			if !bytes.Equal(gotID, id) || scheme != c.scheme || wrap != c.wrap || string(got.decrypt(t, content)) != "content" {
				t.Errorf("id %x by %s with %s", gotID, scheme, wrap)
			}
		})
	}
}

func TestNothingIsSealedInAWayThatTheRecipientHasNotNamed(t *testing.T) {
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256 := ecKey(t, elliptic.P256()).Public()
	for _, c := range []struct {
		name string
		key  any // []byte, or a public key
		can  []string
		want string
	}{
		{"no wrap of the secret key's size", make([]byte, 32), []string{aes128CBC, aes128Wrap}, "no id-aes256-wrap"},
		{"a key of no size", make([]byte, 20), []string{aes128Wrap}, "20 bytes"},
		{"a cipher that cannot be had", make([]byte, 16), []string{des3, aes128Wrap}, "AES in CBC mode"},
		{"GCM, which belongs into another structure", rsaKey().Public(), []string{aes256GCM, rsaEncryption}, "AES in CBC mode"},
		{"no key transport", rsaKey().Public(), []string{aes128CBC, aes128Wrap}, "neither RSAES-OAEP"},
		{"no key agreement", p256, []string{aes128CBC, aes128Wrap, rsaEncryption}, "dhSinglePass-stdDH-sha256kdf"},
		{"key agreement without a wrap", p256, []string{aes128CBC, dhSHA256}, "dhSinglePass-stdDH-sha256kdf"},
		{"a key that can only sign", ed, []string{aes128CBC, rsaEncryption}, "ed25519"},
		{"nothing at all", rsaKey().Public(), nil, "neither RSAES-OAEP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var e *cms.Envelope
			var err error
			if secret, ok := c.key.([]byte); ok {
				e, err = cms.ToSecretKey([]byte("x"), secret, can(t, c.can...))
			} else {
				e, err = cms.ToPublicKey([]byte("x"), crypto.PublicKey(c.key), can(t, c.can...))
			}
			if e != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestCapabilitiesThatCannotBeReadAreRefused(t *testing.T) {
	whole := capable(t, aes128CBC, dhSHA256+"/"+aes128Wrap)
	many := make([]string, 101)
	for i := range many {
		many[i] = aes128CBC
	}
	for name, der := range map[string][]byte{
		"nothing":            {},
		"cut off":            whole[:len(whole)-1],
		"something after it": append(bytes.Clone(whole), 5, 0),
		"no sequence":        {4, 1, 7},
		"no OID":             {0x30, 4, 0x30, 2, 5, 0},
		"two parameters":     {0x30, 9, 0x30, 7, 6, 1, 42, 5, 0, 5, 0},
		"too many":           capable(t, many...),
	} {
		if _, err := cms.ParseCapabilities(der); err == nil || !strings.Contains(err.Error(), "SMIMECapabilities") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzCapabilities(f *testing.F) {
	f.Add(capable(f, aes128CBC, aes256Wrap, rsaEncryption, rsaOAEP, dhSHA256+"/"+aes128Wrap))
	f.Add([]byte{0x30, 0})
	p256 := ecKey(f, elliptic.P256()).Public()
	f.Fuzz(func(t *testing.T, der []byte) {
		list, err := cms.ParseCapabilities(der)
		if err != nil {
			return
		}
		for _, key := range []crypto.PublicKey{rsaKey().Public(), p256} {
			if e, err := cms.ToPublicKey([]byte("id"), key, list); err == nil {
				if _, err := e.Seal(oidData, []byte("content")); err != nil {
					t.Errorf("what was chosen cannot be done: %v", err)
				}
			}
		}
	})
}
