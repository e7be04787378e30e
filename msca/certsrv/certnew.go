package certsrv

import (
	"bytes"
	"crypto/x509"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/smallstep/pkcs7"
)

const (
	typeCertificate = "application/pkix-cert"
	typePKCS7       = "application/x-pkcs7-certificates"
)

// certnewCer hands out one certificate: that of a request, or the CA's own
// (ReqID=CACert). To a client that is no browser a request's certificate goes as
// text/html (docs/reference/certsrv.md 0, fact 6).
func (s *Server) certnewCer(c call) *answer {
	if s.asksForCA(c) {
		ca := s.renewal(c)
		if ca == nil {
			return s.failed(c, failed(modeFetch, hrInvalidParameter))
		}
		return s.certificateFile(c, typeCertificate, ca.Raw)
	}
	der, a := s.fetch(c)
	if a != nil {
		return a
	}
	contentType := "text/html"
	switch m := &s.opts.Manner; {
	case m.HTMLFiles:
		contentType = "text/html; charset=us-ascii"
	case m.browser(c.Request):
		contentType = typeCertificate
	}
	return s.certificateFile(c, contentType, der)
}

// certnewP7B hands out a certificate and its chain as a certs-only PKCS#7.
func (s *Server) certnewP7B(c call) *answer {
	certificates := append([][]byte{s.authority.root.Raw}, s.authority.cross...)
	if s.asksForCA(c) {
		ca := s.renewal(c)
		if ca == nil {
			return s.failed(c, failed(modeFetch, hrInvalidParameter))
		}
		certificates = append(certificates, ca.Raw)
	} else {
		der, a := s.fetch(c)
		if a != nil {
			return a
		}
		certificates = append(certificates, der, s.issuerOf(der))
	}
	// A SET OF is sorted in DER: leaf and root come in whatever order that gives,
	// and clients that rely on another one break (docs/reference/certsrv.md 2).
	slices.SortFunc(certificates, bytes.Compare)
	der, err := pkcs7.DegenerateCertificate(bytes.Join(certificates, nil))
	if err != nil {
		return s.broken(c, err)
	}
	return s.certificateFile(c, typePKCS7, der)
}

func (s *Server) asksForCA(c call) bool { return strings.EqualFold(c.query["reqid"], "CACert") }

// renewal returns the CA certificate that is asked for: 0 is the oldest, -1 the
// newest. nil where there is none.
func (s *Server) renewal(c call) *x509.Certificate {
	n, err := strconv.Atoi(c.query["renewal"])
	if err != nil || n < 0 && s.opts.Manner.NoNewest {
		return nil
	}
	return s.authority.generation(n)
}

// issuerOf returns the CA certificate whose key has signed a certificate.
func (s *Server) issuerOf(der []byte) []byte {
	leaf, err := x509.ParseCertificate(der)
	for n := s.authority.renewals(); err == nil && n > 0; n-- {
		if ca := s.authority.generation(n); leaf.CheckSignatureFrom(ca) == nil {
			return ca.Raw
		}
	}
	return s.authority.generation(0).Raw
}

// fetch returns the certificate of the request asked for, or the page that says why
// there is none. Any user may fetch any certificate; what a real CA allows here is
// not known (docs/reference/certsrv.md 6).
func (s *Server) fetch(c call) (der []byte, refused *answer) {
	id, err := strconv.Atoi(c.query["reqid"])
	if err != nil {
		return nil, s.failed(c, failed(modeFetch, hrInvalidParameter))
	}
	r, ok := s.requests.find(id)
	switch {
	case !ok:
		return nil, s.failed(c, failed(modeFetch, hrPropertyEmpty))
	case r.Disposition == DispositionIssued:
		return r.Certificate, nil
	}
	line := resultLine(r.HRESULT)
	return nil, s.failed(c, failure{
		Mode:        modeFetch,
		Disposition: r.Disposition,
		Message:     r.Message,
		Result:      resultLine(0),
		COM:         "CCertRequest::RetrievePending: " + resultLine(0),
		LastStatus:  line,
	})
}

// certificateFile answers with a file in the encoding asked for; without Enc it is
// base64. A PKCS#7 too goes under the label CERTIFICATE, as CertCli writes it.
func (s *Server) certificateFile(c call, contentType string, der []byte) *answer {
	body := der
	if !strings.EqualFold(c.query["enc"], "bin") {
		body = s.opts.Manner.base64(der)
	}
	return &answer{status: http.StatusOK, contentType: contentType, asp: true, body: body}
}
