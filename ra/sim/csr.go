package sim

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
)

var (
	oidChallengePassword = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}
	oidExtensionRequest  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 14}
	oidSubjectAltName    = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidSHA256WithRSA     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	oidECDSAWithSHA256   = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
)

// Keys are made before a history begins: an RSA key costs more than all the rest of
// it.
type Keys struct {
	RSA, EC []crypto.Signer // the clients'
	Others  crypto.Signer
}

// MakeKeys makes so many keys of each kind. RSA keys have 1,024 bits: nobody attacks them,
// and they are made and used in a fifth of the time.
func MakeKeys(rsaKeys, ecKeys int) (Keys, error) {
	var k Keys
	for range rsaKeys {
		r, err := rsa.GenerateKey(rand.Reader, smallRSA)
		if err != nil {
			return k, fmt.Errorf("sim: make an RSA key: %w", err)
		}
		k.RSA = append(k.RSA, r)
	}
	for range ecKeys {
		e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return k, fmt.Errorf("sim: make an EC key: %w", err)
		}
		k.EC = append(k.EC, e)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return k, fmt.Errorf("sim: make an EC key: %w", err)
	}
	k.Others = other
	return k, nil
}

const smallRSA = 1024

// The parts of a CSR (RFC 2986 §4). x509.CreateCertificateRequest cannot write a
// challengePassword.
type (
	certificationRequest struct {
		Info      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	certificationRequestInfo struct {
		Version    int
		Subject    asn1.RawValue
		PublicKey  asn1.RawValue
		Attributes []asn1.RawValue `asn1:"tag:0,set"`
	}
	attribute[T any] struct {
		Type   asn1.ObjectIdentifier
		Values []T `asn1:"set"`
	}
)

// signCSR makes a CSR as a client does at each try: signed anew, with the channel
// binding of this try's connection as challengePassword, where proof is not "".
func signCSR(key crypto.Signer, cn, dns, proof string) (*x509.CertificateRequest, error) {
	name := pkix.Name{CommonName: cn, Organization: []string{"Sim"}}
	subject, err := asn1.Marshal(name.ToRDNSequence())
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	info := certificationRequestInfo{Subject: asn1.RawValue{FullBytes: subject}, PublicKey: asn1.RawValue{FullBytes: public}}
	if proof != "" {
		if err := info.add(attribute[string]{oidChallengePassword, []string{proof}}); err != nil {
			return nil, err
		}
	}
	if dns != "" {
		san, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte(dns)}})
		if err != nil {
			return nil, err
		}
		extensions := []pkix.Extension{{Id: oidSubjectAltName, Value: san}}
		if err := info.add(attribute[[]pkix.Extension]{oidExtensionRequest, [][]pkix.Extension{extensions}}); err != nil {
			return nil, err
		}
	}
	tbs, err := asn1.Marshal(info)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(tbs)
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	algorithm := pkix.AlgorithmIdentifier{Algorithm: oidECDSAWithSHA256}
	if _, ok := key.(*rsa.PrivateKey); ok {
		algorithm = pkix.AlgorithmIdentifier{Algorithm: oidSHA256WithRSA, Parameters: asn1.NullRawValue}
	}
	der, err := asn1.Marshal(certificationRequest{
		asn1.RawValue{FullBytes: tbs}, algorithm, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)},
	})
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificateRequest(der)
}

func (c *certificationRequestInfo) add(a any) error {
	der, err := asn1.Marshal(a)
	if err != nil {
		return err
	}
	c.Attributes = append(c.Attributes, asn1.RawValue{FullBytes: der})
	return nil
}
