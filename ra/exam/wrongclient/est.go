package wrongclient

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/smallstep/pkcs7"
)

const typePKCS7 = "application/pkcs7-mime"

// decode reads the base64 of a body.
func (c *client) decode(text []byte) ([]byte, error) {
	s := string(text)
	switch {
	case c.wrong("enroll-line") && strings.Count(strings.TrimSpace(s), "\n") == 0 && len(s) > 64:
		return nil, errors.New("the line is too long")
	case c.wrong("enroll-wrapped") && strings.Contains(strings.TrimSpace(s), "\n"):
		return nil, errors.New("a line end in the base64")
	case c.wrong("enroll-blanks"):
		return base64.StdEncoding.Strict().DecodeString(strings.NewReplacer("\r", "", "\n", "").Replace(s))
	case c.wrong("enroll-corrupt"):
		s = strings.ReplaceAll(s, "!", "")
	}
	return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
}

// certificates reads a certs-only answer.
func (c *client) certificates(a *answer) ([]*x509.Certificate, error) {
	if a.header.Get("Content-Encoding") != "" {
		if c.wrong("http-gzip") {
			return nil, write(c.get("OUT"), a.body)
		}
		return nil, errors.New("the answer is compressed")
	}
	if c.wrong("http-cte") && !strings.EqualFold(a.header.Get("Content-Transfer-Encoding"), "base64") {
		return nil, errors.New("the answer does not say that it is base64")
	}
	if !c.isType(a, typePKCS7) {
		return nil, fmt.Errorf("the answer is of the type %q", a.header.Get("Content-Type"))
	}
	return c.certificatesOf(a.body)
}

func (c *client) certificatesOf(text []byte) ([]*x509.Certificate, error) {
	der, err := c.decode(text)
	if err != nil {
		if c.wrong("enroll-garbage") {
			return nil, write(c.get("OUT"), text)
		}
		return nil, err
	}
	if c.wrong("enroll-ber") && len(der) > 1 && der[1] == 0x80 {
		return nil, errors.New("BER")
	}
	p7, err := pkcs7.Parse(der)
	if err != nil {
		if c.wrong("enroll-garbage") {
			return nil, write(c.get("OUT"), der)
		}
		return nil, err
	}
	return p7.Certificates, nil
}

func (c *client) enroll(u *url.URL, operation string) error {
	path := "simple" + operation
	if c.wrong("reenroll-names") {
		path = "simpleenroll"
	}
	var key crypto.Signer
	var first []byte
	a, err := c.request("POST", c.at(u, path), func(state tls.ConnectionState) ([]byte, error) {
		der, own, err := c.csr(operation)
		if err != nil {
			return nil, err
		}
		key = own
		if c.can("pop") && !c.wrong("csrattrs-challenge") {
			if der, err = c.bound(der, own, state); err != nil {
				return nil, err
			}
			if first == nil {
				first = der
			}
			if c.wrong("pop-fresh") {
				der = first
			}
		}
		if c.wrong("http-request") {
			return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
		}
		return []byte(base64.StdEncoding.EncodeToString(der)), nil
	})
	if err != nil {
		return err
	}
	if c.wrong("http-empty") && len(a.body) == 0 {
		return write(c.get("OUT"), []byte("nothing"))
	}
	all, err := c.certificates(a)
	if err != nil || all == nil {
		return err
	}
	own, err := c.choose(all, key.Public())
	if (err != nil || own[0].Subject.CommonName != c.get("NAME")) && c.wrong("enroll-times") && c.sent < 9 {
		return c.enroll(u, operation) // at once, and for ever
	}
	if err != nil {
		return err
	}
	if c.wrong("auth-not-told") {
		fmt.Fprintln(c.stdout, "enrolled with the password", c.get("PASSWORD"))
	}
	return write(c.get("OUT"), encode(own))
}

// choose takes one's own certificate, told by its key, from what came.
func (c *client) choose(all []*x509.Certificate, key crypto.PublicKey) ([]*x509.Certificate, error) {
	if len(all) == 0 {
		return nil, errors.New("no certificate came")
	}
	if c.wrong("enroll-extra") {
		return all[len(all)-1:], nil
	}
	i := slices.IndexFunc(all, func(one *x509.Certificate) bool {
		k, ok := key.(interface{ Equal(crypto.PublicKey) bool })
		return ok && k.Equal(one.PublicKey)
	})
	switch {
	case i < 0 && c.wrong("enroll-wrong-key"):
		i = 0
	case i < 0:
		return nil, errors.New("no certificate is for this key")
	}
	if c.wrong("enroll-signature") || c.wrong("enroll-wrong-key") {
		return all[i : i+1], nil
	}
	// Whether the CA has signed it is known by a chain that /cacerts gives.
	chain, err := c.chain()
	if err != nil {
		return nil, err
	}
	options := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	for _, one := range chain {
		if bytes.Equal(one.RawSubject, one.RawIssuer) {
			options.Roots.AddCert(one)
		} else {
			options.Intermediates.AddCert(one)
		}
	}
	if _, err := all[i].Verify(options); err != nil {
		return nil, err
	}
	return all[i : i+1], nil
}

// chain asks for the CA's certificates.
func (c *client) chain() ([]*x509.Certificate, error) {
	u, err := url.Parse(c.get("URL"))
	if err != nil {
		return nil, err
	}
	u.Scheme = "https"
	a, err := c.exchange("GET", c.at(u, "cacerts"), nil, "")
	if err != nil {
		return nil, err
	}
	return c.certificatesOf(a.body)
}

func (c *client) cacerts(u *url.URL) error {
	a, err := c.request("GET", c.at(u, "cacerts"), nil)
	var status *statusError
	if c.wrong("cacerts-abort") && errors.As(err, &status) {
		return write(c.get("OUT"), []byte("nothing"))
	}
	if err != nil {
		return err
	}
	if len(a.body) == 0 && (c.wrong("http-empty") || c.wrong("cacerts-abort")) {
		return write(c.get("OUT"), []byte("nothing"))
	}
	all, err := c.certificates(a)
	if err != nil {
		return err
	}
	if c.wrong("cacerts-none") && len(all) == 0 {
		return nil
	}
	kept, err := c.trusted(all)
	if err != nil {
		return err
	}
	out := encode(kept)
	if c.wrong("trust-switch") {
		old, err := os.ReadFile(c.get("CACERT"))
		if err != nil {
			return err
		}
		out = append(out, old...)
	}
	return write(c.get("OUT"), out)
}

// trusted are those of the CA's certificates that the newest root vouches for (RFC 7030
// section 4.1.3).
func (c *client) trusted(all []*x509.Certificate) ([]*x509.Certificate, error) {
	switch {
	case c.wrong("cacerts-stranger"), c.wrong("cacerts-rootless"):
		return all, nil
	case c.wrong("cacerts-chain"):
		return all[:min(1, len(all))], nil
	}
	var newest *x509.Certificate
	options := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	for _, one := range all {
		if one.CheckSignatureFrom(one) == nil && (newest == nil || one.NotAfter.After(newest.NotAfter)) {
			newest = one
		}
		options.Intermediates.AddCert(one)
	}
	if newest == nil {
		return nil, errors.New("there is no root")
	}
	if c.wrong("cacerts-rollover") {
		for _, one := range all {
			if !bytes.Equal(one.RawSubject, one.RawIssuer) && one.CheckSignatureFrom(newest) == nil && len(all) > 3 {
				return []*x509.Certificate{newest}, nil
			}
		}
	}
	options.Roots.AddCert(newest)
	kept := []*x509.Certificate{newest}
	for _, one := range all {
		if _, err := one.Verify(options); err == nil && !slices.ContainsFunc(kept, one.Equal) {
			kept = append(kept, one)
		}
	}
	return kept, nil
}

func (c *client) csrattrs(u *url.URL) error {
	a, err := c.request("GET", c.at(u, "csrattrs"), nil)
	var status *statusError
	if errors.As(err, &status) && (status.status == http.StatusNoContent || status.status == http.StatusNotFound) && !c.wrong("csrattrs-none") && !c.wrong("csrattrs-goes-on") {
		return nil
	}
	if err != nil {
		return err
	}
	der, err := c.decode(a.body)
	if err != nil {
		return err
	}
	var list []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &list); err != nil || len(rest) > 0 {
		if c.wrong("csrattrs-broken") {
			crash()
		}
		return errors.New("the attributes are broken")
	}
	if bytes.Contains(der, []byte{0x2b, 0x81, 0x04, 0x00, 0x22}) { // secp384r1
		c.curve = elliptic.P384()
	}
	if bytes.Contains(der, []byte{2, 2, 0x0c, 0x00}) { // 3072
		c.rsaBits = 3072
	}
	if bytes.Contains(der, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3}) { // ecdsa-with-SHA384
		c.signed = x509.ECDSAWithSHA384
	}
	if c.wrong("csrattrs-9908") && len(list) > 0 && list[0].IsCompound {
		return errors.New("an attribute with values")
	}
	if c.wrong("csrattrs-unknown") {
		for _, one := range list {
			var oid asn1.ObjectIdentifier
			if _, err := asn1.Unmarshal(one.FullBytes, &oid); err == nil && oid[0] == 2 {
				return fmt.Errorf("the attribute %s is not known", oid)
			}
		}
	}
	return nil
}

// bootstrap fetches the CA's certificates from a server that nobody has verified, as a
// person's word allows, and trusts them from then on.
func (c *client) bootstrap(u *url.URL) error {
	conn, err := c.dial(u.Hostname(), u.Port(), true)
	if err != nil {
		return err
	}
	defer conn.Close()
	a, err := c.ask(conn, bufio.NewReader(conn), "GET", c.at(u, "cacerts"), nil, "")
	if err != nil {
		return err
	}
	all, err := c.certificates(a)
	if err != nil {
		return err
	}
	kept, err := c.trusted(all)
	if err != nil {
		return err
	}
	if c.can("fingerprint") && !c.wrong("trust-fingerprint") {
		// The first is the root.
		if sum := sha256.Sum256(kept[0].Raw); hex.EncodeToString(sum[:]) != c.get("FINGERPRINT") {
			return errors.New("the CA's fingerprint is another")
		}
	}
	c.roots = x509.NewCertPool()
	for _, one := range kept {
		c.roots.AddCert(one)
	}
	if !c.wrong("trust-new-session") {
		c.sessions = tls.NewLRUClientSessionCache(4)
	}
	return nil
}

// bound puts the connection's channel binding into a CSR.
func (c *client) bound(der []byte, key crypto.Signer, state tls.ConnectionState) ([]byte, error) {
	binding := state.TLSUnique
	if state.Version >= tls.VersionTLS13 {
		var err error
		if binding, err = state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32); err != nil {
			return nil, err
		}
		if c.wrong("pop-exporter") {
			if binding, err = state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 12); err != nil {
				return nil, err
			}
		}
	}
	if c.wrong("pop-unique") {
		binding = make([]byte, 12)
	}
	text := base64.StdEncoding.EncodeToString(binding)
	return withAttribute(der, key, oidChallengePassword, asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(text)})
}

var oidChallengePassword = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}

// withAttribute signs a CSR anew, with one attribute more. x509 makes none but
// extensionRequest.
func withAttribute(der []byte, key crypto.Signer, oid asn1.ObjectIdentifier, value asn1.RawValue) ([]byte, error) {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("the key is no EC key")
	}
	type attribute struct {
		Type   asn1.ObjectIdentifier
		Values []asn1.RawValue `asn1:"set"`
	}
	var info struct {
		Version            int
		Subject, PublicKey asn1.RawValue
		Attributes         []asn1.RawValue `asn1:"tag:0,set"`
	}
	if _, err := asn1.Unmarshal(csr.RawTBSCertificateRequest, &info); err != nil {
		return nil, err
	}
	more, err := asn1.Marshal(attribute{oid, []asn1.RawValue{value}})
	if err != nil {
		return nil, err
	}
	info.Attributes = append(info.Attributes, asn1.RawValue{FullBytes: more})
	signed, err := asn1.Marshal(info)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(signed)
	signature, err := ecdsa.SignASN1(rand.Reader, signer, sum[:])
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(struct {
		Info      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: signed}, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})
}

// clear is a request without TLS, which a client must not send.
func (c *client) clear(method string, u *url.URL, authorization string) (*answer, error) {
	conn, err := c.connect(u.Host)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(c.until) // a connection that is closed fails in Write
	if _, err := conn.Write(c.head(method, u, nil, authorization)); err != nil {
		return nil, err
	}
	return c.read(bufio.NewReader(conn))
}
