package wire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"ciscora/internal/x501"
)

// maxPeer bounds the certificates that are kept of one side.
const maxPeer = 8

func readTLS(s tls.ConnectionState, name string, role Role, at time.Time) TLS {
	t := TLS{Name: line(name), Resumed: s.DidResume, Peer: s.PeerCertificates, At: at, Role: role}
	if s.Version != 0 {
		t.Version = tls.VersionName(s.Version)
	}
	if s.CipherSuite != 0 {
		t.Cipher = tls.CipherSuiteName(s.CipherSuite)
	}
	t.Peer = t.Peer[:min(len(t.Peer), maxPeer)]
	return t
}

// Certificate is one of a chain, with those that it has signed below it.
type Certificate struct {
	Subject   string        `json:"subject"`
	Issuer    string        `json:"issuer"`
	Serial    string        `json:"serial"`
	NotBefore time.Time     `json:"not_before"`
	NotAfter  time.Time     `json:"not_after"`
	Key       string        `json:"key"`
	Signature string        `json:"signature"`
	Names     []string      `json:"names,omitempty"`
	Wrong     []string      `json:"wrong,omitempty"` // with it; none = nothing that can be seen in it
	Signed    []Certificate `json:"signed,omitempty"`
}

// MarshalJSON adds the certificates, as a tree.
func (t TLS) MarshalJSON() ([]byte, error) {
	type plain TLS
	return json.Marshal(struct {
		plain
		Certificates []Certificate `json:"certificates,omitempty"`
	}{plain(t), t.Certificates()})
}

// Certificates are what the peer showed, as a tree: whoever has signed stands above.
func (t TLS) Certificates() []Certificate {
	return tree(t.Peer, func(c *x509.Certificate) []string {
		wrong := wrongWith(c, t.At)
		if c == t.Peer[0] {
			wrong = append(wrong, t.wrongWithLeaf(c)...)
		} else if !c.IsCA {
			wrong = append(wrong, "it may not sign certificates (basicConstraints)")
		}
		return wrong
	})
}

func (t TLS) wrongWithLeaf(c *x509.Certificate) (wrong []string) {
	if t.Role == Server && t.Name != "" && c.VerifyHostname(t.Name) != nil {
		wrong = append(wrong, fmt.Sprintf("none of its names is %s", t.Name))
		if len(c.DNSNames)+len(c.IPAddresses) == 0 && strings.EqualFold(c.Subject.CommonName, t.Name) {
			wrong[len(wrong)-1] = "its name stands in the common name alone, which no newer client takes"
		}
	}
	if selfIssued(c) {
		wrong = append(wrong, "it is self-signed: nobody vouches for it")
	}
	want, purpose := x509.ExtKeyUsageServerAuth, "TLS servers"
	if t.Role == Client {
		want, purpose = x509.ExtKeyUsageClientAuth, "TLS clients"
	}
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) > 0 {
		for _, u := range c.ExtKeyUsage {
			if u == want || u == x509.ExtKeyUsageAny {
				return wrong
			}
		}
		wrong = append(wrong, "it is not for "+purpose+" (extKeyUsage)")
	}
	return wrong
}

func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) }

func wrongWith(c *x509.Certificate, at time.Time) (wrong []string) {
	switch {
	case at.After(c.NotAfter):
		wrong = append(wrong, "it ended at "+c.NotAfter.UTC().Format("2006-01-02 15:04 UTC"))
	case at.Before(c.NotBefore):
		wrong = append(wrong, "it begins at "+c.NotBefore.UTC().Format("2006-01-02 15:04 UTC"))
	}
	switch c.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.MD5WithRSA, x509.DSAWithSHA1:
		if !selfIssued(c) { // nobody looks at a root's own
			wrong = append(wrong, "it is signed with "+c.SignatureAlgorithm.String()+", which can be forged")
		}
	}
	if k, ok := c.PublicKey.(*rsa.PublicKey); ok && k.N.BitLen() < 2048 {
		wrong = append(wrong, fmt.Sprintf("its key has %d bits", k.N.BitLen()))
	}
	return wrong
}

// tree puts each certificate under the one that is its issuer by name and, where they
// tell, by key id.
func tree(all []*x509.Certificate, wrong func(*x509.Certificate) []string) []Certificate {
	parent := make([]int, len(all))
	for i := range parent {
		parent[i] = -1
	}
	// Two roots may have signed each other: one of them stands above then.
	under := func(top, i int) bool {
		for i != -1 && i != top {
			i = parent[i]
		}
		return i == top
	}
	for i, c := range all {
		for j, p := range all {
			if j != i && bytes.Equal(c.RawIssuer, p.RawSubject) && !selfIssued(c) && !under(i, j) &&
				(len(c.AuthorityKeyId) == 0 || len(p.SubjectKeyId) == 0 || bytes.Equal(c.AuthorityKeyId, p.SubjectKeyId)) {
				parent[i] = j
				break
			}
		}
	}
	var below func(of int) []Certificate
	below = func(of int) (list []Certificate) {
		for i, c := range all {
			if parent[i] == of {
				v := read(c)
				v.Wrong, v.Signed = wrong(c), below(i)
				list = append(list, v)
			}
		}
		return list
	}
	return below(-1)
}

func read(c *x509.Certificate) Certificate {
	v := Certificate{
		Subject: line(x501.Text(c.RawSubject)), Issuer: line(x501.Text(c.RawIssuer)), Serial: c.SerialNumber.Text(16),
		NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), Key: keyOf(c.PublicKey), Signature: c.SignatureAlgorithm.String(),
	}
	const most = 20
	for _, n := range c.DNSNames[:min(len(c.DNSNames), most)] {
		v.Names = append(v.Names, line(n))
	}
	for _, a := range c.IPAddresses[:min(len(c.IPAddresses), most)] {
		v.Names = append(v.Names, a.String())
	}
	return v
}

func keyOf(key any) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return "of a kind that is not known"
}
