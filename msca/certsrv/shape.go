package certsrv

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.step.sm/crypto/x509util"
	"golang.org/x/crypto/ocsp"
)

// Certificates of a front end with something wrong about them, such as a client must not
// take: what [Server.Shape] knows besides IIS's own failures.

// shapeOther makes the certificate of a kind; false where there is no such kind.
func (s *Server) shapeOther(kind, value string, hosts []string) (c tls.Certificate, ok bool, err error) {
	a := s.authority
	switch kind {
	case "cn-only":
		if value == "" {
			value = hosts[0]
		}
		c, err = a.shaped(a.newest(), func(t *x509.Certificate) {
			t.Subject.CommonName, t.DNSNames, t.IPAddresses = value, nil, nil
		}, hosts)
	case "san":
		c, err = a.shaped(a.newest(), func(t *x509.Certificate) {
			t.Subject.CommonName = "EST server"
			switch value {
			case "dns":
				t.IPAddresses = nil
			case "wildcard":
				t.DNSNames, t.IPAddresses = []string{"*"}, nil
			case "dns-ip":
				t.DNSNames, t.IPAddresses = []string{"127.0.0.1"}, nil
			}
		}, hosts)
	case "dns":
		c, err = a.shaped(a.newest(), func(t *x509.Certificate) {
			t.Subject.CommonName, t.DNSNames, t.IPAddresses = "EST server", []string{value}, nil
		}, hosts)
	case "eku":
		c, err = a.shaped(a.newest(), func(t *x509.Certificate) {
			t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
			if value == "cmcra" {
				// id-kp-cmcRA (RFC 6402 section 2.10), beside what TLS wants.
				t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
				t.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 28}}
				t.DNSNames, t.IPAddresses = []string{"other." + dnsDomain(s.opts.Domain)}, nil
				t.Subject.CommonName = t.DNSNames[0]
			}
		}, hosts)
	case "revoked":
		if c, err = a.shaped(a.newest(), func(*x509.Certificate) {}, hosts); err == nil {
			c.OCSPStaple, err = a.revokedStaple(c.Leaf)
		}
	case "key":
		var key crypto.Signer
		if key, err = rsa.GenerateKey(rand.Reader, weakBits); err == nil {
			c, err = a.shapedFor(key, a.newest(), func(*x509.Certificate) {}, hosts)
		}
	case "signature":
		c, err = a.shaped(a.newest(), func(t *x509.Certificate) {
			t.SignatureAlgorithm = x509.SHA1WithRSA
			if _, ok := a.newest().key.Public().(*ecdsa.PublicKey); ok {
				t.SignatureAlgorithm = x509.ECDSAWithSHA1
			}
		}, hosts)
	case "critical-extension":
		c, err = a.shaped(a.newest(), func(t *x509.Certificate) {
			// 2.999 is for examples (Rec. ITU-T X.660).
			t.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 999, 1}, Critical: true, Value: []byte{5, 0}}}
		}, hosts)
	case "issuer":
		c, err = s.issuedBy(value, hosts)
	case "extra-certificates":
		c, err = a.shaped(a.newest(), func(*x509.Certificate) {}, hosts)
		if err != nil {
			break
		}
		var stranger []byte
		if stranger, err = s.Stranger(); err == nil {
			c.Certificate = [][]byte{c.Certificate[0], a.root.Raw, stranger, c.Certificate[1]}
		}
	case "rotate":
		var issuer *pair
		switch value {
		case "stranger":
			issuer, err = s.strangers()
		case "leaf":
			issuer, err = s.endEntity()
		default:
			var r *rollover
			if r, err = s.rollover(); err == nil {
				issuer = r.sub
			}
		}
		if err == nil {
			c, err = a.shaped(issuer, func(*x509.Certificate) {}, hosts)
		}
	default:
		return c, false, nil
	}
	return c, true, err
}

// weakBits is the length of an RSA key that nobody should take any more.
const weakBits = 1024

// revokedStaple is what OCSP says of a certificate that was revoked an hour ago (RFC 6960).
func (a *authority) revokedStaple(c *x509.Certificate) ([]byte, error) {
	issuer, now := a.newest(), a.now()
	der, err := ocsp.CreateResponse(issuer.certificate, issuer.certificate, ocsp.Response{
		Status: ocsp.Revoked, SerialNumber: c.SerialNumber, RevokedAt: now.Add(-time.Hour), RevocationReason: ocsp.KeyCompromise,
		ThisUpdate: now.Add(-clockSkew), NextUpdate: now.Add(24 * time.Hour),
	}, issuer.key)
	if err != nil {
		return nil, fmt.Errorf("certsrv: sign an answer of OCSP: %w", err)
	}
	return der, nil
}

// shaped is a server's certificate for hosts, after change.
func (a *authority) shaped(issuer *pair, change func(*x509.Certificate), hosts []string) (tls.Certificate, error) {
	key, err := a.newKey()
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certsrv: make a server's key: %w", err)
	}
	return a.shapedFor(key, issuer, change, hosts)
}

func (a *authority) shapedFor(key crypto.Signer, issuer *pair, change func(*x509.Certificate), hosts []string) (c tls.Certificate, err error) {
	now := a.now()
	template := serverTemplate(hosts)
	template.Subject.CommonName = hosts[0]
	template.NotBefore, template.NotAfter, template.BasicConstraintsValid = now.Add(-clockSkew), now.Add(serverValidity), true
	change(template)
	if template.SerialNumber, err = a.serial(0); err != nil {
		return tls.Certificate{}, err
	}
	return a.certify(template, issuer, key)
}

// issuedBy is a server's certificate from an issuer that may not issue it.
func (s *Server) issuedBy(what string, hosts []string) (tls.Certificate, error) {
	a := s.authority
	now := a.now()
	key, err := a.newKey()
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certsrv: make an issuer's key: %w", err)
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "LAB issuer that is none"},
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(serverValidity), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	above := a.newest()
	if what == "name-constraint" {
		if a.rootKey == nil {
			return tls.Certificate{}, fmt.Errorf("certsrv: %s: a CA with constraints cannot be made without root.key, restore it", s.opts.Dir)
		}
		above = &pair{a.root, a.rootKey}
		template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
		template.PermittedDNSDomainsCritical, template.PermittedDNSDomains = true, []string{"example.invalid"}
	}
	if template.SerialNumber, err = a.serial(0); err != nil {
		return tls.Certificate{}, err
	}
	certificate, err := x509util.CreateCertificate(template, above.certificate, key.Public(), above.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certsrv: sign an issuer's certificate: %w", err)
	}
	c, err := a.shaped(&pair{certificate, key}, func(*x509.Certificate) {}, hosts)
	if err == nil && what != "name-constraint" {
		c.Certificate = append(c.Certificate, above.certificate.Raw)
	}
	return c, err
}

// rollover is a root that follows this CA's, with what leads from one to the other.
type rollover struct {
	root                   *pair
	oldWithNew, newWithOld *x509.Certificate
	sub                    *pair
}

// successors are what else a client might trust, each made when it is first asked for.
type successors struct {
	mu       sync.Mutex // guards all
	rollover *rollover
	stranger *pair
	leaf     *pair
}

// Rollover returns, in DER, what RFC 4210 section 4.4 has a CA publish that gets a new
// root: the new root, the old one with the new one's signature, the new one with the
// old one's; and a CA below the new root.
func (s *Server) Rollover() (newWithNew, oldWithNew, newWithOld, sub []byte, err error) {
	r, err := s.rollover()
	if err != nil {
		return nil, nil, nil, nil, err
	}
	return r.root.certificate.Raw, r.oldWithNew.Raw, r.newWithOld.Raw, r.sub.certificate.Raw, nil
}

func (s *Server) rollover() (*rollover, error) {
	s.successors.mu.Lock()
	defer s.successors.mu.Unlock()
	if s.successors.rollover != nil {
		return s.successors.rollover, nil
	}
	a := s.authority
	if a.rootKey == nil {
		return nil, fmt.Errorf("certsrv: %s: the root cannot be followed by another without root.key, restore it", s.opts.Dir)
	}
	var r rollover
	var err error
	if r.root, err = a.makeCA(s.opts, "Root CA 2", nil); err != nil {
		return nil, err
	}
	if r.sub, err = a.makeCA(s.opts, "Issuing CA 2", r.root); err != nil {
		return nil, err
	}
	old := &pair{a.root, a.rootKey}
	if r.oldWithNew, err = a.link(old, r.root); err != nil {
		return nil, err
	}
	if r.newWithOld, err = a.link(r.root, old); err != nil {
		return nil, err
	}
	s.successors.rollover = &r
	return &r, nil
}

// link has one root certify another's key.
func (a *authority) link(of, by *pair) (*x509.Certificate, error) {
	template := &x509.Certificate{
		RawSubject: of.certificate.RawSubject, SubjectKeyId: of.certificate.SubjectKeyId,
		NotBefore: of.certificate.NotBefore, NotAfter: of.certificate.NotAfter,
		BasicConstraintsValid: true, IsCA: true, KeyUsage: of.certificate.KeyUsage,
		SignatureAlgorithm: a.manner.signature(by.key),
	}
	var err error
	if template.SerialNumber, err = a.serial(0); err != nil {
		return nil, err
	}
	c, err := x509util.CreateCertificate(template, by.certificate, of.key.Public(), by.key)
	if err != nil {
		return nil, fmt.Errorf("certsrv: sign one root by another: %w", err)
	}
	return c, nil
}

// Stranger returns the root, in DER, of a CA that has nothing to do with this one.
func (s *Server) Stranger() ([]byte, error) {
	p, err := s.strangers()
	if err != nil {
		return nil, err
	}
	return slices.Clone(p.certificate.Raw), nil
}

func (s *Server) strangers() (*pair, error) {
	s.successors.mu.Lock()
	defer s.successors.mu.Unlock()
	if s.successors.stranger == nil {
		o := s.opts
		o.Domain = "STRANGER"
		p, err := s.authority.makeCA(o, "Root CA", nil)
		if err != nil {
			return nil, err
		}
		// It ends before this CA's root: the newest root of several is the one that
		// counts (RFC 7030 section 4.1.3).
		earlier := *p.certificate
		earlier.NotAfter = earlier.NotAfter.Add(-rootValidity / 2)
		if p.certificate, err = s.authority.link(&pair{&earlier, p.key}, &pair{&earlier, p.key}); err != nil {
			return nil, err
		}
		s.successors.stranger = p
	}
	return s.successors.stranger, nil
}

// EndEntity returns, in DER, a certificate of this CA that is no CA's.
func (s *Server) EndEntity() ([]byte, error) {
	p, err := s.endEntity()
	if err != nil {
		return nil, err
	}
	return slices.Clone(p.certificate.Raw), nil
}

func (s *Server) endEntity() (*pair, error) {
	s.successors.mu.Lock()
	defer s.successors.mu.Unlock()
	if s.successors.leaf == nil {
		a := s.authority
		key, err := a.newKey()
		if err != nil {
			return nil, fmt.Errorf("certsrv: make an end entity's key: %w", err)
		}
		c, err := a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "an end entity"}, BasicConstraintsValid: true}, key.Public(), serverValidity, 0)
		if err != nil {
			return nil, err
		}
		s.successors.leaf = &pair{c, key}
	}
	return s.successors.leaf, nil
}

// Recertify issues a certificate of this CA once more, with something about it that its
// owner did not ask for: not-yet-valid, expired or other-subject.
func (s *Server) Recertify(der []byte, how string) ([]byte, error) {
	old, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certsrv: read the certificate that is to be issued once more: %w", err)
	}
	a, now := s.authority, s.opts.Now()
	template := &x509.Certificate{
		RawSubject: old.RawSubject, NotBefore: old.NotBefore, NotAfter: old.NotAfter, BasicConstraintsValid: true,
		KeyUsage: old.KeyUsage, ExtKeyUsage: old.ExtKeyUsage, DNSNames: old.DNSNames, SignatureAlgorithm: a.manner.signature(a.newest().key),
	}
	const day = 24 * time.Hour
	switch how {
	case "not-yet-valid":
		template.NotBefore = now.Add(day)
	case "expired":
		template.NotBefore, template.NotAfter = now.Add(-2*day), now.Add(-day)
	case "other-subject":
		template.RawSubject, template.Subject = nil, pkix.Name{CommonName: "another subject"}
	default:
		return nil, fmt.Errorf("certsrv: a certificate cannot be issued once more as %q", how)
	}
	if template.SerialNumber, err = a.serial(0); err != nil {
		return nil, err
	}
	issuer := a.newest()
	c, err := x509util.CreateCertificate(template, issuer.certificate, old.PublicKey, issuer.key)
	if err != nil {
		return nil, fmt.Errorf("certsrv: issue a certificate once more: %w", err)
	}
	return c.Raw, nil
}
