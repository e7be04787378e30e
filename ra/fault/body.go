package fault

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/smallstep/pkcs7"

	"ciscora/internal/p7b"
)

// Authority is what the built-in CA gives faults of a front end: certificates that only
// it can make.
type Authority interface {
	// Rollover returns what RFC 4210 section 4.4 has a CA publish that gets a new root:
	// the new root, the old one with the new one's signature, the new one with the old
	// one's, and a CA below the new root.
	Rollover() (newWithNew, oldWithNew, newWithOld, sub []byte, err error)
	// Stranger returns the root of a CA that has nothing to do with this one.
	Stranger() ([]byte, error)
	// EndEntity returns a certificate of this CA that is no CA's.
	EndEntity() ([]byte, error)
	// Recertify issues a certificate once more: not-yet-valid, expired or other-subject.
	Recertify(der []byte, how string) ([]byte, error)
}

// needsAuthority tells which faults take an [Authority].
func needsAuthority(f Fault) bool {
	switch f.Kind {
	case "p7":
		return f.Value == "rollover" || f.Value == "new" || f.Value == "stranger" || f.Value == "leaf"
	case "certificate":
		return f.Value == "not-yet-valid" || f.Value == "expired" || f.Value == "other-subject"
	}
	return false
}

// Behind tells the registry which CA is behind the front end.
func (r *Registry) Behind(a Authority) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.authority = a
}

func (h *estAnswer) setBody(b []byte) {
	h.body.Reset()
	h.body.Write(b)
	h.header.Set("Content-Length", fmt.Sprint(len(b)))
}

// der is the answer's body without its base64; nil where it is none.
func (h *estAnswer) der() []byte {
	der, err := decode(h.body.Bytes())
	if err != nil {
		return nil
	}
	return der
}

// decode reads base64 in whatever lines.
func decode(text []byte) ([]byte, error) {
	return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(text)), ""))
}

// encode writes DER in the form of base64 that the answer had: who needs one form would
// else fail of that, and hide what was asked of it.
func (h *estAnswer) encode(der []byte) []byte {
	old := h.body.Bytes()
	text := bytes.TrimRight(old, "\r\n")
	end := bytes.IndexByte(text, '\n')
	switch {
	case end <= 0:
		return append([]byte(base64.StdEncoding.EncodeToString(der)), old[len(text):]...)
	case old[end-1] == '\r':
		return []byte(wrap(der, end-1, "\r\n"))
	}
	return []byte(wrap(der, end, "\n"))
}

// certificates returns those of a certs-only answer, in DER.
func (h *estAnswer) certificates() [][]byte {
	p7, err := p7b.Parse(h.der())
	if err != nil {
		return nil
	}
	var all [][]byte
	for _, c := range p7.Certificates {
		all = append(all, c.Raw)
	}
	return all
}

func (h *estAnswer) setCertificates(all ...[]byte) {
	der, err := pkcs7.DegenerateCertificate(slices.Concat(all...))
	if err != nil {
		return // of a signed message without a signature there is nothing to fail
	}
	h.setBody(h.encode(der))
}

// reform writes the body in another form of base64.
func (h *estAnswer) reform(form string) {
	der := h.der()
	text := base64.StdEncoding.EncodeToString(der)
	switch form {
	case "lf64":
		h.setBody([]byte(wrap(der, 64, "\n")))
	case "crlf76":
		h.setBody([]byte(wrap(der, 76, "\r\n")))
	case "blanks":
		var b strings.Builder
		for i, gaps := 0, []string{" ", "\t", "\r\n", "  \r\n"}; len(text) > 0; i++ {
			n := min(50, len(text))
			b.WriteString(text[:n] + gaps[i%len(gaps)])
			text = text[n:]
		}
		h.setBody([]byte(b.String() + " \r\n"))
	case "corrupt":
		old := h.body.Bytes()
		h.setBody(slices.Concat(old[:len(old)/2], []byte("!!!!"), old[len(old)/2:]))
	case "pem":
		h.setBody(pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: der}))
	case "der":
		h.setBody(der)
	}
}

// rearrange makes another PKCS #7 of the answer's certificates.
func (h *estAnswer) rearrange(how string) error {
	all := h.certificates()
	isRoot := func(der []byte) bool {
		c, err := x509.ParseCertificate(der)
		return err == nil && bytes.Equal(c.RawSubject, c.RawIssuer)
	}
	switch how {
	case "root-first":
		slices.SortStableFunc(all, func(a, b []byte) int {
			switch {
			case isRoot(a) == isRoot(b):
				return 0
			case isRoot(a):
				return -1
			}
			return 1
		})
	case "duplicates":
		all = append(all, all...)
	case "many":
		all = slices.Repeat(all, 20)
	case "no-root":
		all = slices.DeleteFunc(all, isRoot)
	case "empty":
		all = nil
	case "leaf", "stranger":
		more := h.authority().Stranger
		if how == "leaf" {
			more = h.authority().EndEntity
		}
		other, err := more()
		if err != nil {
			return err
		}
		all = append(all, other)
	case "new", "rollover":
		newRoot, oldWithNew, newWithOld, sub, err := h.authority().Rollover()
		if err != nil {
			return err
		}
		if how == "new" {
			all = [][]byte{sub, newRoot}
		} else {
			all = append(all, newRoot, oldWithNew, newWithOld, sub)
		}
	case "crl":
		der, err := withCRL(h.der())
		if err == nil {
			h.setBody(h.encode(der))
		}
		return err
	case "ber":
		h.setBody(h.encode(indefinite(h.der(), 3)))
		return nil
	}
	h.setCertificates(all...)
	return nil
}

func (h *estAnswer) authority() Authority {
	h.registry.mu.Lock()
	defer h.registry.mu.Unlock()
	return h.registry.authority
}

// indefinite gives the first elements of nested ones the indefinite length of BER,
// which PKCS #7 allows (X.690 8.1.3.6).
func indefinite(der []byte, depth int) []byte {
	var outer asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &outer); err != nil || len(rest) > 0 || !outer.IsCompound || depth == 0 {
		return der
	}
	// The last of its elements is the one that holds the content.
	body := outer.Bytes
	var parts [][]byte
	for rest := body; len(rest) > 0; {
		var part asn1.RawValue
		after, err := asn1.Unmarshal(rest, &part)
		if err != nil {
			return der
		}
		parts = append(parts, part.FullBytes)
		rest = after
	}
	if n := len(parts); n > 0 {
		parts[n-1] = indefinite(parts[n-1], depth-1)
	}
	return slices.Concat(append(append([][]byte{{der[0], 0x80}}, parts...), []byte{0, 0})...)
}

// recertify spoils the certificate of an enrollment.
func (h *estAnswer) recertify(how string) error {
	all := h.certificates()
	if len(all) == 0 {
		return nil
	}
	switch how {
	case "bad-signature":
		all[0] = slices.Clone(all[0])
		all[0][len(all[0])-1] ^= 1
	case "not-yet-valid", "expired", "other-subject":
		again, err := h.authority().Recertify(all[0], how)
		if err != nil {
			return err
		}
		all[0] = again
	case "stranger-first":
		other, err := otherCertificate()
		if err != nil {
			return err
		}
		all = append([][]byte{other}, all...)
	case "other-ca":
		old, err := x509.ParseCertificate(all[0])
		if err != nil {
			return err
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(2), RawSubject: old.RawSubject, NotBefore: old.NotBefore, NotAfter: old.NotAfter, KeyUsage: old.KeyUsage}
		issuer := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "another CA"}}
		if all[0], err = x509.CreateCertificate(rand.Reader, template, issuer, old.PublicKey, key); err != nil {
			return err
		}
	}
	h.setCertificates(all...)
	return nil
}

// attributes are CSR attributes (RFC 7030 section 4.5.2) in DER.
func attributes(which string) []byte {
	oid := func(numbers ...int) []byte {
		der, _ := asn1.Marshal(asn1.ObjectIdentifier(numbers)) // constants
		return der
	}
	of := func(tag byte, parts ...[]byte) []byte {
		content := slices.Concat(parts...)
		der, _ := asn1.Marshal(asn1.RawValue{Tag: int(tag), IsCompound: true, Bytes: content})
		return der
	}
	const sequence, set = 16, 17
	p384 := of(sequence, of(sequence, oid(1, 2, 840, 10045, 2, 1), of(set, oid(1, 3, 132, 0, 34))))
	switch which {
	case "unknown":
		// 2.999 is for examples (Rec. ITU-T X.660).
		return of(sequence, oid(2, 999, 1), of(sequence, oid(2, 999, 2), of(set, oid(2, 999, 3), []byte{12, 2, 'n', 'o'})))
	case "challenge":
		return of(sequence, oid(1, 2, 840, 113549, 1, 9, 7))
	case "p384":
		return p384
	case "rsa3072":
		return of(sequence, of(sequence, oid(1, 2, 840, 113549, 1, 1, 1), of(set, []byte{2, 2, 0x0c, 0x00})))
	case "sha384":
		return of(sequence, oid(1, 2, 840, 10045, 4, 3, 3)) // ecdsa-with-SHA384
	case "template":
		// A certificationRequestInfoTemplate (RFC 9908): version 0, and a P-384 key.
		key := of(sequence, oid(1, 2, 840, 10045, 2, 1), oid(1, 3, 132, 0, 34))
		info := of(sequence, []byte{2, 1, 0}, []byte{0xa0, byte(len(key))}, key, []byte{0xa1, 0})
		return of(sequence, of(sequence, oid(1, 2, 840, 113549, 1, 9, 16, 2, 61), of(set, info)))
	case "extensions", "empty-values":
		// An extensionReq (RFC 9908) with a subjectAltName that is given, or
		// for the client to fill in.
		name := of(sequence, []byte{0x82, 15}, []byte("est.example.com"))
		if which == "empty-values" {
			name = nil
		}
		san := of(sequence, oid(2, 5, 29, 17), []byte{4, byte(len(name))}, name)
		return of(sequence, of(sequence, oid(1, 2, 840, 113549, 1, 9, 14), of(set, of(sequence, san))))
	case "truncated":
		return p384[:len(p384)-5]
	case "100kB":
		return of(sequence, bytes.Repeat(oid(2, 999, 1), 100_000/len(oid(2, 999, 1))))
	case "deep":
		der := oid(2, 999, 1)
		for range 1000 {
			der = of(sequence, der)
		}
		return der
	}
	return of(sequence)
}

// part is one of a serverkeygen answer.
type part struct {
	header string
	body   []byte // base64
}

// reform writes a key in the form of its kind: PKCS #1, or that of RFC 5915.
func (p *part) reform() error {
	der, err := decode(p.body)
	if err != nil {
		return err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return err
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		der = x509.MarshalPKCS1PrivateKey(key)
	case *ecdsa.PrivateKey:
		if der, err = x509.MarshalECPrivateKey(key); err != nil {
			return err
		}
	default:
		return fmt.Errorf("a key of the kind %T", key)
	}
	p.body = []byte(wrap(der, 64, "\n"))
	return nil
}

// repart writes the parts of a serverkeygen answer anew.
func (h *estAnswer) repart(how string) error {
	_, params, err := mime.ParseMediaType(h.header.Get("Content-Type"))
	if err != nil {
		return err
	}
	var parts []part
	for reader := multipart.NewReader(bytes.NewReader(h.body.Bytes()), params["boundary"]); ; {
		p, err := reader.NextRawPart()
		if err != nil {
			break // the end
		}
		body, err := io.ReadAll(p)
		if err != nil {
			return err
		}
		header := "Content-Type: " + p.Header.Get("Content-Type") + "\r\n"
		if how != "no-cte" {
			header += "Content-Transfer-Encoding: base64\r\n"
		}
		parts = append(parts, part{header, body})
	}
	if len(parts) != 2 {
		return fmt.Errorf("an answer of %d parts", len(parts))
	}
	const boundary = "est=server?boundary"
	head := ""
	switch how {
	case "reversed":
		slices.Reverse(parts)
	case "one":
		parts = parts[1:]
	case "preamble":
		head = "This is a message of two parts.\r\n\r\n"
	case "pkcs1":
		if err := parts[0].reform(); err != nil {
			return err
		}
	case "other-key":
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return err
		}
		parts[0].body = []byte(wrap(der, 64, "\n"))
	}
	chosen, written := params["boundary"], params["boundary"]
	if how == "quoted-boundary" {
		chosen, written = boundary, `"`+boundary+`"`
	}
	var b strings.Builder
	b.WriteString(head)
	for _, p := range parts {
		b.WriteString("--" + chosen + "\r\n" + p.header + "\r\n" + strings.TrimRight(string(p.body), "\r\n") + "\r\n")
	}
	b.WriteString("--" + chosen + "--\r\n")
	text := b.String()
	if how == "lf" {
		text = strings.ReplaceAll(text, "\r\n", "\n")
	}
	h.header.Set("Content-Type", "multipart/mixed; boundary="+written)
	h.setBody([]byte(text))
	return nil
}

// withoutAttributes takes the attributes out of a request's CSR, and with them the wish
// that its key be encrypted (RFC 7030 section 4.4.1). That the signature does not fit
// any more is of no account: in a CSR for serverkeygen it counts for nothing.
func withoutAttributes(r *http.Request) {
	if r.Body == nil {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		body = nil
	}
	var csr struct {
		Info                 asn1.RawValue
		Algorithm, Signature asn1.RawValue
	}
	var info struct {
		Version            int
		Subject, PublicKey asn1.RawValue
		Attributes         asn1.RawValue
	}
	der, err := decode(body)
	if err == nil {
		_, err = asn1.Unmarshal(der, &csr)
	}
	if err == nil {
		_, err = asn1.Unmarshal(csr.Info.FullBytes, &info)
	}
	if err == nil {
		info.Attributes = asn1.RawValue{FullBytes: []byte{0xa0, 0}}
		csr.Info.FullBytes, err = asn1.Marshal(info)
	}
	if err == nil {
		der, err = asn1.Marshal(csr)
	}
	if err == nil {
		body = []byte(wrap(der, 64, "\n"))
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
}

// otherCertificate makes a certificate of a key that nobody asked with.
func otherCertificate() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "another key"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
	}
	return x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
}
