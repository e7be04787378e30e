package hello

import (
	"fmt"
	"slices"
	"strings"
)

// A Key is what a cipher suite does with the server's key: it decides which of a
// server's certificates comes with it.
type Key string

// How keys are exchanged.
const (
	RSA        Key = "RSA"         // the secret is encrypted to the certificate
	DHERSA     Key = "DHE-RSA"     // signed by an RSA certificate
	DHEDSS     Key = "DHE-DSS"     // signed by a DSA certificate
	ECDHERSA   Key = "ECDHE-RSA"   // signed by an RSA certificate
	ECDHEECDSA Key = "ECDHE-ECDSA" // signed by an ECDSA certificate
	Anonymous  Key = "anonymous"   // no certificate
	Any        Key = "any"         // TLS 1.3: the suite does not say
)

// A Suite is a cipher suite. Its name is OpenSSL's, as the configurations of NGINX,
// Apache and the ASA have it.
type Suite struct {
	ID   uint16
	Name string
	Key  Key
	From Version // the first version that has it
}

// Weak tells why the suite protects nothing today (RFC 7465 for RC4, RFC 9325 §4.2.1
// for the others); "" = it does.
func (s Suite) Weak() string {
	switch {
	case s.Key == Anonymous:
		return "no certificate"
	case strings.Contains(s.Name, "NULL"):
		return "no encryption"
	case strings.HasPrefix(s.Name, "EXP-"), strings.Contains(s.Name, "DES-CBC-"):
		return "a key that is guessed in hours"
	case strings.Contains(s.Name, "RC4"):
		return "RC4"
	}
	return ""
}

// Suites are those that are known, in the order in which a hello offers them: of each
// kind the better ones first.
func Suites() []Suite { return slices.Clone(suites[:]) }

// SuitesOf are those that a version has and that exchange keys in one of these ways;
// no ways: all.
func SuitesOf(v Version, keys ...Key) []Suite {
	var found []Suite
	for _, s := range suites {
		if (s.From == TLS13) != (v == TLS13) || s.From > v || len(keys) > 0 && !slices.Contains(keys, s.Key) {
			continue
		}
		found = append(found, s)
	}
	return found
}

// SuiteByID returns a suite; of one that is not known only its number.
func SuiteByID(id uint16) Suite {
	for _, s := range suites {
		if s.ID == id {
			return s
		}
	}
	return Suite{ID: id, Name: fmt.Sprintf("0x%04x", id), Key: "unknown", From: SSL30}
}

// SuiteByName returns the suite of one of OpenSSL's names.
func SuiteByName(name string) (Suite, bool) {
	for _, s := range suites {
		if s.Name == name {
			return s, true
		}
	}
	return Suite{}, false
}

// IDs are the numbers of suites.
func IDs(list []Suite) []uint16 {
	ids := make([]uint16, len(list))
	for i, s := range list {
		ids[i] = s.ID
	}
	return ids
}

// Signals that stand among the suites and are none (RFC 5746, RFC 7507).
const (
	renegotiationSignal = 0x00ff
	fallbackSignal      = 0x5600
)

// grease tells values that clients send at random (RFC 8701).
func grease(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }

// suites are those of https://www.iana.org/assignments/tls-parameters that products of
// the last twenty years have.
var suites = [...]Suite{
	{0x1302, "TLS_AES_256_GCM_SHA384", Any, TLS13},
	{0x1303, "TLS_CHACHA20_POLY1305_SHA256", Any, TLS13},
	{0x1301, "TLS_AES_128_GCM_SHA256", Any, TLS13},
	{0x1304, "TLS_AES_128_CCM_SHA256", Any, TLS13},
	{0x1305, "TLS_AES_128_CCM_8_SHA256", Any, TLS13},

	{0xc02c, "ECDHE-ECDSA-AES256-GCM-SHA384", ECDHEECDSA, TLS12},
	{0xcca9, "ECDHE-ECDSA-CHACHA20-POLY1305", ECDHEECDSA, TLS12},
	{0xc02b, "ECDHE-ECDSA-AES128-GCM-SHA256", ECDHEECDSA, TLS12},
	{0xc0ad, "ECDHE-ECDSA-AES256-CCM", ECDHEECDSA, TLS12},
	{0xc0ac, "ECDHE-ECDSA-AES128-CCM", ECDHEECDSA, TLS12},
	{0xc0af, "ECDHE-ECDSA-AES256-CCM8", ECDHEECDSA, TLS12},
	{0xc0ae, "ECDHE-ECDSA-AES128-CCM8", ECDHEECDSA, TLS12},
	{0xc05d, "ECDHE-ECDSA-ARIA256-GCM-SHA384", ECDHEECDSA, TLS12},
	{0xc05c, "ECDHE-ECDSA-ARIA128-GCM-SHA256", ECDHEECDSA, TLS12},
	{0xc024, "ECDHE-ECDSA-AES256-SHA384", ECDHEECDSA, TLS12},
	{0xc023, "ECDHE-ECDSA-AES128-SHA256", ECDHEECDSA, TLS12},
	{0xc073, "ECDHE-ECDSA-CAMELLIA256-SHA384", ECDHEECDSA, TLS12},
	{0xc072, "ECDHE-ECDSA-CAMELLIA128-SHA256", ECDHEECDSA, TLS12},
	{0xc00a, "ECDHE-ECDSA-AES256-SHA", ECDHEECDSA, TLS10},
	{0xc009, "ECDHE-ECDSA-AES128-SHA", ECDHEECDSA, TLS10},
	{0xc008, "ECDHE-ECDSA-DES-CBC3-SHA", ECDHEECDSA, TLS10},
	{0xc007, "ECDHE-ECDSA-RC4-SHA", ECDHEECDSA, TLS10},
	{0xc006, "ECDHE-ECDSA-NULL-SHA", ECDHEECDSA, TLS10},

	{0xc030, "ECDHE-RSA-AES256-GCM-SHA384", ECDHERSA, TLS12},
	{0xcca8, "ECDHE-RSA-CHACHA20-POLY1305", ECDHERSA, TLS12},
	{0xc02f, "ECDHE-RSA-AES128-GCM-SHA256", ECDHERSA, TLS12},
	{0xc061, "ECDHE-ARIA256-GCM-SHA384", ECDHERSA, TLS12},
	{0xc060, "ECDHE-ARIA128-GCM-SHA256", ECDHERSA, TLS12},
	{0xc028, "ECDHE-RSA-AES256-SHA384", ECDHERSA, TLS12},
	{0xc027, "ECDHE-RSA-AES128-SHA256", ECDHERSA, TLS12},
	{0xc077, "ECDHE-RSA-CAMELLIA256-SHA384", ECDHERSA, TLS12},
	{0xc076, "ECDHE-RSA-CAMELLIA128-SHA256", ECDHERSA, TLS12},
	{0xc014, "ECDHE-RSA-AES256-SHA", ECDHERSA, TLS10},
	{0xc013, "ECDHE-RSA-AES128-SHA", ECDHERSA, TLS10},
	{0xc012, "ECDHE-RSA-DES-CBC3-SHA", ECDHERSA, TLS10},
	{0xc011, "ECDHE-RSA-RC4-SHA", ECDHERSA, TLS10},
	{0xc010, "ECDHE-RSA-NULL-SHA", ECDHERSA, TLS10},

	{0x009f, "DHE-RSA-AES256-GCM-SHA384", DHERSA, TLS12},
	{0xccaa, "DHE-RSA-CHACHA20-POLY1305", DHERSA, TLS12},
	{0x009e, "DHE-RSA-AES128-GCM-SHA256", DHERSA, TLS12},
	{0xc09f, "DHE-RSA-AES256-CCM", DHERSA, TLS12},
	{0xc09e, "DHE-RSA-AES128-CCM", DHERSA, TLS12},
	{0xc0a3, "DHE-RSA-AES256-CCM8", DHERSA, TLS12},
	{0xc0a2, "DHE-RSA-AES128-CCM8", DHERSA, TLS12},
	{0xc053, "DHE-RSA-ARIA256-GCM-SHA384", DHERSA, TLS12},
	{0xc052, "DHE-RSA-ARIA128-GCM-SHA256", DHERSA, TLS12},
	{0x006b, "DHE-RSA-AES256-SHA256", DHERSA, TLS12},
	{0x0067, "DHE-RSA-AES128-SHA256", DHERSA, TLS12},
	{0x00c4, "DHE-RSA-CAMELLIA256-SHA256", DHERSA, TLS12},
	{0x00be, "DHE-RSA-CAMELLIA128-SHA256", DHERSA, TLS12},
	{0x0039, "DHE-RSA-AES256-SHA", DHERSA, SSL30},
	{0x0033, "DHE-RSA-AES128-SHA", DHERSA, SSL30},
	{0x0088, "DHE-RSA-CAMELLIA256-SHA", DHERSA, SSL30},
	{0x0045, "DHE-RSA-CAMELLIA128-SHA", DHERSA, SSL30},
	{0x009a, "DHE-RSA-SEED-SHA", DHERSA, SSL30},
	{0x0016, "DHE-RSA-DES-CBC3-SHA", DHERSA, SSL30},
	{0x0015, "DHE-RSA-DES-CBC-SHA", DHERSA, SSL30},
	{0x0014, "EXP-EDH-RSA-DES-CBC-SHA", DHERSA, SSL30},

	{0x00a3, "DHE-DSS-AES256-GCM-SHA384", DHEDSS, TLS12},
	{0x00a2, "DHE-DSS-AES128-GCM-SHA256", DHEDSS, TLS12},
	{0x006a, "DHE-DSS-AES256-SHA256", DHEDSS, TLS12},
	{0x0040, "DHE-DSS-AES128-SHA256", DHEDSS, TLS12},
	{0x0038, "DHE-DSS-AES256-SHA", DHEDSS, SSL30},
	{0x0032, "DHE-DSS-AES128-SHA", DHEDSS, SSL30},
	{0x0013, "DHE-DSS-DES-CBC3-SHA", DHEDSS, SSL30},

	{0x009d, "AES256-GCM-SHA384", RSA, TLS12},
	{0x009c, "AES128-GCM-SHA256", RSA, TLS12},
	{0xc09d, "AES256-CCM", RSA, TLS12},
	{0xc09c, "AES128-CCM", RSA, TLS12},
	{0xc0a1, "AES256-CCM8", RSA, TLS12},
	{0xc0a0, "AES128-CCM8", RSA, TLS12},
	{0xc051, "ARIA256-GCM-SHA384", RSA, TLS12},
	{0xc050, "ARIA128-GCM-SHA256", RSA, TLS12},
	{0x003d, "AES256-SHA256", RSA, TLS12},
	{0x003c, "AES128-SHA256", RSA, TLS12},
	{0x00c0, "CAMELLIA256-SHA256", RSA, TLS12},
	{0x00ba, "CAMELLIA128-SHA256", RSA, TLS12},
	{0x0035, "AES256-SHA", RSA, SSL30},
	{0x002f, "AES128-SHA", RSA, SSL30},
	{0x0084, "CAMELLIA256-SHA", RSA, SSL30},
	{0x0041, "CAMELLIA128-SHA", RSA, SSL30},
	{0x0096, "SEED-SHA", RSA, SSL30},
	{0x000a, "DES-CBC3-SHA", RSA, SSL30},
	{0x0007, "IDEA-CBC-SHA", RSA, SSL30},
	{0x0005, "RC4-SHA", RSA, SSL30},
	{0x0004, "RC4-MD5", RSA, SSL30},
	{0x0009, "DES-CBC-SHA", RSA, SSL30},
	{0x0008, "EXP-DES-CBC-SHA", RSA, SSL30},
	{0x0006, "EXP-RC2-CBC-MD5", RSA, SSL30},
	{0x0003, "EXP-RC4-MD5", RSA, SSL30},
	{0x003b, "NULL-SHA256", RSA, TLS12},
	{0x0002, "NULL-SHA", RSA, SSL30},
	{0x0001, "NULL-MD5", RSA, SSL30},

	{0x00a7, "ADH-AES256-GCM-SHA384", Anonymous, TLS12},
	{0x00a6, "ADH-AES128-GCM-SHA256", Anonymous, TLS12},
	{0x006d, "ADH-AES256-SHA256", Anonymous, TLS12},
	{0x006c, "ADH-AES128-SHA256", Anonymous, TLS12},
	{0x00c5, "ADH-CAMELLIA256-SHA256", Anonymous, TLS12},
	{0x00bf, "ADH-CAMELLIA128-SHA256", Anonymous, TLS12},
	{0x003a, "ADH-AES256-SHA", Anonymous, SSL30},
	{0x0089, "ADH-CAMELLIA256-SHA", Anonymous, SSL30},
	{0x0046, "ADH-CAMELLIA128-SHA", Anonymous, SSL30},
	{0x0034, "ADH-AES128-SHA", Anonymous, SSL30},
	{0x001b, "ADH-DES-CBC3-SHA", Anonymous, SSL30},
	{0x001a, "ADH-DES-CBC-SHA", Anonymous, SSL30},
	{0x0018, "ADH-RC4-MD5", Anonymous, SSL30},
	{0xc019, "AECDH-AES256-SHA", Anonymous, TLS10},
	{0xc018, "AECDH-AES128-SHA", Anonymous, TLS10},
	{0xc017, "AECDH-DES-CBC3-SHA", Anonymous, TLS10},
	{0xc016, "AECDH-RC4-SHA", Anonymous, TLS10},
	{0xc015, "AECDH-NULL-SHA", Anonymous, TLS10},
}
