package msca_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"strings"
	"testing"

	"ciscora/msca"
)

// docs/reference/certsrv.md 10: OpenSSL 1.0.2 takes certificates that are signed with SHA-1,
// x509 does not.
func TestCertificatesThatAreSignedWithSHA1(t *testing.T) {
	p := newPKI(t)
	const host = "lab-dc.lab.example"
	sha1 := func(change ...func(*x509.Certificate)) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.SignatureAlgorithm, c.DNSNames = x509.ECDSAWithSHA1, []string{host}
			for _, f := range change {
				f(c)
			}
		}
	}
	caOf := func(issuer *identity, name string, change func(*x509.Certificate)) identity {
		return issue(t, issuer, func(c *x509.Certificate) {
			authority(name)(c)
			c.SignatureAlgorithm = x509.ECDSAWithSHA1
			change(c)
		})
	}
	plain := func(*x509.Certificate) {}
	oldCA := caOf(&p.root, "Old CA", plain)
	constrained := caOf(&p.root, "Constrained CA", func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"other.example"}
	})
	lastCA := caOf(&p.root, "Last CA", func(c *x509.Certificate) { c.MaxPathLenZero = true })
	below := caOf(&lastCA, "CA below the last", plain)
	clientCA := caOf(&p.root, "CA of clients", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	noSigner := caOf(&p.root, "CA that may not sign", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })
	unknown := caOf(&p.root, "CA with a riddle", func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
	})
	noCA := issue(t, &p.root, sha1(func(c *x509.Certificate) { c.Subject.CommonName = "No CA" }))
	// The same name as the lab's root, another key.
	namesake := issue(t, nil, authority("LAB Root CA"))
	good := issue(t, &p.issuing, sha1())
	forged := good.cert.Raw[:len(good.cert.Raw):len(good.cert.Raw)]
	forged = append([]byte(nil), forged...)
	forged[len(forged)-1] ^= 1

	const curlRefuses = "unable to get local issuer certificate"
	for _, c := range []struct {
		name  string
		chain tls.Certificate
		want  msca.Kind // of curl's check; "" = taken
		text  string
	}{
		{"the server's own", good.tls(p.issuing.cert), "", ""},
		{"that of the CA above it", issue(t, &oldCA, sha1()).tls(oldCA.cert), "", ""},
		{"straight from the root", issue(t, &p.root, sha1()).tls(), "", ""},
		{"a signature that is not the issuer's", tls.Certificate{Certificate: [][]byte{forged, p.issuing.cert.Raw}, PrivateKey: good.key}, msca.KindTLSUntrusted, "ASN1_item_verify"},
		{"a root of the same name", issue(t, &namesake, sha1()).tls(), msca.KindTLSUntrusted, curlRefuses},
		{"a root of the same name, sent along", issue(t, &namesake, sha1()).tls(namesake.cert), msca.KindTLSUntrusted, "self signed certificate in certificate chain"},
		{"an issuer that is no CA", issue(t, &noCA, sha1()).tls(noCA.cert), msca.KindTLSUntrusted, "invalid CA certificate"},
		{"an issuer that may not sign", issue(t, &noSigner, sha1()).tls(noSigner.cert), msca.KindTLSUntrusted, curlRefuses},
		{"one CA too many", issue(t, &below, sha1()).tls(below.cert, lastCA.cert), msca.KindTLSUntrusted, "path length constraint exceeded"},
		{"an issuer for other names", issue(t, &constrained, sha1()).tls(constrained.cert), msca.KindTLSUntrusted, curlRefuses},
		{"an issuer with an extension that nobody knows", issue(t, &unknown, sha1()).tls(unknown.cert), msca.KindTLSUntrusted, "unhandled critical extension"},
		{"an issuer for clients", issue(t, &clientCA, sha1()).tls(clientCA.cert), msca.KindTLSUntrusted, "unsupported certificate purpose"},
		{"for clients", issue(t, &p.issuing, sha1(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })).tls(p.issuing.cert), msca.KindTLSUntrusted, "unsupported certificate purpose"},
		{"another name", issue(t, &p.issuing, sha1(func(c *x509.Certificate) { c.DNSNames = []string{"other"} })).tls(p.issuing.cert), msca.KindTLSName, "no alternative certificate subject name matches"},
		{"expired", issue(t, &p.issuing, sha1(func(c *x509.Certificate) { c.NotAfter = c.NotBefore.AddDate(1, 0, 0) })).tls(p.issuing.cert), msca.KindTLSValidity, "certificate has expired"},
	} {
		serve := func(t *testing.T, change func(*msca.Options)) error {
			o := p.options(t, nil)
			overTCP(t, &o, func(conn net.Conn) {
				s := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{c.chain}})
				_ = s.HandshakeContext(t.Context())
				_, _ = s.Read(make([]byte, 1000))
			})
			change(&o)
			_, err := newClient(t, o).Login(t.Context(), account)
			return err
		}
		t.Run(c.name, func(t *testing.T) {
			err := serve(t, func(o *msca.Options) {
				o.NameCheck = msca.NameCheckCurl
			})
			if c.want == "" {
				_ = asError(t, err, msca.KindClosed) // the handshake was good; the server knows no HTTP
				// With Go's check it is refused, which says why.
				e := asError(t, serve(t, func(*msca.Options) {}), msca.KindTLSUntrusted)
				if !strings.Contains(e.Error(), "is signed with SHA-1") || e.CurlCode != 60 || !strings.HasSuffix(e.CurlText, "CA signature digest algorithm too weak") {
					t.Errorf("%v; curl %d %q", e, e.CurlCode, e.CurlText)
				}
				return
			}
			if e := asError(t, err, c.want); !strings.Contains(e.CurlText, c.text) {
				t.Errorf("curl %q, want %q", e.CurlText, c.text)
			}
		})
	}
}
