package ra_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"sync"
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
			if e.Status == http.StatusUnauthorized && e.Win32 == 2148074252 { // docs/reference/certsrv.md 1.1: SEC_E_LOGON_DENIED
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

// connectionCount counts the connections to a CA, those that are being made included.
type connectionCount struct {
	mu            sync.Mutex
	now, greatest int
}

func (c *connectionCount) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += n
	c.greatest = max(c.greatest, c.now)
}

// begin forgets the most that there were.
func (c *connectionCount) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.greatest = c.now
}

func (c *connectionCount) open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *connectionCount) most() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.greatest
}

// dial counts what next dials; before is called once the connection counts.
func (c *connectionCount) dial(next func(context.Context, string, string) (net.Conn, error), before func()) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c.add(1)
		before()
		conn, err := next(ctx, network, address)
		if err != nil {
			c.add(-1)
			return nil, err
		}
		return &countedConn{Conn: conn, closed: sync.OnceFunc(func() { c.add(-1) })}, nil
	}
}

type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	defer c.closed()
	return c.Conn.Close()
}
