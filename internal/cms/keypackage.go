package cms

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/smallstep/pkcs7"
)

// OIDSignedData is the content type of what [SignKey] returns.
var OIDSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}

// oidKeyPackage is id-ct-KP-aKeyPackage (RFC 5958 §2).
var oidKeyPackage = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 2, 1, 2, 78, 5}

// SignKey returns the SignedData of an AsymmetricKeyPackage with one private key, which is
// in PKCS #8 (RFC 5958 §2, §4), with the signer's certificates. It is not in a ContentInfo.
func SignKey(key []byte, by tls.Certificate) ([]byte, error) {
	keys, err := asn1.Marshal([]asn1.RawValue{{FullBytes: key}})
	if err != nil {
		return nil, fmt.Errorf("cms: encode the key package: %w", err)
	}
	defer clear(keys)
	signed, err := pkcs7.NewSignedData(keys)
	if err != nil {
		return nil, fmt.Errorf("cms: sign the key package: %w", err)
	}
	data := signed.GetSignedData()
	data.Version = 3 // of content that is not id-data (RFC 5652 §5.1)
	data.ContentInfo.ContentType = oidKeyPackage
	defer clear(data.ContentInfo.Content.Bytes)
	signed.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if len(by.Certificate) == 0 {
		return nil, errors.New("cms: sign the key package: the signer has no certificate")
	}
	for i, der := range by.Certificate {
		certificate, err := x509.ParseCertificate(der)
		if err == nil && i == 0 {
			err = signed.AddSigner(certificate, by.PrivateKey, pkcs7.SignerInfoConfig{})
		} else if err == nil {
			signed.AddCertificate(certificate)
		}
		if err != nil {
			return nil, fmt.Errorf("cms: sign the key package: %w", err)
		}
	}
	whole, err := signed.Finish()
	if err != nil {
		return nil, fmt.Errorf("cms: sign the key package: %w", err)
	}
	var info struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	if _, err := asn1.Unmarshal(whole, &info); err != nil {
		return nil, fmt.Errorf("cms: read the signed key package: %w", err)
	}
	return info.Content.Bytes, nil // of a RawValue, what the tag holds
}
