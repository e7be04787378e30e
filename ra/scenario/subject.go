package scenario

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// attributes of OpenSSL's one-line form, as far as the document's subjects have
// them.
var attributes = map[string]asn1.ObjectIdentifier{
	"CN": {2, 5, 4, 3}, "C": {2, 5, 4, 6}, "L": {2, 5, 4, 7}, "ST": {2, 5, 4, 8}, "O": {2, 5, 4, 10}, "OU": {2, 5, 4, 11},
	"DC": {0, 9, 2342, 19200300, 100, 1, 25},
}

// authorityNamed makes a CA's self-signed certificate with a subject in OpenSSL's
// one-line form: /O=Cisco/CN=ACT2 SUDI CA.
func authorityNamed(subject string) (*x509.Certificate, error) {
	var name pkix.RDNSequence
	for _, part := range strings.Split(strings.TrimPrefix(subject, "/"), "/") {
		key, value, ok := strings.Cut(part, "=")
		oid, known := attributes[key]
		if !ok || !known {
			return nil, fmt.Errorf("the subject %q cannot be read at %q: write it as /O=Cisco/CN=name", subject, part)
		}
		name = append(name, []pkix.AttributeTypeAndValue{{Type: oid, Value: value}})
	}
	raw, err := asn1.Marshal(name)
	if err != nil {
		return nil, fmt.Errorf("encode the subject %q: %w", subject, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key of %s: %w", subject, err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), RawSubject: raw,
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", subject, err)
	}
	return x509.ParseCertificate(der)
}
