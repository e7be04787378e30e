package access_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"ciscora/ra/access"
)

// Who has a certificate is its whole subject: crypto/x509 would show one common name of
// two, and two clients would be one.
func TestAClientWithACertificateIsItsWholeSubject(t *testing.T) {
	f := newFixture(t, func(o *access.Options) { o.Methods = []access.Method{access.MethodCertificate} })
	ask := func(subject ...asn1.RawValue) (*access.Identity, error) {
		t.Helper()
		var name pkix.RDNSequence
		for _, value := range subject {
			name = append(name, []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: value}})
		}
		der, err := asn1.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		certificate := &x509.Certificate{RawSubject: der}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
		req.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{certificate}, VerifiedChains: [][]*x509.Certificate{{certificate}}}
		who, err := f.Authenticate(t.Context(), req, label)
		if err == nil && who.Certificate != certificate {
			t.Error("the certificate is not the identity's")
		}
		return who, err
	}
	text := func(tag int, s string) asn1.RawValue { return asn1.RawValue{Tag: tag, Bytes: []byte(s)} }
	const visibleString = 26
	for _, test := range []struct {
		subject         []asn1.RawValue
		account, ledger string
	}{
		{[]asn1.RawValue{text(asn1.TagUTF8String, "SEP001122334455")}, "CN=SEP001122334455", "certificate:cn=sep001122334455"},
		{[]asn1.RawValue{text(asn1.TagUTF8String, "a"), text(visibleString, "b")}, "CN=b,CN=a", "certificate:cn=b,cn=a"},
		{[]asn1.RawValue{text(asn1.TagT61String, "M\xdcLLER")}, "CN=MÜLLER", "certificate:cn=müller"},
	} {
		who, err := ask(test.subject...)
		if err != nil || who.Account != test.account || who.LedgerIdentity() != test.ledger {
			t.Errorf("%+v %v, want %s", who, err, test.account)
		}
	}
	failed, ok := errors.AsType[*access.Error](func() error { _, err := ask(text(asn1.TagInteger, "\x05")); return err }())
	if !ok || failed.Reason != access.ReasonCertificate || failed.Cause == nil {
		t.Errorf("a subject that cannot be read: %+v", failed)
	}
}
