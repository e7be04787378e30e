package revocation_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/crypto/ocsp"

	"ciscora/ra/access/revocation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pki is a CA with an answering service for CRLs and OCSP.
type pki struct {
	*testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	http *httptest.Server

	mu      sync.Mutex // guards all below
	answers map[string]http.HandlerFunc
	asked   map[string]int
	serial  int64
	now     time.Time
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	p := &pki{T: t, answers: map[string]http.HandlerFunc{}, asked: map[string]int{}, now: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)}
	p.key = newKey(t)
	p.cert = p.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "Phones CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCRLSign | x509.KeyUsageCertSign,
	}, p.key)
	p.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked[r.URL.Path]++
		answer := p.answers[r.URL.Path]
		p.mu.Unlock()
		if answer == nil {
			http.NotFound(w, r)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(p.http.Close)
	return p
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign issues a certificate; the first one is the CA's own.
func (p *pki) sign(template *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	p.Helper()
	p.serial++
	template.SerialNumber = big.NewInt(p.serial)
	template.NotBefore, template.NotAfter = p.now.Add(-time.Hour), p.now.Add(365*24*time.Hour)
	parent := p.cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), p.key)
	if err != nil {
		p.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		p.Fatal(err)
	}
	return cert
}

// phone issues a certificate with these places to ask, paths of the service or URLs.
func (p *pki) phone(points, responders []string) *x509.Certificate {
	p.Helper()
	whole := func(places []string) (urls []string) {
		for _, place := range places {
			if strings.HasPrefix(place, "/") {
				place = p.http.URL + place
			}
			urls = append(urls, place)
		}
		return urls
	}
	return p.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "SEP001122334455"}, CRLDistributionPoints: whole(points), OCSPServer: whole(responders)}, newKey(p.T))
}

// crl makes a CRL that begins an hour ago and ends in life.
func (p *pki) crl(signer crypto.Signer, life time.Duration, revoked ...*x509.Certificate) []byte {
	p.Helper()
	template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: p.clock().Add(-time.Hour), NextUpdate: p.clock().Add(life)}
	for _, cert := range revoked {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: p.clock()})
	}
	issuer := *p.cert
	issuer.PublicKey = signer.Public()
	der, err := x509.CreateRevocationList(rand.Reader, template, &issuer, signer)
	if err != nil {
		p.Fatal(err)
	}
	return der
}

func (p *pki) serve(path string, answer http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[path] = answer
}

func (p *pki) serveBytes(path string, data []byte) {
	p.serve(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) })
}

func (p *pki) count(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[path]
}

func (p *pki) clock() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *pki) pass(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = p.now.Add(d)
}

func (p *pki) checker(change ...func(*revocation.Options)) *revocation.Checker {
	p.Helper()
	o := revocation.Options{Hard: true, Now: p.clock, Transport: &http.Transport{DisableKeepAlives: true}}
	for _, f := range change {
		f(&o)
	}
	c, err := revocation.New(o)
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(c.Close)
	return c
}

func (p *pki) chains(cert *x509.Certificate) [][]*x509.Certificate {
	return [][]*x509.Certificate{{cert, p.cert}}
}

const (
	good    = "good"
	revoked = "revoked"
	unknown = "unknown"
)

func verdict(err error) string {
	if err == nil {
		return good
	}
	if _, ok := errors.AsType[*revocation.RevokedError](err); ok {
		return revoked
	}
	if _, ok := errors.AsType[*revocation.UnknownError](err); ok {
		return unknown
	}
	return err.Error()
}

// ocspAnswer is what a responder says.
func (p *pki) ocspAnswer(cert *x509.Certificate, status int, key crypto.Signer, signer *x509.Certificate, ends time.Time) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Content-Type") != "application/ocsp-request" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if _, err := ocsp.ParseRequest(body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		template := ocsp.Response{Status: status, SerialNumber: cert.SerialNumber, ThisUpdate: p.clock().Add(-time.Hour), NextUpdate: ends, RevokedAt: p.clock()}
		responder := p.cert
		if signer != nil {
			template.Certificate, responder = signer, signer
		}
		der, err := ocsp.CreateResponse(p.cert, responder, template, key)
		if err != nil {
			p.Error(err)
		}
		_, _ = w.Write(der)
	}
}

func TestACertificateIsRevokedWhereACRLOrAResponderSaysSo(t *testing.T) {
	for _, test := range []struct {
		name               string
		points, responders []string
		set                func(p *pki, phone *x509.Certificate)
		want, says         string
	}{
		{"nobody to ask", nil, nil, func(*pki, *x509.Certificate) {}, unknown, "it names no distribution point and no responder"},
		{"it is not on the CRL", []string{"/a.crl"}, nil, func(p *pki, _ *x509.Certificate) { p.serveBytes("/a.crl", p.crl(p.key, time.Hour)) }, good, ""},
		{"it is on the CRL", []string{"/a.crl"}, nil, func(p *pki, c *x509.Certificate) { p.serveBytes("/a.crl", p.crl(p.key, time.Hour, c)) }, revoked, ""},
		{"the CRL is PEM", []string{"/a.crl"}, nil, func(p *pki, c *x509.Certificate) {
			p.serveBytes("/a.crl", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: p.crl(p.key, time.Hour, c)}))
		}, revoked, ""},
		{"the CRL has ended", []string{"/a.crl"}, nil, func(p *pki, _ *x509.Certificate) { p.serveBytes("/a.crl", p.crl(p.key, -time.Minute)) }, unknown, "it has ended"},
		{"it is on one that has ended", []string{"/a.crl"}, nil, func(p *pki, c *x509.Certificate) { p.serveBytes("/a.crl", p.crl(p.key, -time.Minute, c)) }, revoked, ""},
		{"another key signed it", []string{"/a.crl"}, nil, func(p *pki, _ *x509.Certificate) { p.serveBytes("/a.crl", p.crl(newKey(p.T), time.Hour)) }, unknown, "its signature is not the issuer's"},
		{"no CRL at all", []string{"/a.crl"}, nil, func(p *pki, _ *x509.Certificate) { p.serveBytes("/a.crl", []byte("<html>")) }, unknown, "is no CRL"},
		{"not there", []string{"/a.crl"}, nil, func(*pki, *x509.Certificate) {}, unknown, "404"},
		{"too long", []string{"/a.crl"}, nil, func(p *pki, _ *x509.Certificate) { p.serveBytes("/a.crl", make([]byte, 33<<20)) }, unknown, "it is longer than"},
		{"LDAP", []string{"ldap:///CN=x"}, nil, func(*pki, *x509.Certificate) {}, unknown, "only http and https are asked"},
		{"a file", []string{"file:///etc/passwd"}, nil, func(*pki, *x509.Certificate) {}, unknown, "only http and https are asked"},
		{"the second point has it", []string{"/a.crl", "/b.crl"}, nil, func(p *pki, c *x509.Certificate) { p.serveBytes("/b.crl", p.crl(p.key, time.Hour, c)) }, revoked, ""},
		{"a redirect on the same scheme", []string{"/a.crl"}, nil, func(p *pki, c *x509.Certificate) {
			p.serve("/a.crl", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/b.crl", http.StatusFound) })
			p.serveBytes("/b.crl", p.crl(p.key, time.Hour, c))
		}, revoked, ""},
		{"a redirect to another scheme", []string{"/a.crl"}, nil, func(p *pki, _ *x509.Certificate) {
			p.serve("/a.crl", func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "https"+strings.TrimPrefix(p.http.URL, "http")+"/b.crl", http.StatusFound)
			})
		}, unknown, "it redirects from http to https"},
		{"a redirect for ever", []string{"/a.crl"}, nil, func(p *pki, _ *x509.Certificate) {
			p.serve("/a.crl", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/a.crl", http.StatusFound) })
		}, unknown, "redirects more than"},
		{"OCSP says good", nil, []string{"/ocsp"}, func(p *pki, c *x509.Certificate) {
			p.serve("/ocsp", p.ocspAnswer(c, ocsp.Good, p.key, nil, p.clock().Add(time.Hour)))
		}, good, ""},
		{"OCSP says revoked", nil, []string{"/ocsp"}, func(p *pki, c *x509.Certificate) {
			p.serve("/ocsp", p.ocspAnswer(c, ocsp.Revoked, p.key, nil, p.clock().Add(time.Hour)))
		}, revoked, ""},
		{"OCSP does not know", nil, []string{"/ocsp"}, func(p *pki, c *x509.Certificate) {
			p.serve("/ocsp", p.ocspAnswer(c, ocsp.Unknown, p.key, nil, p.clock().Add(time.Hour)))
		}, unknown, "it does not know the certificate"},
		{"an old answer of OCSP", nil, []string{"/ocsp"}, func(p *pki, c *x509.Certificate) {
			p.serve("/ocsp", p.ocspAnswer(c, ocsp.Good, p.key, nil, p.clock().Add(-time.Minute)))
		}, unknown, "is an old one"},
		{"OCSP about another certificate", nil, []string{"/ocsp"}, func(p *pki, _ *x509.Certificate) {
			p.serve("/ocsp", p.ocspAnswer(p.cert, ocsp.Good, p.key, nil, p.clock().Add(time.Hour)))
		}, unknown, "no response matching"},
		{"OCSP signed by a stranger", nil, []string{"/ocsp"}, func(p *pki, c *x509.Certificate) {
			p.serve("/ocsp", p.ocspAnswer(c, ocsp.Good, newKey(p.T), nil, p.clock().Add(time.Hour)))
		}, unknown, "signature"},
		{"OCSP signed by one whom the CA lets", nil, []string{"/ocsp"}, func(p *pki, c *x509.Certificate) {
			key := newKey(p.T)
			signer := p.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "OCSP"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}}, key)
			p.serve("/ocsp", p.ocspAnswer(c, ocsp.Good, key, signer, p.clock().Add(time.Hour)))
		}, good, ""},
		{"OCSP signed by another phone", nil, []string{"/ocsp"}, func(p *pki, c *x509.Certificate) {
			key := newKey(p.T)
			signer := p.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "SEP000000000000"}}, key)
			p.serve("/ocsp", p.ocspAnswer(c, ocsp.Good, key, signer, p.clock().Add(time.Hour)))
		}, unknown, "is not for OCSP"},
		{"no CRL, but OCSP", []string{"/a.crl"}, []string{"/ocsp"}, func(p *pki, c *x509.Certificate) {
			p.serve("/ocsp", p.ocspAnswer(c, ocsp.Revoked, p.key, nil, p.clock().Add(time.Hour)))
		}, revoked, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPKI(t)
			phone := p.phone(test.points, test.responders)
			test.set(p, phone)
			err := p.checker().Check(t.Context(), p.chains(phone))
			if got := verdict(err); got != test.want || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("hard: %s, %v; want %s, %q", got, err, test.want, test.says)
			}
			core, logs := observer.New(zap.WarnLevel)
			soft := p.checker(func(o *revocation.Options) { o.Hard, o.Logger = false, zap.New(core) })
			want := test.want
			if want == unknown {
				want = good
			}
			for range 3 {
				if got := verdict(soft.Check(t.Context(), p.chains(phone))); got != want {
					t.Errorf("soft: %s", got)
				}
			}
			if told := logs.Len() > 0; told != (test.want != good) || logs.FilterMessageSnippet("est.revocation: soft").Len() > 1 {
				t.Errorf("soft: the log has %v", logs.All())
			}
		})
	}
}

func TestARevokedIntermediateRevokesWhatIsBelowIt(t *testing.T) {
	p := newPKI(t)
	key := newKey(t)
	issuing := p.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "Issuing"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCRLSign | x509.KeyUsageCertSign,
		CRLDistributionPoints: []string{p.http.URL + "/root.crl"},
	}, key)
	below := &pki{T: t, key: key, cert: issuing, http: p.http, serial: 100, now: p.now}
	phone := below.phone([]string{"/issuing.crl"}, nil)
	p.serveBytes("/issuing.crl", below.crl(key, time.Hour))
	p.serveBytes("/root.crl", p.crl(p.key, time.Hour, issuing))
	chain := []*x509.Certificate{phone, issuing, p.cert}
	if got := verdict(p.checker().Check(t.Context(), [][]*x509.Certificate{chain})); got != revoked {
		t.Error(got)
	}
	// What stands in the trust store is trusted: nobody below is asked about it.
	if got := verdict(p.checker().Check(t.Context(), [][]*x509.Certificate{{phone, issuing}})); got != good {
		t.Error(got)
	}
}

func TestACRLIsFetchedOnceAndAgainBeforeItEnds(t *testing.T) {
	p := newPKI(t)
	c := p.checker()
	phone, other := p.phone([]string{"/a.crl"}, nil), p.phone([]string{"/a.crl"}, nil)
	check := func(cert *x509.Certificate) string { return verdict(c.Check(t.Context(), p.chains(cert))) }
	const long = 10_000 * time.Hour
	first := p.crl(p.key, 2*long)
	p.serveBytes("/a.crl", p.crl(p.key, 20*time.Minute))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if got := check(phone) + check(other); got != good+good {
				t.Error(got)
			}
		})
	}
	all.Wait()
	if n := p.count("/a.crl"); n != 1 {
		t.Errorf("fetched %d times", n)
	}
	// At three quarters of its life it is fetched in the background, and counts from then.
	p.pass(16 * time.Minute)
	p.serveBytes("/a.crl", p.crl(p.key, long, phone))
	await(t, func() bool { p.pass(61 * time.Second); return check(phone) == revoked })
	// Who sits between and sends one from before, or one of somebody else's, is not believed.
	somebody := newPKI(t)
	for name, replayed := range map[string][]byte{"older": first, "another's": somebody.crl(somebody.key, 2*long)} {
		p.serveBytes("/a.crl", replayed)
		before := p.count("/a.crl")
		await(t, func() bool {
			p.pass(31 * time.Minute)
			if got := check(phone); got != revoked {
				t.Errorf("with %s CRL in its place: %s", name, got)
			}
			return t.Failed() || p.count("/a.crl") > before+5
		})
	}
	// While the place is away the last one counts as long as it is good.
	p.serve("/a.crl", nil)
	before := p.count("/a.crl")
	p.pass(40 * time.Minute)
	if got := check(other); got != good {
		t.Errorf("the place is away: %s", got)
	}
	await(t, func() bool { return p.count("/a.crl") > before })
	p.pass(long)
	if got := check(other); got != unknown {
		t.Errorf("the last CRL has ended: %s", got)
	}
}

// The first answer is as little to be believed as the others.
func TestAForgedCRLDoesNotStayInPlaceOfTheIssuers(t *testing.T) {
	p, somebody := newPKI(t), newPKI(t)
	c := p.checker()
	phone := p.phone([]string{"/a.crl"}, nil)
	somebody.pass(365 * 24 * time.Hour)
	p.serveBytes("/a.crl", somebody.crl(somebody.key, 10_000*time.Hour))
	if got := verdict(c.Check(t.Context(), p.chains(phone))); got != unknown {
		t.Errorf("a forged one: %s", got)
	}
	p.serveBytes("/a.crl", p.crl(p.key, 10_000*time.Hour, phone))
	await(t, func() bool {
		p.pass(31 * time.Minute)
		return verdict(c.Check(t.Context(), p.chains(phone))) == revoked
	})
}

// await asks until the answer is yes.
func await(t *testing.T, yes func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !yes() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("it does not come")
		}
	}
}

func TestACertificateIsAskedAboutOnceAMinute(t *testing.T) {
	p := newPKI(t)
	c := p.checker()
	phone := p.phone(nil, []string{"/ocsp"})
	p.serve("/ocsp", p.ocspAnswer(phone, ocsp.Good, p.key, nil, p.clock().Add(time.Hour)))
	for range 10 {
		if got := verdict(c.Check(t.Context(), p.chains(phone))); got != good {
			t.Fatal(got)
		}
	}
	if n := p.count("/ocsp"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	p.serve("/ocsp", p.ocspAnswer(phone, ocsp.Revoked, p.key, nil, p.clock().Add(time.Hour)))
	p.pass(61 * time.Second)
	if got := verdict(c.Check(t.Context(), p.chains(phone))); got != revoked {
		t.Error(got)
	}
}

func TestAClientThatHangsUpWaitsForNoCRLAndSpoilsNoOthersAnswer(t *testing.T) {
	p := newPKI(t)
	c := p.checker()
	phone := p.phone([]string{"/a.crl"}, nil)
	asked, goOn := make(chan struct{}), make(chan struct{})
	data := p.crl(p.key, time.Hour)
	p.serve("/a.crl", func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-goOn
		_, _ = w.Write(data)
	})
	ctx, hangUp := context.WithCancel(t.Context())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- c.Check(ctx, p.chains(phone)) }()
	<-asked
	go func() { second <- c.Check(t.Context(), p.chains(phone)) }()
	hangUp()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("who hung up: %v", err)
	}
	close(goOn)
	if err := <-second; err != nil {
		t.Errorf("who waited: %v", err)
	}
}

func TestCRLsOfFilesAreReadAnewAndABadOneKeepsTheOld(t *testing.T) {
	p := newPKI(t)
	phone := p.phone([]string{"/never.crl"}, nil)
	path := filepath.Join(t.TempDir(), "phones.crl")
	var version atomic.Int64
	write := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		modified := p.clock().Add(time.Duration(version.Add(1)) * time.Hour)
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
		p.pass(2 * time.Second)
	}
	write(p.crl(p.key, time.Hour))
	c := p.checker(func(o *revocation.Options) { o.Files = []string{path} })
	check := func(want string) {
		t.Helper()
		if got := verdict(c.Check(t.Context(), p.chains(phone))); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	check(good)
	if n := p.count("/never.crl"); n != 0 {
		t.Errorf("the distribution point was asked %d times, though a file tells", n)
	}
	write(p.crl(p.key, time.Hour, phone))
	check(revoked) // at once, whatever was found out a second ago
	write([]byte("<html>"))
	check(revoked)
	for name, data := range map[string]string{"no CRL": "<html>", "no block": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"} {
		write([]byte(data))
		if _, err := revocation.New(revocation.Options{Files: []string{path}}); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
