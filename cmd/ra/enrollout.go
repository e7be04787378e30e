package main

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.step.sm/crypto/pemutil"

	"ciscora/est/capf"
)

// outFile is a file that --out writes.
type outFile struct {
	path string
	data []byte
}

// outBase is the name of --out's files without their ends; "" without --out.
func (f enrollFlags) outBase() string { return strings.TrimSuffix(f.out, ".pem") }

// checkOut refuses, before anything is asked, an --out that could not be written, or
// whose key is another's than a given CSR's: the pair there would be torn apart.
func (f enrollFlags) checkOut(phone *capf.Phone) error {
	if f.out == "" {
		return nil
	}
	probe, err := os.CreateTemp(filepath.Dir(f.outBase()), ".ra-*")
	if err != nil {
		return usageError{fmt.Errorf("--out: %w", err)}
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	if phone.Key != nil {
		waiting := f.outBase() + ".pending"
		if _, err := os.Lstat(waiting + ".key"); err == nil {
			return usagef("--out %s: %s.key waits for a manager: ask again with --csr %[2]s.csr, or remove both", f.out, waiting)
		}
		return nil
	}
	csr, err := x509.ParseCertificateRequest(phone.CSR)
	if err != nil {
		return usageError{fmt.Errorf("--csr: %w", err)}
	}
	name := f.outBase() + ".key"
	if key := readSigner(name); key != nil && !samePublic(key, csr.PublicKey) {
		if kept := readSigner(f.outBase() + ".pending.key"); kept == nil || !samePublic(kept, csr.PublicKey) {
			return usagef("--out %s: %s is not the key of --csr, choose another name", f.out, name)
		}
	}
	return nil
}

// keep writes what --out asks for. Of a certificate that came the new files take the
// old ones' places together; of one that did not nothing is replaced, but the key and
// CSR of a request that waits are kept beside them.
func (f enrollFlags) keep(phone *capf.Phone, certificates []*x509.Certificate, pending bool) error {
	base := f.outBase()
	waiting := []string{base + ".pending.key", base + ".pending.csr"}
	if f.out == "" || len(certificates) == 0 && (!pending || phone.Key == nil) {
		return nil
	}
	var files []outFile
	if phone.Key != nil {
		key, err := encodePrivateKey(phone.Key)
		if err != nil {
			return err
		}
		files = []outFile{{base + ".key", key}, {base + ".csr", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: phone.CSR})}}
	}
	if len(certificates) == 0 {
		files[0].path, files[1].path = waiting[0], waiting[1]
		return replaceFiles(files)
	}
	if kept := readSigner(waiting[0]); phone.Key == nil && kept != nil && samePublic(kept, certificates[0].PublicKey) {
		for i, end := range []string{".key", ".csr"} {
			data, err := os.ReadFile(waiting[i])
			if err != nil {
				return fmt.Errorf("--out: %w", err)
			}
			files = append(files, outFile{base + end, data})
		}
		defer func() {
			for _, name := range waiting {
				_ = os.Remove(name) // it has a copy under its own name now
			}
		}()
	}
	var chain []byte
	for _, c := range certificates {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return replaceFiles(append(files, outFile{base + ".pem", chain}, outFile{base + ".der", certificates[0].Raw}))
}

// replaceFiles puts files in the places of older ones once all of them are on the disk,
// each a new file with mode 0600.
func replaceFiles(files []outFile) (err error) {
	made := make([]string, 0, len(files))
	defer func() {
		if err != nil {
			err = fmt.Errorf("--out: %w", err)
			for _, name := range made {
				_ = os.Remove(name) // the error that counts is err
			}
		}
	}()
	for _, file := range files {
		f, err := os.CreateTemp(filepath.Dir(file.path), ".ra-*") // mode 0600
		if err != nil {
			return err
		}
		made = append(made, f.Name())
		_, err = f.Write(file.data)
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	for i, file := range files {
		if err := os.Rename(made[i], file.path); err != nil {
			return err
		}
	}
	return nil
}

// readSigner reads a private key; nil where there is none that can be read.
func readSigner(path string) crypto.Signer {
	key, err := pemutil.Read(path)
	if err != nil {
		return nil
	}
	signer, _ := key.(crypto.Signer)
	return signer
}

func samePublic(key crypto.Signer, public crypto.PublicKey) bool {
	own, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(public)
}

func encodePrivateKey(key crypto.Signer) ([]byte, error) {
	block, err := pemutil.Serialize(key, pemutil.WithPKCS8(true))
	if err != nil {
		return nil, fmt.Errorf("encode the key: %w", err)
	}
	return pem.EncodeToMemory(block), nil
}
