package server_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"ciscora/ra"
	"ciscora/ra/ledger"
	"ciscora/ra/server"
)

// brokenListener is one on whose connections every write fails while it is broken.
type brokenListener struct {
	net.Listener
	broken atomic.Bool
}

func (l *brokenListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &brokenConn{c, l}, nil
}

type brokenConn struct {
	net.Conn
	l *brokenListener
}

func (c *brokenConn) Write(b []byte) (int, error) {
	if c.l.broken.Load() {
		return 0, errors.New("the line is broken")
	}
	return c.Conn.Write(b)
}

// Nobody has got a certificate whose answer could not be written: it stays an orphan
// until the retry, which gets the same one.
func TestAnAnswerThatCouldNotBeWrittenIsNoDelivery(t *testing.T) {
	s := newSite(t)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	line := &brokenListener{Listener: l}
	var breaks atomic.Bool
	breaks.Store(true)
	srv, err := server.New(t.Context(), s.load("profile: modern\nadmin: {listen: \"\"}\nledger: {dsn: \"sqlite:ra.db\"}\n"), server.Options{
		Logger: s.log, EST: line,
		Events: func(_ context.Context, e any) {
			if _, ok := e.(ra.Issued); ok {
				line.broken.Store(breaks.Load())
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	settled(t, srv)
	csr, key := newCSR(t, "SEP001122334455")
	phone := s.phone(srv.ESTAddr().String())
	if r := phone.Enroll(ctx, "phone", csr); len(r.Certificates) > 0 {
		t.Fatal("the client has a certificate over a broken line")
	}
	breaks.Store(false)
	line.broken.Store(false)
	if r := phone.Enroll(ctx, "phone", csr); len(r.Certificates) == 0 || !key.PublicKey.Equal(r.Certificates[0].PublicKey) {
		t.Errorf("%+v", r)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	s.checkLedger(func(rows []ledger.Row) {
		if len(rows) != 1 || rows[0].State != ledger.StateDelivered || rows[0].Deliveries != 1 {
			t.Errorf("%+v, want one row, delivered once", rows)
		}
	})
}
