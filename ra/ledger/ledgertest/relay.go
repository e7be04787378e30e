package ledgertest

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"
)

// Relay leads from a TCP port to a server, until it falls silent: what a client sees of a
// machine that is powered off, or whose packets are dropped.
type Relay struct {
	// DSN is the ledger's by way of this relay; Address is the relay's.
	DSN, Address string

	network, to string
	database    string
	listener    net.Listener
	all         sync.WaitGroup

	mu     sync.Mutex // guards what follows; held while bytes go through
	silent bool
	mute   bool // only what the server says is dropped
	down   bool
	delay  time.Duration
	conns  map[net.Conn]bool

	connecting, most int // connections that have no answer yet, and how many at once
}

// Relay makes a relay, which ends with the test.
func (p *Postgres) Relay(t testing.TB) *Relay {
	t.Helper()
	r := NewRelay(t, "unix", p.Socket())
	if p.database != "" {
		r.database = p.database
		r.DSN = Through(r)
	}
	return r
}

// NewRelay makes one that leads to any server.
func NewRelay(t testing.TB, network, address string) *Relay {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return RelayOn(t, l, network, address)
}

// RelayOn is NewRelay for a port that is open already, in another network namespace maybe.
func RelayOn(t testing.TB, l net.Listener, network, address string) *Relay {
	t.Helper()
	r := &Relay{listener: l, Address: l.Addr().String(), network: network, to: address, database: "postgres", conns: map[net.Conn]bool{}}
	r.DSN = Through(r)
	r.all.Go(r.accept)
	t.Cleanup(r.close)
	return r
}

// Through is the DSN by several relays to one database, in this order.
func Through(relays ...*Relay) string {
	hosts := ""
	for i, r := range relays {
		if i > 0 {
			hosts += ","
		}
		hosts += r.Address
	}
	return "postgres://" + userName + "@" + hosts + "/" + relays[0].database + "?sslmode=disable"
}

// SetSilent drops all that comes from now on, or lets it through again; what was dropped
// is lost.
func (r *Relay) SetSilent(silent bool) { r.set(func() { r.silent = silent }) }

// SetMute drops what the server says, or lets it through again.
func (r *Relay) SetMute(mute bool) { r.set(func() { r.mute = mute }) }

// SetDelay holds each message up for so long, in both directions.
func (r *Relay) SetDelay(d time.Duration) { r.set(func() { r.delay = d }) }

// SetDown ends all connections, and each new one at once, or takes them again.
func (r *Relay) SetDown(down bool) {
	r.set(func() { r.down = down })
	if down {
		r.Cut()
	}
}

func (r *Relay) set(what func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	what()
}

// MostConnecting returns how many connections at once had no answer of the server yet.
func (r *Relay) MostConnecting() (n int) { r.set(func() { n = r.most }); return n }

// Cut ends all connections, with a reset.
func (r *Relay) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		reset(c)
	}
	clear(r.conns)
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // else it is a polite end
	}
	c.Close()
}

func (r *Relay) close() {
	r.listener.Close()
	r.Cut()
	r.all.Wait()
}

func (r *Relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		if !r.begin(client) {
			reset(client)
		}
	}
}

func (r *Relay) begin(client net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return false
	}
	server, err := (&net.Dialer{}).DialContext(context.Background(), r.network, r.to)
	if err != nil {
		return false
	}
	r.conns[client], r.conns[server] = true, true
	r.connecting++
	r.most = max(r.most, r.connecting)
	r.all.Go(func() { r.copy(server, client, false) })
	r.all.Go(func() { r.copy(client, server, true) })
	return true
}

// copy ends what it writes to with what it reads from.
func (r *Relay) copy(to, from net.Conn, answers bool) {
	defer func() {
		to.Close()
		r.set(func() { delete(r.conns, to) })
	}()
	answered := sync.OnceFunc(func() { r.set(func() { r.connecting-- }) })
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if answers {
			answered()
		}
		if err != nil {
			return
		}
		r.mu.Lock()
		delay := r.delay
		r.mu.Unlock()
		if delay > 0 {
			<-time.After(delay)
		}
		r.mu.Lock()
		if !r.silent && (!answers || !r.mute) {
			_, err = to.Write(b[:n])
		}
		r.mu.Unlock()
		if err != nil {
			return
		}
	}
}
