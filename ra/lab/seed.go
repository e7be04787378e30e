package lab

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	chacha "math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"

	"ciscora/internal/printable"
)

// draws are what a lab leaves to chance. With a seed the same comes each time: whoever
// knows the seed knows the keys.
type draws struct {
	seed uint64 // 0 = there is none
}

// keepSeed notes in the lab's folder of which seed its keys are, and refuses another one:
// what an earlier run has made stays, and would be taken for the seed's.
func (l *Lab) keepSeed() error {
	seed := l.options.Seed
	path := l.Path(fileSeed)
	_, err := os.Stat(l.Path("ca", "root.key"))
	switch {
	case errors.Is(err, os.ErrNotExist) && seed == 0:
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove the lab's %s, which holds for nothing any more: %w", fileSeed, err)
		}
		return nil
	case errors.Is(err, os.ErrNotExist):
		return l.write(fileSeed, fmt.Appendf(nil, "%d\n", seed))
	case err != nil:
		return fmt.Errorf("the lab's CA: %w", err)
	case seed == 0:
		return nil
	}
	const remedy = "name another folder, or leave --seed away"
	kept, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("--seed %d: the keys in %s were made without a seed: %s", seed, l.Dir, remedy)
	case err != nil:
		return fmt.Errorf("--seed %d: of which seed is %s? %w", seed, l.Dir, err)
	}
	if made := strings.TrimSpace(string(kept)); made != strconv.FormatUint(seed, 10) {
		return fmt.Errorf("--seed %d: the keys in %s were made with --seed %s: %s", seed, l.Dir, printable.Line(made, 20), remedy)
	}
	return nil
}

// stream is one purpose's randomness: what is drawn for another does not move it.
func (d draws) stream(purpose string) io.Reader {
	if d.seed == 0 {
		return rand.Reader
	}
	return &drawn{source: chacha.NewChaCha8(sha256.Sum256(fmt.Appendf(binary.BigEndian.AppendUint64(nil, d.seed), "%s", purpose)))}
}

type drawn struct {
	mu     sync.Mutex // guards source
	source *chacha.ChaCha8
}

func (s *drawn) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.source.Read(p)
}

// text is a password of 20 letters and digits.
func (d draws) text(purpose string) (string, error) {
	if d.seed == 0 {
		return newPassword(), nil
	}
	var b [13]byte
	if _, err := io.ReadFull(d.stream(purpose), b[:]); err != nil {
		return "", err
	}
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:])[:20], nil
}

// rsaKeys makes RSA keys of 2048 bits in turn; nil where chance does.
func (d draws) rsaKeys(purpose string) func() (crypto.Signer, error) {
	if d.seed == 0 {
		return nil
	}
	from := d.stream(purpose)
	return func() (crypto.Signer, error) { return rsaKey(from) }
}

// ecKey makes a key on P-256.
func (d draws) ecKey(purpose string) (*ecdsa.PrivateKey, error) {
	if d.seed == 0 {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	from := d.stream(purpose)
	for {
		var scalar [32]byte
		if _, err := io.ReadFull(from, scalar[:]); err != nil {
			return nil, err
		}
		// Of 2^32 numbers one is none of the curve's.
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar[:]); err == nil {
			return key, nil
		}
	}
}

// rsaKey makes a key from a stream: crypto/rsa draws its own from nothing but the
// system's randomness (Go 1.26).
func rsaKey(from io.Reader) (crypto.Signer, error) {
	const exponent = 65537
	e := big.NewInt(exponent)
	for {
		p, err := prime(from, 1024)
		if err != nil {
			return nil, err
		}
		q, err := prime(from, 1024)
		if err != nil {
			return nil, err
		}
		one := big.NewInt(1)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(e, phi)
		if d == nil || p.Cmp(q) == 0 {
			continue
		}
		key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: exponent}, D: d, Primes: []*big.Int{p, q}}
		key.Precompute()
		if err := key.Validate(); err != nil {
			return nil, fmt.Errorf("a key from the seed: %w", err)
		}
		return key, nil
	}
}

// prime is one whose two highest bits are set, so that a product of two is as long as
// it can be.
func prime(from io.Reader, bits int) (*big.Int, error) {
	b := make([]byte, bits/8)
	for {
		if _, err := io.ReadFull(from, b); err != nil {
			return nil, err
		}
		b[0] |= 0xc0
		b[len(b)-1] |= 1
		if n := new(big.Int).SetBytes(b); n.ProbablyPrime(20) {
			return n, nil
		}
	}
}
