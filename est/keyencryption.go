package est

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/http"

	"ciscora/internal/cms"
)

// typeGeneratedKey is a key that is encrypted (RFC 7030 §4.4.2).
const typeGeneratedKey = "application/pkcs7-mime; smime-type=server-generated-key"

// The attributes by which a client asks for its key under another one (RFC 7030
// §4.4.1.1, §4.4.1.2), and says what it can decrypt (RFC 8551 §2.5.2).
var (
	oidDecryptKeyIdentifier           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 37}
	oidAsymmetricDecryptKeyIdentifier = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 54}
	oidSMIMECapabilities              = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 15}
)

// KeyEncryption is with what /serverkeygen encrypts the keys of clients that ask for it
// (RFC 7030 §4.4.1). All of it may be asked by several goroutines at a time.
type KeyEncryption struct {
	// Signers are the certificates of who makes the keys, one of which, RSA's or
	// ECDSA's, signs what is encrypted. nil: nothing is encrypted, and who asks for it
	// is refused.
	Signers func() []tls.Certificate
	// SecretKey returns the AES key that goes by a DecryptKeyIdentifier; nil = there is
	// none.
	SecretKey func(id []byte) []byte
	// Certificates are those of keys that an AsymmetricDecryptKeyIdentifier may mean by
	// their subjectKeyIdentifier, besides the one that the client shows.
	Certificates func() []*x509.Certificate
}

// sealing is how one client's key is signed and encrypted.
type sealing struct {
	by       tls.Certificate
	envelope *cms.Envelope
}

// sealingFor returns how the client's key is to be encrypted, nil where it asks for
// nothing. Whatever is asked for and cannot be had is refused: never is a key sent
// otherwise. What it returns has signed and encrypted already, so that nothing is issued
// whose key cannot be delivered.
func (k *KeyEncryption) sealingFor(r *http.Request, csr *x509.CertificateRequest) (*sealing, error) {
	asked, err := askedEncryption(csr)
	if err != nil || asked == nil {
		return nil, err
	}
	if k.Signers == nil || asked.secret && k.SecretKey == nil {
		return nil, &refusal{why: refusedUnimplemented, text: "the CSR asks for its key to be encrypted (RFC 7030 section 4.4.1), which this server cannot do: make the key yourself and use simpleenroll, or leave the attribute out"}
	}
	if len(asked.capabilities) != 1 {
		return nil, badCSR(nil, "the CSR asks for its key to be encrypted, and must have SMIMECapabilities once, which tells how (RFC 7030 section 4.4.1)")
	}
	can, err := cms.ParseCapabilities(asked.capabilities[0].FullBytes)
	if err != nil {
		return nil, badCSR(err, "the CSR cannot be read: %v", err)
	}
	var envelope *cms.Envelope
	if asked.secret {
		key := k.SecretKey(asked.id)
		if key == nil {
			return nil, badCSR(nil, "the CSR asks for its key under the secret key %.64q (DecryptKeyIdentifier), which this server does not have", asked.id)
		}
		envelope, err = cms.ToSecretKey(asked.id, key, can)
	} else {
		certificate := k.certificate(r, asked.id)
		if certificate == nil {
			return nil, badCSR(nil, "the CSR asks for its key under the public key %.64x (AsymmetricDecryptKeyIdentifier), which this server does not know: give the subjectKeyIdentifier of the certificate that you show in the handshake, or have its certificate made known", asked.id)
		}
		if !mayDecrypt(certificate) {
			return nil, badCSR(nil, "the CSR asks for its key under the public key %.64x (AsymmetricDecryptKeyIdentifier), whose certificate's key usage does not allow that: RSA wants keyEncipherment, an elliptic curve keyAgreement (RFC 7030 section 4.4.1.2)", asked.id)
		}
		envelope, err = cms.ToPublicKey(asked.id, certificate.PublicKey, can)
	}
	if err == nil {
		err = envelope.Check()
	}
	if err != nil {
		return nil, badCSR(err, "the key cannot be encrypted as the CSR asks (RFC 7030 section 4.4.1): %v", err)
	}
	by, err := k.signer()
	if err != nil {
		return nil, err
	}
	return &sealing{by, envelope}, nil
}

// signer is the first certificate that can sign a key package.
func (k *KeyEncryption) signer() (tls.Certificate, error) {
	var why []error
	for _, by := range k.Signers() {
		err := cms.CheckSigner(by)
		if err == nil {
			return by, nil
		}
		why = append(why, err)
	}
	return tls.Certificate{}, &refusal{
		why: refusedUnimplemented, cause: errors.Join(why...),
		text: "the CSR asks for its key to be encrypted (RFC 7030 section 4.4.1), and none of this server's certificates can sign it: give it one with an RSA or ECDSA key, or leave the attribute out",
	}
}

// certificate is the one whose key an identifier means.
func (k *KeyEncryption) certificate(r *http.Request, id []byte) *x509.Certificate {
	if peer := verifiedPeer(r); peer != nil && bytes.Equal(peer.SubjectKeyId, id) {
		return peer
	}
	if k.Certificates == nil {
		return nil
	}
	for _, c := range k.Certificates() {
		if bytes.Equal(c.SubjectKeyId, id) {
			return c
		}
	}
	return nil
}

// mayDecrypt tells whether a certificate lets its key be used so (RFC 7030 §4.4.1.2).
func mayDecrypt(c *x509.Certificate) bool {
	usage := x509.KeyUsageKeyEncipherment
	if c.PublicKeyAlgorithm == x509.ECDSA {
		usage = x509.KeyUsageKeyAgreement
	}
	return c.KeyUsage == 0 || c.KeyUsage&usage != 0
}

// seal signs a key, in PKCS #8, and puts it into its envelope.
func (s *sealing) seal(key []byte) ([]byte, error) {
	signed, err := cms.SignKey(key, s.by)
	if err != nil {
		return nil, err
	}
	defer clear(signed)
	return s.envelope.Seal(cms.OIDSignedData, signed)
}

// encryption is what a client asks for.
type encryption struct {
	secret       bool // id is a DecryptKeyIdentifier, else an AsymmetricDecryptKeyIdentifier
	id           []byte
	capabilities []asn1.RawValue
}

// askedEncryption reads what a CSR asks for, nil = nothing. An attribute that cannot be
// read might be one that asks: it is refused.
func askedEncryption(csr *x509.CertificateRequest) (*encryption, error) {
	var info requestInfo
	if _, err := asn1.Unmarshal(csr.RawTBSCertificateRequest, &info); err != nil {
		return nil, badCSR(err, "the CSR's attributes cannot be read: send one whole CSR")
	}
	values := map[string][]asn1.RawValue{}
	for _, raw := range info.Attributes {
		var a attribute
		if rest, err := asn1.Unmarshal(raw.FullBytes, &a); err != nil || len(rest) > 0 {
			return nil, badCSR(err, "the CSR has an attribute that cannot be read: send one whole CSR")
		}
		name := a.Type.String()
		values[name] = append(values[name], a.Values...)
		if len(a.Values) == 0 {
			values[name] = append(values[name], asn1.RawValue{}) // one that cannot be read
		}
	}
	secret, public := values[oidDecryptKeyIdentifier.String()], values[oidAsymmetricDecryptKeyIdentifier.String()]
	var asked encryption
	switch {
	case secret == nil && public == nil:
		return nil, nil
	case secret != nil && public != nil:
		return nil, badCSR(nil, "the CSR asks for its key under a secret key and under a public one (RFC 7030 section 4.4.1): leave one of the attributes out")
	case secret != nil:
		asked.secret = true
	default:
		secret = public
	}
	if len(secret) != 1 {
		return nil, badCSR(nil, "the CSR names %d keys under which it wants its own: name one", len(secret))
	}
	if rest, err := asn1.Unmarshal(secret[0].FullBytes, &asked.id); err != nil || len(rest) > 0 || len(asked.id) == 0 {
		return nil, badCSR(err, "the CSR asks for its key to be encrypted, and names no key: the attribute's value is an OCTET STRING (RFC 7030 section 4.4.1)")
	}
	asked.capabilities = values[oidSMIMECapabilities.String()]
	return &asked, nil
}

// keyPart is the part of the answer with the key: encrypted, where that was asked for.
func keyPart(sealed *sealing, key []byte) (part, error) {
	if sealed == nil {
		return part{typePKCS8, key}, nil
	}
	der, err := sealed.seal(key)
	if err != nil {
		return part{}, fmt.Errorf("encrypt the key that was made: %w", err)
	}
	return part{typeGeneratedKey, der}, nil
}
