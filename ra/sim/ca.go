package sim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"ciscora/msca/certsrv"
)

// authority is the CA behind its IIS, reached through memory.
type authority struct {
	*certsrv.Server
	w     *world
	roots *x509.CertPool
	stop  context.CancelFunc
	ended chan error
	conns chan net.Conn
	gone  chan struct{} // closed with the listener
	once  sync.Once

	mu      sync.Mutex // guards all below
	away    int        // > 0: nobody listens
	links   map[string]*linked
	dials   map[string]int
	all     int            // the replicas' dials
	posts   map[int]int    // by wish
	fetches map[int]int    // by wish
	served  map[string]int // answers, by connection
	highest int            // ReqID
}

// linked is a connection: who has it, and its server's end.
type linked struct {
	process *process // nil: others'
	server  *end
	cut     bool
	// unlogged: the log-in is answered with a page, and nobody is logged in.
	unlogged bool
	gone     bool // so is the log-in
}

func newAuthority(w *world) (*authority, error) {
	a := &authority{
		w: w, roots: x509.NewCertPool(), ended: make(chan error, 1), conns: make(chan net.Conn), gone: make(chan struct{}),
		highest: w.plan.firstReqID() - 1,
		links:   map[string]*linked{}, dials: map[string]int{}, posts: map[int]int{}, fetches: map[int]int{}, served: map[string]int{},
	}
	validity := w.plan.validity()
	clientOnly := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	server, err := certsrv.New(certsrv.Options{
		Domain: "LAB", Hosts: []string{"ca.sim.test"}, FirstReqID: w.plan.firstReqID(),
		Users: users(len(w.plan.Wishes)),
		Templates: []certsrv.Template{
			{Name: plainTemplate, SubjectFromRequest: true, MinKeySize: smallRSA, Validity: validity},
			{Name: supervisedTemplate, SubjectFromRequest: true, MinKeySize: smallRSA, Validity: validity, ManagerApproval: true, ExtKeyUsage: clientOnly},
			{Name: directoryTemplate, MinKeySize: smallRSA, Validity: validity, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}},
		},
		Middleware: []func(http.Handler) http.Handler{a.iis},
		Decide:     a.decide,
		TLSConfig: func(c *tls.Config) *tls.Config {
			c.CurvePreferences = []tls.CurveID{tls.X25519} // the cheapest
			return c
		},
	})
	if err != nil {
		return nil, err
	}
	a.Server = server
	a.roots.AddCert(server.Root())
	ctx, cancel := context.WithCancel(context.Background())
	a.stop = cancel
	go func() { a.ended <- server.Serve(ctx, listener{a}) }()
	return a, nil
}

// users are the RA's account and one for each wish.
func users(n int) []certsrv.User {
	list := []certsrv.User{certsrv.NewUser(account, password)}
	hash := list[0].NTHash
	for i := range n {
		list = append(list, certsrv.User{Name: `LAB\` + wishName(i), NTHash: hash})
	}
	return list
}

func (a *authority) close() error {
	a.stop()
	return errors.Join(<-a.ended, a.Close())
}

// dial opens a connection for a replica, or for others.
func (a *authority) dial(ctx context.Context, p *process, g *gate, name string) (net.Conn, error) {
	a.mu.Lock()
	a.dials[name]++
	id := fmt.Sprintf("%s/%d", name, a.dials[name])
	away := a.away > 0
	a.mu.Unlock()
	if away {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	near, far := newConnection(g, func(direction string, n int) time.Duration {
		return a.w.between(time.Millisecond, 8*time.Millisecond, id+direction, n)
	})
	near.local, far.remote = address(id), address(id)
	near.residue = a.w.between(0, time.Millisecond, id+" gate", 0)
	a.mu.Lock()
	l := &linked{process: p, server: far}
	if p != nil {
		a.all++
		l.unlogged = slices.Contains(a.w.plan.Unlogged, a.all)
	}
	a.links[id] = l
	a.mu.Unlock()
	far.closed = func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.links, id)
		delete(a.served, id)
	}
	select {
	case a.conns <- far:
		return near, nil
	case <-a.gone:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (a *authority) linkOf(r *http.Request) *linked {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.links[r.RemoteAddr]
}

func (a *authority) cut(choose func(*linked) bool) {
	var ends []*end
	a.mu.Lock()
	for _, l := range a.links {
		if choose(l) {
			l.cut = true
			ends = append(ends, l.server)
		}
	}
	a.mu.Unlock()
	for _, e := range ends {
		e.cut()
		a.w.actors.Go(func() {
			time.Sleep(a.w.between(0, time.Millisecond, "cut "+e.remote.String(), 0))
			e.wake()
		})
	}
}

// cutProcess breaks the connections of a killed process.
func (a *authority) cutProcess(p *process) { a.cut(func(l *linked) bool { return l.process == p }) }

// recycle is IIS's application pool, or its host, that starts anew.
func (a *authority) recycle(down time.Duration) {
	a.mu.Lock()
	a.away++
	a.mu.Unlock()
	a.cut(func(*linked) bool { return true })
	a.w.sleepUntilCalm(down)
	a.mu.Lock()
	a.away--
	a.mu.Unlock()
}

func (a *authority) isCut(l *linked) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return l == nil || l.cut
}

type postKey struct{}

// posted is a POST of the RA's.
type posted struct {
	wish int
	at   time.Duration
}

// decide is the CA's policy: it knows whose request it is, and what is to become of
// it.
func (a *authority) decide(ctx context.Context, d certsrv.Decision) certsrv.Decision {
	a.mu.Lock()
	a.highest = max(a.highest, d.ReqID)
	a.mu.Unlock()
	post, ok := ctx.Value(postKey{}).(posted)
	if !ok { // others'
		d.Pending = int(a.w.draw("others wait", d.ReqID)%100) < a.w.plan.OthersWait
		return d
	}
	n := post.wish
	wish := a.w.plan.Wishes[n]
	a.w.mu.Lock()
	a.w.history.Owner[d.ReqID], a.w.history.Posted[d.ReqID] = n, post.at
	a.w.mu.Unlock()
	a.w.note("ca", "takes %s as %d", wishName(n), d.ReqID)
	switch {
	case d.Pending:
		a.w.actors.Go(func() { a.manage(d.ReqID, wish) })
	case wish.Verdict == Denied:
		d.HRESULT = 0x80094012 // CERTSRV_E_TEMPLATE_DENIED
	}
	return d
}

// manage is the manager's decision, a few seconds after all has healed at the latest.
func (a *authority) manage(reqID int, wish Wish) {
	a.w.sleepUntilCalm(wish.Decided)
	if !a.w.pause(5*time.Second, "manager", reqID) {
		return
	}
	decide := a.Approve
	if wish.Verdict == Denied {
		decide = a.Deny
	}
	if err := decide(reqID); err != nil {
		a.w.broken("manager: %v", err)
	}
	a.w.note("manager", "%d: %s", reqID, strings.TrimSpace(string(wish.Verdict)+" decided"))
}

type listener struct{ a *authority }

func (l listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.a.conns:
		return c, nil
	case <-l.a.gone:
		return nil, net.ErrClosed
	}
}

func (l listener) Close() error {
	l.a.once.Do(func() { close(l.a.gone) })
	return nil
}

func (l listener) Addr() net.Addr { return address("ca.sim.test:443") }
