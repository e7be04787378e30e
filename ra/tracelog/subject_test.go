package tracelog_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"

	"ciscora/ra/tracelog"
)

func attribute(oid string, value any) pkix.AttributeTypeAndValue {
	oids := map[string]asn1.ObjectIdentifier{
		"DC": {0, 9, 2342, 19200300, 100, 1, 25}, "CN": {2, 5, 4, 3}, "OU": {2, 5, 4, 11}, "O": {2, 5, 4, 10},
		"email": {1, 2, 840, 113549, 1, 9, 1}, "unknown": {1, 3, 6, 1, 4, 1, 99999, 7}, "serialNumber": {2, 5, 4, 5},
	}
	return pkix.AttributeTypeAndValue{Type: oids[oid], Value: value}
}

func TestSubjectsAsOpenSSLPrintsThem(t *testing.T) {
	for want, name := range map[string]pkix.RDNSequence{
		"":                                   {},
		"/DC=com/DC=michamen/CN=LAB-DC-RTP":  {{attribute("DC", "com")}, {attribute("DC", "michamen")}, {attribute("CN", "LAB-DC-RTP")}},
		"/CN=first/O=second":                 {{attribute("CN", "first")}, {attribute("O", "second")}},
		"/CN=a/OU=b":                         {{attribute("CN", "a"), attribute("OU", "b")}},
		`/CN=M\xC3\xBCller`:                  {{attribute("CN", "Müller")}},
		`/CN=a\x0Ab\x7F`:                     {{attribute("CN", asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte("a\nb\x7f")})}},
		`/CN=\x00L\x00A`:                     {{attribute("CN", asn1.RawValue{Tag: asn1.TagBMPString, Bytes: []byte("\x00L\x00A")})}},
		"/1.3.6.1.4.1.99999.7=x":             {{attribute("unknown", "x")}},
		"/emailAddress=a@b.c/serialNumber=1": {{attribute("email", "a@b.c")}, {attribute("serialNumber", "1")}},
	} {
		der, err := asn1.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := tracelog.OneLine(der); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestTheSubjectOfACertificate(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"Cisco"}, CommonName: "ACT2 SUDI CA"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if got := tracelog.OneLineSubject(cert); got != "/O=Cisco/CN=ACT2 SUDI CA" {
		t.Errorf("%q", got)
	}
}

func FuzzOneLine(f *testing.F) {
	f.Add([]byte{0x30, 0})
	f.Add([]byte("\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x0c\x02ab"))
	f.Fuzz(func(t *testing.T, der []byte) {
		for _, c := range []byte(tracelog.OneLine(der)) {
			if c < ' ' || c > '~' {
				t.Fatalf("byte %#x", c)
			}
		}
	})
}
