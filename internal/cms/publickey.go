package cms

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"fmt"
)

// ToPublicKey returns an envelope under a public key, RSA or on a NIST curve, that the
// recipient knows by that subject key identifier. The error says what the recipient would
// have to be capable of.
func ToPublicKey(id []byte, key crypto.PublicKey, can Capabilities) (*Envelope, error) {
	content, err := can.content()
	if err != nil {
		return nil, err
	}
	var to recipient
	switch key := key.(type) {
	case *rsa.PublicKey:
		to, err = transportTo(id, key, can)
	case *ecdsa.PublicKey:
		var on *ecdh.PublicKey
		if on, err = key.ECDH(); err != nil {
			return nil, fmt.Errorf("nothing can be encrypted to a key on the curve %s: use P-256, P-384 or P-521", key.Params().Name)
		}
		to, err = agreementWith(id, on, can)
	default:
		err = fmt.Errorf("nothing can be encrypted to a key of the type %T: use RSA or a NIST curve", key)
	}
	if err != nil {
		return nil, err
	}
	return &Envelope{content, to}, nil
}
