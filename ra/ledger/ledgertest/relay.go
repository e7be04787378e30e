package ledgertest

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
)

// Relay leads from a TCP port to a server, until it falls silent: what a client sees of a
// machine that is powered off, or whose packets are dropped.
type Relay struct {
	// DSN is the ledger's by way of this relay; Address is the relay's.
	DSN, Address string

	listener net.Listener
	all      sync.WaitGroup

	mu     sync.Mutex // guards what follows; held while bytes go through
	silent bool
	conns  []net.Conn
}

// Relay makes a relay, which ends with the test.
func (p *Postgres) Relay(t testing.TB) *Relay {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{listener: l, Address: l.Addr().String()}
	r.DSN = Through(r)
	r.all.Go(func() { r.accept(filepath.Join(p.dir, ".s.PGSQL.5432")) })
	t.Cleanup(r.close)
	return r
}

// Through is the DSN by several relays, in this order.
func Through(relays ...*Relay) string {
	hosts := ""
	for i, r := range relays {
		if i > 0 {
			hosts += ","
		}
		hosts += r.Address
	}
	return "postgres://" + userName + "@" + hosts + "/postgres?sslmode=disable"
}

// SetSilent drops all that comes from now on, or lets it through again; what was dropped
// is lost.
func (r *Relay) SetSilent(silent bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.silent = silent
}

func (r *Relay) close() {
	r.listener.Close()
	r.mu.Lock()
	for _, c := range r.conns {
		c.Close()
	}
	r.mu.Unlock()
	r.all.Wait()
}

func (r *Relay) accept(socket string) {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := (&net.Dialer{}).DialContext(context.Background(), "unix", socket)
		if err != nil {
			client.Close()
			continue
		}
		r.mu.Lock()
		r.conns = append(r.conns, client, server)
		r.mu.Unlock()
		r.all.Go(func() { r.copy(server, client) })
		r.all.Go(func() { r.copy(client, server) })
	}
}

// copy ends what it writes to with what it reads from.
func (r *Relay) copy(to io.WriteCloser, from io.Reader) {
	defer to.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		r.mu.Lock()
		if !r.silent {
			_, err = to.Write(b[:n])
		}
		r.mu.Unlock()
		if err != nil {
			return
		}
	}
}
