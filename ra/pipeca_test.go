package ra_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"

	"ciscora/msca"
	"ciscora/msca/certsrv"
)

const (
	labUser     = `LAB\ciscora`
	labPassword = "correct horse"
)

func labAccount() (msca.Credentials, error) {
	return msca.Credentials{User: labUser, Password: labPassword}, nil
}

// pipeCA is a built-in CA that is reached through net.Pipe, so that it can live
// inside a synctest bubble.
type pipeCA struct {
	*certsrv.Server
	roots    *x509.CertPool
	away     atomic.Bool  // nobody listens
	refusals atomic.Int64 // log-ins refused
	conns    chan net.Conn
	closed   chan struct{}
}

func newPipeCA(t *testing.T, options ...func(*certsrv.Options)) *pipeCA {
	t.Helper()
	ca := &pipeCA{roots: x509.NewCertPool(), conns: make(chan net.Conn), closed: make(chan struct{})}
	o := certsrv.Options{
		Domain: "LAB", Hosts: []string{"ca.lab.test"},
		Users:     []certsrv.User{certsrv.NewUser(labUser, labPassword)},
		Templates: []certsrv.Template{{Name: "CiscoRA", SubjectFromRequest: true}},
		AccessLog: func(e certsrv.AccessEntry) {
			if e.Status == http.StatusUnauthorized && e.Win32 == 2148074252 { // certsrv.md 1.1: SEC_E_LOGON_DENIED
				ca.refusals.Add(1)
			}
		},
	}
	for _, f := range options {
		f(&o)
	}
	server, err := certsrv.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ca.Server = server
	ca.roots.AddCert(server.Root())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, ca) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, server.Close()); err != nil {
			t.Error(err)
		}
	})
	return ca
}

func (ca *pipeCA) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if ca.away.Load() {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	client, server := net.Pipe()
	select {
	case ca.conns <- server:
		return client, nil
	case <-ca.closed:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (ca *pipeCA) Accept() (net.Conn, error) {
	select {
	case c := <-ca.conns:
		return c, nil
	case <-ca.closed:
		return nil, net.ErrClosed
	}
}

func (ca *pipeCA) Close() error {
	select {
	case <-ca.closed:
	default:
		close(ca.closed)
	}
	return nil
}

func (ca *pipeCA) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "ca.lab.test:443" }
