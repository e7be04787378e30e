package est

import (
	"crypto/x509"
	"errors"
	"net/http"
)

// Media types (RFC 7030 §3.2.4). libest compares that of an enrollment byte by
// byte (docs/reference/libest.md L5).
const (
	typePKCS10    = "application/pkcs10"
	typeCACerts   = "application/pkcs7-mime"
	typeCertsOnly = "application/pkcs7-mime; smime-type=certs-only"
	typeCSRAttrs  = "application/csrattrs"
)

// cacerts answers with the CA's chain (RFC 7030 §4.1.3).
func (s *Server) cacerts(x *exchange, w http.ResponseWriter, r *http.Request) error {
	chain, err := s.ca.CACerts(r.Context(), x.received.Label, r)
	if err != nil {
		return err
	}
	if len(chain) == 0 {
		return errors.New("the CA returned no certificates for /cacerts")
	}
	if x.style.trimsChain() {
		chain = selfContained(chain)
	}
	der, err := certsOnly(chain)
	if err != nil {
		return err
	}
	s.succeed(x, w, r, typeCACerts, der)
	return nil
}

// simpleenroll enrolls (RFC 7030 §4.2.1).
func (s *Server) simpleenroll(x *exchange, w http.ResponseWriter, r *http.Request) error {
	return s.enroll(x, w, r, func(r *http.Request, csr *x509.CertificateRequest) (*x509.Certificate, error) {
		return s.ca.Enroll(r.Context(), csr, x.received.Label, r)
	})
}

// simplereenroll renews or rekeys (RFC 7030 §4.2.2).
func (s *Server) simplereenroll(x *exchange, w http.ResponseWriter, r *http.Request) error {
	return s.enroll(x, w, r, func(r *http.Request, csr *x509.CertificateRequest) (*x509.Certificate, error) {
		old := verifiedPeer(r)
		if old != nil && x.style.checksSubject() && !s.forOthers(x, r) {
			if err := s.sameSubject(csr, old); err != nil {
				return nil, &refusal{why: refusedCSR, text: err.Error(), cause: err}
			}
		}
		return s.ca.Reenroll(r.Context(), old, csr, x.received.Label, r)
	})
}

// enroll authenticates the client, reads its CSR, lets issue make the
// certificate, and answers with that alone (RFC 7030 §4.2.3).
func (s *Server) enroll(
	x *exchange, w http.ResponseWriter, r *http.Request,
	issue func(*http.Request, *x509.CertificateRequest) (*x509.Certificate, error),
) error {
	r, release, err := s.admit(x, r)
	if err != nil {
		return err
	}
	defer release()
	csr, err := s.readCSR(x, r)
	if err != nil {
		return err
	}
	if err := x.checkPossession(r, csr, s.possession(x.received.Label) && !s.forOthers(x, r)); err != nil {
		return err
	}
	s.report(r.Context(), CSRRead{x.origin(), csr})
	cert, err := issue(r, csr)
	if err != nil {
		return err
	}
	if cert == nil {
		return errors.New("the CA returned neither a certificate nor an error")
	}
	der, err := certsOnly([]*x509.Certificate{cert})
	if err != nil {
		return err
	}
	x.enrolled = true
	s.succeed(x, w, r, typeCertsOnly, der)
	return nil
}

// admit counts an enrollment until release is called, and authenticates its client.
func (s *Server) admit(x *exchange, r *http.Request) (_ *http.Request, release func(), err error) {
	leave, err := s.enter()
	if err != nil {
		return nil, nil, err
	}
	admitted := false
	defer func() {
		if !admitted { // a panic of the Authenticator's included
			leave()
		}
	}()
	if err := x.bePatient(r); err != nil {
		return nil, nil, err
	}
	if r, err = s.authenticate(x, r); err != nil {
		return nil, nil, err
	}
	admitted = true
	return r, leave, nil
}

// enter counts an enrollment until the function it returns is called. An
// Authenticator that asks the CA waits as an enrollment does, so it counts.
func (s *Server) enter() (release func(), err error) {
	select {
	case s.inFlight <- struct{}{}:
		return func() { <-s.inFlight }, nil
	default:
		return nil, &refusal{why: refusedBusy, text: "too many enrollments at a time: try again later"}
	}
}
