package capf

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Phone is a device with a key and the CSR for it.
type Phone struct {
	Name string // SEP and twelve hexadecimal digits, or as it was given
	Key  crypto.Signer
	CSR  []byte // PKCS#10 in DER; the name is the common name
}

// NewPhone makes a phone. random nil is crypto/rand's; name "" is SEP and twelve
// hexadecimal digits at random. keyType is one of [NewKey]'s.
func NewPhone(random io.Reader, name, keyType string) (*Phone, error) {
	key, err := NewKey(random, keyType)
	if err != nil {
		return nil, err
	}
	return NewPhoneWithKey(random, name, key)
}

// NewPhoneWithKey is NewPhone with a key that is there already: thousands of
// phones that share one are made in a moment.
func NewPhoneWithKey(random io.Reader, name string, key crypto.Signer) (*Phone, error) {
	random = orRandom(random)
	if name == "" {
		var address [6]byte
		if _, err := io.ReadFull(random, address[:]); err != nil {
			return nil, fmt.Errorf("draw phone's name: %w", err)
		}
		name = fmt.Sprintf("SEP%X", address)
	}
	if err := validName(name); err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(random, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
	if err != nil {
		return nil, fmt.Errorf("sign CSR of %s: %w", name, err)
	}
	return &Phone{Name: name, Key: key, CSR: csr}, nil
}

// validName bounds a common name as X.520 does (ub-common-name is 64).
func validName(name string) error {
	switch {
	case utf8.RuneCountInString(name) > 64:
		return errors.New("phone's name: over 64 characters, which is the most for a common name")
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("phone's name: holds control characters or is no UTF-8")
	}
	return nil
}

// NewKey makes a key: rsa2048, rsa3072, rsa4096, ec256, ec384 or ec521. Since
// Go 1.26 the standard library draws keys from its own source alone; random
// is for what it still asks for.
func NewKey(random io.Reader, keyType string) (crypto.Signer, error) {
	random = orRandom(random)
	var key crypto.Signer
	var err error
	switch keyType {
	case "rsa2048":
		key, err = rsa.GenerateKey(random, 2048)
	case "rsa3072":
		key, err = rsa.GenerateKey(random, 3072)
	case "rsa4096":
		key, err = rsa.GenerateKey(random, 4096)
	case "ec256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), random)
	case "ec384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), random)
	case "ec521":
		key, err = ecdsa.GenerateKey(elliptic.P521(), random)
	default:
		return nil, CheckKeyType(keyType)
	}
	if err != nil {
		return nil, fmt.Errorf("generate %s key: %w", keyType, err)
	}
	return key, nil
}

// CheckKeyType tells whether [NewKey] knows a kind, without making a key.
func CheckKeyType(keyType string) error {
	switch keyType {
	case "rsa2048", "rsa3072", "rsa4096", "ec256", "ec384", "ec521":
		return nil
	}
	return fmt.Errorf("key type %q: unknown; use rsa2048, rsa3072, rsa4096, ec256, ec384 or ec521", keyType)
}

func orRandom(random io.Reader) io.Reader {
	if random == nil {
		return rand.Reader
	}
	return random
}
