package cms

import (
	"crypto"
	"crypto/tls"
	"encoding/asn1"
)

// CheckSigner tells why a certificate with its key can sign no key package.
func CheckSigner(by tls.Certificate) error {
	_, err := SignKey(asn1.NullBytes, by)
	return err
}

// CheckRecipient tells why nothing can be encrypted to a public key, whatever its owner is
// capable of.
func CheckRecipient(key crypto.PublicKey) error {
	everything := Capabilities{{Algorithm: oidRSA}, {Algorithm: keyWraps[0].oid}, {Algorithm: agreements[0].oid}}
	envelope, err := ToPublicKey(nil, key, everything)
	if err != nil {
		return err
	}
	return envelope.Check()
}

// Check tells why nothing can be sealed in an envelope. What crypto/rsa thinks of a key
// shows when it encrypts and not before: so something is encrypted.
func (e *Envelope) Check() error {
	_, err := e.Seal(OIDSignedData, nil)
	return err
}
