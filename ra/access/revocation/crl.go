package revocation

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// list is a CRL (RFC 5280 §5) whose entries are looked up by serial number.
type list struct {
	*x509.RevocationList
	revoked map[string]time.Time
	scope   scope
}

// scope is the issuingDistributionPoint extension (RFC 5280 §5.2.5): which certificates
// the CRL is about. Without it, about all.
type scope struct {
	Point      distributionPointName `asn1:"optional,tag:0"`
	Users      bool                  `asn1:"optional,tag:1"`
	CAs        bool                  `asn1:"optional,tag:2"`
	Reasons    asn1.BitString        `asn1:"optional,tag:3"`
	Indirect   bool                  `asn1:"optional,tag:4"`
	Attributes bool                  `asn1:"optional,tag:5"`
}

type distributionPointName struct {
	FullName []asn1.RawValue `asn1:"optional,tag:0"`
	Relative asn1.RawValue   `asn1:"optional,tag:1"`
}

var (
	oidDelta = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidScope = asn1.ObjectIdentifier{2, 5, 29, 28}
)

const tagURI = 6 // of a GeneralName

// parseLists reads a CRL in DER, or all of a PEM file.
func parseLists(data []byte) ([]*list, error) {
	if !bytes.Contains(data, []byte("-----BEGIN")) {
		l, err := parseList(data)
		return []*list{l}, err
	}
	var lists []*list
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		l, err := parseList(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("CRL %d: %w", len(lists)+1, err)
		}
		lists = append(lists, l)
	}
	if lists == nil {
		return nil, errors.New("holds no PEM block X509 CRL")
	}
	return lists, nil
}

func parseList(der []byte) (*list, error) {
	parsed, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("is no CRL: %w", err)
	}
	l := &list{RevocationList: parsed, revoked: make(map[string]time.Time, len(parsed.RevokedCertificateEntries))}
	for _, extension := range parsed.Extensions {
		switch {
		case extension.Id.Equal(oidDelta):
			return nil, errors.New("is a delta CRL, which says nothing by itself: the whole one is wanted")
		case extension.Id.Equal(oidScope):
			if rest, err := asn1.Unmarshal(extension.Value, &l.scope); err != nil || len(rest) > 0 {
				return nil, errors.New("its issuingDistributionPoint cannot be read")
			}
		case extension.Critical:
			return nil, fmt.Errorf("has a critical extension %v that is not known here", extension.Id)
		}
	}
	switch s := l.scope; {
	case s.Indirect:
		return nil, errors.New("is an indirect CRL, and one of the certificates' own issuer is wanted")
	case s.Reasons.BitLength > 0:
		return nil, errors.New("is about some reasons for revocation alone, and one about all is wanted")
	case s.Attributes:
		return nil, errors.New("is about attribute certificates alone")
	}
	for _, e := range parsed.RevokedCertificateEntries {
		l.revoked[string(e.SerialNumber.Bytes())] = e.RevocationTime
	}
	l.RevokedCertificateEntries = nil // they are in revoked
	return l, nil
}

// covers tells whether the CRL is about a certificate, of this issuer.
func (l *list) covers(cert, issuer *x509.Certificate) error {
	switch {
	case !bytes.Equal(l.RawIssuer, cert.RawIssuer):
		return errors.New("it is of another issuer")
	case l.scope.Users && cert.IsCA, l.scope.CAs && !cert.IsCA:
		return errors.New("it is about other kinds of certificates")
	case !l.covered(cert.CRLDistributionPoints):
		return errors.New("it is of another distribution point")
	}
	if err := l.CheckSignatureFrom(issuer); err != nil {
		return fmt.Errorf("its signature is not the issuer's: %w", err)
	}
	return nil
}

// covered compares the CRL's distribution point, if it is of one alone.
func (l *list) covered(points []string) bool {
	if len(l.scope.Point.FullName) == 0 {
		return len(l.scope.Point.Relative.FullBytes) == 0
	}
	return slices.ContainsFunc(l.scope.Point.FullName, func(name asn1.RawValue) bool {
		return name.Class == asn1.ClassContextSpecific && name.Tag == tagURI && slices.Contains(points, string(name.Bytes))
	})
}

// current tells why the CRL does not count now; nil where it does.
func (l *list) current(now time.Time) error {
	switch {
	case now.Add(clockSkew).Before(l.ThisUpdate):
		return fmt.Errorf("it begins only at %s", l.ThisUpdate.Format(time.RFC3339))
	case !l.NextUpdate.IsZero() && now.After(l.NextUpdate):
		return fmt.Errorf("it has ended at %s", l.NextUpdate.Format(time.RFC3339))
	}
	return nil
}

// status is what the CRL says of a certificate that it covers. Who is on it is revoked
// though it has ended: nobody leaves a CRL but those that were on hold.
func (l *list) status(cert *x509.Certificate, now time.Time) error {
	if at, revoked := l.revoked[string(cert.SerialNumber.Bytes())]; revoked {
		return &RevokedError{Certificate: cert, At: at}
	}
	return l.current(now)
}
