package wrongclient

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"os"
	"strings"

	josecipher "github.com/go-jose/go-jose/v4/cipher"
	"github.com/smallstep/pkcs7"
)

func (c *client) serverkeygen(u *url.URL) error {
	a, err := c.request("POST", c.at(u, "serverkeygen"), func(tls.ConnectionState) ([]byte, error) {
		der, _, err := c.csr("serverkeygen")
		return []byte(base64.StdEncoding.EncodeToString(der)), err
	})
	if err != nil {
		return err
	}
	kind, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil || kind != "multipart/mixed" {
		return errors.New("the answer is not of two parts")
	}
	if c.wrong("keygen-mime") && strings.Contains(a.header.Get("Content-Type"), `"`) {
		return errors.New("a boundary in quotes")
	}
	var key any
	var certificates []*x509.Certificate
	for reader, n := multipart.NewReader(bytes.NewReader(a.body), params["boundary"]), 0; ; n++ {
		part, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		text, err := io.ReadAll(part)
		if err != nil {
			return err
		}
		kind := part.Header.Get("Content-Type")
		isKey := strings.HasPrefix(kind, "application/pkcs8")
		if c.can("encrypted-key") {
			if isKey && !c.wrong("keygen-encrypted") {
				return errors.New("the key was to be encrypted")
			}
			isKey = isKey || strings.Contains(kind, "smime-type=server-generated-key")
		}
		if c.wrong("keygen-parts") {
			isKey = n == 0
		}
		if isKey {
			der, err := c.decode(text)
			if err == nil && strings.HasPrefix(kind, typePKCS7) {
				der, err = c.decrypt(der)
			}
			if err == nil {
				key, err = x509.ParsePKCS8PrivateKey(der)
			}
			if err != nil {
				return err
			}
		} else if certificates, err = c.certificatesOf(text); err != nil {
			return err
		}
	}
	signer, ok := key.(crypto.Signer)
	if !ok && !c.wrong("keygen-mismatch") {
		return errors.New("there is no key")
	}
	if !c.wrong("keygen-mismatch") {
		if certificates, err = c.choose(certificates, signer.Public()); err != nil {
			return err
		}
	}
	if ok {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return err
		}
		if err := write(c.get("KEY"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
			return err
		}
	}
	return write(c.get("OUT"), encode(certificates))
}

// What a key that is encrypted is made of (RFC 7030 section 4.4.1, RFC 3565, RFC 5652).
var (
	oidSMIMECapabilities = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 15}
	oidDecryptKeyID      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 37}
	oidAES256CBC         = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
	oidAES256Wrap        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 45}
	oidSignedData        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
)

// askEncryption has a CSR ask for its key under the secret that client and server share.
func (c *client) askEncryption(der []byte, key crypto.Signer) ([]byte, error) {
	id := asn1.RawValue{Tag: asn1.TagOctetString, Bytes: []byte(c.get("SECRET_ID"))}
	der, err := withAttribute(der, key, oidDecryptKeyID, id)
	if err != nil {
		return nil, err
	}
	can, err := asn1.Marshal([]pkix.AlgorithmIdentifier{{Algorithm: oidAES256CBC}, {Algorithm: oidAES256Wrap}})
	if err != nil {
		return nil, err
	}
	return withAttribute(der, key, oidSMIMECapabilities, asn1.RawValue{FullBytes: can})
}

// contentInfo is that of RFC 5652 section 3.
type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"explicit,tag:0"`
}

// decrypt opens an envelope (RFC 5652 section 6) with a signed package of keys in it (RFC
// 5958) and returns the key.
func (c *client) decrypt(der []byte) ([]byte, error) {
	text, err := os.ReadFile(c.get("SECRET"))
	if err != nil {
		return nil, err
	}
	secret, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, err
	}
	var outer contentInfo
	var envelope struct {
		Version    int
		Recipients []asn1.RawValue `asn1:"set"`
		Content    struct {
			Type      asn1.ObjectIdentifier
			Algorithm pkix.AlgorithmIdentifier
			Encrypted asn1.RawValue
		}
	}
	var recipient struct {
		Version   int
		ID        struct{ Key []byte }
		Algorithm pkix.AlgorithmIdentifier
		Encrypted []byte
	}
	var iv []byte
	if _, err = asn1.Unmarshal(der, &outer); err == nil {
		_, err = asn1.Unmarshal(outer.Content.Bytes, &envelope)
	}
	if err == nil && len(envelope.Recipients) == 0 {
		err = errors.New("the envelope is for nobody")
	}
	if err == nil {
		_, err = asn1.UnmarshalWithParams(envelope.Recipients[0].FullBytes, &recipient, "tag:2")
	}
	if err == nil {
		_, err = asn1.Unmarshal(envelope.Content.Algorithm.Parameters.FullBytes, &iv)
	}
	if err != nil {
		return nil, err
	}
	plain, err := unseal(secret, recipient.Encrypted, iv, envelope.Content.Encrypted.Bytes)
	if err != nil {
		return nil, err
	}
	inner, err := asn1.Marshal(contentInfo{oidSignedData, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: plain}})
	if err != nil {
		return nil, err
	}
	signed, err := pkcs7.Parse(inner)
	if err != nil {
		return nil, err
	}
	if err := signed.VerifyWithChain(c.roots); err != nil {
		return nil, err
	}
	var keys []asn1.RawValue
	if _, err := asn1.Unmarshal(signed.Content, &keys); err != nil || len(keys) != 1 {
		return nil, errors.New("the package is not of one key")
	}
	return keys[0].FullBytes, nil
}

// unseal decrypts content whose AES key is under another one.
func unseal(secret, wrapped, iv, encrypted []byte) ([]byte, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	key, err := josecipher.KeyUnwrap(block, wrapped)
	if err != nil {
		return nil, err
	}
	if block, err = aes.NewCipher(key); err != nil {
		return nil, err
	}
	if len(iv) != aes.BlockSize || len(encrypted) == 0 || len(encrypted)%aes.BlockSize != 0 {
		return nil, errors.New("the encrypted content is not of whole blocks")
	}
	plain := make([]byte, len(encrypted))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, encrypted)
	padding := int(plain[len(plain)-1])
	if padding == 0 || padding > aes.BlockSize {
		return nil, errors.New("the encrypted content is not padded")
	}
	return plain[:len(plain)-padding], nil
}
