package est

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"ciscora/internal/x501"
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

// forOthers tells whether the client may enroll for others: its certificate is of the
// EST CA's own and has id-kp-cmcRA (RFC 7030 §3.7). One that another CA of the trust
// store has issued is no RA's, whatever it says.
func (s *Server) forOthers(x *exchange, r *http.Request) bool {
	peer := verifiedPeer(r)
	if !s.trustRA || peer == nil || !slices.ContainsFunc(peer.UnknownExtKeyUsage, oidCMCRA.Equal) {
		return false
	}
	chain, err := s.ca.CACerts(r.Context(), x.received.Label, r)
	return err == nil && slices.ContainsFunc(chain, func(ca *x509.Certificate) bool {
		return bytes.Equal(ca.RawSubject, peer.RawIssuer) && peer.CheckSignatureFrom(ca) == nil
	})
}

// sameSubject returns an error unless the CSR asks for the subject and the subject
// alternative names of the certificate being renewed (RFC 7030 §4.2.2), or for those
// that its ChangeSubjectName puts in their place. The CA takes names from the CSR
// itself (certsrv knows no such attribute), so a change must stand in both: a CSR that
// keeps its old names beside the attribute would be certified under them.
// Encodings may differ: a CA may have turned a PrintableString into an UTF8String.
func (s *Server) sameSubject(csr *x509.CertificateRequest, old *x509.Certificate) error {
	change, asked, err := changeAsked(csr)
	if err != nil {
		return err
	}
	askedSubject, askedAlternatives, err := s.names(csr)
	if err != nil {
		return err
	}
	subject, alternatives := old.RawSubject, altNames(old.Extensions)
	if change.subject != nil {
		subject = change.subject
	}
	if change.altNames != nil {
		alternatives = change.altNames
	}
	whose, remedy := "those of the certificate being renewed", "take the same ones, or use simpleenroll for others"
	if asked {
		whose, remedy = "those that its ChangeSubjectName asks for", "this server's CA takes names from the CSR alone, so put the new ones there, too"
	}
	if !equalNames(askedSubject, subject) {
		return fmt.Errorf("the CSR's subject is not %s: %s", strings.Replace(whose, "those", "the one", 1), remedy)
	}
	if !equalAltNames(askedAlternatives, alternatives) {
		return fmt.Errorf("the CSR's subject alternative names are not %s: %s", whose, remedy)
	}
	return nil
}

// equalNames compares two DER names by the types and texts of all their attributes.
func equalNames(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	left, err := x501.Parse(a)
	if err != nil {
		return false
	}
	right, err := x501.Parse(b)
	return err == nil && left.Equal(right)
}

// plainNames are the names as crypto/x509 reads them.
func plainNames(csr *x509.CertificateRequest) (subject, alternatives []byte, _ error) {
	return csr.RawSubject, altNames(csr.Extensions), nil
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
