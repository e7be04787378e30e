package msca

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

var (
	templateName = regexp.MustCompile(`^[A-Za-z0-9._()\-](?:[A-Za-z0-9 ._()\-]{0,62}[A-Za-z0-9._()\-])?$`)
	templateOID  = regexp.MustCompile(`^[0-2](?:\.[0-9]+)+$`)
)

// ValidTemplate reports why a template's name cannot be sent. It goes into a list
// of lines, where a line break in it would add an attribute of the sender's choice,
// such as another subject (reference: certsrv.md 8). Letters, digits, blanks
// within, and ._()- are good, up to 64; so is a dotted OID.
func ValidTemplate(name string) error {
	if templateName.MatchString(name) || (len(name) <= 255 && templateOID.MatchString(name)) {
		return nil
	}
	return fmt.Errorf("template name %.80q: use its common name (letters, digits, blanks and ._()-, at most 64) or its OID", name)
}

// Submit hands in a CSR (certfnsh.asp) for a template and returns the CA's number
// of the request, by which [Session.Fetch] gets the certificate. Errors are *Error:
// KindInput before anything is sent; KindPending and KindDenied carry the ReqID.
// After KindTimeout and KindClosed the CA may have issued the certificate all the
// same.
func (s *Session) Submit(ctx context.Context, csr *x509.CertificateRequest, template string) (reqID int, err error) {
	page := s.client.base + "/certfnsh.asp"
	if err := ValidTemplate(template); err != nil {
		return 0, &Error{Phase: PhaseSubmit, Kind: KindInput, URL: page, Err: err}
	}
	if csr == nil || len(csr.Raw) == 0 {
		return 0, &Error{Phase: PhaseSubmit, Kind: KindInput, URL: page, Err: errors.New("there is no CSR")}
	}
	form := enrollmentForm(csr.Raw, template, s.client.opts.UserAgent)
	err = s.page(ctx, PhaseSubmit, page, func(ctx context.Context, leg *Leg) error {
		req, err := s.client.request(ctx, http.MethodPost, page, form)
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		// The URL as it was configured: with CES's the port stands in it.
		req.Header.Set("Referer", s.client.base+"/certrqxt.asp")
		a, err := s.do(ctx, leg, req)
		if err != nil {
			return err
		}
		p := readPage(a)
		reqID, leg.ReqID = p.reqID, p.reqID
		if p.outcome == outcomeIssued {
			return nil
		}
		return p.err()
	})
	if err != nil {
		return 0, err
	}
	return reqID, nil
}

// enrollmentForm is what the page's own script posts (reference: certsrv.md 4).
func enrollmentForm(csr []byte, template, userAgent string) string {
	fields := [][2]string{
		{"Mode", "newreq"},
		{"CertRequest", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))},
		{"CertAttrib", "CertificateTemplate:" + template + "\r\nUserAgent:" + userAgent + "\r\n"},
		{"FriendlyType", "Saved-Request Certificate"},
		{"ThumbPrint", ""},
		{"TargetStoreFlags", "0"},
		{"SaveCert", "yes"},
	}
	var b strings.Builder
	for i, f := range fields {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(f[0] + "=" + url.QueryEscape(f[1]))
	}
	return b.String()
}
