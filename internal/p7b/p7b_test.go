package p7b_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"ciscora/internal/p7b"
	"ciscora/internal/peertest"
)

// chain is a certs-only PKCS #7 of so many certificates, as an EST server sends it.
func chain(t testing.TB, n int) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		Subject:  pkix.Name{CommonName: "a", Organization: []string{"b", "c"}, Country: []string{"d"}},
		DNSNames: []string{"a.example", "b.example"}, CRLDistributionPoints: []string{"http://c.example/crl"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pkcs7.DegenerateCertificate(bytes.Repeat(der, n))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestChainsAreRead(t *testing.T) {
	for _, n := range []int{1, 64} {
		p7, err := p7b.Parse(chain(t, n))
		if err != nil || len(p7.Certificates) != n {
			t.Errorf("%d: %v, %v", n, p7, err)
		}
	}
}

// OpenSSL writes lengths that are not known beforehand (-stream).
func TestBERIsReadAsOpenSSLWritesIt(t *testing.T) {
	openssl := peertest.Program(t, "openssl")
	dir := t.TempDir()
	for _, args := range [][]string{
		{"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=a", "-keyout", "k.pem", "-out", "c.pem"},
		{"cms", "-sign", "-in", "c.pem", "-signer", "c.pem", "-inkey", "k.pem", "-binary", "-nodetach", "-stream", "-outform", "DER", "-out", "s.der"},
	} {
		cmd := exec.CommandContext(t.Context(), openssl, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	ber, err := os.ReadFile(filepath.Join(dir, "s.der"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(ber, []byte{0x30, 0x80}) {
		t.Fatalf("no indefinite length: %x", ber[:4])
	}
	p7, err := p7b.Parse(ber)
	if err != nil || len(p7.Certificates) != 1 {
		t.Errorf("%v, %v", p7, err)
	}
}

func TestWhatNoChainIsIsRefusedInLittleMemory(t *testing.T) {
	for name, ber := range map[string][]byte{
		"heads of four million levels":         bytes.Repeat([]byte{'<'}, 4<<20),
		"indefinite lengths within each other": bytes.Repeat([]byte{0x30, 0x80}, 2<<20),
		"two million empty elements":           slices.Concat([]byte{0x30, 0x83, 0x40, 0, 0}, bytes.Repeat([]byte{0x30, 0}, 2<<20)),
		"a number of a tag that does not end":  bytes.Repeat([]byte{0xff}, 4<<20),
		"a length of 127 bytes":                slices.Concat([]byte{0x30, 0xff}, bytes.Repeat([]byte{0xff}, 200)),
		"an end in the middle":                 {0x30, 0x82, 1},
		"nothing":                              nil,
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := p7b.Parse(ber)
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; err == nil || took > 1<<20 {
				t.Errorf("%v, %d bytes", err, took)
			}
		})
	}
}

// What is passed on is what the library can read without harm: here it calls itself no
// deeper than the bound, and ends.
func FuzzParse(f *testing.F) {
	f.Add(chain(f, 2))
	f.Add(bytes.Repeat([]byte{0x30, 0x80}, 100))
	f.Add([]byte{0x30, 0x80, 0x30, 2, 5, 0, 0, 0})
	f.Add([]byte{0x3f, 0x81, 0x01, 0x02, 0x05, 0x00})
	f.Fuzz(func(t *testing.T, ber []byte) {
		p7, err := p7b.Parse(ber)
		if (p7 == nil) == (err == nil) {
			t.Errorf("%v, %v", p7, err)
		}
	})
}
