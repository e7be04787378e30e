package capf_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"regexp"
	"strings"
	"testing"

	"ciscora/est/capf"
)

func TestPhones(t *testing.T) {
	for keyType, bits := range map[string]int{"rsa2048": 2048, "ec256": 256, "ec384": 384, "ec521": 521} {
		phone, err := capf.NewPhone(nil, "", keyType)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`^SEP[0-9A-F]{12}$`).MatchString(phone.Name) {
			t.Errorf("name %q", phone.Name)
		}
		csr, err := x509.ParseCertificateRequest(phone.CSR)
		if err != nil {
			t.Fatal(err)
		}
		if err := csr.CheckSignature(); err != nil || csr.Subject.CommonName != phone.Name {
			t.Errorf("CSR of %s: common name %q, %v", phone.Name, csr.Subject.CommonName, err)
		}
		got := 0
		switch key := csr.PublicKey.(type) {
		case *rsa.PublicKey:
			got = key.N.BitLen()
		case *ecdsa.PublicKey:
			got = key.Params().BitSize
		}
		if got != bits {
			t.Errorf("%s: %d bits", keyType, got)
		}
	}
}

func TestAPhonesNameComesFromTheSourceOfRandomness(t *testing.T) {
	phone, err := capf.NewPhoneWithKey(bytes.NewReader(append([]byte{0x74, 0xA0, 0x2F, 0xC0, 0xA6, 0x75}, make([]byte, 256)...)), "", newKey(t))
	if err != nil || phone.Name != "SEP74A02FC0A675" {
		t.Errorf("phone %+v, %v", phone, err)
	}
}

func TestPhonesThatCannotBe(t *testing.T) {
	for name, make := range map[string]func() (*capf.Phone, error){
		"an unknown key type":      func() (*capf.Phone, error) { return capf.NewPhone(nil, "", "dsa") },
		"a name of 65 characters":  func() (*capf.Phone, error) { return capf.NewPhone(nil, strings.Repeat("ä", 65), "ec256") },
		"a name of two lines":      func() (*capf.Phone, error) { return capf.NewPhone(nil, "SEP\n", "ec256") },
		"a name that is no UTF-8":  func() (*capf.Phone, error) { return capf.NewPhone(nil, "SEP\xff", "ec256") },
		"no randomness for a name": func() (*capf.Phone, error) { return capf.NewPhoneWithKey(strings.NewReader("12345"), "", newKey(t)) },
	} {
		if phone, err := make(); err == nil {
			t.Errorf("%s: %+v", name, phone)
		}
	}
}
