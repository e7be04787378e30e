package cms

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var oidEnvelopedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}

// Envelope is how something is encrypted to one recipient. It may be used any number of
// times, each with a key of its own for the content.
type Envelope struct {
	content *aesCBC
	to      recipient
}

// recipient is one of RecipientInfo's kinds (RFC 5652 §6.2).
type recipient interface {
	// add writes the RecipientInfo for a content's key.
	add(b *cryptobyte.Builder, key []byte) error
}

// envelopedVersion is that of an EnvelopedData all of whose recipients are of version 2
// and above, as those of this package are (RFC 5652 §6.1).
const envelopedVersion = 2

// Seal returns a ContentInfo with the EnvelopedData of content, all in DER. Content of a
// type other than id-data is what stands in its ContentInfo (RFC 5652 §6.1).
func (e *Envelope) Seal(contentType asn1.ObjectIdentifier, content []byte) ([]byte, error) {
	key, iv := make([]byte, e.content.key), make([]byte, aes.BlockSize)
	defer clear(key)
	_, _ = rand.Read(key) // never fails, by its documentation
	_, _ = rand.Read(iv)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("cms: make the content's cipher: %w", err)
	}
	padding := aes.BlockSize - len(content)%aes.BlockSize
	encrypted := make([]byte, len(content)+padding)
	for i := copy(encrypted, content); i < len(encrypted); i++ {
		encrypted[i] = byte(padding) // RFC 5652 §6.3
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(encrypted, encrypted)

	var b cryptobyte.Builder
	b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) { // ContentInfo
		b.AddASN1ObjectIdentifier(oidEnvelopedData)
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
			b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) { // EnvelopedData
				b.AddASN1Int64(envelopedVersion)
				b.AddASN1(cryptobyte_asn1.SET, func(b *cryptobyte.Builder) {
					if err := e.to.add(b, key); err != nil {
						b.SetError(fmt.Errorf("cms: encrypt the content's key: %w", err))
					}
				})
				b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) { // EncryptedContentInfo
					b.AddASN1ObjectIdentifier(contentType)
					addAlgorithm(b, e.content.oid, func(b *cryptobyte.Builder) { b.AddASN1OctetString(iv) })
					b.AddASN1(cryptobyte_asn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(encrypted) })
				})
			})
		})
	})
	return b.Bytes()
}

func explicit(n cryptobyte_asn1.Tag) cryptobyte_asn1.Tag { return n.ContextSpecific().Constructed() }

// addAlgorithm writes an AlgorithmIdentifier; parameters may be nil.
func addAlgorithm(b *cryptobyte.Builder, oid asn1.ObjectIdentifier, parameters func(*cryptobyte.Builder)) {
	b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		if parameters != nil {
			parameters(b)
		}
	})
}
