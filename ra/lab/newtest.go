package lab

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"ciscora/config"
	"ciscora/ra/admin"
)

// TB is what [NewTest] needs of a *testing.T.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Failed() bool
	TempDir() string
	Cleanup(func())
}

// Test is a lab for one test of an EST client.
type Test struct {
	*Lab
	URL  string // https://127.0.0.1:PORT, where /.well-known/est is
	next uint64 // where Next goes on
}

// VirtualTime is an option of [NewTest] for tests in a [testing/synctest] bubble: the lab
// is in memory, and all its time-outs and delays, and those of a client that connects by
// [Test.HTTPClient] or [Lab.DialContext], run in virtual time.
func VirtualTime(o *Options) { o.Network = &Memory{} }

// NewTest starts a lab on free ports, for one test, and ends it with the test:
//
//	l := lab.NewTest(t)
//	// your client goes to l.URL, trusts l.Roots, and is l.User with l.Password
//	l.Faults.Order("certsrv.submit:delay=15s,count=1")
//	e, err := l.Next(t.Context()) // what the server saw of it
//
// Its RA is of the profile modern and ready, its keys are EC. Each option may change
// what it is made of; [VirtualTime] is one.
func NewTest(t TB, options ...func(*Options)) *Test {
	t.Helper()
	o := Options{
		Dir: t.TempDir(), EST: "127.0.0.1:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0",
		Profile: config.ProfileModern,
		NewKey:  func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
	}
	for _, change := range options {
		change(&o)
	}
	l, err := Start(context.Background(), o)
	if err != nil {
		t.Fatalf("start the lab: %v", err)
	}
	test := &Test{Lab: l, URL: l.ESTURL}
	t.Cleanup(func() {
		if t.Failed() {
			test.tell(t)
		}
		if err := l.Close(); err != nil {
			t.Errorf("end the lab: %v", err)
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := l.Ready(ctx); err != nil {
		t.Fatalf("the lab: %v", err)
	}
	return test
}

// tell says what the server saw, for a test that has failed.
func (l *Test) tell(t TB) {
	const most = 20
	for _, e := range l.Enrollments().List(admin.Filter{Limit: most}) {
		t.Logf("the lab saw: %s %q from %s: %s, answered %d after %s: %s", e.ID, e.CN, e.Client, e.State, e.ESTStatus, e.Duration, e.Error)
	}
}

// Next waits for the next enrollment to end: the first since the one that it told of the
// last time. A request that is only asked for credentials ends none.
func (l *Test) Next(ctx context.Context) (admin.Enrollment, error) {
	e, next, err := l.Enrollments().Wait(ctx, admin.Filter{Next: true, After: l.next})
	switch {
	case err != nil:
		return e, fmt.Errorf("wait for the next enrollment: %w", err)
	case !e.Finished:
		return e, fmt.Errorf("the next enrollment, of %q, has not ended: it is %s: %w", e.CN, e.State, ctx.Err())
	}
	l.next = next
	return e, nil
}

// HTTPClient returns a client that trusts the lab, and finds it also where it is in
// memory. It keeps no connections.
func (l *Lab) HTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: l.network.DialContext, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: l.Roots, MinVersion: tls.VersionTLS12, Time: l.now},
	}}
}

// DialContext connects to the lab, also where it is in memory.
func (l *Lab) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return l.network.DialContext(ctx, network, address)
}

// Enrollments is what the RA's admin port shows.
func (l *Lab) Enrollments() *admin.Enrollments { return l.ra.Enrollments() }
