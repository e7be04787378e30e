package search

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"time"

	"ciscora/internal/x501"
	"ciscora/ra/ledger"
)

const (
	// backdating is how far before the request a Microsoft CA dates its
	// certificates, for subjects whose clocks are slow (ClockSkewMinutes, by default
	// ten).
	backdating = 10 * time.Minute
	// clockTolerance is how far the CA's clock may be from the ledger's: what Kerberos
	// lets the members of a domain differ by.
	clockTolerance = 5 * time.Minute
)

var (
	// Microsoft's extensions that name the template: of version 1 by its name, of
	// later ones by its object identifier (MS-WCCE 2.2.2.7.7.1, 2.2.2.7.7.2).
	oidTemplateName = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2}
	oidTemplate     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 21, 7}
	oidSubjectAlt   = asn1.ObjectIdentifier{2, 5, 29, 17}
)

// Template is what is known of a template.
type Template struct {
	// FromDirectory tells that the CA takes the subject from the directory: names
	// in a certificate are then not those of the CSR.
	FromDirectory bool
	OID           string // "" = not known
	Name          string // its common name; "" = not known
}

// isOID tells whether a template is named by its OID.
func isOID(name string) bool {
	return strings.Contains(name, ".") && strings.Trim(name, "0123456789.") == ""
}

// matches tells whether a certificate that stands at number reqID is, as far as can be
// known, the answer to the lost POST of a row.
func matches(row ledger.Row, template Template, reqID int, c *x509.Certificate) bool {
	return mayMatch(row, template, reqID, c) && sameTemplate(row.Template, template, c) && inTime(row, c)
}

// mayMatch tells whether it can be, if clocks are wrong and templates not what they
// are taken for.
func mayMatch(row ledger.Row, template Template, reqID int, c *x509.Certificate) bool {
	return reqID > row.Floor && bytes.Equal(c.RawSubjectPublicKeyInfo, row.PublicKey) &&
		(template.FromDirectory || sameNames(row.SubjectDER, c.RawSubject, row.Names, extension(c, oidSubjectAlt)))
}

// inTime tells whether the certificate can have been made for a POST that was sent
// when the row says.
func inTime(row ledger.Row, c *x509.Certificate) bool {
	return !c.NotBefore.Before(row.Submitted.Add(-backdating - clockTolerance))
}

// sameTemplate tells whether the certificate can be of the template. One that names
// none, or by an identifier that is not known here, can.
func sameTemplate(name string, template Template, c *x509.Certificate) bool {
	if isOID(name) {
		if template.OID == "" {
			template.OID = name
		}
		name = template.Name
	}
	if value := extension(c, oidTemplateName); value != nil {
		if name == "" {
			return true
		}
		var text asn1.RawValue
		if _, err := asn1.Unmarshal(value, &text); err != nil {
			return false
		}
		said, err := x501.StringType(text.Tag).Decode(text.Bytes)
		return err == nil && strings.EqualFold(strings.TrimSpace(said), name)
	}
	value := extension(c, oidTemplate)
	if value == nil || template.OID == "" {
		return true
	}
	var v struct {
		ID           asn1.ObjectIdentifier
		Major, Minor int `asn1:"optional"`
	}
	_, err := asn1.Unmarshal(value, &v)
	return err == nil && v.ID.String() == template.OID
}

func extension(c *x509.Certificate, id asn1.ObjectIdentifier) []byte {
	for _, e := range c.Extensions {
		if e.Id.Equal(id) {
			return e.Value
		}
	}
	return nil
}

// assign gives each lost row its certificate. A row whose names could not be
// compared gets one only where it is the only candidate, and the certificate's only
// row; that is known once its POST is over and all numbers are. Rows that ask for the
// same thing get theirs in the order of their POSTs.
func assign(rows []ledger.Row, templates map[string]Template, certificates []shown, over map[int64]bool, complete bool) map[int64]shown {
	found := map[int64]shown{}
	taken := map[int]bool{}
	// By names first: what is certain narrows the rest.
	for _, nameless := range []bool{false, true} {
		for _, row := range rows {
			template := templates[row.Template]
			if template.FromDirectory != nameless || nameless && (!complete || !over[row.ID]) {
				continue
			}
			var candidates []shown
			for _, s := range certificates {
				if !taken[s.reqID] && matches(row, template, s.reqID, s.certificate) {
					candidates = append(candidates, s)
				}
			}
			if len(candidates) == 0 || nameless && (len(candidates) > 1 || rivals(rows, templates, row, candidates[0]) > 0) {
				continue
			}
			found[row.ID] = candidates[0]
			taken[candidates[0].reqID] = true
		}
	}
	return found
}

// rivals counts the other rows that the certificate may be for.
func rivals(rows []ledger.Row, templates map[string]Template, row ledger.Row, s shown) int {
	n := 0
	for _, other := range rows {
		if other.ID != row.ID && matches(other, templates[other.Template], s.reqID, s.certificate) {
			n++
		}
	}
	return n
}

// shown is a certificate that the CA shows under a number.
type shown struct {
	reqID       int
	certificate *x509.Certificate
}

// Fits tells whether a certificate has the names that a row asked for, as far as they
// can be compared.
func (s *Search) Fits(ctx context.Context, row ledger.Row, c *x509.Certificate) bool {
	return s.Template(ctx, row.Template).FromDirectory || sameNames(row.SubjectDER, c.RawSubject, row.Names, extension(c, oidSubjectAlt))
}
