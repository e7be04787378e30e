package cms_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"hash"
	"testing"

	josecipher "github.com/go-jose/go-jose/v4/cipher"
)

// envelope is as much of an EnvelopedData as its recipient reads (RFC 5652 §6.1).
type envelope struct {
	Version    int
	Recipients []asn1.RawValue `asn1:"set"`
	Content    struct {
		Type      asn1.ObjectIdentifier
		Algorithm pkix.AlgorithmIdentifier
		Encrypted asn1.RawValue
	}
}

func parseEnvelope(t *testing.T, der []byte) (e envelope) {
	t.Helper()
	var info struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	unmarshal(t, der, &info)
	if info.Type.String() != "1.2.840.113549.1.7.3" {
		t.Fatalf("content type %s, want id-envelopedData", info.Type)
	}
	unmarshal(t, info.Content.Bytes, &e)
	if e.Version != 2 || len(e.Recipients) != 1 {
		t.Fatalf("version %d with %d recipients, want 2 with 1 (RFC 5652 §6.1)", e.Version, len(e.Recipients))
	}
	return e
}

func unmarshal(t *testing.T, der []byte, into any, params ...string) {
	t.Helper()
	rest, err := asn1.UnmarshalWithParams(der, into, append(params, "")[0])
	if err != nil || len(rest) > 0 {
		t.Fatalf("%T: %v, %d bytes after it", into, err, len(rest))
	}
}

// decrypt is the content under its key.
func (e envelope) decrypt(t *testing.T, key []byte) []byte {
	t.Helper()
	var iv []byte
	unmarshal(t, e.Content.Algorithm.Parameters.FullBytes, &iv)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	plain := bytes.Clone(e.Content.Encrypted.Bytes)
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, plain)
	padding := int(plain[len(plain)-1])
	return plain[:len(plain)-padding]
}

func unwrap(t *testing.T, under, wrapped []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(under)
	if err != nil {
		t.Fatal(err)
	}
	key, err := josecipher.KeyUnwrap(block, wrapped)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// kek reads a KEKRecipientInfo.
func (e envelope) kek(t *testing.T, under []byte) (id, key []byte, wrap string) {
	t.Helper()
	var r struct {
		Version   int
		ID        struct{ Key []byte }
		Algorithm pkix.AlgorithmIdentifier
		Encrypted []byte
	}
	unmarshal(t, e.Recipients[0].FullBytes, &r, "tag:2")
	if r.Version != 4 || r.Algorithm.Parameters.FullBytes != nil {
		t.Errorf("version %d, want 4; parameters %x, want none (RFC 3565)", r.Version, r.Algorithm.Parameters.FullBytes)
	}
	return r.ID.Key, unwrap(t, under, r.Encrypted), r.Algorithm.Algorithm.String()
}

// transport reads a KeyTransRecipientInfo.
func (e envelope) transport(t *testing.T, under *rsa.PrivateKey, oaep hash.Hash) (id, key []byte, algorithm string) {
	t.Helper()
	var r struct {
		Version   int
		ID        []byte `asn1:"tag:0"`
		Algorithm pkix.AlgorithmIdentifier
		Encrypted []byte
	}
	unmarshal(t, e.Recipients[0].FullBytes, &r)
	if r.Version != 2 || r.Algorithm.Parameters.FullBytes == nil {
		t.Errorf("version %d, want 2; parameters %x, want some", r.Version, r.Algorithm.Parameters.FullBytes)
	}
	var err error
	if oaep != nil {
		key, err = rsa.DecryptOAEP(oaep, nil, under, r.Encrypted, nil)
	} else {
		key, err = rsa.DecryptPKCS1v15(nil, under, r.Encrypted) //nolint:staticcheck // what clients of today do
	}
	if err != nil {
		t.Fatal(err)
	}
	return r.ID, key, r.Algorithm.Algorithm.String()
}

// agreement reads a KeyAgreeRecipientInfo, whose secret it derives as RFC 5753 §7.2 says.
func (e envelope) agreement(t *testing.T, under *ecdsa.PrivateKey) (id, key []byte, scheme, wrap string) {
	t.Helper()
	var r struct {
		Version    int
		Originator struct {
			Key struct {
				Algorithm pkix.AlgorithmIdentifier
				Key       asn1.BitString
			} `asn1:"tag:1"`
		} `asn1:"tag:0"`
		Algorithm pkix.AlgorithmIdentifier
		Keys      []struct {
			ID struct {
				Key []byte
			} `asn1:"tag:0"`
			Encrypted []byte
		}
	}
	unmarshal(t, e.Recipients[0].FullBytes, &r, "tag:1")
	if r.Version != 3 || len(r.Keys) != 1 {
		t.Fatalf("version %d with %d keys, want 3 with 1", r.Version, len(r.Keys))
	}
	private, err := under.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	var public *ecdh.PublicKey
	if public, err = private.Curve().NewPublicKey(r.Originator.Key.Key.Bytes); err != nil {
		t.Fatal(err)
	}
	shared, err := private.ECDH(public)
	if err != nil {
		t.Fatal(err)
	}
	var by struct{ Algorithm asn1.ObjectIdentifier }
	unmarshal(t, r.Algorithm.Parameters.FullBytes, &by)
	sizes := map[string]int{"2.16.840.1.101.3.4.1.5": 16, "2.16.840.1.101.3.4.1.25": 24, "2.16.840.1.101.3.4.1.45": 32}
	size := sizes[by.Algorithm.String()]
	info, err := asn1.Marshal(struct {
		Algorithm asn1.RawValue
		Bits      []byte `asn1:"explicit,tag:2"`
	}{r.Algorithm.Parameters, binary.BigEndian.AppendUint32(nil, uint32(8*size))})
	if err != nil {
		t.Fatal(err)
	}
	h := map[string]hash.Hash{"1.3.132.1.11.1": sha256.New(), "1.3.132.1.11.2": sha512.New384(), "1.3.132.1.11.3": sha512.New()}[r.Algorithm.Algorithm.String()]
	h.Write(shared)
	h.Write([]byte{0, 0, 0, 1})
	h.Write(info)
	return r.Keys[0].ID.Key, unwrap(t, h.Sum(nil)[:size], r.Keys[0].Encrypted), r.Algorithm.Algorithm.String(), by.Algorithm.String()
}
