package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
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

const credentials = "user: 'LAB\\ciscora'\npassword: ' a: \"b\" #c'\n"

// folder makes a folder with all that minimal names, and another key.
func folder(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	certificate, key := selfSigned(t)
	_, other := selfSigned(t)
	write(t, dir, "est.pem", "subject=est\n"+certificate, 0o644)
	write(t, dir, "est.key", key, 0o600)
	write(t, dir, "other.key", other, 0o600)
	write(t, dir, "root.pem", certificate+certificate, 0o644)
	write(t, dir, "credentials.yaml", credentials, 0o600)
	write(t, dir, "ra.yaml", minimal, 0o644)
	return dir
}

func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ra.example"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return block("CERTIFICATE", der), block("EC PARAMETERS", []byte{6, 1, 0}) + block("EC PRIVATE KEY", keyDER)
}

func TestFilesHoldWhatTheConfigurationNames(t *testing.T) {
	c, err := config.LoadRA(filepath.Join(folder(t), "ra.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := c.Files()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, config.Credentials{User: `LAB\ciscora`, Password: ` a: "b" #c`}, files.Credentials)
	equal(t, "CN=ra.example", files.EST.Certificates[0].Leaf.Subject.String())
	equal(t, 1, len(files.EST.Certificates[0].Certificate))
	equal(t, 2, len(files.CATrust))
	equal(t, 0, len(files.EST.Trust))
	if err := c.Check(); err != nil {
		t.Error(err)
	}
}

func TestEveryWrongFileIsReportedAtItsKey(t *testing.T) {
	dir := folder(t)
	for name, file := range map[string]struct {
		change func(t *testing.T)
		want   string // with DIR for the folder
	}{
		"missing files": {
			func(t *testing.T) {
				for _, name := range []string{"est.pem", "est.key", "credentials.yaml", "root.pem"} {
					if err := os.Remove(filepath.Join(dir, name)); err != nil {
						t.Fatal(err)
					}
				}
			},
			`DIR/ra.yaml:1:7: est.certificate: open DIR/est.pem: no such file or directory
DIR/ra.yaml:1:29: est.key: open DIR/est.key: no such file or directory
DIR/ra.yaml:5:3: ca.credentials: stat DIR/credentials.yaml: no such file or directory
DIR/ra.yaml:6:11: ca.trust[0]: open DIR/root.pem: no such file or directory`,
		},
		"a key that is not the certificate's": {
			func(t *testing.T) { move(t, dir, "other.key", "est.key") },
			`DIR/ra.yaml:1:29: est.key: DIR/est.key: is not the key of the first certificate in DIR/est.pem: name the key for which it was issued`,
		},
		"credentials that others can read": {
			func(t *testing.T) {
				write(t, dir, "credentials.yaml", credentials, 0o600)
				chmod(t, dir, "credentials.yaml", 0o640)
			},
			`DIR/ra.yaml:5:3: ca.credentials: DIR/credentials.yaml is readable by others (mode 0640): chmod 600 DIR/credentials.yaml`,
		},
		"credentials with an unknown key": {
			func(t *testing.T) { write(t, dir, "credentials.yaml", credentials+"realm: x\n", 0o600) },
			`DIR/ra.yaml:5:3: ca.credentials: DIR/credentials.yaml:3:1: realm: unknown key, known here are user, password`,
		},
		"certificate and key in each other's place": {
			func(t *testing.T) {
				move(t, dir, "est.pem", "x")
				move(t, dir, "est.key", "est.pem")
				move(t, dir, "x", "est.key")
			},
			`DIR/ra.yaml:1:7: est.certificate: DIR/est.pem: holds no PEM certificate
DIR/ra.yaml:1:29: est.key: DIR/est.key: holds no PEM private key`,
		},
		"a trust store in DER": {
			func(t *testing.T) {
				data, err := os.ReadFile(filepath.Join(dir, "root.pem"))
				if err != nil {
					t.Fatal(err)
				}
				block, _ := pem.Decode(data)
				write(t, dir, "root.pem", string(block.Bytes), 0o644)
			},
			`DIR/ra.yaml:6:11: ca.trust[0]: DIR/root.pem: is DER, want PEM: openssl x509 -inform der -in DIR/root.pem -out FILE.pem`,
		},
		"a key that everybody can read": {
			func(t *testing.T) { chmod(t, dir, "est.key", 0o644) },
			`DIR/ra.yaml:1:29: est.key: DIR/est.key is readable by everybody (mode 0644): chmod 600 DIR/est.key, or 640 for a group`,
		},
		"an encrypted key": {
			func(t *testing.T) {
				write(t, dir, "est.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", 0o600)
			},
			`DIR/ra.yaml:1:29: est.key: DIR/est.key: is encrypted, decrypt it: openssl pkey -in DIR/est.key -out FILE.key`,
		},
		"a broken key": {
			func(t *testing.T) {
				write(t, dir, "est.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0o600)
			},
			`DIR/ra.yaml:1:29: est.key: DIR/est.key: is no PKCS #8, PKCS #1 or SEC 1 private key`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir = folder(t)
			c, err := config.LoadRA(filepath.Join(dir, "ra.yaml"), nil)
			if err != nil {
				t.Fatal(err)
			}
			file.change(t)
			if err = c.Check(); err == nil {
				t.Fatal("was taken")
			}
			equal(t, file.want, strings.ReplaceAll(err.Error(), dir, "DIR"))
		})
	}
}

func TestABrokenCertificateIsCounted(t *testing.T) {
	dir := folder(t)
	good, _ := selfSigned(t)
	write(t, dir, "root.pem", good+"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0o644)
	c, err := config.LoadRA(filepath.Join(dir, "ra.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "root.pem: certificate 2: ") {
		t.Errorf("got %v", err)
	}
}

func TestWrittenCredentialsAreReadBackAndPrivate(t *testing.T) {
	path := write(t, t.TempDir(), "credentials.yaml", "old", 0o644)
	for _, password := range []string{"geheim", " x ", "*a", "a: b #c", "'\"\\", "1.50", "null", "äß\t\n.", "!x", strings.Repeat("a b ", 60)} {
		want := config.Credentials{User: `LAB\ciscora`, Password: config.Secret(password)}
		if err := config.WriteCredentials(path, want.User, password); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		got, err := config.LoadCredentials(path)
		if err != nil {
			t.Fatalf("%q: %v", password, err)
		}
		if got != want {
			t.Errorf("%q came back as %q", password, string(got.Password))
		}
	}
}

func TestAccountsComeFromTheirFiles(t *testing.T) {
	dir := folder(t)
	write(t, dir, "alice.password", "geheim \r\n", 0o600)
	path := write(t, dir, "certsrv.yaml", `users:
- credentials: credentials.yaml
- {name: alice, password_file: alice.password}
- {name: bob@lab.example, nt_hash: 0123456789abcdef0123456789abcdef}
`, 0o600)
	c, err := config.LoadCertsrv(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Accounts()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, []config.Account{
		{Name: `LAB\ciscora`, Password: ` a: "b" #c`},
		{Name: `LAB\alice`, Password: "geheim "},
		{Name: "bob@lab.example", NTHash: config.NTHash{1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}},
	}, got)
}

func TestEveryWrongAccountIsReportedAtItsKey(t *testing.T) {
	dir := folder(t)
	write(t, dir, "empty", "\n", 0o600)
	write(t, dir, "password", "geheim\n", 0o600)
	path := write(t, dir, "certsrv.yaml", `users:
- credentials: credentials.yaml
- {name: carol, credentials: credentials.yaml}
- {name: lab\CISCORA, password_file: password}
- {name: alice, password_file: empty}
- {name: bob, nt_hash: 0123456789abcdef0123456789abcdef}
- {name: dave, password_file: absent}
`, 0o644)
	c, err := config.LoadCertsrv(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err = c.Check(); err == nil {
		t.Fatal("was taken")
	}
	equal(t, `DIR/certsrv.yaml:3:17: users[1].credentials: DIR/credentials.yaml is for LAB\ciscora, not for carol: correct the name or remove it
DIR/certsrv.yaml:4:23: users[2].password_file: lab\CISCORA is there twice, remove one
DIR/certsrv.yaml:5:17: users[3].password_file: DIR/empty is empty, write the password into it
DIR/certsrv.yaml:6:15: users[4].nt_hash: the hash is as good as the password, and DIR/certsrv.yaml is readable by others (mode 0644): chmod 600 DIR/certsrv.yaml
DIR/certsrv.yaml:7:16: users[5].password_file: stat DIR/absent: no such file or directory`, strings.ReplaceAll(err.Error(), dir, "DIR"))
}

func TestUsagesAreThoseOfX509(t *testing.T) {
	template := config.Template{
		KeyUsage:    []string{"digitalSignature", "keyAgreement"},
		ExtKeyUsage: []string{"clientAuth", "any"},
	}
	equal(t, x509.KeyUsageDigitalSignature|x509.KeyUsageKeyAgreement, template.KeyUsageBits())
	equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageAny}, template.ExtKeyUsages())

	// Each name that a file may hold is one that crypto/x509 has.
	for _, usage := range schemaWords(t, "key_usage") {
		if (config.Template{KeyUsage: []string{usage}}).KeyUsageBits() == 0 {
			t.Errorf("%s is no key usage", usage)
		}
	}
	seen := map[x509.ExtKeyUsage]string{}
	for _, name := range schemaWords(t, "ext_key_usage") {
		usage := config.Template{ExtKeyUsage: []string{name}}.ExtKeyUsages()[0]
		if twin, ok := seen[usage]; ok {
			t.Errorf("%s and %s are the same", name, twin)
		}
		seen[usage] = name
	}
}

// schemaWords returns the words that a template's key takes, from the message
// for one that it does not.
func schemaWords(t *testing.T, key string) []string {
	t.Helper()
	text := fmt.Sprintf("users: [{credentials: c}]\ntemplates: [{name: A, %s: ['????????????????????']}]", key)
	_, err := config.ParseCertsrv("certsrv.yaml", []byte(text), nil)
	if err == nil {
		t.Fatal("was taken")
	}
	_, words, ok := strings.Cut(err.Error(), "want one of ")
	if !ok {
		t.Fatal(err)
	}
	return strings.Split(words, ", ")
}

func move(t *testing.T, dir, from, to string) {
	t.Helper()
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, dir, name string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
		t.Fatal(err)
	}
}
