package certsrv

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.step.sm/crypto/keyutil"
	"go.step.sm/crypto/pemutil"

	"ciscora/internal/secretfile"
)

// The files of Options.Dir.
const (
	rootName    = "root" // .pem, .key
	issuingName = "issuing"
	journalName = "requests.jsonl"
	indexName   = "requests.index" // can be removed: it is made anew
	lockName    = "lock"
)

// loadPairs reads both CAs from dir; nil for one whose certificate is not there.
func loadPairs(dir string) (root, issuing *pair, err error) {
	if dir == "" {
		return nil, nil, nil
	}
	if root, err = loadPair(dir, rootName); err != nil {
		return nil, nil, err
	}
	issuing, err = loadPair(dir, issuingName)
	return root, issuing, err
}

func loadPair(dir, name string) (*pair, error) {
	path := filepath.Join(dir, name)
	c, err := pemutil.ReadCertificate(path + ".pem")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("certsrv: read %s.pem: %w", path, err)
	}
	p := &pair{certificate: c}
	info, err := os.Stat(path + ".key")
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	var key any
	if err == nil {
		err = secretfile.Check(path+".key", info)
	}
	if err == nil {
		key, err = pemutil.Read(path + ".key")
	}
	if err != nil {
		return nil, fmt.Errorf("certsrv: read %s.key: %w", path, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok || keyutil.VerifyPair(c.PublicKey, key) != nil {
		return nil, fmt.Errorf("certsrv: %s.key is not the key of %s.pem, restore the pair", path, name)
	}
	p.key = signer
	return p, nil
}

// savePair writes the key before the certificate: loadPair takes a certificate
// without its key for a loss, and a key without its certificate for nothing.
func savePair(dir, name string, p *pair) error {
	if dir == "" {
		return nil
	}
	block, err := pemutil.Serialize(p.key, pemutil.WithPKCS8(true))
	if err != nil {
		return fmt.Errorf("certsrv: encode %s.key: %w", name, err)
	}
	if err := writeFile(dir, name+".key", pem.EncodeToMemory(block), 0o600); err != nil {
		return err
	}
	return writeFile(dir, name+".pem", encodeCertificate(p.certificate), 0o644)
}

func encodeCertificate(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// writeFile writes a whole file or none, and returns once it is on the disk.
func writeFile(dir, name string, data []byte, perm fs.FileMode) (err error) {
	f, err := os.CreateTemp(dir, "."+name+".*")
	if err != nil {
		return fmt.Errorf("certsrv: write %s: %w", filepath.Join(dir, name), err)
	}
	defer func() {
		if err != nil {
			_ = f.Close() // so the file can go; the error that counts is the first
			_ = os.Remove(f.Name())
			err = fmt.Errorf("certsrv: write %s: %w", filepath.Join(dir, name), err)
		}
	}()
	if err := f.Chmod(perm); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a new name in dir last. Not every system can do that.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrInvalid) {
		return err
	}
	return nil
}
