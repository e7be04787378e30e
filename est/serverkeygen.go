package est

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
)

const (
	typePKCS8 = "application/pkcs8"
	// keygenBoundary is fixed, as libest's: base64 has no dashes, so no part can
	// hold it.
	keygenBoundary = "est-server-boundary"
)

// serverkeygen makes a key and a certificate for it (RFC 7030 §4.4). The CSR names
// the subject; its key and its signature count for nothing. A client that wants
// the key encrypted beyond TLS gets it so, or is refused: never is it sent the key
// otherwise.
func (s *Server) serverkeygen(x *exchange, w http.ResponseWriter, r *http.Request) error {
	r, release, err := s.admit(x, r)
	if err != nil {
		return err
	}
	defer release()
	body, err := s.readBody(x, r)
	if err != nil {
		return err
	}
	csr, err := parseKeygenCSR(body)
	if err != nil {
		return err
	}
	// In all other respects the CSR counts as any (RFC 7030 §4.4.1): a proof of
	// possession that is there is checked. None is demanded, since the client has
	// no key to prove the possession of.
	if err := x.checkPossession(r, csr, false); err != nil {
		return err
	}
	sealed, err := s.keyEncryption.sealingFor(r, csr) // before anything is issued
	if err != nil {
		return err
	}
	s.report(r.Context(), CSRRead{x.origin(), csr})
	cert, key, err := s.ca.ServerKeyGen(r.Context(), csr, x.received.Label, r)
	defer clear(key)
	if err != nil {
		return err
	}
	if cert == nil || len(key) == 0 {
		return errors.New("the CA returned no certificate or no key, and no error")
	}
	p7, err := certsOnly([]*x509.Certificate{cert})
	if err != nil {
		return err
	}
	made, err := keyPart(sealed, key)
	if err != nil {
		return err
	}
	answer, err := keygenParts(made, part{typeCertsOnly, p7})
	if err != nil {
		return err
	}
	defer clear(answer)
	x.enrolled = true
	h := w.Header()
	x.style.success(h)
	h.Del("Content-Transfer-Encoding") // the parts have it, each its own
	h.Set("Content-Type", "multipart/mixed; boundary="+keygenBoundary)
	if err := x.write(w, r, http.StatusOK, answer); err != nil {
		x.err = fmt.Errorf("the answer could not be sent: %w", err)
	}
	return nil
}

// parseKeygenCSR is parseCSR for a CSR whose key and signature count for nothing
// (RFC 7030 §4.4.1): a key that is none does not harm. The CSR that is returned has
// an unknown key then.
func parseKeygenCSR(body []byte) (*x509.CertificateRequest, error) {
	csr, err := parseUnsignedCSR(body)
	if err == nil {
		return csr, nil
	}
	der, unreadable := decodeBody(body)
	if unreadable != nil {
		return nil, err
	}
	if der, unreadable = withoutKey(der); unreadable != nil {
		return nil, err
	}
	csr, unreadable = x509.ParseCertificateRequest(der)
	if unreadable != nil {
		return nil, err
	}
	return csr, nil
}

// withoutKey puts a key of no known kind into a CSR.
func withoutKey(der []byte) ([]byte, error) {
	var csr struct {
		Info      asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if rest, err := asn1.Unmarshal(der, &csr); err != nil || len(rest) > 0 {
		return nil, errors.New("no PKCS #10 request")
	}
	var info requestInfo
	if _, err := asn1.Unmarshal(csr.Info.FullBytes, &info); err != nil {
		return nil, err
	}
	key, err := asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{Algorithm: pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{0, 0}}})
	if err != nil {
		return nil, err
	}
	info.PublicKey = asn1.RawValue{FullBytes: key}
	if csr.Info.FullBytes, err = asn1.Marshal(info); err != nil {
		return nil, err
	}
	return asn1.Marshal(csr)
}

// part is one of a multipart answer.
type part struct {
	contentType string
	der         []byte
}

// keygenParts is the body with both parts, the key first (RFC 7030 §4.4.2, RFC 8951
// §3.2.4).
func keygenParts(both ...part) ([]byte, error) {
	var b bytes.Buffer
	parts := multipart.NewWriter(&b)
	if err := parts.SetBoundary(keygenBoundary); err != nil {
		return nil, err
	}
	for _, part := range both {
		w, err := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {part.contentType}, "Content-Transfer-Encoding": {"base64"}})
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(encodeBase64(part.der, false)); err != nil {
			return nil, err
		}
	}
	if err := parts.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// fullcmc is not served (RFC 7030 §4.3 makes it optional).
func (s *Server) fullcmc(*exchange, http.ResponseWriter, *http.Request) error {
	return &refusal{why: refusedUnimplemented, text: "full CMC is not implemented by this server: use simpleenroll"}
}
