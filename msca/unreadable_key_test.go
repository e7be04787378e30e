package msca_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"ciscora/msca"
)

// RFC 4055 §1.2: an RSA key may go under the OID of RSASSA-PSS, where x509 does not
// read it.
func TestACertificateForAKeyThatGoDoesNotReadIsTheCSRsAllTheSame(t *testing.T) {
	p := newPKI(t)
	csr, certificate := pssPair(t, p)
	other, _ := pssPair(t, p)
	answer := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
	client := newClient(t, basicOptions(t, p, answer))
	session, err := client.Login(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	got, err := session.Fetch(t.Context(), 7, csr)
	if err != nil || !got.Equal(certificate) {
		t.Errorf("%v", err)
	}
	if _, err := session.Fetch(t.Context(), 7, other); err == nil {
		t.Error("another such key is taken, too")
	}
}

// pssPair is a CSR and its certificate, whose signatures are of no use.
func pssPair(t *testing.T, p *pki) (*x509.CertificateRequest, *x509.Certificate) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaOID, err1 := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1})
	pssOID, err2 := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10})
	request, err3 := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "PSS"}}, key)
	issued, err4 := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "PSS"}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
	}, p.issuing.cert, key.Public(), p.issuing.key)
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			t.Fatal(err)
		}
	}
	csr, err := x509.ParseCertificateRequest(bytes.ReplaceAll(request, rsaOID, pssOID))
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(bytes.ReplaceAll(issued, rsaOID, pssOID))
	if err != nil {
		t.Fatal(err)
	}
	return csr, certificate
}

// basicOptions talk to a CA with Basic that answers each page with the same.
func basicOptions(t *testing.T, p *pki, body []byte) (o msca.Options) {
	t.Helper()
	o = p.options(t, func(c net.Conn) {
		serveTLS(c, p.serverTLS(), func(w io.Writer, r *http.Request, _ []byte) bool {
			if r.Header.Get("Authorization") == "" {
				fmt.Fprint(w, "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"CA\"\r\nContent-Length: 0\r\n\r\n")
				return true
			}
			fmt.Fprintf(w, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			return true
		})
	})
	o.Authentication = "basic"
	return o
}
