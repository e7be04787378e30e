package est

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"net/http"
	"reflect"
	"slices"
)

// verifiedPeer returns the certificate with which the client took part in the TLS
// handshake, or nil. One that the TLS configuration asked for but did not verify
// is none.
func verifiedPeer(r *http.Request) *x509.Certificate {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	return r.TLS.PeerCertificates[0]
}

// oidCMCRA is id-kp-cmcRA (RFC 6402 §2.10).
var oidCMCRA = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 28}

// forOthers tells whether the client may enroll for others.
func (s *Server) forOthers(r *http.Request) bool {
	peer := verifiedPeer(r)
	return s.trustRA && peer != nil && slices.ContainsFunc(peer.UnknownExtKeyUsage, oidCMCRA.Equal)
}

// sameSubject returns an error unless the CSR asks for the subject and the
// subject alternative names of the certificate being renewed, or for their change
// by a ChangeSubjectName attribute (RFC 7030 §4.2.2). Encodings may differ: a CA
// may have turned a PrintableString into an UTF8String.
func sameSubject(csr *x509.CertificateRequest, old *x509.Certificate) error {
	if asksForChange(csr) {
		return nil
	}
	if !equalNames(csr.RawSubject, old.RawSubject) {
		return errors.New("the CSR's subject is not that of the certificate being renewed: take the same one, or use simpleenroll for another")
	}
	if !equalAltNames(altNames(csr.Extensions), altNames(old.Extensions)) {
		return errors.New("the CSR's subject alternative names are not those of the certificate being renewed: take the same ones, or use simpleenroll for others")
	}
	return nil
}

// asksForChange tells whether the CSR has an id-cmc-changeSubjectName attribute
// (RFC 6402 §2.8).
func asksForChange(csr *x509.CertificateRequest) bool {
	changeSubjectName := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 7, 36}
	return slices.ContainsFunc(attributesOf(csr), func(a attribute) bool { return a.Type.Equal(changeSubjectName) })
}

// equalNames compares two DER names by their attributes' types and values.
func equalNames(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var left, right pkix.RDNSequence
	if _, err := asn1.Unmarshal(a, &left); err != nil {
		return false
	}
	if _, err := asn1.Unmarshal(b, &right); err != nil {
		return false
	}
	return reflect.DeepEqual(left, right)
}

// altNames returns the value of the subjectAltName extension, nil without one.
func altNames(extensions []pkix.Extension) []byte {
	subjectAltName := asn1.ObjectIdentifier{2, 5, 29, 17}
	for _, e := range extensions {
		if e.Id.Equal(subjectAltName) {
			return e.Value
		}
	}
	return nil
}

// equalAltNames compares two subjectAltName values as sets of names.
func equalAltNames(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	left, err := generalNames(a)
	if err != nil {
		return false
	}
	right, err := generalNames(b)
	if err != nil {
		return false
	}
	return slices.EqualFunc(left, right, bytes.Equal)
}

// generalNames returns the encoded names of a subjectAltName value, sorted.
func generalNames(der []byte) ([][]byte, error) {
	var names []asn1.RawValue
	if _, err := asn1.Unmarshal(der, &names); err != nil {
		return nil, err
	}
	out := make([][]byte, len(names))
	for i, name := range names {
		out[i] = name.FullBytes
	}
	slices.SortFunc(out, bytes.Compare)
	return out, nil
}
