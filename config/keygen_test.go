package config_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ciscora/config"
)

// keygenFolder is a folder whose configuration names a file of keys.
func keygenFolder(t *testing.T, keys string) *config.RA {
	t.Helper()
	dir := folder(t)
	write(t, dir, "keygen.keys", keys, 0o600)
	write(t, dir, "ra.yaml", strings.Replace(minimal, "est.key}", "est.key, server_keygen: true, server_keygen_keys: keygen.keys}", 1), 0o644)
	c, err := config.LoadRA(filepath.Join(dir, "ra.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestKeygenKeysAreFoundByTheirIdentifiers(t *testing.T) {
	key := strings.Repeat("a1", 16)
	c := keygenFolder(t, "# ours\n\nsite-a:"+key+"\r\nurn:x:y:"+strings.Repeat("b2", 24)+"\n0x00ff:"+strings.Repeat("C3", 32)+"\n")
	f, err := c.KeygenFiles()
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string][]byte{
		"site-a": bytes.Repeat([]byte{0xa1}, 16), "urn:x:y": bytes.Repeat([]byte{0xb2}, 24), "\x00\xff": bytes.Repeat([]byte{0xc3}, 32), "0x00ff": nil, "": nil,
	} {
		if got := f.Keys.Key([]byte(id)); !bytes.Equal(got, want) {
			t.Errorf("%q: %x, want %x", id, got, want)
		}
	}
	told, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %d", f, f, f.Keys, f.Keys, f.Keys), string(told)} {
		if strings.Contains(text, "161") || strings.Contains(strings.ToLower(text), "a1a1") {
			t.Errorf("the keys are printed: %s", text)
		}
	}
}

func TestKeygenKeysThatAreNoneAreRefusedAtTheirLine(t *testing.T) {
	good := "a:" + strings.Repeat("a1", 16)
	for name, test := range map[string]struct{ keys, want string }{
		"empty":                 {"# nothing\n", "holds no key"},
		"no colon":              {good + "\nsecret", ":2: is no line of IDENTIFIER:KEY"},
		"no identifier":         {":" + strings.Repeat("a1", 16), ":1: is no line of IDENTIFIER:KEY"},
		"an odd size":           {"a:" + strings.Repeat("a1", 20), "20 bytes, want 16, 24 or 32"},
		"no digits":             {"a:secret-secret-secret-secret!!", "not in hexadecimal digits"},
		"an identifier of none": {"0x:" + strings.Repeat("a1", 16), "behind 0x"},
		"twice":                 {good + "\n0x61:" + strings.Repeat("b2", 16), ":2: the identifier is there already"},
	} {
		t.Run(name, func(t *testing.T) {
			err := keygenFolder(t, test.keys).Check()
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "est.server_keygen_keys") {
				t.Errorf("%v, want %q at est.server_keygen_keys", err, test.want)
			}
			if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "a1a1")) {
				t.Errorf("a line is quoted: %v", err)
			}
		})
	}
}

func TestKeygenKeysThatOthersCanReadAreRefused(t *testing.T) {
	c := keygenFolder(t, "a:"+strings.Repeat("a1", 16))
	if err := os.Chmod(c.EST.ServerKeygenKeys, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("%v", err)
	}
}

func TestKeygenCertificatesNeedTheIdentifierByWhichTheyAreFound(t *testing.T) {
	c := keygenFolder(t, "a:"+strings.Repeat("a1", 16))
	c.EST.ServerKeygenCertificates = []string{c.EST.Certificate}
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "subjectKeyIdentifier") || !strings.Contains(err.Error(), "est.server_keygen_certificates[0]") {
		t.Errorf("%v", err)
	}
}

// certified is a certificate for that key, which another one has signed.
func certified(t *testing.T, public any) string {
	t.Helper()
	issuer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), SubjectKeyId: []byte{1}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, issuer)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestKeygenCertificatesToWhichNothingCanBeEncryptedAreRefused(t *testing.T) {
	rsaOf := func(bits int) *rsa.PublicKey {
		return &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), bits-1, 1), E: 65537}
	}
	ec := func(c elliptic.Curve) *ecdsa.PublicKey {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return &key.PublicKey
	}
	for name, test := range map[string]struct {
		public any
		want   string // "" = it is taken
	}{
		"RSA of 768 bits":  {rsaOf(768), "768-bit"},
		"RSA of 2048 bits": {rsaOf(2048), ""},
		"P-256":            {ec(elliptic.P256()), ""},
		"P-224":            {ec(elliptic.P224()), "P-224"},
		"Ed25519":          {ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)), "ed25519"},
	} {
		t.Run(name, func(t *testing.T) {
			c := keygenFolder(t, "a:"+strings.Repeat("a1", 16))
			c.EST.ServerKeygenCertificates = []string{write(t, t.TempDir(), "c.pem", certified(t, test.public), 0o644)}
			err := c.Check()
			if test.want == "" && err == nil {
				return
			}
			if test.want == "" || err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "est.server_keygen_certificates[0]") {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestKeysCannotBeEncryptedWhereNobodySignsThem(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	c := keygenFolder(t, "a:"+strings.Repeat("a1", 16))
	dir := t.TempDir()
	own := config.CertificateFiles{Certificate: c.EST.Certificate, Key: c.EST.Key}
	c.EST.Certificate = write(t, dir, "ed.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o644)
	c.EST.Key = write(t, dir, "ed.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})), 0o600)
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "est.server_keygen_keys") || !strings.Contains(err.Error(), "RSA or ECDSA key to est.certificates") {
		t.Errorf("%v", err)
	}
	c.EST.Certificates = append(c.EST.Certificates, own)
	if err := c.Check(); err != nil {
		t.Errorf("with one that can sign: %v", err)
	}
	c.EST.Certificates, c.EST.ServerKeygenKeys = nil, ""
	if err := c.Check(); err != nil {
		t.Errorf("where nothing is encrypted: %v", err)
	}
}
