package tracelog

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"golang.org/x/text/encoding/charmap"
)

// Record is what CUCM's database holds of a phone once its certificate is there.
type Record struct {
	Key crypto.PublicKey // the certificate's
	// FinishBy is until when an administrator has allowed the operation.
	FinishBy time.Time
}

// PublicKeyStored says that CAPF keeps the phone's public key. It prints its DER as
// if it were text, so up to the first NUL; that of an RSA key is a PKCS #1
// RSAPublicKey, which with 2048 bits has the document's 270 bytes.
func (c *CAPF) PublicKeyStored(d Device, key crypto.PublicKey) {
	der := publicKeyDER(key)
	text, _, _ := strings.Cut(string(der), "\x00")
	// Cisco's document shows the bytes as Windows-1252 does.
	if decoded, err := charmap.Windows1252.NewDecoder().String(text); err == nil {
		text = decoded
	}
	c.deviceDebug(d,
		"In capf_ui_set_ph_public_key()",
		"pubKey: "+clean(text),
		fmt.Sprintf("pubKey length: %d", len(der)))
}

func publicKeyDER(key crypto.PublicKey) []byte {
	if key, ok := key.(*rsa.PublicKey); ok {
		return x509.MarshalPKCS1PublicKey(key)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil // of a kind that no phone has
	}
	return der
}

// RecordSelected says what the database holds of the phone. The names and numbers of
// an RSA key of 2048 bits are the document's; those of other keys are inferred.
func (c *CAPF) RecordSelected(d Device, r Record) {
	name := d.selection()
	size, ecSize, order := keyNames(r.Key)
	c.sink.put(
		c.enter(name),
		c.inside(name, "device exists"),
		c.inside(name, "BEFORE DB query Authentication Mode=AUTH_BY_STR:1"),
		c.inside(name, "KeySize="+size),
		c.inside(name, "ECKeySize="+ecSize),
		c.inside(name, "KeyOrder="+order),
		c.inside(name, "Operation=OPERATION_NONE:1"),
		c.inside(name, "Operation Status =CERT_STATUS_UPGRADE_SUCCESS:3"),
		c.inside(name, "Authentication Mode=AUTH_BY_NULL_STR:2"),
		c.inside(name, "Operation Should Finish By="+r.FinishBy.In(c.opts.location()).Format("2006:01:02:15:04")),
		c.leave(name))
}

// keyNames are the key's size and kind as the database numbers them.
func keyNames(key crypto.PublicKey) (size, ecSize, order string) {
	const invalid = "INVALID:0"
	size, ecSize, order = invalid, invalid, "KEYORDER_RSA_ONLY:1"
	switch key := key.(type) {
	case *rsa.PublicKey:
		for i, bits := range []int{512, 1024, 2048, 3072, 4096} {
			if key.N.BitLen() == bits {
				size = fmt.Sprintf("KEY_SIZE_%d:%d", bits, i+1)
			}
		}
	case *ecdsa.PublicKey:
		order = "KEYORDER_EC_ONLY:2"
		for i, bits := range []int{256, 384, 521} {
			if key.Curve.Params().BitSize == bits {
				ecSize = fmt.Sprintf("KEY_SIZE_%d:%d", bits, i+1)
			}
		}
	}
	return size, ecSize, order
}
