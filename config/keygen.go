package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"ciscora/internal/cms"
)

// KeygenFiles are what est.server_keygen_keys and est.server_keygen_certificates name.
type KeygenFiles struct {
	Keys         KeygenKeys
	Certificates []*x509.Certificate
}

// KeygenFileNames are the paths of what [RA.KeygenFiles] reads.
func (c *RA) KeygenFileNames() []string {
	names := append([]string{}, c.EST.ServerKeygenCertificates...)
	if c.EST.ServerKeygenKeys != "" {
		names = append(names, c.EST.ServerKeygenKeys)
	}
	return names
}

// KeygenFiles reads with what /serverkeygen encrypts. The error is [Problems].
func (c *RA) KeygenFiles() (KeygenFiles, error) {
	var problems Problems
	f := c.keygenFiles(&problems)
	return f, problems.asError()
}

func (c *RA) keygenFiles(problems *Problems) (f KeygenFiles) {
	note := func(key string, err error) {
		if err != nil {
			*problems = append(*problems, c.source.problem(key, err))
		}
	}
	if path := c.EST.ServerKeygenKeys; path != "" {
		var err error
		f.Keys, err = readKeygenKeys(path)
		note("est.server_keygen_keys", err)
	}
	for i, path := range c.EST.ServerKeygenCertificates {
		certs, err := readCertificates(path)
		for n, cert := range certs {
			if err == nil && len(cert.SubjectKeyId) == 0 {
				err = fmt.Errorf("%s: certificate %d has no subjectKeyIdentifier, by which clients ask for its key", path, n+1)
			}
			if err == nil {
				if bad := cms.CheckRecipient(cert.PublicKey); bad != nil {
					err = fmt.Errorf("%s: nothing can be encrypted to the key of certificate %d, replace or remove it: %w", path, n+1, bad)
				}
			}
		}
		note(fmt.Sprintf("est.server_keygen_certificates[%d]", i), err)
		f.Certificates = append(f.Certificates, certs...)
	}
	return f
}

// checkSigners reports certificates of the EST listener none of which can sign what
// /serverkeygen encrypts, where it is told to.
func (c *RA) checkSigners(certificates []tls.Certificate, problems *Problems) {
	key := "est.server_keygen_keys"
	if c.EST.ServerKeygenKeys == "" {
		key = "est.server_keygen_certificates"
	}
	if len(c.KeygenFileNames()) == 0 || len(certificates) == 0 { // none: reported already
		return
	}
	for _, by := range certificates {
		if cms.CheckSigner(by) == nil {
			return
		}
	}
	*problems = append(*problems, c.source.problem(key, errors.New("keys that are encrypted are signed besides, and neither est.certificate nor one of est.certificates can sign them: add one with an RSA or ECDSA key to est.certificates")))
}

// KeygenKeys are AES keys by their identifiers (RFC 7030 §4.4.1.1). They are never
// printed.
type KeygenKeys struct{ byID map[string][]byte }

// Key returns the key of an identifier; nil = there is none.
func (k KeygenKeys) Key(id []byte) []byte { return k.byID[string(id)] }

// Len is how many keys there are.
func (k KeygenKeys) Len() int { return len(k.byID) }

// Format prints that there are keys, by any verb.
func (k KeygenKeys) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted(k.Len() > 0)) }

// maxKeygenKeys bounds such a file; its bytes have a bound of their own.
const maxKeygenKeys = 10_000

// readKeygenKeys reads lines of an identifier, a colon and a key in hexadecimal digits.
// Empty lines and those that begin with # do not count. Errors quote no line.
func readKeygenKeys(path string) (KeygenKeys, error) {
	data, err := readPrivate(path)
	if err != nil {
		return KeygenKeys{}, err
	}
	defer clear(data)
	keys := map[string][]byte{}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		id, key, err := parseKeygenKey(text)
		if err == nil && keys[id] != nil {
			err = errors.New("the identifier is there already, remove one")
		}
		if err == nil && len(keys) == maxKeygenKeys {
			err = fmt.Errorf("there are more than %d keys", maxKeygenKeys)
		}
		if err != nil {
			return KeygenKeys{}, fmt.Errorf("%s:%d: %w", path, number, err)
		}
		keys[id] = key
	}
	if len(keys) == 0 {
		return KeygenKeys{}, fmt.Errorf("%s holds no key, write lines of IDENTIFIER:KEY; openssl rand -hex 32 makes a key", path)
	}
	return KeygenKeys{keys}, nil
}

// parseKeygenKey reads one line. The identifier may have colons, as in a URN; behind 0x
// it is in hexadecimal digits, as any bytes may be one.
func parseKeygenKey(line string) (id string, key []byte, err error) {
	i := strings.LastIndexByte(line, ':')
	if i <= 0 {
		return "", nil, errors.New("is no line of IDENTIFIER:KEY")
	}
	id, digits := line[:i], line[i+1:]
	if bare, ok := strings.CutPrefix(id, "0x"); ok {
		raw, err := hex.DecodeString(bare)
		if err != nil || len(raw) == 0 {
			return "", nil, errors.New("the identifier behind 0x is not in hexadecimal digits, two a byte")
		}
		id = string(raw)
	}
	key, err = hex.DecodeString(digits)
	if err != nil {
		return "", nil, errors.New("the key is not in hexadecimal digits, two a byte; openssl rand -hex 32 makes one")
	}
	switch len(key) {
	case 16, 24, 32:
		return id, key, nil
	}
	return "", nil, fmt.Errorf("the key has %d bytes, want 16, 24 or 32 for AES; openssl rand -hex 32 makes one", len(key))
}
