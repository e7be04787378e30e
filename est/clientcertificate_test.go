package est_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"ciscora/est"
)

// certificateOf makes a client's certificate; issuer nil is the trusted CA.
func certificateOf(change func(*x509.Certificate), issuer *x509.Certificate, key *ecdsa.PrivateKey) tls.Certificate {
	if issuer == nil {
		issuer, key = lab().issuing, lab().issuingKey
	}
	leaf, own := certify("phone", func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		if change != nil {
			change(c)
		}
	}, issuer, key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: own, Leaf: leaf}
}

// RFC 7030 §3.3.2: a client's certificate is validated as RFC 5280 says.
func TestAClientCertificateIsValidatedAgainstTheTrustStore(t *testing.T) {
	stranger, strangersKey := certify("Stranger", nil, nil, nil)
	// A CA with the trusted one's name and another key.
	forged, forgersKey := certify(lab().issuing.Subject.CommonName, func(c *x509.Certificate) { c.RawSubject = lab().issuing.RawSubject }, nil, nil)
	noCA := certificateOf(nil, nil, nil)
	for _, test := range []struct {
		name string
		cert tls.Certificate
		good bool
	}{
		{"a good one", certificateOf(nil, nil, nil), true},
		{"expired", certificateOf(func(c *x509.Certificate) { c.NotAfter = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC) }, nil, nil), false},
		{"not yet valid", certificateOf(func(c *x509.Certificate) { c.NotBefore = time.Date(2048, 1, 1, 0, 0, 0, 0, time.UTC) }, nil, nil), false},
		{"for servers only", certificateOf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, nil, nil), false},
		{"of a CA that is not trusted", certificateOf(nil, stranger, strangersKey), false},
		{"of a forged issuer", certificateOf(nil, forged, forgersKey), false},
		{"of an issuer that is no CA", certificateOf(nil, noCA.Leaf, noCA.PrivateKey.(*ecdsa.PrivateKey)), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			on := listen(t, newServer(t), func(c *tls.Config) {
				c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.VerifyClientCertIfGiven
				c.ClientCAs.AddCert(lab().issuing)
			})
			csr, _ := phone(t, "phone")
			d := tls.Dialer{Config: &tls.Config{RootCAs: roots(), ServerName: "localhost", MaxVersion: tls.VersionTLS12, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				return &test.cert, nil // whatever the server says it wants
			}}}
			c, err := d.DialContext(t.Context(), "tcp", on.addr)
			if err == nil {
				defer c.Close()
				if _, err = io.WriteString(c, post(enrollPath, lines(csr), credentials)); err == nil {
					var got wire
					if got, err = readWire(bufio.NewReader(c), false); err == nil && got.status() != 200 {
						err = fmt.Errorf("%s", got.line)
					}
				}
			}
			if (err == nil) != test.good {
				t.Errorf("enrolled: %v, want %v (%v)", err == nil, test.good, err)
			}
		})
	}
}

// RFC 7030 §3.3: TLS 1.1 at least, and no suite without confidentiality; this
// server takes 1.2 and 1.3. RFC 7030 §3.3: sessions are resumed.
func TestTLSVersionsAndResumption(t *testing.T) {
	on := listen(t, newServer(t))
	for version, good := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		config := &tls.Config{RootCAs: roots(), ServerName: "localhost", MinVersion: version, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		resumed := false
		for range 2 {
			d := tls.Dialer{Config: config}
			c, err := d.DialContext(t.Context(), "tcp", on.addr)
			if (err == nil) != good {
				t.Errorf("%s: %v", tls.VersionName(version), err)
			}
			if err != nil {
				break
			}
			if _, err := io.WriteString(c, get(cacertsPath)); err != nil {
				t.Fatal(err)
			}
			if _, err := readWire(bufio.NewReader(c), false); err != nil { // 1.3 sends its ticket with the answer
				t.Fatal(err)
			}
			resumed = c.(*tls.Conn).ConnectionState().DidResume
			c.Close()
		}
		if good && !resumed {
			t.Errorf("%s: the second connection did not resume the first one's session", tls.VersionName(version))
		}
	}
}

// 200 enrollments at a time, while 40 clients stall in the handshake, the header or
// the body.
func TestManyEnrollmentsPassWhileOthersStall(t *testing.T) {
	var mu sync.Mutex
	serials := map[string]bool{}
	on := listen(t, newServer(t))
	request := post(enrollPath, "cut off", credentials)
	for i := range 40 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", on.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		switch i % 4 {
		case 0: // not a byte
		case 1: // half a handshake
			_, _ = conn.Write([]byte{22, 3, 1, 2, 0, 1})
		default:
			c := tls.Client(conn, &tls.Config{RootCAs: roots(), ServerName: "localhost"})
			part := request[:20+i]
			if i%4 == 3 {
				part = request[:len(request)-3]
			}
			if _, err := io.WriteString(c, part); err != nil {
				t.Fatal(err)
			}
		}
	}
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			csr, key := phone(t, fmt.Sprintf("SEP%012X", i))
			got, err := on.exchange(t, post(enrollPath, lines(csr), credentials))
			if err != nil || got.status() != 200 {
				t.Errorf("client %d: %s %v", i, got.line, err)
				return
			}
			certs := certificates(t, got.body)
			if len(certs) != 1 || !key.PublicKey.Equal(certs[0].PublicKey) {
				t.Errorf("client %d has not its own certificate", i)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			serials[certs[0].SerialNumber.String()] = true
		})
	}
	all.Wait()
	if len(serials) != 200 {
		t.Errorf("%d different certificates for 200 clients", len(serials))
	}
}

// RFC 7030 §3.7, RFC 6402 §2.10: an RA's certificate enrolls for others, where that is
// configured.
func TestAnRAsCertificateEnrollsForOthersWhereConfigured(t *testing.T) {
	ra := func(c *x509.Certificate) {
		c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 28}}
	}
	manufacturer, manufacturersKey := certify("Manufacturer", nil, nil, nil)
	for _, test := range []struct {
		name    string
		trusted bool
		cert    tls.Certificate
		status  int
	}{
		{"an RA, trusted", true, certificateOf(ra, nil, nil), 200},
		{"an RA of another CA in the trust store", true, certificateOf(ra, manufacturer, manufacturersKey), 400},
		{"an RA, not trusted", false, certificateOf(ra, nil, nil), 400},
		{"somebody else", true, certificateOf(nil, nil, nil), 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, func(o *est.Options) {
				o.TrustRA = test.trusted
				o.ProofOfPossession = func(string) bool { return true }
			})
			on := listen(t, s, func(c *tls.Config) {
				c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.VerifyClientCertIfGiven
				c.ClientCAs.AddCert(lab().issuing)
				c.ClientCAs.AddCert(manufacturer)
			})
			d := tls.Dialer{Config: &tls.Config{RootCAs: roots(), ServerName: "localhost", MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{test.cert}}}
			c, err := d.DialContext(t.Context(), "tcp", on.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			csr, _ := phone(t, "another name")
			if _, err := io.WriteString(c, post(reenrollPath, lines(csr), credentials)); err != nil {
				t.Fatal(err)
			}
			got, err := readWire(bufio.NewReader(c), false)
			if err != nil || got.status() != test.status {
				t.Errorf("%s %q %v, want %d", got.line, got.body, err, test.status)
			}
		})
	}
}
