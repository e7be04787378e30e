package certsrv

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"time"
	"unicode/utf16"

	"go.step.sm/crypto/keyutil"
	"go.step.sm/crypto/x509util"
)

const (
	rootValidity    = 20 * 365 * 24 * time.Hour
	issuingValidity = 10 * 365 * 24 * time.Hour
	serverValidity  = 2 * 365 * 24 * time.Hour

	// A CA dates certificates back, for subjects whose clocks are slow.
	clockSkew = 10 * time.Minute

	maxRenewals = 99
)

// authority is the CA's keys: a root, which signs once, and the issuing CA below
// it, which signs all else. It is safe for concurrent use.
type authority struct {
	root   *x509.Certificate
	newKey func() (crypto.Signer, error)
	manner Manner
	cross  [][]byte // certificates of the root's key by others, and those of the others
	rand   io.Reader
	now    func() time.Time

	renewal sync.Mutex    // one renewal at a time
	rootKey crypto.Signer // nil where it is kept elsewhere
	mu      sync.RWMutex  // guards issuing
	issuing []*pair       // by renewal, the first CA certificate first; never empty
}

// newest is the CA certificate that signs.
func (a *authority) newest() *pair {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.issuing[len(a.issuing)-1]
}

// generation returns the CA certificate of a renewal, 0 being the first and -1 the
// newest; nil where there is none.
func (a *authority) generation(n int) *x509.Certificate {
	if p := a.pairOf(n); p != nil {
		return p.certificate
	}
	return nil
}

// pairOf is generation with the key.
func (a *authority) pairOf(n int) *pair {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if n == -1 {
		n = len(a.issuing) - 1
	}
	if n < 0 || n >= len(a.issuing) {
		return nil
	}
	return a.issuing[n]
}

// renewals is how often the CA's certificate was renewed.
func (a *authority) renewals() int {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return len(a.issuing) - 1
}

// renew makes CA certificates with new keys until there have been n renewals.
func (a *authority) renew(o Options, n int) error {
	a.renewal.Lock()
	defer a.renewal.Unlock()
	for have := a.renewals(); have < n; have = a.renewals() {
		if a.rootKey == nil {
			return fmt.Errorf("certsrv: %s: the CA cannot be renewed without root.key, restore it", o.Dir)
		}
		next, err := a.makeCA(o, "Issuing CA", &pair{a.root, a.rootKey})
		if err != nil {
			return err
		}
		if err := savePair(o.Dir, generationName(have+1), next); err != nil {
			return err
		}
		a.mu.Lock()
		a.issuing = append(a.issuing, next)
		a.mu.Unlock()
	}
	return nil
}

// generationName is the file name of a CA certificate: issuing, issuing-1, ...
func generationName(renewal int) string {
	if renewal == 0 {
		return issuingName
	}
	return fmt.Sprintf("%s-%d", issuingName, renewal)
}

// pair is a certificate and its key; the root's key may be absent once it has
// signed the issuing CA.
type pair struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// openAuthority takes root and issuing CA from Dir, or makes what is missing.
func openAuthority(o Options) (*authority, error) {
	a := &authority{manner: o.Manner, rand: o.Rand, now: o.Now, newKey: func() (crypto.Signer, error) { return o.NewKey(o.Manner.Key) }}
	root, issuing, err := loadPairs(o.Dir)
	if err != nil {
		return nil, err
	}
	if root == nil {
		if issuing != nil {
			return nil, fmt.Errorf("certsrv: %s: there is an issuing CA and no root.pem, restore it, or remove issuing.pem to start a new CA", o.Dir)
		}
		if root, err = a.makeCA(o, "Root CA", nil); err != nil {
			return nil, err
		}
		if err := savePair(o.Dir, rootName, root); err != nil {
			return nil, err
		}
	}
	if issuing == nil {
		if root.key == nil {
			return nil, fmt.Errorf("certsrv: %s: there is no issuing CA and no root.key to sign one, restore either", o.Dir)
		}
		if issuing, err = a.makeCA(o, "Issuing CA", root); err != nil {
			return nil, err
		}
		if err := savePair(o.Dir, issuingName, issuing); err != nil {
			return nil, err
		}
	}
	a.root, a.rootKey = root.certificate, root.key
	for next := issuing; next != nil; {
		if err := next.certificate.CheckSignatureFrom(root.certificate); err != nil {
			return nil, fmt.Errorf("certsrv: %s: %s.pem is not signed by root.pem: %w", o.Dir, generationName(len(a.issuing)), err)
		}
		if next.key == nil {
			return nil, fmt.Errorf("certsrv: %s: %s.key is missing, restore it", o.Dir, generationName(len(a.issuing)))
		}
		a.issuing = append(a.issuing, next)
		if o.Dir == "" || len(a.issuing) > maxRenewals {
			break
		}
		if next, err = loadPair(o.Dir, generationName(len(a.issuing))); err != nil {
			return nil, err
		}
	}
	if o.Manner.CrossSigned {
		if a.cross, err = a.crossSign(o); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func ecKey() (crypto.Signer, error) { return keyutil.GenerateSigner("EC", "P-256", 0) }

// crossSign has an older root certify the root's key, and returns both certificates.
func (a *authority) crossSign(o Options) ([][]byte, error) {
	older, err := a.makeCA(o, "Older Root CA", nil)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		RawSubject: a.root.RawSubject, SubjectKeyId: a.root.SubjectKeyId,
		NotBefore: a.root.NotBefore, NotAfter: a.root.NotAfter,
		BasicConstraintsValid: true, IsCA: true, KeyUsage: a.root.KeyUsage,
		SignatureAlgorithm: a.manner.signature(older.key),
	}
	if template.SerialNumber, err = a.serial(0); err != nil {
		return nil, err
	}
	cross, err := x509util.CreateCertificate(template, older.certificate, a.root.PublicKey, older.key)
	if err != nil {
		return nil, fmt.Errorf("certsrv: sign the root's certificate by the older root: %w", err)
	}
	return [][]byte{cross.Raw, older.certificate.Raw}, nil
}

// makeCA makes a CA certificate: below parent, or self-signed without one.
func (a *authority) makeCA(o Options, role string, parent *pair) (*pair, error) {
	key, err := a.newKey()
	if err != nil {
		return nil, fmt.Errorf("certsrv: make the key of the %s: %w", role, err)
	}
	subject, err := caSubject(o.Domain, role, o.Manner.Names)
	if err != nil {
		return nil, err
	}
	now := a.now()
	template := &x509.Certificate{
		RawSubject:            subject,
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(rootValidity),
		BasicConstraintsValid: true,
		IsCA:                  true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	signer, issuer := key, template
	if parent != nil {
		template.NotAfter = earlier(now.Add(issuingValidity), parent.certificate.NotAfter)
		template.MaxPathLenZero = true
		signer, issuer = parent.key, parent.certificate
	}
	if template.SerialNumber, err = a.serial(0); err != nil {
		return nil, err
	}
	template.SignatureAlgorithm = a.manner.signature(signer)
	c, err := x509util.CreateCertificate(template, issuer, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("certsrv: sign the certificate of the %s: %w", role, err)
	}
	return &pair{c, key}, nil
}

// caSubject is a name as the directory gives it: DC=test, DC=lab, CN=LAB Root CA.
// A strange encoding comes with letters that are in no PrintableString.
func caSubject(domain, role, encoding string) ([]byte, error) {
	var name pkix.RDNSequence
	oidDC := asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}
	labels := strings.Split(dnsDomain(domain), ".")
	for i := len(labels) - 1; i >= 0; i-- {
		dc := asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(labels[i])}
		name = append(name, []pkix.AttributeTypeAndValue{{Type: oidDC, Value: dc}})
	}
	name = append(name, []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: caName(domain+" "+role, encoding)}})
	der, err := asn1.Marshal(name)
	if err != nil {
		return nil, fmt.Errorf("certsrv: encode the name of the %s: %w", role, err)
	}
	return der, nil
}

// caName is a common name in the string type that encoding says; "" = x509's choice.
func caName(name, encoding string) any {
	const koeln, eacute = " Köln", 0xe9
	switch encoding {
	case "utf8":
		return name + koeln
	case "bmp":
		var b []byte
		for _, unit := range utf16.Encode([]rune(name + koeln)) {
			b = binary.BigEndian.AppendUint16(b, unit)
		}
		return asn1.RawValue{Tag: asn1.TagBMPString, Bytes: b}
	case "t61":
		return asn1.RawValue{Tag: asn1.TagT61String, Bytes: append([]byte(name+" Gen"), eacute, 'v', 'e')}
	}
	return name
}

// serial returns a number that no other certificate has: 12 random bytes, then
// the ReqID, as AD CS puts it there; 0 for what nobody requested.
func (a *authority) serial(reqID int) (*big.Int, error) {
	var b [16]byte
	if _, err := io.ReadFull(a.rand, b[:12]); err != nil {
		return nil, fmt.Errorf("certsrv: read a random serial number: %w", err)
	}
	b[0] = b[0]&0x3f | 0x40 // positive, always 16 bytes
	binary.BigEndian.PutUint32(b[12:], uint32(reqID))
	return new(big.Int).SetBytes(b[:]), nil
}

// sign has the issuing CA sign template, dated from now for validity, and never
// beyond the issuing CA's own end.
func (a *authority) sign(template *x509.Certificate, pub crypto.PublicKey, validity time.Duration, reqID int) (*x509.Certificate, error) {
	now, issuing := a.now(), a.newest()
	template.NotBefore = later(now.Add(-clockSkew), issuing.certificate.NotBefore)
	template.NotAfter = earlier(now.Add(validity), issuing.certificate.NotAfter)
	if !template.NotAfter.After(now) {
		return nil, errors.New("certsrv: the issuing CA has expired, start a new CA in another folder")
	}
	template.BasicConstraintsValid = true // and no CA, whatever the CSR asks for
	var err error
	if template.SerialNumber, err = a.serial(reqID); err != nil {
		return nil, err
	}
	template.SignatureAlgorithm = a.manner.signature(issuing.key)
	c, err := x509util.CreateCertificate(template, issuing.certificate, pub, issuing.key)
	if err != nil {
		return nil, fmt.Errorf("certsrv: sign the certificate of request %d: %w", reqID, err)
	}
	return c, nil
}

// serverCertificate makes a TLS server's key and certificate for hosts, DNS names
// and IP addresses; the first is also its common name.
func (a *authority) serverCertificate(hosts []string) (tls.Certificate, error) {
	key, err := a.newKey()
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certsrv: make the key of a server's certificate: %w", err)
	}
	return a.serverCertificateFor(key, hosts)
}

// serverCertificateFor is serverCertificate for a key that there is.
func (a *authority) serverCertificateFor(key crypto.Signer, hosts []string) (tls.Certificate, error) {
	if len(hosts) == 0 {
		return tls.Certificate{}, errors.New("certsrv: a server certificate needs at least one host name or address")
	}
	template := serverTemplate(hosts)
	if len(hosts[0]) <= maxCommonName {
		template.Subject.CommonName = hosts[0]
	}
	leaf, err := a.sign(template, key.Public(), serverValidity, 0)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, a.newest().certificate.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// serverTemplate is a TLS server's certificate for hosts, without a subject.
func serverTemplate(hosts []string) *x509.Certificate {
	template := &x509.Certificate{
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	return template
}

// certify signs a finished template; the issuer's certificate goes with it, unless
// it has signed itself.
func (a *authority) certify(template *x509.Certificate, issuer *pair, key crypto.Signer) (tls.Certificate, error) {
	leaf, err := x509util.CreateCertificate(template, issuer.certificate, key.Public(), issuer.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certsrv: sign the certificate of %s: %w", template.Subject.CommonName, err)
	}
	c := tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	if issuer.certificate != template {
		c.Certificate = append(c.Certificate, issuer.certificate.Raw)
	}
	return c, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
