package capf

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/smallstep/pkcs7"
)

// FuzzJudge reads answers of any kind: whatever comes, the verdict is whole.
func FuzzJudge(f *testing.F) {
	for _, seed := range []string{
		"", "\r\n", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Type: application/pkcs7-mime; smime-type=certs-only\r\nContent-Length: 5\r\n\r\nTUlJ\n",
		"HTTP/1.1 202\r\nRetry-After: 9999999999\r\n\r\n", "HTTP/1.1 401 U\r\nWWW-Authenticate:\r\n\r\n", "HTTP/1.1 999 \xff\r\n\r\n\x00\xfe",
		"HTTP/1.1 200 OK\r\nContent-Type: application/pkcs7-mime; smime-type=certs-only\r\nContent-Length: -1\r\n\r\nTUlJ\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v := judge(simpleEnroll, raw, nil)
		if (v.rv == StatusNone) != (v.err == nil) || v.rv != StatusNone && v.payload != nil {
			t.Fatalf("verdict %+v", v)
		}
		if v.retryAfter < 0 || len(v.payload) > maxAnswer || v.basic && v.status != 401 {
			t.Fatalf("verdict %+v", v)
		}
		if v.err != nil {
			if text := v.err.Error(); strings.ContainsAny(text, "\r\n\x00\x1b") {
				t.Fatalf("error of several lines: %q", text)
			}
		}
	})
}

// FuzzCertificates reads the payload of an answer.
func FuzzCertificates(f *testing.F) {
	for _, seed := range []string{
		"", "\n", "TUlJQg==\n", "TUlJQg==", "-----BEGIN PKCS7-----\nMIAGCSqGSIb3DQEHAqCA\n-----END PKCS7-----\n",
		"MCMGCSqGSIb3DQEHAqAWMBQCAQExADALBgkqhkiG9w0BBwExAA==\n", "MIAwgDCAMIAwgA==\n",
	} {
		f.Add([]byte(seed))
	}
	root, err := selfSigned()
	if err != nil {
		f.Fatal(err)
	}
	good, err := pkcs7.DegenerateCertificate(root)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wrapBase64(good))
	f.Fuzz(func(t *testing.T, text []byte) {
		if certs, err := certificates(text); (err == nil) != (len(certs) > 0) {
			t.Fatalf("%d certificates, error %v", len(certs), err)
		}
	})
}

func selfSigned() ([]byte, error) {
	key, err := NewKey(nil, "ec256")
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	return x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
}

func TestAPKCS7OverTheBoundIsNotParsed(t *testing.T) {
	_, err := certificates(wrapBase64([]byte(strings.Repeat("\x30\x80", maxPKCS7))))
	if err == nil || !strings.Contains(err.Error(), "at most 65536") {
		t.Errorf("error %v", err)
	}
}

func TestAnErrorKeepsWhatIsBelow(t *testing.T) {
	below := errors.New("below")
	if err := error(&Error{Operation: "cacerts", Err: below}); !errors.Is(err, below) {
		t.Error("not found")
	}
}
