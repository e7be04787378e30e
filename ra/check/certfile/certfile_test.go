package certfile_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/smallstep/pkcs7"

	"ciscora/internal/peertest"
	"ciscora/ra/check/certfile"
)

// made are one key and what can be made of it.
type made struct {
	key             crypto.Signer
	der, csr, crl   []byte
	pkcs8, sec1     []byte
	pkcs7           []byte
	pem, pemOfPKCS7 []byte
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func makeAll(t testing.TB) (m made) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	m.key = key
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "expe.example.com"}, DNSNames: []string{"expe.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCRLSign,
		// It grows beyond 255 bytes, as real ones do.
		IssuingCertificateURL: []string{"http://pki.example.com/" + strings.Repeat("a", 64)},
	}
	m.der, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(err)
	certificate, err := x509.ParseCertificate(m.der)
	check(err)
	m.csr, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}}, key)
	check(err)
	m.crl, err = x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}, certificate, key)
	check(err)
	m.pkcs8, err = x509.MarshalPKCS8PrivateKey(key)
	check(err)
	m.sec1, err = x509.MarshalECPrivateKey(key)
	check(err)
	m.pkcs7, err = pkcs7.DegenerateCertificate(append(bytes.Clone(m.der), m.der...))
	check(err)
	m.pem, m.pemOfPKCS7 = block("CERTIFICATE", m.der), block("PKCS7", m.pkcs7)
	return m
}

func inUTF16(text []byte) []byte {
	out := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(string(text))) {
		out = append(out, byte(unit), byte(unit>>8))
	}
	return out
}

func TestAFileIsKnownByWhatIsInIt(t *testing.T) {
	m := makeAll(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(m.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	// An STL is a PKCS#7 whose content is of Microsoft's type.
	data, err := pkcs7.NewSignedData([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	data.GetSignedData().ContentInfo.ContentType = []int{1, 3, 6, 1, 4, 1, 311, 10, 1}
	stl, err := data.Finish()
	if err != nil {
		t.Fatal(err)
	}
	tlv := append([]byte("\x01\x00\x02\x01\x02\x02\x00\x02\x01\x37\x03\x00\x04abcd\x09\x01\x80"), m.der...)
	for _, test := range []struct {
		name         string
		data         []byte
		kind         certfile.Kind
		certificates int
		key          bool
	}{
		{"PEM", m.pem, certfile.PEM, 1, false},
		{"PEM of two with prose around", append([]byte("subject=CN = x\r\n"), append(bytes.Clone(m.pem), m.pem...)...), certfile.PEM, 2, false},
		{"PEM with its key", append(block("PRIVATE KEY", m.pkcs8), m.pem...), certfile.PEM, 1, true},
		{"PEM with CRLF", bytes.ReplaceAll(m.pem, []byte("\n"), []byte("\r\n")), certfile.PEM, 1, false},
		{"BOM", append([]byte("\xef\xbb\xbf"), m.pem...), certfile.WithBOM, 1, false},
		{"UTF-16", inUTF16(m.pem), certfile.UTF16, 0, false},
		{"broken PEM", m.pem[:len(m.pem)-40], certfile.BrokenPEM, 0, false},
		{"a CSR called certificate", block("CERTIFICATE", m.csr), certfile.PEM, 0, false},
		{"DER", m.der, certfile.DER, 1, false},
		{"DER and a line end", append(bytes.Clone(m.der), '\n'), certfile.DER, 1, false},
		{"P7B", m.pkcs7, certfile.PKCS7, 2, false},
		{"P7B in PEM", m.pemOfPKCS7, certfile.PKCS7PEM, 2, false},
		{"CSR", block("CERTIFICATE REQUEST", m.csr), certfile.Request, 0, false},
		{"CSR of Windows", block("NEW CERTIFICATE REQUEST", m.csr), certfile.Request, 0, false},
		{"CSR in DER", m.csr, certfile.RequestDER, 0, false},
		{"key", block("EC PRIVATE KEY", m.sec1), certfile.PrivateKey, 0, true},
		{"key in DER", m.pkcs8, certfile.PrivateKey, 0, true},
		{"EC key in DER", m.sec1, certfile.PrivateKey, 0, true},
		{"RSA key in DER", x509.MarshalPKCS1PrivateKey(rsaKey), certfile.PrivateKey, 0, true},
		{"public key", block("PUBLIC KEY", public), certfile.PublicKey, 0, false},
		{"public key in DER", public, certfile.PublicKey, 0, false},
		{"CRL", block("X509 CRL", m.crl), certfile.CRL, 0, false},
		{"CRL in DER", m.crl, certfile.CRL, 0, false},
		{"base64 alone", []byte(base64.StdEncoding.EncodeToString(m.der)), certfile.BareBase64, 1, false},
		{"HTML", []byte("<!DOCTYPE html><html><title>Microsoft Active Directory Certificate Services</title></html>"), certfile.HTML, 0, false},
		{"SST", append([]byte("\x00\x00\x00\x00CERT\x20\x00\x00\x00\x01\x00\x00\x00"), m.der...), certfile.Store, 1, false},
		{"STL", stl, certfile.MicrosoftList, 0, false},
		{"CTL", tlv, certfile.CiscoList, 1, false},
		{"JKS", []byte("\xfe\xed\xfe\xed\x00\x00\x00\x02"), certfile.JavaStore, 0, false},
		{"nothing", []byte(" \r\n"), certfile.Empty, 0, false},
		{"text", []byte("see attachment"), certfile.Text, 0, false},
		{"a picture", []byte("\x89PNG\r\n\x1a\n"), certfile.Binary, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := certfile.Parse(test.data)
			if f.Kind != test.kind || len(f.Certificates) != test.certificates || f.Key != test.key {
				t.Errorf("%s with %d certificates, key %v; want %s with %d, key %v", f.Kind, len(f.Certificates), f.Key, test.kind, test.certificates, test.key)
			}
			if f.Kind != certfile.PEM && f.Kind.Mend("x.cer") == "" {
				t.Error("nothing is said of how to mend it")
			}
		})
	}
	if f := certfile.Parse(block("CERTIFICATE", m.csr)); f.Broken == nil || !strings.Contains(f.Broken.Error(), "is a certificate request (CSR) in DER") {
		t.Errorf("a CSR between the lines of a certificate: %v", f.Broken)
	}
}

// The command that a person is told makes a PEM file of it.
func TestTheCommandsMakePEM(t *testing.T) {
	for _, program := range []string{"openssl", "iconv", "base64", "tail"} {
		peertest.Program(t, program)
	}
	m := makeAll(t)
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pfx := filepath.Join(dir, "it.pfx")
	if out, err := exec.CommandContext(t.Context(), "openssl", "pkcs12", "-export", "-in", file("it.pem", m.pem), "-inkey", file("it.key", block("PRIVATE KEY", m.pkcs8)),
		"-passout", "pass:", "-out", pfx).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	wrapped := base64.StdEncoding.EncodeToString(m.der)
	for _, path := range []string{
		file("it's a.der", m.der), file("a.p7b", m.pkcs7), file("b.p7b", m.pemOfPKCS7), pfx,
		file("bare", []byte(wrapped[:64]+"\n"+wrapped[64:]+"\n")), file("bom", append([]byte("\xef\xbb\xbf"), m.pem...)), file("wide", inUTF16(m.pem)),
	} {
		data, err := certfile.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		kind := certfile.Parse(data).Kind
		command := kind.Command(path)
		if kind == certfile.PKCS12 {
			command += " -passin pass:"
		}
		if out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
			t.Errorf("%s: %s: %v\n%s", kind, command, err, out)
			continue
		}
		made, err := certfile.Read(path + ".pem")
		if err != nil {
			t.Fatal(err)
		}
		if f := certfile.Parse(made); f.Kind != certfile.PEM || len(f.Certificates) == 0 || f.Broken != nil {
			t.Errorf("%s: %s made %s of it, %d certificates, %v", kind, command, f.Kind, len(f.Certificates), f.Broken)
		}
	}
}

func TestAFileThatIsTooLargeIsNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large.pem")
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), certfile.MaxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := certfile.Read(path); err == nil || !strings.Contains(err.Error(), "more than 1 MiB") {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	m := makeAll(f)
	for _, data := range [][]byte{
		m.pem, m.der, m.pkcs7, m.pemOfPKCS7, m.csr, m.crl, m.pkcs8, m.sec1, inUTF16(m.pem), append([]byte("\xef\xbb\xbf"), m.pem...),
		[]byte(base64.StdEncoding.EncodeToString(m.der)), append([]byte("\x01\x00\x02\x01\x02\x02\x00\x02\x01\x37"), m.der...), []byte("\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"),
	} {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file := certfile.Parse(data)
		if file.Kind == "" || len(file.Certificates) > certfile.MaxCertificates {
			t.Errorf("%q, %d certificates", file.Kind, len(file.Certificates))
		}
		_ = file.Kind.Mend("x") // must not panic
	})
}
