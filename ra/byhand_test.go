package ra_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/ra"
	"ciscora/ra/ledger"
)

// csrsOfOneKey makes a CSR for each name.
func csrsOfOneKey(t *testing.T, names ...string) []*x509.CertificateRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var csrs []*x509.CertificateRequest
	for _, name := range names {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
		if err != nil {
			t.Fatal(err)
		}
		csr, err := x509.ParseCertificateRequest(der)
		if err != nil {
			t.Fatal(err)
		}
		csrs = append(csrs, csr)
	}
	return csrs
}

// byAnotherWay submits a CSR at the CA without the fixture's ledger, and returns its
// ReqID.
func (x *recoveryFixture) byAnotherWay(t *testing.T, label string, csr *x509.CertificateRequest) int {
	t.Helper()
	other := newRA(t, "https://ca.lab.test/certsrv", x.ca.roots, labUser, labPassword, &recorder{}, func(o *ra.Options) { o.CA.Dial = x.ca.dial })
	_, err := (&fixture{RA: other}).enroll(t.Context(), labUser, labPassword, label, csr)
	if err != nil && status(err) != http.StatusAccepted {
		t.Fatal(err)
	}
	return len(x.ca.Requests())
}

// givenUp makes a row whose POST was lost and not found.
func (x *recoveryFixture) givenUp(t *testing.T, csr *x509.CertificateRequest, candidates ...int) ledger.Row {
	t.Helper()
	claim, err := x.ledger.New(t.Context(), ledger.Request{
		PublicKey: csr.RawSubjectPublicKeyInfo, SubjectDER: csr.RawSubject, Subject: csr.Subject.String(), Identity: "relay:somebody", Template: "CiscoRA",
	})
	if err == nil {
		err = x.ledger.Finish(t.Context(), &claim, func(row *ledger.Row) {
			row.State, row.Open, row.Uncertain, row.Candidates, row.Submitted = ledger.StateFailed, false, true, candidates, time.Now()
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return claim.Row
}

func (x *recoveryFixture) resolve(t *testing.T, row int64, reqID int) {
	t.Helper()
	if _, err := ledger.Resolve(t.Context(), "sqlite:"+x.file, row, reqID, ledger.Options{}); err != nil {
		t.Fatal(err)
	}
}

func TestANumberThatWasBoundByHandIsChecked(t *testing.T) {
	const unknown, other = 999, 77
	for _, test := range []struct {
		name    string
		p       profile
		label   string // of the request that the number is of
		cn      string // of its CSR; "" = the number is unknown to the CA
		old     bool
		approve bool
		issued  bool
	}{
		{name: "its own", cn: "phone", issued: true},
		{name: "its own, long after it was given up", cn: "phone", old: true, issued: true},
		{name: "its own, where nothing else is collected", p: cucm, cn: "phone", issued: true},
		{name: "one that the CA does not know"},
		{name: "one of the same key and another name", cn: "old"},
		{name: "its own, which waits for a manager first", label: "supervised", cn: "phone", approve: true, issued: true},
		{name: "one of another name, which waits for a manager first", label: "supervised", cn: "old", approve: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if test.p == nil {
					test.p = modern
				}
				x := newRecoveryFixture(t, test.p)
				csrs := csrsOfOneKey(t, "phone", test.cn)
				reqID := unknown
				if test.cn != "" {
					reqID = x.byAnotherWay(t, test.label, csrs[1])
				}
				lost := x.givenUp(t, csrs[0], other)
				if test.old {
					x.Close() // else it looks at its ledger all the while
					time.Sleep(20 * 24 * time.Hour)
					x.start(t, test.p)
				}
				x.resolve(t, lost.ID, reqID)
				time.Sleep(time.Minute)
				if test.approve {
					if row, err := x.ledger.Get(t.Context(), lost.ID); err != nil || row.State != ledger.StatePending || !row.ByHand() || row.Open {
						t.Fatalf("while it waits for a manager: %+v, %v", row, err)
					}
					if err := x.ca.Approve(reqID); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Hour)
				}
				row, err := x.ledger.Get(t.Context(), lost.ID)
				if err != nil {
					t.Fatal(err)
				}
				told := eventsOf[ra.PossibleOrphan](x.events)
				if test.issued {
					if row.State != ledger.StateIssued || row.ReqID != reqID || len(row.Candidates) != 0 || row.Uncertain || len(told) != 0 {
						t.Errorf("%+v, told %v", row, told)
					}
					return
				}
				if row.State != ledger.StateFailed || row.ReqID != 0 || !row.Uncertain || !slices.Equal(row.Candidates, []int{other}) {
					t.Errorf("%+v", row)
				}
				if len(told) != 1 || told[0].Row != lost.ID || !slices.Equal(told[0].Candidates, []int{other}) {
					t.Errorf("told %v", told)
				}
				x.resolve(t, lost.ID, reqID) // and can be bound again
			})
		})
	}
}

func TestAClientDoesNotGetACertificateOfOtherNamesByAnOperatorsMistake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var loses atomic.Bool
		x := newRecoveryFixture(t, modern, middleware("certfnsh.asp", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if loses.Swap(false) {
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		}))
		csrs := csrsOfOneKey(t, "phone", "old")
		reqID := x.byAnotherWay(t, "", csrs[1])
		loses.Store(true)
		if _, err := x.phone(t, "", csrs[0]); err == nil {
			t.Fatal("the first try should fail")
		}
		row := x.rows(t, ledger.Filter{})[0]
		x.resolve(t, row.ID, reqID)
		if cert, err := x.phone(t, "", csrs[0]); err == nil {
			t.Fatalf("the client gets the certificate of %s", cert.Subject)
		}
		// The search goes on, and finds that the POST never became a request.
		time.Sleep(3 * time.Minute)
		cert, err := x.phone(t, "", csrs[0])
		if err != nil || cert.Subject.CommonName != "phone" {
			t.Errorf("%v, %v", cert, err)
		}
		if never := eventsOf[ra.NeverArrived](x.events); len(never) != 1 || never[0].Row != row.ID {
			t.Errorf("told as never arrived: %v", never)
		}
	})
}
