package est

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
)

// maxModulus bounds the RSA keys whose signatures are checked, in bits: the time
// that takes grows with the square, and a body of 64 KiB has room for a key that
// would take seconds.
const maxModulus = 16384

// readCSR reads the body of an enrollment and returns the CSR in it, its
// signature checked (RFC 7030 §4.2.1). Its errors are refusals.
func (s *Server) readCSR(x *exchange, r *http.Request) (*x509.CertificateRequest, error) {
	body, err := s.readBody(x, r)
	if err != nil {
		return nil, err
	}
	return parseCSR(body)
}

// readBody reads the whole body, at most Limits.Body bytes within
// Limits.BodyTimeout.
func (s *Server) readBody(x *exchange, r *http.Request) ([]byte, error) {
	if x.body != nil {
		return x.body, nil
	}
	x.expectBody()
	x.expectWrites()
	// The limit counts one byte more, to tell a body that fills it from one that
	// goes over it.
	body, err := io.ReadAll(io.LimitReader(r.Body, s.limits.Body+1))
	x.pending = false
	switch {
	case int64(len(body)) > s.limits.Body:
		return nil, s.oversized(x, r)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &refusal{
			why: refusedSlow, cause: err,
			text: fmt.Sprintf("the body did not arrive within %v: only %d bytes of it did", s.limits.BodyTimeout, len(body)),
		}
	case err != nil:
		return nil, &refusal{
			why: refusedCSR, cause: err,
			text: fmt.Sprintf("the body ended early, after %d bytes: send as many as Content-Length says", len(body)),
		}
	}
	x.bodyDone()
	return body, nil
}

// oversized drains what still comes of a body over the limit, up to a bound, and
// returns the refusal. A client that writes its whole request before it reads
// would otherwise see a reset connection instead of the answer.
func (s *Server) oversized(x *exchange, r *http.Request) error {
	const patience = 4 << 20 // bytes
	if r.Header.Get("Expect") == "" && r.ContentLength <= patience {
		x.expectBody()
		_, _ = io.CopyN(io.Discard, r.Body, patience) // best effort: the answer is the same
	}
	x.closeAfter()
	return &refusal{
		why:  refusedSize,
		text: fmt.Sprintf("the body is over the limit of %d bytes: a PKCS #10 request takes a few thousand", s.limits.Body),
	}
}

// parseCSR returns the CSR in an enrollment's body. Its errors are refusals, whose
// text tells the client what is wrong and what to do.
func parseCSR(body []byte) (*x509.CertificateRequest, error) {
	csr, err := parseUnsignedCSR(body)
	if err != nil {
		return nil, err
	}
	if key, ok := csr.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxModulus {
		return nil, badCSR(nil, "the CSR's RSA key has %d bits: at most %d are taken", key.N.BitLen(), maxModulus)
	}
	if err := csr.CheckSignature(); err != nil {
		if _, insecure := errors.AsType[x509.InsecureAlgorithmError](err); insecure || errors.Is(err, x509.ErrUnsupportedAlgorithm) {
			return nil, badCSR(err, "the CSR's signature cannot be checked: sign it with RSA, ECDSA or Ed25519, and SHA-256 or better")
		}
		return nil, badCSR(err, "the CSR's signature is wrong: sign it, unchanged, with the private key that belongs to the public key in it")
	}
	return csr, nil
}

// parseUnsignedCSR is parseCSR without a look at the signature.
func parseUnsignedCSR(body []byte) (*x509.CertificateRequest, error) {
	der, err := decodeBody(body)
	if err != nil {
		return nil, &refusal{why: refusedCSR, text: err.Error(), cause: err}
	}
	var whole asn1.RawValue
	rest, err := asn1.Unmarshal(der, &whole)
	if err != nil {
		return nil, badCSR(err, "the body is no PKCS #10 request, or cut off: send one whole CSR")
	}
	if len(rest) > 0 {
		return nil, badCSR(nil, "%d bytes follow the PKCS #10 request: send one CSR and nothing after it", len(rest))
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, badCSR(err, "the body is no PKCS #10 request (RFC 2986): send one whole CSR")
	}
	return csr, nil
}

func badCSR(cause error, format string, args ...any) error {
	return &refusal{why: refusedCSR, text: fmt.Sprintf(format, args...), cause: cause}
}
