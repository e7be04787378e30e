package cms_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"ciscora/internal/cms"
	"ciscora/internal/peertest"
)

// openssl runs the program in a folder.
func openssl(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), peertest.Program(t, "openssl"), args...)
	cmd.Dir = dir
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %q: %v\n%s", args, err, said.Bytes())
	}
	return out
}

// holder is a key with a certificate that it has signed itself, in dir as NAME.pem and
// NAME.key.
func holder(t *testing.T, dir, name string, key crypto.Signer) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, SubjectKeyId: []byte(name),
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, dir, name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// OpenSSL opens what is sealed here, by each kind of key, and finds the private key in
// it as it was signed.
func TestOpenSSLOpensEachEnvelopeAndVerifiesTheKeyInIt(t *testing.T) {
	secret := bytes.Repeat([]byte{0xa5}, 32)
	p256, p384 := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P384())
	made, err := x509.MarshalPKCS8PrivateKey(p384)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		key   crypto.Signer // nil: the secret one
		can   []byte
		by    crypto.Signer
		opens []string
	}{
		{"a secret key", nil, capable(t, aes256CBC, aes256Wrap), p256, []string{"-secretkey", hex.EncodeToString(secret), "-secretkeyid", hex.EncodeToString([]byte("client"))}},
		{"RSA, PKCS #1 1.5", rsaKey(), capable(t, aes128CBC, rsaEncryption), rsaKey(), []string{"-recip", "client.pem", "-inkey", "client.key"}},
		{"RSA, OAEP with SHA-1", rsaKey(), capable(t, aes256CBC, rsaOAEP), p256, []string{"-recip", "client.pem", "-inkey", "client.key"}},
		{"RSA, OAEP with SHA-256", rsaKey(), oaep(t, "2.16.840.1.101.3.4.2.1", "2.16.840.1.101.3.4.2.1"), p256, []string{"-recip", "client.pem", "-inkey", "client.key"}},
		{"P-256", p256, capable(t, aes128CBC, dhSHA256+"/"+aes128Wrap), p256, []string{"-recip", "client.pem", "-inkey", "client.key"}},
		{"P-384", p384, capable(t, aes256CBC, dhSHA384+"/"+aes256Wrap), p256, []string{"-recip", "client.pem", "-inkey", "client.key"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			signed, err := cms.SignKey(made, holder(t, dir, "server", c.by))
			if err != nil {
				t.Fatal(err)
			}
			list, err := cms.ParseCapabilities(c.can)
			if err != nil {
				t.Fatal(err)
			}
			e, err := cms.ToSecretKey([]byte("client"), secret, list)
			if c.key != nil {
				holder(t, dir, "client", c.key)
				e, err = cms.ToPublicKey([]byte("client"), c.key.Public(), list)
			}
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := e.Seal(cms.OIDSignedData, signed)
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, "sealed.der", sealed)
			opened := openssl(t, dir, append([]string{"cms", "-decrypt", "-inform", "DER", "-in", "sealed.der", "-binary"}, c.opens...)...)
			if !bytes.Equal(opened, signed) {
				t.Fatalf("%d bytes, want the %d that were sealed", len(opened), len(signed))
			}
			info, err := asn1.Marshal(struct {
				Type    asn1.ObjectIdentifier
				Content asn1.RawValue
			}{cms.OIDSignedData, asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: opened}})
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, "signed.der", info)
			keys := openssl(t, dir, "cms", "-verify", "-inform", "DER", "-in", "signed.der", "-binary", "-CAfile", "server.pem", "-purpose", "any")
			var all []asn1.RawValue
			unmarshal(t, keys, &all)
			if len(all) != 1 {
				t.Fatalf("%d keys", len(all))
			}
			key, err := x509.ParsePKCS8PrivateKey(all[0].FullBytes)
			if err != nil || !key.(*ecdsa.PrivateKey).Equal(p384) {
				t.Errorf("%v, or another key", err)
			}
		})
	}
}

// RFC 5652 §5.1, RFC 5958 §4.
func TestAKeyPackageSaysWhatItIs(t *testing.T) {
	key := ecKey(t, elliptic.P256())
	made, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := cms.SignKey(made, holder(t, t.TempDir(), "server", key))
	if err != nil {
		t.Fatal(err)
	}
	var data struct {
		Version int
		Digests asn1.RawValue
		Content struct {
			Type    asn1.ObjectIdentifier
			Content []byte `asn1:"explicit,tag:0"`
		}
	}
	if _, err := asn1.Unmarshal(signed, &data); err != nil {
		t.Fatal(err)
	}
	var all []asn1.RawValue
	unmarshal(t, data.Content.Content, &all)
	if data.Version != 3 || data.Content.Type.String() != "2.16.840.1.101.2.1.2.78.5" || len(all) != 1 || !bytes.Equal(all[0].FullBytes, made) {
		t.Errorf("version %d, type %s, %d keys", data.Version, data.Content.Type, len(all))
	}
}

func TestWhoHasNoCertificateOrNoUsableKeySignsNothing(t *testing.T) {
	for name, by := range map[string]tls.Certificate{
		"no certificate": {PrivateKey: rsaKey()},
		"no key":         {Certificate: holder(t, t.TempDir(), "x", rsaKey()).Certificate},
	} {
		if der, err := cms.SignKey([]byte{0x30, 0}, by); err == nil || der != nil {
			t.Errorf("%s: %x, %v", name, der, err)
		}
	}
}
