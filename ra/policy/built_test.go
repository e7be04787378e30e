package policy_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"sync"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"

	"ciscora/internal/x501"
)

var (
	oidCN                  = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidO                   = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidExtensionRequest    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 14}
	oidChallengePassword   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}
	oidMicrosoftExtensions = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 14}
	oidSID                 = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 25, 2}
	oidUPN                 = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
	oidApplicationPolicies = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 21, 10}
	oidSubjectAltName      = asn1.ObjectIdentifier{2, 5, 29, 17}
)

// der is what a CSR is put together from here, since x509.CreateCertificateRequest makes
// none that lie.
type der = []byte

func element(tag cryptobyte_asn1.Tag, parts ...der) der {
	var b cryptobyte.Builder
	b.AddASN1(tag, func(b *cryptobyte.Builder) {
		for _, part := range parts {
			b.AddBytes(part)
		}
	})
	return b.BytesOrPanic()
}

func sequence(parts ...der) der { return element(cryptobyte_asn1.SEQUENCE, parts...) }
func set(parts ...der) der      { return element(cryptobyte_asn1.SET, parts...) }

func oid(id asn1.ObjectIdentifier) der {
	b, err := asn1.Marshal(id)
	if err != nil {
		panic(err)
	}
	return b
}

// value is a string of a type, whose bytes are given as they are.
func value(kind x501.StringType, bytes string) der {
	return element(cryptobyte_asn1.Tag(kind), der(bytes))
}

func attribute(id asn1.ObjectIdentifier, value der) der { return sequence(oid(id), value) }

// cn is an RDN of one common name, in UTF-8.
func cn(text string) der { return set(attribute(oidCN, value(x501.UTF8String, text))) }

func extension(id asn1.ObjectIdentifier, content der) der {
	return sequence(oid(id), element(cryptobyte_asn1.OCTET_STRING, content))
}

// asks is an attribute with extensions.
func asks(home asn1.ObjectIdentifier, extensions ...der) der {
	return sequence(oid(home), set(sequence(extensions...)))
}

func names(all ...der) der { return extension(oidSubjectAltName, sequence(all...)) }

func tagged(n uint8) cryptobyte_asn1.Tag { return cryptobyte_asn1.Tag(n).ContextSpecific() }

func dns(name string) der { return element(tagged(2), der(name)) }
func uri(name string) der { return element(tagged(6), der(name)) }
func upn(name string) der {
	return element(tagged(0).Constructed(), oid(oidUPN), element(tagged(0).Constructed(), value(x501.UTF8String, name)))
}

// testKey is one key for all: making one takes longer than the rest.
var testKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

// request makes and signs a CSR of these RDNs and attributes.
func request(rdns []der, attributes ...der) der {
	return signed(info(sequence(rdns...), element(tagged(0).Constructed(), attributes...)))
}

func info(parts ...der) der {
	public, err := x509.MarshalPKIXPublicKey(testKey().Public())
	if err != nil {
		panic(err)
	}
	return sequence(append([]der{{2, 1, 0}, parts[0], public}, parts[1:]...)...)
}

func signed(info der) der { return signedAnd(info) }

// signedAnd has something behind the signature.
func signedAnd(info der, more ...der) der {
	digest := sha256.Sum256(info)
	signature, err := testKey().Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		panic(err)
	}
	ecdsaWithSHA256 := sequence(oid(asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}))
	return sequence(append([]der{info, ecdsaWithSHA256, element(cryptobyte_asn1.BIT_STRING, der{0}, signature)}, more...)...)
}

func parsed(t testing.TB, der der) *x509.CertificateRequest {
	t.Helper()
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := csr.CheckSignature(); err != nil {
		t.Fatal(err)
	}
	return csr
}

func manyNames(n int) der {
	all := make([]der, n)
	for i := range all {
		all[i] = dns(fmt.Sprintf("h%d.test", i))
	}
	return names(all...)
}
