package access_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ciscora/msca"
	"ciscora/msca/certsrv"
	"ciscora/ra/access"
	"ciscora/ra/ledger"
	"ciscora/ra/ledger/ledgertest"
)

// postgres is the server of the tests with replicas.
var postgres ledgertest.Server

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := postgres.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code)
	}))
}

// label is what the tests ask for.
var label = access.Label{Template: "CiscoRA", Pooled: true}

// fixture is an Access to a built-in CA.
type fixture struct {
	*access.Access
	ca *certsrv.TestServer
}

func newFixture(t testing.TB, change func(*access.Options), caOptions ...func(*certsrv.Options)) *fixture {
	t.Helper()
	ca := certsrv.NewTestServer(caOptions...)
	t.Cleanup(ca.Close)
	return (&fixture{ca: ca}).another(t, change)
}

func (f *fixture) tls() *tls.Config {
	return &tls.Config{RootCAs: f.ca.Roots, MinVersion: tls.VersionTLS12}
}

// another is an Access to the same CA.
func (f *fixture) another(t testing.TB, change func(*access.Options)) *fixture {
	t.Helper()
	ca := f.ca
	client, err := msca.New(msca.Options{URL: ca.URL, TLS: f.tls(), ChannelBinding: true})
	if err != nil {
		t.Fatal(err)
	}
	o := access.Options{
		Credentials: func() (msca.Credentials, error) { return msca.Credentials{User: ca.User, Password: ca.Password}, nil },
		Lockout:     access.Lockout{Failures: 3, For: 15 * time.Minute},
		Pooled:      true, CheckTemplate: true,
	}
	change(&o)
	if o.Ledger == nil {
		book, err := ledger.Open(t.Context(), "sqlite::memory:", ledger.Options{Now: o.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { book.Close() })
		o.Ledger = book
	}
	a, err := access.New(client, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return &fixture{a, ca}
}

// ask asks with Basic credentials.
func (f *fixture) ask(ctx context.Context, user, password string) (*access.Identity, error) {
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/.well-known/est/simpleenroll", nil)
	req.SetBasicAuth(user, password)
	return f.Authenticate(ctx, req, label)
}

// reason is why nobody was let in; -1 where somebody was.
func reason(err error) access.Reason {
	if e, ok := errors.AsType[*access.Error](err); ok {
		return e.Reason
	}
	return -1
}

// The log-in that several wait for is nobody's own: it goes on when the client that
// began it has hung up.
func TestAClientThatHangsUpDoesNotEndTheLogInThatOthersWaitFor(t *testing.T) {
	began, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f := newFixture(t, func(*access.Options) {}, func(o *certsrv.Options) {
		o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "certrqxt.asp") {
					once.Do(func() { close(began); <-goOn })
				}
				next.ServeHTTP(w, r)
			})
		})
	})
	ctx, hangUp := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := f.ask(ctx, f.ca.User, f.ca.Password)
		first <- err
	}()
	<-began
	second := make(chan error, 1)
	go func() {
		_, err := f.ask(t.Context(), f.ca.User, f.ca.Password)
		second <- err
	}()
	hangUp()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("who hung up: %v", err)
	}
	close(goOn)
	if err := <-second; err != nil {
		t.Errorf("who waited: %v", err)
	}
}

func TestAnIdentityIsNamedTheSameHoweverItsNameIsWritten(t *testing.T) {
	f := newFixture(t, func(*access.Options) {})
	upper, err := f.ask(t.Context(), strings.ToUpper(f.ca.User), f.ca.Password)
	if err != nil {
		t.Fatal(err)
	}
	lower, err := f.ask(t.Context(), strings.ToLower(f.ca.User), f.ca.Password)
	if err != nil {
		t.Fatal(err)
	}
	if upper.LedgerIdentity() != lower.LedgerIdentity() || !strings.HasPrefix(upper.LedgerIdentity(), "relay:") {
		t.Errorf("%q and %q", upper.LedgerIdentity(), lower.LedgerIdentity())
	}
}

func TestOwnIsTheAccountOfTheCredentialsAtThatTime(t *testing.T) {
	password, broken := "one", errors.New("no such file")
	var failed error
	f := newFixture(t, func(o *access.Options) {
		o.Credentials = func() (msca.Credentials, error) { return msca.Credentials{User: "ra", Password: password}, failed }
	})
	own := func() *access.Identity {
		t.Helper()
		who, err := f.Own(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return who
	}
	first := own()
	if second := own(); !first.SameCredentials(second) {
		t.Error("the same credentials count as others")
	}
	password = "two"
	if second := own(); first.SameCredentials(second) || second.Account != "ra" {
		t.Error("another password counts as the same credentials")
	}
	failed = broken
	if _, err := f.Own(t.Context()); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}
