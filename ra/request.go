package ra

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"slices"

	"ciscora/ra/ledger"
)

var (
	oidChallengePassword = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}
	oidSubjectAltName    = asn1.ObjectIdentifier{2, 5, 29, 17}
)

// requestOf is what the ledger knows a request by: who asks, and what for. The CSR
// itself is not kept: a challengePassword may stand in it.
func (r *RA) requestOf(ctx context.Context, who *asking, csr *x509.CertificateRequest, renewal bool) (ledger.Request, error) {
	what, err := whatIsAsked(csr)
	if err != nil {
		return ledger.Request{}, err
	}
	request := ledger.Request{
		What: what, CSR: sha256.Sum256(csr.Raw),
		PublicKey: csr.RawSubjectPublicKeyInfo, SubjectDER: csr.RawSubject,
		Identity: who.LedgerIdentity(), Label: who.Label, Template: who.Template,
		Subject: csr.Subject.String(), CN: csr.Subject.CommonName,
		Enrollment: r.EnrollmentID(ctx), Renewal: renewal,
	}
	for _, e := range csr.Extensions {
		if e.Id.Equal(oidSubjectAltName) {
			request.Names = e.Value
		}
	}
	return request, nil
}

// certificationRequestInfo is RFC 2986 §4.1.
type certificationRequestInfo struct {
	Version    int
	Subject    asn1.RawValue
	PublicKey  asn1.RawValue
	Attributes []asn1.RawValue `asn1:"tag:0,set"`
}

// whatIsAsked is a digest of what a CSR asks for: key, subject and attributes, the
// extensions among them. The signature is not in it, nor the challengePassword: a
// client that signs anew at each try, on another connection, asks for the same (RFC
// 7030 §3.5 puts the connection's tls-unique there; ECDSA signatures are random).
func whatIsAsked(csr *x509.CertificateRequest) ([sha256.Size]byte, error) {
	var info certificationRequestInfo
	if _, err := asn1.Unmarshal(csr.RawTBSCertificateRequest, &info); err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("the CSR cannot be read: %w", err)
	}
	parts := [][]byte{info.Subject.FullBytes, info.PublicKey.FullBytes}
	var attributes [][]byte
	for _, attribute := range info.Attributes {
		var id asn1.ObjectIdentifier
		if _, err := asn1.Unmarshal(attribute.Bytes, &id); err != nil {
			return [sha256.Size]byte{}, fmt.Errorf("an attribute of the CSR cannot be read: %w", err)
		}
		if !id.Equal(oidChallengePassword) {
			attributes = append(attributes, attribute.FullBytes)
		}
	}
	slices.SortFunc(attributes, bytes.Compare) // a SET has no order
	h := sha256.New()
	for _, part := range append(parts, attributes...) {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write(part)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}
