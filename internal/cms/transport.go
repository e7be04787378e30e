package cms

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"

	_ "crypto/sha1" //nolint:gosec // what RSAES-OAEP takes unless told otherwise (RFC 4055 §4.1)
	_ "crypto/sha256"
	_ "crypto/sha512"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	oidRSA  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidOAEP = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 7}
	oidMGF1 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
)

var hashes = map[string]crypto.Hash{
	"1.3.14.3.2.26":          crypto.SHA1,
	"2.16.840.1.101.3.4.2.1": crypto.SHA256,
	"2.16.840.1.101.3.4.2.2": crypto.SHA384,
	"2.16.840.1.101.3.4.2.3": crypto.SHA512,
}

// transport is KeyTransRecipientInfo (RFC 5652 §6.2.1).
type transport struct {
	id         []byte
	key        *rsa.PublicKey
	oid        asn1.ObjectIdentifier
	parameters []byte      // in DER
	hash       crypto.Hash // 0 = PKCS #1 1.5
}

func transportTo(id []byte, key *rsa.PublicKey, can Capabilities) (*transport, error) {
	for _, c := range can {
		switch {
		case c.Algorithm.Equal(oidRSA):
			return &transport{id: id, key: key, oid: oidRSA, parameters: asn1.NullBytes}, nil
		case c.Algorithm.Equal(oidOAEP):
			if hash, ok := oaepHash(c.Parameters); ok && key.Size() >= 2*hash.Size()+2+32 {
				parameters := c.Parameters
				if parameters == nil {
					parameters = []byte{0x30, 0} // they must be there (RFC 3560 §3)
				}
				return &transport{id: id, key: key, oid: oidOAEP, parameters: parameters, hash: hash}, nil
			}
		}
	}
	return nil, errors.New("the key is an RSA key, and SMIMECapabilities has neither RSAES-OAEP (with SHA-1, SHA-256, SHA-384 or SHA-512, the same in its mask) nor rsaEncryption")
}

// oaepHash reads RSAES-OAEP-params (RFC 4055 §4.1), of which Go can those that have one
// hash and no label.
func oaepHash(der []byte) (crypto.Hash, bool) {
	if der == nil {
		return crypto.SHA1, true
	}
	var p struct {
		Hash  pkix.AlgorithmIdentifier `asn1:"explicit,tag:0,optional"`
		Mask  pkix.AlgorithmIdentifier `asn1:"explicit,tag:1,optional"`
		Label asn1.RawValue            `asn1:"explicit,tag:2,optional"`
	}
	if rest, err := asn1.Unmarshal(der, &p); err != nil || len(rest) > 0 || p.Label.FullBytes != nil {
		return 0, false
	}
	hash, mask := crypto.SHA1, crypto.SHA1
	if p.Hash.Algorithm != nil {
		hash = hashes[p.Hash.Algorithm.String()]
	}
	if p.Mask.Algorithm != nil {
		var of pkix.AlgorithmIdentifier
		if _, err := asn1.Unmarshal(p.Mask.Parameters.FullBytes, &of); err != nil || !p.Mask.Algorithm.Equal(oidMGF1) {
			return 0, false
		}
		mask = hashes[of.Algorithm.String()]
	}
	return hash, hash != 0 && hash == mask
}

func (t *transport) add(b *cryptobyte.Builder, key []byte) (err error) {
	var encrypted []byte
	if t.hash != 0 {
		encrypted, err = rsa.EncryptOAEP(t.hash.New(), rand.Reader, t.key, key, nil)
	} else {
		encrypted, err = rsa.EncryptPKCS1v15(rand.Reader, t.key, key) //nolint:staticcheck // what many clients can alone; nobody here tells whether a decryption went well
	}
	if err != nil {
		return err
	}
	b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(2)
		addOctets(b, t.id)
		addAlgorithm(b, t.oid, func(b *cryptobyte.Builder) { b.AddBytes(t.parameters) })
		b.AddASN1OctetString(encrypted)
	})
	return nil
}

// addOctets writes a subjectKeyIdentifier, [0] IMPLICIT.
func addOctets(b *cryptobyte.Builder, value []byte) {
	b.AddASN1(cryptobyte_asn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(value) })
}
