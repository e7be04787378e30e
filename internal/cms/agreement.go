package cms

import (
	"crypto"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/asn1"
	"encoding/binary"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}

// agreements are the schemes dhSinglePass-stdDH-sha*kdf (RFC 5753 §7.1.4) by their hash.
var agreements = []struct {
	oid  asn1.ObjectIdentifier
	hash crypto.Hash
}{
	{asn1.ObjectIdentifier{1, 3, 132, 1, 11, 1}, crypto.SHA256},
	{asn1.ObjectIdentifier{1, 3, 132, 1, 11, 2}, crypto.SHA384},
	{asn1.ObjectIdentifier{1, 3, 132, 1, 11, 3}, crypto.SHA512},
}

// agreement is KeyAgreeRecipientInfo with ECDH, whose sender has a key for this one
// content alone (RFC 5652 §6.2.2, RFC 5753 §3.1).
type agreement struct {
	id   []byte
	key  *ecdh.PublicKey
	oid  asn1.ObjectIdentifier
	hash crypto.Hash
	wrap *aesWrap
}

func agreementWith(id []byte, key *ecdh.PublicKey, can Capabilities) (*agreement, error) {
	for _, c := range can {
		for _, a := range agreements {
			if !a.oid.Equal(c.Algorithm) {
				continue
			}
			// Its parameters are the wrap (RFC 5753 §7.1.4), or it is one of the others.
			wrap := can.wrap()
			if c.Parameters != nil {
				var named struct{ Algorithm asn1.ObjectIdentifier }
				if _, err := asn1.Unmarshal(c.Parameters, &named); err != nil {
					continue
				}
				wrap = wrapOf(named.Algorithm)
			}
			if wrap != nil {
				return &agreement{id, key, a.oid, a.hash, wrap}, nil
			}
		}
	}
	return nil, errors.New("the key is an elliptic curve key, and SMIMECapabilities has no dhSinglePass-stdDH-sha256kdf-scheme (or sha384, sha512) with an AES key wrap (RFC 5753)")
}

func (a *agreement) add(b *cryptobyte.Builder, key []byte) error {
	own, err := a.key.Curve().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	shared, err := own.ECDH(a.key)
	if err != nil {
		return err
	}
	defer clear(shared)
	wrapIdentifier := a.wrap.identifier()
	under := a.derive(shared, wrapIdentifier)
	defer clear(under)
	wrapped, err := wrapKey(under, key)
	if err != nil {
		return err
	}
	b.AddASN1(explicit(1), func(b *cryptobyte.Builder) {
		b.AddASN1Int64(3)
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { // originator
			b.AddASN1(explicit(1), func(b *cryptobyte.Builder) { // OriginatorPublicKey
				addAlgorithm(b, oidECPublicKey, nil)
				b.AddASN1BitString(own.PublicKey().Bytes())
			})
		})
		addAlgorithm(b, a.oid, func(b *cryptobyte.Builder) { b.AddBytes(wrapIdentifier) })
		b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) { // RecipientEncryptedKey
				b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(a.id) })
				b.AddASN1OctetString(wrapped)
			})
		})
	})
	return nil
}

// derive is the key derivation of ANSI X9.63 with ECC-CMS-SharedInfo (RFC 5753 §7.2),
// whose entityUInfo is not there, since there is no user keying material.
func (a *agreement) derive(shared, wrapIdentifier []byte) []byte {
	var info cryptobyte.Builder
	info.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(wrapIdentifier)
		b.AddASN1(explicit(2), func(b *cryptobyte.Builder) {
			b.AddASN1OctetString(binary.BigEndian.AppendUint32(nil, uint32(8*a.wrap.key)))
		})
	})
	var key []byte
	for counter := uint32(1); len(key) < a.wrap.key; counter++ {
		h := a.hash.New()
		h.Write(shared)
		h.Write(binary.BigEndian.AppendUint32(nil, counter))
		h.Write(info.BytesOrPanic()) // of constants
		key = h.Sum(key)
	}
	return key[:a.wrap.key]
}
