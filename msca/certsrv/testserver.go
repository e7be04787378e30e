package certsrv

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"net"
)

// TestServer is a CA in memory that listens on a port of its own on 127.0.0.1: for
// tests, in the manner of [net/http/httptest]. Any number may run at a time.
type TestServer struct {
	URL            string         // https://127.0.0.1:PORT/certsrv
	Roots          *x509.CertPool // holds the root CA
	User, Password string         // LAB\ciscora and a random password
	Server         *Server

	stop  context.CancelFunc
	ended chan error
}

// NewTestServer starts a CA with one user, LAB\ciscora, and one template, CiscoRA,
// that takes the subject from the CSR. opts may change its options; one that sets
// Users must know their passwords. It panics when the CA cannot start, as
// [net/http/httptest.NewServer] does. Close it in the end.
func NewTestServer(opts ...func(*Options)) *TestServer {
	t := &TestServer{User: `LAB\ciscora`, Password: rand.Text(), ended: make(chan error, 1)}
	o := Options{
		Domain:    "LAB",
		Hosts:     []string{"127.0.0.1", "localhost"},
		Users:     []User{NewUser(t.User, t.Password)},
		Templates: []Template{{Name: "CiscoRA", SubjectFromRequest: true}},
	}
	for _, f := range opts {
		f(&o)
	}
	var err error
	if t.Server, err = New(o); err != nil {
		panic(fmt.Sprintf("certsrv: test server: %v", err))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a loopback port waits for nothing
	if err != nil {
		panic(fmt.Sprintf("certsrv: test server: %v", err))
	}
	t.URL = "https://" + l.Addr().String() + "/certsrv"
	t.Roots = x509.NewCertPool()
	t.Roots.AddCert(t.Server.Root())
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	go func() { t.ended <- t.Server.Serve(ctx, l) }()
	return t
}

// Close lets requests in flight finish and ends the CA. It may be called again.
func (t *TestServer) Close() {
	if t.stop == nil {
		return
	}
	t.stop()
	t.stop = nil
	if err := <-t.ended; err != nil {
		panic(fmt.Sprintf("certsrv: test server: %v", err))
	}
	if err := t.Server.Close(); err != nil {
		panic(fmt.Sprintf("certsrv: test server: %v", err))
	}
}
