package scenario

import (
	"crypto"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"ciscora/est/capf"
	"ciscora/ra/lab"
)

// Keys are those of a lab: to make an RSA key takes longer than all else that a lab
// does, and its time is left to chance, so whoever plays many cards makes them once,
// before any card's timers run.
type Keys struct {
	ca      string // folder with root and issuing CA
	servers []crypto.Signer
	phone   crypto.Signer // of type phoneKey

	mu     sync.Mutex // guards staged
	staged []crypto.Signer
}

const (
	phoneKey   = "rsa2048"
	serverKey  = "rsa2048"
	serverKeys = 3 // the CA's web server, the RA, and a certificate that a fault makes
)

// caFiles are what makes a lab's CA.
var caFiles = []string{"root.pem", "root.key", "issuing.pem", "issuing.key"}

// MakeKeys makes keys; the CA's are kept in a folder.
func MakeKeys(dir string) (*Keys, error) {
	k := &Keys{ca: filepath.Join(dir, "ca")}
	if err := lab.MakeCA(k.ca); err != nil {
		return nil, err
	}
	for range serverKeys {
		key, err := capf.NewKey(rand.Reader, serverKey)
		if err != nil {
			return nil, fmt.Errorf("make a server's key: %w", err)
		}
		k.servers = append(k.servers, key)
	}
	var err error
	if k.phone, err = capf.NewKey(rand.Reader, phoneKey); err != nil {
		return nil, fmt.Errorf("make a phone's key: %w", err)
	}
	return k, nil
}

// IntoLab puts the CA into a lab's folder, which it makes.
func (k *Keys) IntoLab(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "ca"), 0o700); err != nil {
		return err
	}
	if k == nil {
		return nil
	}
	for _, name := range caFiles {
		data, err := os.ReadFile(filepath.Join(k.ca, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "ca", name), data, 0o600); err != nil { //nolint:gosec // both folders are the caller's
			return err
		}
	}
	return nil
}

// InTurn hands out the servers' keys to one lab, which asks for one after another;
// nil where there are none.
func (k *Keys) InTurn() func() (crypto.Signer, error) {
	if k == nil {
		return nil
	}
	next := make(chan crypto.Signer, len(k.servers))
	for _, key := range k.servers {
		next <- key
	}
	return func() (crypto.Signer, error) {
		key := <-next
		next <- key
		return key, nil
	}
}

// ofStage is the key of a stage's nth certificate, made when the first stage asks for it.
func (k *Keys) ofStage(n int) (crypto.Signer, error) {
	if k == nil {
		return capf.NewKey(rand.Reader, serverKey)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.staged) <= n {
		key, err := capf.NewKey(rand.Reader, serverKey)
		if err != nil {
			return nil, err
		}
		k.staged = append(k.staged, key)
	}
	return k.staged[n], nil
}

// ofPhone is a phone's key of a type.
func (k *Keys) ofPhone(keyType string) (crypto.Signer, error) {
	if k == nil || keyType != phoneKey {
		return capf.NewKey(rand.Reader, keyType)
	}
	return k.phone, nil
}
