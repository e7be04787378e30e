package config

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"ciscora/internal/secretfile"
)

// Files are the contents of the files that ra.yaml names.
type Files struct {
	EST         ESTFiles
	CATrust     []*x509.Certificate // ca.trust
	Credentials Credentials         // ca.credentials
}

// ESTFiles are those of the EST listener.
type ESTFiles struct {
	// Certificates are est.certificate with est.key, and those of
	// est.certificates; each Leaf is set.
	Certificates []tls.Certificate
	Trust        []*x509.Certificate // est.trust
}

// ESTFileNames are the paths of what [RA.ESTFiles] reads.
func (c *RA) ESTFileNames() []string {
	names := append([]string{c.EST.Certificate, c.EST.Key}, c.EST.Trust...)
	for _, more := range c.EST.Certificates {
		names = append(names, more.Certificate, more.Key)
	}
	return names
}

// CertificateFiles are the paths of the EST listener's certificates, in the order of
// [ESTFiles].
func (c *RA) CertificateFiles() []string {
	names := []string{c.EST.Certificate}
	for _, more := range c.EST.Certificates {
		names = append(names, more.Certificate)
	}
	return names
}

// ESTFiles reads the files of the EST listener. The error is [Problems].
func (c *RA) ESTFiles() (ESTFiles, error) {
	var problems Problems
	f := c.estFiles(&problems)
	return f, problems.asError()
}

func (c *RA) estFiles(problems *Problems) (f ESTFiles) {
	note := func(key string, err error) {
		if err != nil {
			*problems = append(*problems, c.source.problem(key, err))
		}
	}
	read := func(at, certificate, key string) {
		chain, err := readCertificates(certificate)
		note(at+"certificate", err)
		signer, keyErr := readKey(key)
		note(at+"key", keyErr)
		if err != nil || keyErr != nil {
			return
		}
		whole, err := pair(chain, signer)
		if err != nil {
			err = fmt.Errorf("%s: %w %s: name the key for which it was issued", key, err, certificate)
		}
		note(at+"key", err)
		f.Certificates = append(f.Certificates, whole)
	}
	read("est.", c.EST.Certificate, c.EST.Key)
	for i, more := range c.EST.Certificates {
		read(fmt.Sprintf("est.certificates[%d].", i), more.Certificate, more.Key)
	}
	for i, path := range c.EST.Trust {
		certs, err := readCertificates(path)
		note(fmt.Sprintf("est.trust[%d]", i), err)
		f.Trust = append(f.Trust, certs...)
	}
	return f
}

// Files reads the files that the configuration names. The error is [Problems]
// with all that is wrong with them, each at its key.
func (c *RA) Files() (Files, error) {
	var f Files
	var problems Problems
	note := func(key string, err error) {
		if err != nil {
			problems = append(problems, c.source.problem(key, err))
		}
	}
	f.EST = c.estFiles(&problems)
	f.CATrust = c.caTrust(&problems)
	c.keygenFiles(&problems)
	c.checkSigners(f.EST.Certificates, &problems)
	var err error
	f.Credentials, err = LoadCredentials(c.CA.Credentials)
	note("ca.credentials", err)
	note("ledger.dsn", c.Ledger.checkFiles())
	problems = append(problems, c.Admin.check(c.source)...)
	if err := problems.asError(); err != nil {
		return Files{}, err
	}
	return f, nil
}

// CATrust reads the web trust store. The error is [Problems].
func (c *RA) CATrust() ([]*x509.Certificate, error) {
	var problems Problems
	all := c.caTrust(&problems)
	return all, problems.asError()
}

func (c *RA) caTrust(problems *Problems) (all []*x509.Certificate) {
	for i, path := range c.CA.Trust {
		certs, err := readCertificates(path)
		if err != nil {
			*problems = append(*problems, c.source.problem(fmt.Sprintf("ca.trust[%d]", i), err))
		}
		all = append(all, certs...)
	}
	return all
}

// Check reads the files that the configuration names and reports all that is
// wrong with them, as [RA.Files] does.
func (c *RA) Check() error {
	_, err := c.Files()
	return err
}

// maxCertificates bounds what a PEM file may hold: the largest trust stores have
// some hundreds.
const maxCertificates = 2000

// readCertificates reads the certificates of a PEM file. What else is in it is
// passed over, as openssl does.
func readCertificates(path string) ([]*x509.Certificate, error) {
	data, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d: %w", path, len(certs)+1, err)
		}
		if certs = append(certs, cert); len(certs) > maxCertificates {
			return nil, fmt.Errorf("%s: holds more than %d certificates, is it the right file?", path, maxCertificates)
		}
	}
	switch {
	case len(certs) > 0:
		return certs, nil
	case bytes.HasPrefix(data, []byte{0x30}):
		return nil, fmt.Errorf("%s: is DER, want PEM: openssl x509 -inform der -in %[1]s -out FILE.pem", path)
	default:
		return nil, fmt.Errorf("%s: holds no PEM certificate", path)
	}
}

// readKey reads the private key of a PEM file: PKCS #8, PKCS #1 or SEC 1.
func readKey(path string) (crypto.Signer, error) {
	data, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue // EC PARAMETERS, certificates
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return nil, fmt.Errorf("%s: is encrypted, decrypt it: openssl pkey -in %[1]s -out FILE.key", path)
		}
		key, err := parseKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		info, err := os.Stat(path)
		if err == nil && readableByAll(info) {
			err = fmt.Errorf("%s is readable by everybody (mode %04o): chmod 600 %[1]s, or 640 for a group", path, info.Mode().Perm())
		}
		if err != nil {
			return nil, err
		}
		return key, nil
	}
	return nil, fmt.Errorf("%s: holds no PEM private key", path)
}

func parseKey(der []byte) (crypto.Signer, error) {
	var key any
	var err error
	if key, err = x509.ParsePKCS8PrivateKey(der); err != nil {
		if key, err = x509.ParsePKCS1PrivateKey(der); err != nil {
			if key, err = x509.ParseECPrivateKey(der); err != nil {
				// Not parse's own error: it is that of the last form tried.
				return nil, errors.New("is no PKCS #8, PKCS #1 or SEC 1 private key")
			}
		}
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("its key cannot sign (%T), want RSA, ECDSA or Ed25519", key)
	}
	return signer, nil
}

// pair returns the certificate for a TLS listener.
func pair(chain []*x509.Certificate, key crypto.Signer) (tls.Certificate, error) {
	public, ok := key.Public().(interface{ Equal(x crypto.PublicKey) bool })
	if !ok || !public.Equal(chain[0].PublicKey) {
		return tls.Certificate{}, errors.New("is not the key of the first certificate in")
	}
	c := tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, cert := range chain {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c, nil
}

// Account is a user of the built-in CA, as certsrv.yaml and its files name it.
type Account struct {
	Name     string // DOMAIN\user
	Password Secret // "" where NTHash is set
	NTHash   NTHash
}

// Accounts reads the users' files. The error is [Problems] with all that is
// wrong with them, each at its key.
func (c *Certsrv) Accounts() ([]Account, error) {
	var accounts []Account
	var problems Problems
	seen := map[string]bool{}
	for i, u := range c.Users {
		key := fmt.Sprintf("users[%d]", i)
		a, err := c.readUser(&key, u)
		if err == nil && seen[c.account(a.Name)] {
			err = fmt.Errorf("%s is there twice, remove one", a.Name)
		}
		if err != nil {
			problems = append(problems, c.source.problem(key, err))
			continue
		}
		seen[c.account(a.Name)] = true
		accounts = append(accounts, a)
	}
	if err := problems.asError(); err != nil {
		return nil, err
	}
	return accounts, nil
}

// Check reads the files that the configuration names and reports all that is
// wrong with them.
func (c *Certsrv) Check() error {
	_, err := c.Accounts()
	problems := c.Admin.check(c.source)
	if accounts, ok := errors.AsType[Problems](err); ok {
		problems = append(problems, accounts...)
	}
	return problems.asError()
}

// readUser returns the user's account, and in key where it stands.
func (c *Certsrv) readUser(key *string, u User) (Account, error) {
	a := Account{Name: u.Name}
	switch {
	case u.Credentials != "":
		*key += ".credentials"
		cred, err := LoadCredentials(u.Credentials)
		if err != nil {
			return a, err
		}
		if a.Name != "" && c.account(a.Name) != c.account(cred.User) {
			return a, fmt.Errorf("%s is for %s, not for %s: correct the name or remove it", u.Credentials, cred.User, a.Name)
		}
		a.Name, a.Password = cred.User, cred.Password
	case u.PasswordFile != "":
		*key += ".password_file"
		var err error
		if a.Password, err = ReadPassword(u.PasswordFile); err != nil {
			return a, err
		}
	default:
		*key += ".nt_hash"
		a.NTHash = u.NTHash
		if c.source == nil {
			break
		}
		if info, err := os.Stat(c.source.file); err == nil {
			if err := secretfile.Check(c.source.file, info); err != nil {
				return a, fmt.Errorf("the hash is as good as the password, and %w", err)
			}
		}
	}
	if !strings.ContainsAny(a.Name, `\@`) {
		a.Name = c.Domain + `\` + a.Name
	}
	return a, nil
}
