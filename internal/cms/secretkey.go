package cms

import (
	"crypto/aes"
	"fmt"

	josecipher "github.com/go-jose/go-jose/v4/cipher"
	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// ToSecretKey returns an envelope under an AES key that the recipient knows by that
// identifier (KEKRecipientInfo, RFC 5652 §6.2.3). The error says what the recipient would
// have to be capable of.
func ToSecretKey(id, key []byte, can Capabilities) (*Envelope, error) {
	content, err := can.content()
	if err != nil {
		return nil, err
	}
	for _, c := range can {
		if w := wrapOf(c.Algorithm); w != nil && w.key == len(key) {
			return &Envelope{content, &secretKey{id, key, w}}, nil
		}
	}
	for _, w := range keyWraps {
		if w.key == len(key) {
			return nil, fmt.Errorf("the key has %d bits, and SMIMECapabilities has no %s", 8*len(key), w.name)
		}
	}
	return nil, fmt.Errorf("the key has %d bytes, which AES has not", len(key))
}

type secretKey struct {
	id, key []byte
	wrap    *aesWrap
}

func (s *secretKey) add(b *cryptobyte.Builder, key []byte) error {
	wrapped, err := wrapKey(s.key, key)
	if err != nil {
		return err
	}
	b.AddASN1(explicit(2), func(b *cryptobyte.Builder) {
		b.AddASN1Int64(4)
		b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1OctetString(s.id) })
		addAlgorithm(b, s.wrap.oid, nil)
		b.AddASN1OctetString(wrapped)
	})
	return nil
}

// wrapKey encrypts a key under another one (RFC 3394).
func wrapKey(under, key []byte) ([]byte, error) {
	block, err := aes.NewCipher(under)
	if err != nil {
		return nil, err
	}
	return josecipher.KeyWrap(block, key)
}
