package est

import (
	"crypto/x509"
	"time"
)

// Doors for the tests of package est_test.
var (
	ParseCSR      = parseCSR
	DecodeBody    = decodeBody
	SelfContained = selfContained
)

// KeygenParts is the answer of /serverkeygen with a key that is not encrypted.
func KeygenParts(key, p7 []byte) ([]byte, error) {
	return keygenParts(part{typePKCS8, key}, part{typeCertsOnly, p7})
}

// SameSubject compares by the names that crypto/x509 reads.
func SameSubject(csr *x509.CertificateRequest, old *x509.Certificate) error {
	return (&Server{names: plainNames}).sameSubject(csr, old)
}

// SetPatienceStep changes the pause between two bytes.
func (s *Server) SetPatienceStep(d time.Duration) { s.patienceStep = d }
