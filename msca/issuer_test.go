package msca_test

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"sync"
	"testing"

	"ciscora/msca"
	"ciscora/msca/certsrv"
)

// A renewed CA has one name and two keys: only the key identifiers tell which of its
// certificates signed another (RFC 5280 §4.2.1.1).
func TestTheIssuerIsKnownByItsKeyIdentifierWhereBothSayOne(t *testing.T) {
	p := newPKI(t)
	renewed := issue(t, &p.root, authority("LAB Issuing CA"))
	leaf := issue(t, &renewed, func(c *x509.Certificate) { c.Subject.CommonName = "SEP001122334455" })
	for name, c := range map[string]struct {
		issuer, of *x509.Certificate
		want       bool
	}{
		"the one that signed":                  {renewed.cert, leaf.cert, true},
		"one of the same name":                 {p.issuing.cert, leaf.cert, false},
		"one of another name":                  {p.root.cert, leaf.cert, false},
		"an issuer without an identifier":      {without(p.issuing.cert, func(c *x509.Certificate) { c.SubjectKeyId = nil }), leaf.cert, true},
		"a certificate that names no issuer's": {p.issuing.cert, without(leaf.cert, func(c *x509.Certificate) { c.AuthorityKeyId = nil }), true},
	} {
		if got := msca.Issued(c.issuer, c.of); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func without(c *x509.Certificate, remove func(*x509.Certificate)) *x509.Certificate {
	changed := *c
	remove(&changed)
	return &changed
}

// The chain has what the eight renewals before the newest have signed; a CA that was
// renewed more often is not asked a hundred times for it.
func TestOfARenewedCAEightEarlierCertificatesAreAskedFor(t *testing.T) {
	for renewals, want := range map[int]string{
		3:  "3 2 1 0",
		8:  "8 7 6 5 4 3 2 1 0",
		11: "11 10 9 8 7 6 5 4 3",
	} {
		var mu sync.Mutex
		var asked []string
		ca := certsrv.NewTestServer(func(o *certsrv.Options) {
			o.AccessLog = func(e certsrv.AccessEntry) {
				mu.Lock()
				defer mu.Unlock()
				if rest, found := strings.CutPrefix(e.URIQuery, "ReqID=CACert&Renewal="); found {
					number, _, _ := strings.Cut(rest, "&")
					asked = append(asked, number)
				}
			}
		})
		if err := ca.Server.Renew(renewals); err != nil {
			t.Fatal(err)
		}
		s, err := newClient(t, msca.Options{URL: ca.URL, TLS: &tls.Config{RootCAs: ca.Roots}, Renewal: msca.RenewalNewest}).
			Login(t.Context(), msca.Credentials{User: ca.User, Password: ca.Password})
		if err != nil {
			t.Fatal(err)
		}
		chain, err := s.Chain(t.Context())
		s.Close()
		ca.Close()
		mu.Lock()
		got := strings.Join(asked, " ")
		mu.Unlock()
		if certificates := len(strings.Fields(want)) + 1; err != nil || got != want || len(chain) != certificates {
			t.Errorf("%d renewals: asked for %s, want %s; %d certificates, want %d; %v", renewals, got, want, len(chain), certificates, err)
		}
	}
}
