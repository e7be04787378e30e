package msca

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
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
// such as another subject (docs/reference/certsrv.md 8). Letters, digits, blanks
// within, and ._()- are good, up to 64; so is a dotted OID.
func ValidTemplate(name string) error {
	if templateName.MatchString(name) || (len(name) <= 255 && templateOID.MatchString(name)) {
		return nil
	}
	return fmt.Errorf("template name %.80q: use its common name (letters, digits, blanks and ._()-, at most 64) or its OID", name)
}

// Submit hands in a CSR (certfnsh.asp) for a template and returns the CA's number
// of the request, by which [Session.Fetch] gets the certificate.
//
// fence, which may be nil, is called right before the first byte of the CSR is
// written, each time one is. Where it fails nothing is sent, the connection ends with
// a reset, and the error is of KindFenced and wraps the fence's.
//
// Errors are *Error: KindInput before anything is sent; KindPending and KindDenied
// carry the ReqID; [Error.MayHaveIssued] tells whether the CA may have issued the
// certificate all the same. A CSR is never sent a second time, unless the CA answered
// 401 to it.
func (s *Session) Submit(ctx context.Context, csr *x509.CertificateRequest, template string, fence func(context.Context) error) (reqID int, err error) {
	page := s.client.base + "/certfnsh.asp"
	if err := ValidTemplate(template); err != nil {
		return 0, &Error{Phase: PhaseSubmit, Kind: KindInput, URL: page, Err: err}
	}
	if csr == nil || len(csr.Raw) == 0 {
		return 0, &Error{Phase: PhaseSubmit, Kind: KindInput, URL: page, Err: errors.New("there is no CSR")}
	}
	form := enrollmentForm(csr.Raw, template, s.client.opts.UserAgent)
	err = s.page(ctx, PhaseSubmit, page, func(ctx context.Context, v *visit) error {
		a, err := v.post(ctx, page, form, fence)
		if err != nil {
			return err
		}
		p := readPage(a)
		reqID, v.leg.ReqID = p.reqID, p.reqID
		if p.outcome == outcomeIssued && reqID != 0 {
			return nil
		}
		return p.err()
	})
	if err != nil {
		return 0, err
	}
	return reqID, nil
}

// enrollmentForm is what the page's own script posts (docs/reference/certsrv.md 4).
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
