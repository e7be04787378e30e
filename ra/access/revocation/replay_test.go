package revocation_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"ciscora/ra/access/revocation"
)

// ocspSaid is an answer that begins at a time, about a certificate of this issuer.
func (p *pki) ocspSaid(issuer, cert *x509.Certificate, status int, at time.Time) []byte {
	p.Helper()
	der, err := ocsp.CreateResponse(issuer, p.cert, ocsp.Response{
		Status: status, SerialNumber: cert.SerialNumber, ThisUpdate: at, NextUpdate: at.Add(24 * time.Hour), RevokedAt: at,
	}, p.key)
	if err != nil {
		p.Fatal(err)
	}
	return der
}

// One key may be that of two CAs, whose serial numbers begin alike.
func TestAnAnswerAboutAnotherIssuersCertificateSaysNothing(t *testing.T) {
	p := newPKI(t)
	phone := p.phone(nil, []string{"/ocsp"})
	renamed := *p.cert
	renamed.RawSubject = p.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "Another CA"}}, p.key).RawSubject
	rekeyed := *p.cert
	rekeyed.RawSubjectPublicKeyInfo = newPKI(t).cert.RawSubjectPublicKeyInfo
	for name, test := range map[string]struct {
		issuer *x509.Certificate
		want   string
	}{"its own": {p.cert, revoked}, "one of another name": {&renamed, unknown}, "one with another key": {&rekeyed, unknown}} {
		p.serveBytes("/ocsp", p.ocspSaid(test.issuer, phone, ocsp.Revoked, p.clock().Add(-time.Hour)))
		if got := verdict(p.checker().Check(t.Context(), p.chains(phone))); got != test.want {
			t.Errorf("about a certificate of %s: %s, want %s", name, got, test.want)
		}
	}
}

// Who sits between sends an answer again that was right before, or none.
func TestOnceRevokedByAResponderAnOlderAnswerOrNoneChangesNothing(t *testing.T) {
	p := newPKI(t)
	c := p.checker(func(o *revocation.Options) { o.Hard = false })
	phone, other := p.phone(nil, []string{"/ocsp"}), p.phone(nil, []string{"/other"})
	check := func(when string, cert *x509.Certificate, want string) {
		t.Helper()
		p.pass(61 * time.Second) // what was found out is forgotten
		if got := verdict(c.Check(t.Context(), p.chains(cert))); got != want {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
	}
	before := p.ocspSaid(p.cert, phone, ocsp.Good, p.clock().Add(-2*time.Hour))
	p.serveBytes("/ocsp", before)
	check("at first", phone, good)
	p.serveBytes("/ocsp", p.ocspSaid(p.cert, phone, ocsp.Revoked, p.clock().Add(-time.Hour)))
	check("revoked", phone, revoked)
	p.serveBytes("/ocsp", before)
	check("the answer from before", phone, revoked)
	p.serve("/ocsp", nil)
	check("no answer", phone, revoked)
	p.serveBytes("/ocsp", p.ocspSaid(p.cert, phone, ocsp.Good, p.clock().Add(-time.Minute)))
	check("taken off hold", phone, good)

	// Of two responders behind one address one may be behind the other.
	p.serveBytes("/other", p.ocspSaid(p.cert, other, ocsp.Good, p.clock().Add(-time.Hour)))
	check("the one", other, good)
	p.serveBytes("/other", p.ocspSaid(p.cert, other, ocsp.Good, p.clock().Add(-2*time.Hour)))
	check("the other", other, good)
}

// A CA whose clock was wrong once: what it said then must not keep out what is right.
func TestWhatBeginsInTheFutureIsNotTakenNorKept(t *testing.T) {
	for name, test := range map[string]struct {
		ahead time.Duration
		want  string
	}{"within the clocks' skew": {4 * time.Minute, good}, "beyond it": {6 * time.Minute, unknown}} {
		t.Run(name, func(t *testing.T) {
			p := newPKI(t)
			c := p.checker()
			byList, byAnswer := p.phone([]string{"/a.crl"}, nil), p.phone(nil, []string{"/ocsp"})
			crl := func(at time.Time, revoked ...*x509.Certificate) []byte {
				template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: at, NextUpdate: at.Add(1000 * time.Hour)}
				for _, cert := range revoked {
					template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: at})
				}
				der, err := x509.CreateRevocationList(rand.Reader, template, p.cert, p.key)
				if err != nil {
					t.Fatal(err)
				}
				return der
			}
			at := p.clock().Add(test.ahead)
			p.serveBytes("/a.crl", crl(at))
			p.serveBytes("/ocsp", p.ocspSaid(p.cert, byAnswer, ocsp.Good, at))
			for what, cert := range map[string]*x509.Certificate{"CRL": byList, "OCSP": byAnswer} {
				if got := verdict(c.Check(t.Context(), p.chains(cert))); got != test.want {
					t.Errorf("%s: %s, want %s", what, got, test.want)
				}
			}
			if test.want != unknown {
				return
			}
			// Those of the right clock, which are older.
			p.pass(2 * time.Minute)
			p.serveBytes("/a.crl", crl(p.clock().Add(-time.Minute), byList))
			p.serveBytes("/ocsp", p.ocspSaid(p.cert, byAnswer, ocsp.Revoked, p.clock().Add(-time.Minute)))
			for what, cert := range map[string]*x509.Certificate{"CRL": byList, "OCSP": byAnswer} {
				if got := verdict(c.Check(t.Context(), p.chains(cert))); got != revoked {
					t.Errorf("%s, with the right clock: %s", what, got)
				}
			}
		})
	}
}

func TestARevokedChainWeighsMoreThanAnUnknownOne(t *testing.T) {
	p := newPKI(t)
	key := newKey(t)
	cross := func(points ...string) *x509.Certificate {
		return p.sign(&x509.Certificate{
			Subject: pkix.Name{CommonName: "Issuing"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCRLSign | x509.KeyUsageCertSign,
			CRLDistributionPoints: points,
		}, key)
	}
	revokedCA, goodCA, unknownCA := cross(p.http.URL+"/root.crl"), cross(p.http.URL+"/root.crl"), cross()
	below := &pki{T: t, key: key, cert: revokedCA, http: p.http, serial: 100, now: p.now}
	phone, lost := below.phone([]string{"/issuing.crl"}, nil), below.phone([]string{"/issuing.crl"}, nil)
	p.serveBytes("/issuing.crl", below.crl(key, time.Hour, lost))
	p.serveBytes("/root.crl", p.crl(p.key, time.Hour, revokedCA))
	for _, test := range []struct {
		name       string
		leaf       *x509.Certificate
		by         []*x509.Certificate
		soft, hard string
	}{
		{"unknown, then revoked", phone, []*x509.Certificate{unknownCA, revokedCA}, revoked, revoked},
		{"revoked, then unknown", phone, []*x509.Certificate{revokedCA, unknownCA}, revoked, revoked},
		{"revoked, then good", phone, []*x509.Certificate{revokedCA, goodCA}, good, good},
		{"unknown, then good", phone, []*x509.Certificate{unknownCA, goodCA}, good, good},
		{"unknown", phone, []*x509.Certificate{unknownCA}, good, unknown},
		{"the certificate itself, on any", lost, []*x509.Certificate{unknownCA, goodCA}, revoked, revoked},
	} {
		var chains [][]*x509.Certificate
		for _, ca := range test.by {
			chains = append(chains, []*x509.Certificate{test.leaf, ca, p.cert})
		}
		for hard, want := range map[bool]string{false: test.soft, true: test.hard} {
			c := p.checker(func(o *revocation.Options) { o.Hard = hard })
			if got := verdict(c.Check(t.Context(), chains)); got != want {
				t.Errorf("%s, hard %v: %s, want %s", test.name, hard, got, want)
			}
		}
	}
}

// Two places that do not answer cost a client as long as one.
func TestSeveralChainsAreAskedAboutTogether(t *testing.T) {
	p := newPKI(t)
	phone, again := p.phone(nil, []string{"/a"}), p.phone(nil, []string{"/b"})
	both := make(chan struct{}, 2)
	met := make(chan struct{})
	go func() { <-both; <-both; close(met) }()
	for _, path := range []string{"/a", "/b"} {
		p.serve(path, func(http.ResponseWriter, *http.Request) { both <- struct{}{}; <-met })
	}
	if got := verdict(p.checker().Check(t.Context(), append(p.chains(phone), p.chains(again)...))); got != unknown {
		t.Error(got)
	}
}

func TestWithoutAVerifiedChainNobodyPasses(t *testing.T) {
	p := newPKI(t)
	c := p.checker(func(o *revocation.Options) { o.Hard = false })
	if err := c.Check(t.Context(), nil); err == nil {
		t.Error("it passes")
	}
}

// A CA's name with two keys, as after a renewal: the CRL of one is none of the other's.
func TestACRLThatIsNoneOfOneKeysIsStillTheOthers(t *testing.T) {
	p := newPKI(t)
	phone := p.phone([]string{"/a.crl"}, nil)
	p.serveBytes("/a.crl", p.crl(p.key, time.Hour, phone))
	another := newPKI(t)
	c := p.checker()
	if got := verdict(c.Check(t.Context(), [][]*x509.Certificate{{phone, another.cert}})); got != unknown {
		t.Errorf("under another key: %s", got)
	}
	if got := verdict(c.Check(t.Context(), p.chains(phone))); got != revoked {
		t.Errorf("under its own key, a moment later: %s", got)
	}
}
