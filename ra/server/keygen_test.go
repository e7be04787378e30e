package server_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sealedFor is a CSR for a key that is encrypted under a secret key of 256 bits (RFC 7030
// §4.4.1.1). Its signature is none, which does not count.
func sealedFor(t *testing.T, cn, id string) []byte {
	t.Helper()
	plain, _ := newCSR(t, cn)
	oid := func(last ...int) asn1.ObjectIdentifier {
		return append(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9}, last...)
	}
	type attribute[T any] struct {
		Type   asn1.ObjectIdentifier
		Values []T `asn1:"set"`
	}
	marshal := func(v any) asn1.RawValue {
		der, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return asn1.RawValue{FullBytes: der}
	}
	can := []pkix.AlgorithmIdentifier{{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}}, {Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 45}}}
	parsed, err := x509.ParseCertificateRequest(plain)
	if err != nil {
		t.Fatal(err)
	}
	return marshal(struct {
		Info      any
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{struct {
		Version      int
		Subject, Key asn1.RawValue
		Attributes   []asn1.RawValue `asn1:"tag:0,set"`
	}{
		Subject: asn1.RawValue{FullBytes: parsed.RawSubject}, Key: asn1.RawValue{FullBytes: parsed.RawSubjectPublicKeyInfo},
		Attributes: []asn1.RawValue{marshal(attribute[[]byte]{oid(16, 2, 37), [][]byte{[]byte(id)}}), marshal(attribute[[]pkix.AlgorithmIdentifier]{oid(15), [][]pkix.AlgorithmIdentifier{can}})},
	}, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}, asn1.BitString{Bytes: []byte{0}, BitLength: 8}}).FullBytes
}

// The secret keys come from their file, as it is now, and stand in no log.
func TestServerKeygenEncryptsUnderTheKeysOfTheFile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	first, second := strings.Repeat("a1", 32), strings.Repeat("b2", 32)
	s.write("keygen.keys", []byte("site-a:"+first+"\n"))
	cfg := s.load("admin: {listen: \"\"}\nprofile: modern\n")
	cfg.EST.ServerKeygen, cfg.EST.ServerKeygenKeys = true, filepath.Join(s.dir, "keygen.keys")
	srv := s.run(cfg)
	settled(t, srv)
	url := "https://" + srv.ESTAddr().String() + "/.well-known/est/serverkeygen"

	if status, _, body := s.post(url, sealedFor(t, "a", "site-a")); status != http.StatusOK || !strings.Contains(body, "smime-type=server-generated-key") || strings.Contains(body, "application/pkcs8") {
		t.Fatalf("%d %s", status, body)
	}
	if status, _, body := s.post(url, sealedFor(t, "b", "site-b")); status != http.StatusBadRequest || !strings.Contains(body, `"site-b"`) {
		t.Errorf("a key that is not there: %d %s", status, body)
	}
	if n := len(s.ca.Server.Requests()); n != 1 {
		t.Errorf("the CA has seen %d CSRs, want the one", n)
	}
	s.write("keygen.keys", []byte("site-a:"+first+"\nsite-b:"+second+"\n"))
	if err := os.Chtimes(cfg.EST.ServerKeygenKeys, time.Time{}, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool {
		status, _, _ := s.post(url, sealedFor(t, "b", "site-b"))
		return status == http.StatusOK
	})
	for _, entry := range s.logs.All() {
		if told := fmt.Sprintf("%s %v", entry.Message, entry.ContextMap()); strings.Contains(told, first[:16]) || strings.Contains(told, second[:16]) {
			t.Errorf("a key is in the log: %s", told)
		}
	}
	book, err := os.ReadFile(filepath.Join(s.dir, "ra.db"))
	if err != nil || bytes.Contains(book, []byte(first)) || bytes.Contains(book, bytes.Repeat([]byte{0xa1}, 32)) {
		t.Errorf("a key is in the ledger, or %v", err)
	}
}
