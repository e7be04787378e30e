package search_test

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/msca"
	"ciscora/ra/ledger"
	"ciscora/ra/search"
)

// fakeCA is what certnew.cer shows.
type fakeCA struct {
	shown map[int]any // *x509.Certificate or *msca.Error; a number that is not in it is unknown
	asked map[int]int
	order []int
}

func (ca *fakeCA) Look(_ context.Context, n int) (*x509.Certificate, error) {
	ca.asked[n]++
	ca.order = append(ca.order, n)
	switch x := ca.shown[n].(type) {
	case *x509.Certificate:
		return x, nil
	case *msca.Error:
		return nil, x
	}
	return nil, &msca.Error{Phase: msca.PhaseFetch, Kind: msca.KindUnknownRequest, ReqID: n, HRESULT: 0x80094004}
}

func refusal(kind msca.Kind) *msca.Error { return &msca.Error{Phase: msca.PhaseFetch, Kind: kind} }

// phone is somebody who asks.
type phone struct {
	name string
	dns  []string
	key  *ecdsa.PrivateKey
}

func newPhone(t *testing.T, name string, dns ...string) phone {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return phone{name, dns, key}
}

func (p phone) request(t *testing.T, template string) ledger.Request {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: p.name}, DNSNames: p.dns}, p.key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	r := ledger.Request{What: sha256.Sum256(csr.RawTBSCertificateRequest), PublicKey: csr.RawSubjectPublicKeyInfo, SubjectDER: csr.RawSubject, Identity: "relay:x", Template: template, CN: p.name}
	for _, e := range csr.Extensions {
		r.Names = e.Value
	}
	return r
}

// certified is a certificate as the CA makes it.
func (p phone) certified(t *testing.T, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: p.name}, DNSNames: p.dns,
		NotBefore: time.Now().Add(-10 * time.Minute), NotAfter: time.Now().Add(time.Hour),
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, p.key.Public(), p.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fixture is a search over a ledger in memory; what it decides is written down.
type fixture struct {
	*search.Search
	ledger   *ledger.Ledger
	ca       *fakeCA
	template search.Template
	found    map[int64]int
	givenUp  map[int64][]int
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	book, err := ledger.Open(t.Context(), "sqlite::memory:", ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := book.Close(); err != nil {
			t.Error(err)
		}
	})
	f := &fixture{ledger: book, ca: &fakeCA{shown: map[int]any{}, asked: map[int]int{}}, found: map[int64]int{}, givenUp: map[int64][]int{}}
	f.Search = search.New(search.Options{
		Ledger:   book,
		Template: func(context.Context, string) search.Template { return f.template },
		Found: func(ctx context.Context, row ledger.Row, reqID int, _ *x509.Certificate) error {
			f.found[row.ID] = reqID
			return f.close(ctx, row, func(row *ledger.Row) { row.State, row.ReqID = ledger.StateIssued, reqID })
		},
		NotFound: func(ctx context.Context, row ledger.Row, candidates []int) error {
			f.givenUp[row.ID] = candidates
			return f.close(ctx, row, func(row *ledger.Row) {
				row.State, row.Open, row.Candidates = ledger.StateFailed, false, candidates
			})
		},
	})
	return f
}

func (f *fixture) close(ctx context.Context, row ledger.Row, change func(*ledger.Row)) error {
	claim, err := f.ledger.Take(ctx, row.ID)
	if err != nil {
		return err
	}
	return f.ledger.Finish(ctx, &claim, change)
}

// lose makes a row whose POST went out above floor and was never answered.
func (f *fixture) lose(t *testing.T, request ledger.Request, floor int) int64 {
	t.Helper()
	claim, err := f.ledger.Claim(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.ledger.Finish(t.Context(), &claim, func(row *ledger.Row) {
		row.State, row.Submitted, row.Floor = ledger.StateSubmitted, time.Now(), floor
	}); err != nil {
		t.Fatal(err)
	}
	return claim.Row.ID
}

func (f *fixture) round(t *testing.T) (left int) {
	t.Helper()
	left, _, err := f.Round(t.Context(), f.ca)
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func TestACertificateAnswersALostRowOnlyIfAllOfItAgrees(t *testing.T) {
	templateName := func(name string) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			value, _ := asn1.Marshal(name)
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2}, Value: value})
		}
	}
	templateOID := func(c *x509.Certificate) {
		value, _ := asn1.Marshal(struct {
			ID           asn1.ObjectIdentifier
			Major, Minor int
		}{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 21, 8, 7}, 100, 3})
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 21, 7}, Value: value})
	}
	for _, test := range []struct {
		name     string
		template search.Template
		reqID    int
		change   func(*x509.Certificate)
		other    bool   // of another key
		asked    string // the template's name in the request; "" = Phones
		found    bool
	}{
		{name: "the certificate that was asked for", reqID: 11, found: true},
		{name: "another key", reqID: 11, other: true},
		{name: "a number from before the POST", reqID: 10},
		{name: "another subject", reqID: 11, change: func(c *x509.Certificate) { c.Subject.CommonName = "old" }},
		{name: "one common name more", reqID: 11, change: func(c *x509.Certificate) {
			c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "SEP1"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "Administrator"}}
		}},
		{name: "an attribute that was not asked for", reqID: 11, change: func(c *x509.Certificate) { c.Subject.Organization = []string{"Other"} }},
		{name: "another alternative name", reqID: 11, change: func(c *x509.Certificate) { c.DNSNames = []string{"other.lab.test"} }},
		{name: "no alternative name", reqID: 11, change: func(c *x509.Certificate) { c.DNSNames = nil }},
		{name: "made before the POST", reqID: 11, change: func(c *x509.Certificate) { c.NotBefore = time.Now().Add(-16 * time.Minute) }},
		{name: "the template's name", reqID: 11, change: templateName("phones"), found: true},
		{name: "another template's name", reqID: 11, change: templateName("Servers")},
		{name: "a template's identifier that nothing is known of", reqID: 11, change: templateOID, found: true},
		{name: "another template's identifier", template: search.Template{OID: "1.2.3"}, reqID: 11, change: templateOID},
		{name: "the identifier by which it was asked for", asked: "1.3.6.1.4.1.311.21.8.7", reqID: 11, change: templateOID, found: true},
		{name: "another identifier than that by which it was asked for", asked: "1.2.3", reqID: 11, change: templateOID},
		{name: "a name, where it was asked for by an identifier that nothing is known of", asked: "1.2.3", reqID: 11, change: templateName("Phones"), found: true},
		{name: "the name of what was asked for by its identifier", asked: "1.2.3", template: search.Template{Name: "Phones"}, reqID: 11, change: templateName("Phones"), found: true},
		{name: "another name than that of what was asked for by its identifier", asked: "1.2.3", template: search.Template{Name: "Phones"}, reqID: 11, change: templateName("Servers")},
		{name: "names of the directory, where the template takes them there", template: search.Template{FromDirectory: true}, reqID: 11, change: func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: "ciscora"}
			c.DNSNames = nil
		}, found: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				f.template = test.template
				asks := newPhone(t, "SEP1", "sep1.lab.test")
				answers := asks
				if test.other {
					answers = newPhone(t, asks.name, asks.dns...)
				}
				row := f.lose(t, asks.request(t, cmp.Or(test.asked, "Phones")), 10)
				f.ca.shown[test.reqID] = answers.certified(t, test.change)
				f.round(t)
				if test.template.FromDirectory {
					if got := f.found[row]; got != 0 {
						t.Errorf("bound to %d while another may come", got)
					}
					time.Sleep(f.Grace())
					f.round(t)
				}
				if got := f.found[row]; (got != 0) != test.found {
					t.Errorf("bound to %d", got)
				}
			})
		})
	}
}

func TestTwoCandidatesWithoutNamesAreNobodys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.template.FromDirectory = true
		p := newPhone(t, "SEP1")
		row := f.lose(t, p.request(t, "User"), 10)
		f.ca.shown[11] = p.certified(t, nil)
		f.round(t)
		time.Sleep(f.Grace())
		f.ca.shown[12] = p.certified(t, nil)
		if left := f.round(t); left != 0 || f.found[row] != 0 || !slices.Equal(f.givenUp[row], []int{11, 12}) {
			t.Errorf("left %d, found %v, given up %v", left, f.found, f.givenUp)
		}
	})
}

// A phone's key under two accounts: the names of both certificates are the directory's.
func TestACertificateWithoutNamesStaysNobodysWhenARivalIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.template.FromDirectory = true
		p := newPhone(t, "SEP1")
		first := f.lose(t, p.request(t, "User"), 10)
		f.round(t)
		time.Sleep(time.Minute)
		f.ca.shown[11] = p.certified(t, nil)
		other := p.request(t, "User")
		other.Identity = "relay:y"
		second := f.lose(t, other, 10)
		f.round(t)
		time.Sleep(f.Grace() - 30*time.Second)
		f.round(t)
		time.Sleep(time.Minute)
		f.round(t)
		if f.found[first] != 0 || f.found[second] != 0 || !slices.Equal(f.givenUp[first], []int{11}) || !slices.Equal(f.givenUp[second], []int{11}) {
			t.Errorf("found %v, given up %v", f.found, f.givenUp)
		}
	})
}

func TestACertificateWithoutNamesMayBeThatOfAPOSTUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.template.FromDirectory = true
		p := newPhone(t, "SEP1")
		lost := f.lose(t, p.request(t, "User"), 10)
		other := p.request(t, "User")
		other.Identity = "relay:y"
		claim, err := f.ledger.Claim(t.Context(), other)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.ledger.Update(t.Context(), &claim, func(row *ledger.Row) {
			row.State, row.Submitted, row.Floor = ledger.StateSubmitted, time.Now(), 10
		}); err != nil {
			t.Fatal(err)
		}
		f.ca.shown[11] = p.certified(t, nil)
		f.round(t)
		time.Sleep(f.Grace())
		f.round(t)
		if f.found[lost] != 0 || !slices.Equal(f.givenUp[lost], []int{11}) {
			t.Errorf("found %v, given up %v", f.found, f.givenUp)
		}
	})
}

func TestARowIsGivenUpOnlyAfterTheGraceAndAtTheCAsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		row := f.lose(t, newPhone(t, "SEP1").request(t, "Phones"), 10)
		f.round(t)
		time.Sleep(f.Grace() - time.Second)
		if left := f.round(t); left != 1 || len(f.givenUp) != 0 {
			t.Fatalf("before the grace is over: left %d, given up %v", left, f.givenUp)
		}
		time.Sleep(2 * time.Second)
		f.ca.shown[13] = refusal(msca.KindServiceDown) // beyond a gap
		if _, _, err := f.Round(t.Context(), f.ca); err == nil || len(f.givenUp) != 0 {
			t.Fatalf("while the CA does not answer: %v, given up %v", err, f.givenUp)
		}
		f.ca.shown[13] = newPhone(t, "another").certified(t, nil)
		if left := f.round(t); left != 0 || len(f.givenUp[row]) != 0 {
			t.Errorf("left %d, given up %v", left, f.givenUp)
		}
		if f.ca.asked[14] == 0 {
			t.Error("the number behind the newest was not asked for")
		}
	})
}

func TestACertificateWhoseTimeDoesNotFitIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		p := newPhone(t, "SEP1")
		row := f.lose(t, p.request(t, "Phones"), 10)
		f.ca.shown[11] = p.certified(t, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(-70 * time.Minute) }) // a clock is wrong
		f.ca.shown[12] = p.certified(t, func(c *x509.Certificate) { c.Subject.CommonName = "old" })
		f.round(t)
		time.Sleep(f.Grace())
		f.round(t)
		if f.found[row] != 0 || !slices.Equal(f.givenUp[row], []int{11}) {
			t.Errorf("bound to %d, candidates %v", f.found[row], f.givenUp[row])
		}
	})
}

func TestWhatShowsNoKeyMayBeTheRowsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		row := f.lose(t, newPhone(t, "SEP1").request(t, "Phones"), 10)
		f.ca.shown[11] = newPhone(t, "another").certified(t, nil)
		f.ca.shown[12] = refusal(msca.KindPending)
		f.ca.shown[13] = refusal(msca.KindDenied)
		f.ca.shown[14] = refusal(msca.KindForbidden)
		f.ca.shown[15] = refusal(msca.KindRevoked)
		f.round(t)
		time.Sleep(f.Grace())
		f.round(t)
		if !slices.Equal(f.givenUp[row], []int{12, 13, 14}) {
			t.Errorf("candidates %v", f.givenUp[row])
		}
	})
}

func TestManyLostRowsAskForEachNumberOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 100
		f := newFixture(t)
		rows := map[int64]int{}
		for i := range many {
			p := newPhone(t, fmt.Sprintf("SEP%d", i))
			reqID := 5000 + many - i
			rows[f.lose(t, p.request(t, "Phones"), 5000)] = reqID
			f.ca.shown[reqID] = p.certified(t, nil)
		}
		if left := f.round(t); left != 0 {
			t.Errorf("%d are left", left)
		}
		for row, reqID := range rows {
			if f.found[row] != reqID {
				t.Errorf("row %d is bound to %d, want %d", row, f.found[row], reqID)
			}
		}
		for n, times := range f.ca.asked {
			if times > 1 {
				t.Errorf("%d was asked for %d times", n, times)
			}
		}
	})
}

func TestACAThatHidesEverythingEndsTheSearchWithAReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.lose(t, newPhone(t, "SEP1").request(t, "Phones"), 10)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, _, err := f.Round(ctx, hidesAll{})
		if err == nil || errors.Is(err, context.DeadlineExceeded) || len(f.givenUp) != 0 {
			t.Errorf("%v, given up %v", err, f.givenUp)
		}
	})
}

type hidesAll struct{}

func (hidesAll) Look(context.Context, int) (*x509.Certificate, error) {
	return nil, refusal(msca.KindForbidden)
}

func TestTheNewestNumberIsKnownBeforeTheFirstPOST(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		another := newPhone(t, "another").certified(t, nil)
		for n := 1; n <= 5000; n++ {
			f.ca.shown[n] = another
		}
		for range 2 { // the second time from memory
			if err := f.Establish(t.Context(), f.ca); err != nil {
				t.Fatal(err)
			}
		}
		if highest, err := f.ledger.HighestReqID(t.Context()); err != nil || highest != 5000 {
			t.Errorf("%d, %v", highest, err)
		}
		if len(f.ca.order) > 30 {
			t.Errorf("%d looks", len(f.ca.order))
		}
	})
}

func TestALookForTheNewestNumberThatTheCACutShortGoesOnWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		another := newPhone(t, "another").certified(t, nil)
		for n := 1; n <= 5000; n++ {
			f.ca.shown[n] = another
		}
		for _, down := range []int{64, 4608} {
			f.ca.shown[down] = refusal(msca.KindConnect)
			if err := f.Establish(t.Context(), f.ca); err == nil {
				t.Fatalf("established, and %d was never answered", down)
			}
			f.ca.shown[down] = another
		}
		if err := f.Establish(t.Context(), f.ca); err != nil {
			t.Fatal(err)
		}
		if highest, err := f.ledger.HighestReqID(t.Context()); err != nil || highest != 5000 {
			t.Errorf("%d, %v", highest, err)
		}
		for n, times := range f.ca.asked {
			if times > 1 && n <= 5000 && n != 64 && n != 4608 {
				t.Errorf("%d was asked for %d times", n, times)
			}
		}
	})
}

func TestARowWithoutAFloorIsSoughtFromItsTimeOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		old := newPhone(t, "another").certified(t, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(-48 * time.Hour) })
		for n := 1; n <= 5000; n++ {
			f.ca.shown[n] = old
		}
		p := newPhone(t, "SEP1")
		row := f.lose(t, p.request(t, "Phones"), 0)
		f.ca.shown[5001] = p.certified(t, nil)
		f.round(t)
		if f.found[row] != 5001 || len(f.ca.order) > 60 {
			t.Errorf("bound to %d after %d looks", f.found[row], len(f.ca.order))
		}
	})
}
