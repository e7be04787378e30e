package cms

import (
	"encoding/asn1"
	"errors"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// maxCapabilities bounds the list of who may be anybody.
const maxCapabilities = 100

// Capability is one algorithm that a recipient can.
type Capability struct {
	Algorithm  asn1.ObjectIdentifier
	Parameters []byte // in DER; nil = none
}

// Capabilities are a recipient's, the one that it likes best first.
type Capabilities []Capability

// ParseCapabilities reads the value of an SMIMECapabilities attribute (RFC 8551 §2.5.2).
func ParseCapabilities(der []byte) (Capabilities, error) {
	var can Capabilities
	var list cryptobyte.String
	whole := cryptobyte.String(der)
	if !whole.ReadASN1(&list, cryptobyte_asn1.SEQUENCE) || !whole.Empty() {
		return nil, errors.New("SMIMECapabilities is no SEQUENCE of algorithms (RFC 8551 section 2.5.2)")
	}
	for !list.Empty() {
		var one cryptobyte.String
		var c Capability
		if len(can) == maxCapabilities {
			return nil, errors.New("SMIMECapabilities has more than 100 algorithms")
		}
		if !list.ReadASN1(&one, cryptobyte_asn1.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&c.Algorithm) {
			return nil, errors.New("SMIMECapabilities has an algorithm without an OID")
		}
		if !one.Empty() {
			var parameters cryptobyte.String
			if !one.ReadAnyASN1Element(&parameters, nil) || !one.Empty() {
				return nil, errors.New("SMIMECapabilities has an algorithm whose parameters cannot be read")
			}
			c.Parameters = parameters
		}
		can = append(can, c)
	}
	return can, nil
}

// content is how a recipient wants content encrypted: as it says, or where it says
// nothing about that, by the strongest (RFC 7030 §4.4.1 has it tell no more than how keys
// are encrypted).
func (can Capabilities) content() (*aesCBC, error) {
	spoken := false
	for _, c := range can {
		if i := slices.IndexFunc(contentCiphers, func(a aesCBC) bool { return a.oid.Equal(c.Algorithm) }); i >= 0 {
			return &contentCiphers[i], nil
		}
		spoken = spoken || slices.ContainsFunc(otherCiphers, c.Algorithm.Equal)
	}
	if spoken {
		return nil, errors.New("SMIMECapabilities has no cipher for content that can be had here: name AES in CBC mode, with 128, 192 or 256 bits")
	}
	return &contentCiphers[len(contentCiphers)-1], nil
}

// wrap is the first key wrap that a recipient can; nil = none.
func (can Capabilities) wrap() *aesWrap {
	for _, c := range can {
		if w := wrapOf(c.Algorithm); w != nil {
			return w
		}
	}
	return nil
}

// aesCBC is a cipher for content.
type aesCBC struct {
	oid asn1.ObjectIdentifier
	key int // bytes
}

// contentCiphers are those that can be had, the weakest first (RFC 3565).
var contentCiphers = []aesCBC{
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}, 16},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}, 24},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, 32},
}

// otherCiphers are ciphers for content that cannot be had.
var otherCiphers = []asn1.ObjectIdentifier{
	{2, 16, 840, 1, 101, 3, 4, 1, 6}, {2, 16, 840, 1, 101, 3, 4, 1, 26}, {2, 16, 840, 1, 101, 3, 4, 1, 46}, // AES-GCM
	{2, 16, 840, 1, 101, 3, 4, 1, 7}, {2, 16, 840, 1, 101, 3, 4, 1, 27}, {2, 16, 840, 1, 101, 3, 4, 1, 47}, // AES-CCM
	{1, 2, 840, 113549, 1, 9, 16, 3, 18},                                      // ChaCha20-Poly1305
	{1, 2, 840, 113549, 3, 7}, {1, 2, 840, 113549, 3, 2}, {1, 3, 14, 3, 2, 7}, // 3DES, RC2, DES
	{1, 2, 392, 200011, 61, 1, 1, 1, 2}, {1, 2, 392, 200011, 61, 1, 1, 1, 3}, {1, 2, 392, 200011, 61, 1, 1, 1, 4}, // Camellia
}

// aesWrap encrypts keys (RFC 3394, RFC 3565).
type aesWrap struct {
	oid  asn1.ObjectIdentifier
	key  int // bytes
	name string
}

var keyWraps = []aesWrap{
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 5}, 16, "id-aes128-wrap"},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 25}, 24, "id-aes192-wrap"},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 45}, 32, "id-aes256-wrap"},
}

func wrapOf(oid asn1.ObjectIdentifier) *aesWrap {
	for i := range keyWraps {
		if keyWraps[i].oid.Equal(oid) {
			return &keyWraps[i]
		}
	}
	return nil
}

func (w *aesWrap) identifier() []byte {
	var b cryptobyte.Builder
	addAlgorithm(&b, w.oid, nil)
	return b.BytesOrPanic() // of constants
}
