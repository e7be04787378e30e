package access_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ciscora/msca"
	"ciscora/msca/certsrv"
	"ciscora/ra/access"
)

// ownAccount is a fixture whose own password the test changes, and who was told of its
// refusals.
type ownAccount struct {
	*fixture
	bad      refusals
	password atomic.Value
	moved    atomic.Int64
	told     atomic.Int32
}

func newOwnAccount(t *testing.T, change func(*access.Options), caOptions ...func(*certsrv.Options)) *ownAccount {
	t.Helper()
	o := &ownAccount{}
	o.password.Store("")
	o.fixture = newFixture(t, func(a *access.Options) {
		change(a)
		right := a.Credentials
		a.Methods = []access.Method{access.MethodRelay, access.MethodCertificate}
		a.Now = func() time.Time { return time.Now().Add(time.Duration(o.moved.Load())) }
		a.OwnRefused = func(access.OwnRefusal) { o.told.Add(1) }
		a.Credentials = func() (msca.Credentials, error) {
			creds, err := right()
			if p := o.password.Load().(string); p != "" {
				creds.Password = p
			}
			return creds, err
		}
	}, append(caOptions, o.bad.option)...)
	return o
}

// byCertificate asks with a client certificate.
func (o *ownAccount) byCertificate(t *testing.T, i int) error {
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/.well-known/est/simplereenroll", nil)
	req.RemoteAddr = address(i)
	subject, err := asn1.Marshal(pkix.Name{CommonName: "phone"}.ToRDNSequence())
	if err != nil {
		t.Error(err)
	}
	phone := &x509.Certificate{RawSubject: subject}
	req.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{phone}, VerifiedChains: [][]*x509.Certificate{{phone}}}
	_, err = o.Authenticate(t.Context(), req, label)
	return err
}

// useAll uses the RA's own account in all ways there are, many times at once.
func (o *ownAccount) useAll(t *testing.T, check func(what string, err error)) {
	t.Helper()
	together(200, func(i int) {
		switch i % 4 {
		case 0:
			check("a client's certificate", o.byCertificate(t, i))
		case 1:
			_, err := o.OwnTemplates(t.Context())
			check("the template list", err)
		case 2, 3:
			who, err := o.Own(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			open := o.Session
			if i%4 == 3 {
				open = o.Login
			}
			s, err := open(t.Context(), who)
			if err == nil {
				s.Release()
			}
			check("a connection", err)
		}
	})
}

func TestTheRAsOwnRefusedPasswordIsTriedOnceHoweverManyNeedIt(t *testing.T) {
	manners(t, func(t *testing.T, change func(*access.Options)) {
		o := newOwnAccount(t, change)
		o.password.Store("expired")
		refused := func(what string, err error) {
			if !access.Refused(err) {
				t.Errorf("%s: %v", what, err)
			}
		}
		o.useAll(t, refused)
		if n := o.bad.Load(); n != 1 || o.told.Load() != 1 {
			t.Errorf("%d refused log-ins at the CA, told %d times, want one", n, o.told.Load())
		}
		refusal := o.OwnRefusal()
		if refusal == nil || refusal.Account != o.ca.User || refusal.Until.Sub(refusal.At) != time.Hour || strings.Contains(refusal.Error(), "expired\"") {
			t.Fatalf("what is told: %v", refusal)
		}
		// The client's own password has nothing to do with it.
		if err := o.askFrom(t.Context(), address(1), "ciscora", "wrong"); reason(err) != access.ReasonCA {
			t.Errorf("a client's wrong password: %v", err)
		}
		o.moved.Add(int64(time.Hour + time.Second))
		o.useAll(t, refused)
		if n := o.bad.Load(); n != 3 {
			t.Errorf("%d refused log-ins after an hour, want one more", n-1)
		}
		o.password.Store("another")
		o.useAll(t, refused)
		if n := o.bad.Load(); n != 4 {
			t.Errorf("%d refused log-ins with another wrong password, want one more", n)
		}
		o.password.Store("")
		o.useAll(t, func(what string, err error) {
			if err != nil {
				t.Errorf("with the right password, %s: %v", what, err)
			}
		})
		if o.OwnRefusal() != nil {
			t.Errorf("still refused: %v", o.OwnRefusal())
		}
	})
}

func TestARefusalOfTheOwnAccountEndsWhenItIsForgivenOrSomebodyLogsInWithIt(t *testing.T) {
	var refuses atomic.Bool
	refuses.Store(true)
	o := newOwnAccount(t, func(*access.Options) {}, func(c *certsrv.Options) { c.Middleware = append(c.Middleware, refusing(&refuses)) })
	if err := o.byCertificate(t, 1); reason(err) != access.ReasonOwnRefused {
		t.Fatal(err)
	}
	refuses.Store(false)
	if err := o.byCertificate(t, 1); reason(err) != access.ReasonOwnRefused {
		t.Fatalf("within the hour: %v", err)
	}
	if found, err := o.Forgive(t.Context(), "CISCORA"); err != nil || !found {
		t.Fatal(found, err)
	}
	if err := o.byCertificate(t, 1); err != nil {
		t.Errorf("once it is forgiven: %v", err)
	}

	refuses.Store(true)
	o.moved.Add(int64(10 * time.Minute))
	label.Pooled = false
	defer func() { label.Pooled = true }()
	if err := o.byCertificate(t, 1); reason(err) != access.ReasonOwnRefused {
		t.Fatal(err)
	}
	refuses.Store(false)
	o.moved.Add(int64(16 * time.Minute)) // the guard tries no refused password before
	if err := o.askFrom(t.Context(), address(1), "ciscora", o.ca.Password); err != nil {
		t.Fatal(err)
	}
	if err := o.byCertificate(t, 1); err != nil || o.OwnRefusal() != nil {
		t.Errorf("once a client has logged in: %v, %v", err, o.OwnRefusal())
	}
}

// refusing answers a password as IIS does that refuses it.
func refusing(on *atomic.Bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if on.Load() && strings.HasPrefix(r.Header.Get("Authorization"), "NTLM TlRMTVNTUAAD") { // type 3
				r.Header.Set("Authorization", "NTLM AAAA")
			}
			next.ServeHTTP(w, r)
		})
	}
}

// The CA closes its connections, and each that is kept or in use would log in anew.
func TestConnectionsThatTheCAClosesDoNotTryAnExpiredPasswordEach(t *testing.T) {
	const connections = 8
	var refuses atomic.Bool
	var tries atomic.Int32
	o := newOwnAccount(t, func(*access.Options) {}, func(c *certsrv.Options) {
		c.Middleware = append(c.Middleware, func(next http.Handler) http.Handler {
			refuse := refusing(&refuses)(next)
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case !refuses.Load():
					next.ServeHTTP(w, r)
				case r.Header.Get("Authorization") == "":
					panic(http.ErrAbortHandler) // a connection from before
				default:
					if strings.HasPrefix(r.Header.Get("Authorization"), "NTLM TlRMTVNTUAAD") {
						tries.Add(1)
					}
					refuse.ServeHTTP(w, r)
				}
			})
		})
	})
	who, err := o.Own(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var sessions [connections]*access.Session
	for i := range sessions {
		if sessions[i], err = o.Session(t.Context(), who); err != nil {
			t.Fatal(err)
		}
	}
	refuses.Store(true)
	o.moved.Add(int64(10 * time.Second)) // since the last log-in
	together(connections, func(i int) {
		if _, err := sessions[i].Look(t.Context(), 1); !access.Refused(err) {
			t.Errorf("connection %d: %v", i, err)
		}
		sessions[i].Release()
	})
	if n := tries.Load(); n != 1 {
		t.Errorf("%d log-ins with the expired password, want one", n)
	}
	if o.OwnRefusal() == nil {
		t.Error("nobody knows that it is refused")
	}
}

// Its counter is that of the name's letters, which have more than one spelling.
func TestToForgiveTheRAsOwnAccountItsNameMayBeSpeltOtherwise(t *testing.T) {
	o := newOwnAccount(t, func(*access.Options) {})
	o.password.Store("expired")
	if err := o.byCertificate(t, 1); !access.Refused(err) {
		t.Fatal(err)
	}
	if o.OwnRefusal() == nil {
		t.Fatal("it is not refused")
	}
	found, err := o.Forgive(t.Context(), "LAB\\ciscøra")
	if err != nil || !found || o.OwnRefusal() != nil {
		t.Errorf("%v %v, and it is still not tried: %v", found, err, o.OwnRefusal())
	}
}
