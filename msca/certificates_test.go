package msca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
)

// family makes a root, an issuing CA below it and a leaf below that.
func family(tb testing.TB) (root, issuing, leaf *x509.Certificate) {
	tb.Helper()
	var parent *x509.Certificate
	var signer *ecdsa.PrivateKey
	made := make([]*x509.Certificate, 0, 3)
	for i, name := range []string{"root", "issuing", "leaf"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			tb.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Unix(0, 0), NotAfter: time.Unix(4e9, 0), IsCA: name != "leaf", BasicConstraintsValid: true,
		}
		if parent == nil {
			parent, signer = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
		if err != nil {
			tb.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			tb.Fatal(err)
		}
		made = append(made, cert)
		parent, signer = cert, key
	}
	return made[0], made[1], made[2]
}

func TestCertificatesByTheirContent(t *testing.T) {
	root, issuing, leaf := family(t)
	both, err := pkcs7.DegenerateCertificate(append(append([]byte{}, root.Raw...), issuing.Raw...))
	if err != nil {
		t.Fatal(err)
	}
	empty, err := pkcs7.DegenerateCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	in := func(label string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}) }
	for _, c := range []struct {
		name string
		body []byte
		want int // certificates; 0 = refused
	}{
		{"DER", leaf.Raw, 1},
		{"PEM", in("CERTIFICATE", leaf.Raw), 1},
		{"two in PEM", append(in("CERTIFICATE", leaf.Raw), in("CERTIFICATE", root.Raw)...), 2},
		{"PEM after a text and a byte order mark", append([]byte("\xef\xbb\xbfsubject=x\r\n"), in("CERTIFICATE", leaf.Raw)...), 1},
		{"base64 without label", []byte("\r\n" + base64.StdEncoding.EncodeToString(leaf.Raw) + "\r\n"), 1},
		{"a PKCS#7", both, 2},
		{"a PKCS#7 as PEM", in("PKCS7", both), 2},
		{"a PKCS#7 labelled as a certificate", in("CERTIFICATE", both), 2},
		{"a PKCS#7 in base64", []byte(base64.StdEncoding.EncodeToString(both)), 2},
		{"nothing", []byte(" \r\n"), 0},
		{"HTML", []byte("<html>"), 0},
		{"text", []byte("not here"), 0},
		{"a CSR", in("CERTIFICATE REQUEST", leaf.Raw), 0},
		{"half a certificate", leaf.Raw[:len(leaf.Raw)/2], 0},
		{"half a certificate in PEM", in("CERTIFICATE", leaf.Raw[:len(leaf.Raw)/2]), 0},
		{"a PKCS#7 without certificates", empty, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			certs, err := parseCertificates(c.body)
			if len(certs) != c.want || (err == nil) != (c.want > 0) {
				t.Errorf("%d certificates, want %d, error %v", len(certs), c.want, err)
			}
		})
	}
	if _, err := parseCertificates([]byte("<html>")); !errors.Is(err, errHTML) {
		t.Error(err)
	}
}

func TestSortByIssuer(t *testing.T) {
	root, issuing, leaf := family(t)
	other, _, _ := family(t)
	for _, c := range []struct {
		name     string
		in, want []*x509.Certificate
	}{
		{"in order", []*x509.Certificate{issuing, root}, []*x509.Certificate{issuing, root}},
		{"in reverse", []*x509.Certificate{root, issuing, leaf}, []*x509.Certificate{leaf, issuing, root}},
		{"with doubles", []*x509.Certificate{root, issuing, root}, []*x509.Certificate{issuing, root}},
		{"alone", []*x509.Certificate{root}, []*x509.Certificate{root}},
		{"with a strange one", []*x509.Certificate{leaf, other, root, issuing}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := sortByIssuer(c.in)
			if c.want == nil {
				if len(got) != len(c.in) {
					t.Errorf("%d of %d are left", len(got), len(c.in))
				}
				return
			}
			if len(got) != len(c.want) {
				t.Fatalf("%d, want %d", len(got), len(c.want))
			}
			for i := range got {
				if !got[i].Equal(c.want[i]) {
					t.Errorf("place %d: %s", i, got[i].Subject)
				}
			}
		})
	}
}

func FuzzCertificates(f *testing.F) {
	root, issuing, leaf := family(f)
	both, err := pkcs7.DegenerateCertificate(append(append([]byte{}, root.Raw...), issuing.Raw...))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(leaf.Raw)
	f.Add(both)
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: both}))
	f.Add([]byte("<html>"))
	f.Add([]byte(base64.StdEncoding.EncodeToString(leaf.Raw)))
	f.Fuzz(func(t *testing.T, body []byte) {
		certs, err := parseCertificates(body)
		if (err == nil) != (len(certs) > 0) || len(certs) > maxCertificates {
			t.Errorf("%d certificates, error %v", len(certs), err)
		}
		if n := len(sortByIssuer(certs)); n > len(certs) || (n == 0 && len(certs) > 0) {
			t.Errorf("%d of %d left", n, len(certs))
		}
	})
}
