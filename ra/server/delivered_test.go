package server_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ciscora/est"
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

// hastyListener is one whose clients, as the server sees it, are gone as soon as the answer
// is written.
type hastyListener struct {
	net.Listener
	answered atomic.Pointer[context.Context] // of the request whose answer comes next
}

func (l *hastyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &hastyConn{c, l}, nil
}

type hastyConn struct {
	net.Conn
	l *hastyListener
}

// Write ends what is read once the answer is out, as a client does that closes then, and
// returns when the server has seen it.
func (c *hastyConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if request := c.l.answered.Swap(nil); request != nil && err == nil {
		err = c.SetReadDeadline(time.Unix(1, 0))
		select {
		case <-(*request).Done():
		case <-time.After(10 * time.Second):
		}
	}
	return n, err
}

// A client that closes right behind its answer has it: CES's log has no failure of it.
func TestAClientThatClosesRightBehindItsAnswerHasNotFailed(t *testing.T) {
	s := newSite(t)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	line := &hastyListener{Listener: l}
	gone := make(chan bool, 1)
	nginx := filepath.Join(t.TempDir(), "nginx-error.log")
	srv, err := server.New(t.Context(), s.load("profile: cucm-12.5\nadmin: {listen: \"\"}\nledger: {dsn: \"sqlite:ra.db\"}\nlogs: {files: {nginx: "+nginx+"}}\n"), server.Options{
		Logger: s.log, EST: line,
		Events: func(ctx context.Context, e any) {
			switch e := e.(type) {
			case ra.Issued:
				line.answered.Store(&ctx)
			case est.Answered:
				if e.Delivered {
					gone <- ctx.Err() != nil
				}
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
	csr, _ := newCSR(t, "SEP001122334455")
	if r := s.phone(srv.ESTAddr().String()).Enroll(ctx, "phone", csr); len(r.Certificates) == 0 {
		t.Fatalf("%+v", r)
	}
	if !<-gone {
		t.Error("the client was there until the end: this tests nothing")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(nginx)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "/simpleenroll") || strings.Contains(string(text), "EST_ERR_HTTP_WRITE") {
		t.Errorf("%s", text)
	}
}
