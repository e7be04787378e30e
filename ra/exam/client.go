package exam

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Client is what is examined.
type Client struct {
	Name       string   `json:"name"`
	Version    string   `json:"version,omitempty"`
	Command    []string `json:"command"`
	Operations []string `json:"operations"`
	Abilities  []string `json:"abilities,omitempty"`
	// Env are variables besides those of the placeholders and this process's own.
	Env []string `json:"-"`
	// EnvOf are variables for a case; nil = none.
	EnvOf func(Card) []string `json:"-"`
}

// Check tells whether the client can be run at all.
func (c Client) Check() error {
	if len(c.Command) == 0 || c.Command[0] == "" {
		return errors.New("no command: give the client's after --, or --client PRESET")
	}
	for _, operation := range c.Operations {
		if !slices.Contains(Operations(), operation) {
			return fmt.Errorf("there is no operation %q%s", operation, meant(operation, Operations(), ": want some of "+strings.Join(Operations(), ", ")))
		}
	}
	for _, ability := range c.Abilities {
		if !slices.Contains(Abilities(), ability) {
			return fmt.Errorf("there is no ability %q%s", ability, meant(ability, Abilities(), ": want some of "+strings.Join(Abilities(), ", ")))
		}
	}
	return nil
}

// Placeholders lists what may stand in a command, with what it becomes.
func Placeholders() [][2]string {
	return [][2]string{
		{"url", "https://HOST:PORT/.well-known/est, with the label behind it where there is one"},
		{"host", "the server's name, or its address"},
		{"port", "its port"},
		{"address", "the server's address, for a client that can resolve: it goes there whatever {host} is"},
		{"cacert", "PEM file of the trust anchors"},
		{"fingerprint", "SHA-256 of the CA's certificate in hexadecimal digits, as a person would give it to a client without {cacert}"},
		{"clock", "what the client's clock is to show, such as 1970-01-02 00:00:00 (UTC); mostly empty: the time"},
		{"user", "account"},
		{"password", "its password"},
		{"csr", "PEM file of the CSR; {csr_der} and {csr_b64} in DER and bare base64"},
		{"csr_der", "the CSR in DER"},
		{"csr_b64", "the CSR in base64, in lines of 64"},
		{"key", "PEM file of the CSR's key; what serverkeygen must write"},
		{"out", "file that the client must write: the certificate, or those of the CA, in PEM or DER"},
		{"label", "additional path segment, mostly empty"},
		{"cert", "PEM file of the certificate to renew, on reenroll"},
		{"oldkey", "PEM file of its key"},
		{"secret", "file with an AES key of 256 bits, in hexadecimal digits, under which serverkeygen can encrypt"},
		{"secret_id", "by what the server knows it: the value of DecryptKeyIdentifier"},
		{"name", "common name for a CSR that the client makes itself"},
		{"operation", strings.Join(Operations(), ", ")},
		{"dir", "folder for whatever else the client writes"},
	}
}

// files are those of one run.
type files struct {
	dir    string
	key    *ecdsa.PrivateKey
	csr    *x509.CertificateRequest
	values map[string]string // of the placeholders
}

func (f files) path(name string) string { return filepath.Join(f.dir, name) }

// write makes the files of a run for a name.
func writeFiles(dir, name, operation string, ownKey bool) (files, error) {
	f := files{dir: dir}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return f, fmt.Errorf("make the run's folder: %w", err)
	}
	var err error
	if f.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return f, fmt.Errorf("make the client's key: %w", err)
	}
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}, DNSNames: []string{strings.ToLower(name) + ".example.com"}}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, f.key)
	if err != nil {
		return f, fmt.Errorf("make the client's CSR: %w", err)
	}
	if f.csr, err = x509.ParseCertificateRequest(der); err != nil {
		return f, fmt.Errorf("read the client's CSR: %w", err)
	}
	written := map[string][]byte{
		"csr.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
		"csr.der": der,
		"csr.b64": lines64(der),
	}
	if operation != ServerKeygen && !ownKey {
		if written["key.pem"], err = keyPEM(f.key); err != nil {
			return f, err
		}
	}
	for name, data := range written {
		if err := os.WriteFile(f.path(name), data, 0o600); err != nil {
			return f, fmt.Errorf("write the run's files: %w", err)
		}
	}
	f.values = map[string]string{
		"csr": f.path("csr.pem"), "csr_der": f.path("csr.der"), "csr_b64": f.path("csr.b64"), "key": f.path("key.pem"),
		"out": f.path("out.pem"), "name": name, "operation": operation, "dir": dir, "cert": "", "oldkey": "",
	}
	return f, nil
}

func keyPEM(key any) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// old writes the certificate that a re-enrollment renews.
func (f files) old(certificate *tls.Certificate, name string) error {
	key, err := keyPEM(certificate.PrivateKey)
	if err != nil {
		return err
	}
	var chain []byte
	for _, der := range certificate.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	f.values["cert"], f.values["oldkey"], f.values["name"] = f.path("old.pem"), f.path("oldkey.pem"), name
	return errors.Join(os.WriteFile(f.path("old.pem"), chain, 0o600), os.WriteFile(f.path("oldkey.pem"), key, 0o600))
}

func lines64(der []byte) []byte {
	text := base64.StdEncoding.EncodeToString(der)
	var b strings.Builder
	for len(text) > 0 {
		n := min(64, len(text))
		b.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	return []byte(b.String())
}

// expand puts the values into a command and into an environment.
func expand(args []string, values map[string]string) (expanded, env []string) {
	var pairs []string
	for _, p := range Placeholders() {
		pairs = append(pairs, "{"+p[0]+"}", values[p[0]])
		env = append(env, "EST_"+strings.ToUpper(p[0])+"="+values[p[0]])
	}
	replace := strings.NewReplacer(pairs...)
	for _, arg := range args {
		expanded = append(expanded, replace.Replace(arg))
	}
	return expanded, env
}

// certificatesIn reads the certificates of a file, PEM or DER.
func certificatesIn(data []byte) []*x509.Certificate {
	var all []*x509.Certificate
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		all, _ = x509.ParseCertificates(data) // none then
	}
	return all
}
