package msca_test

import (
	"bytes"
	"crypto/x509"
	"math/big"
	"testing"

	"github.com/smallstep/pkcs7"
)

// RFC 5280 §4.1.2.2: users of certificates should be prepared for negative serials.
func TestAChainMayHaveANegativeSerialNumber(t *testing.T) {
	p := newPKI(t)
	old := issue(t, &p.root, func(c *x509.Certificate) {
		authority("Old Issuing CA")(c)
		c.SerialNumber = big.NewInt(0x7f)
	})
	// The serial is the first number of one byte that is 127; no signature is looked at.
	negative := bytes.Replace(old.cert.Raw, []byte{2, 1, 0x7f}, []byte{2, 1, 0x80}, 1)
	chain, err := pkcs7.DegenerateCertificate(append(bytes.Clone(negative), p.root.cert.Raw...))
	if err != nil {
		t.Fatal(err)
	}
	session, err := newClient(t, basicOptions(t, p, chain)).Login(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	got, err := session.Chain(t.Context())
	if err != nil || len(got) != 2 || got[0].SerialNumber.Sign() >= 0 || !bytes.Equal(got[0].Raw, negative) {
		t.Errorf("%d certificates, %v", len(got), err)
	}
}
