package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ciscora/config"
	"ciscora/est"
	"ciscora/est/capf"
	"ciscora/ra/admin"
	"ciscora/ra/ledger/ledgertest"
	"ciscora/ra/server"
)

// running is an RA that the test ends.
type running struct {
	*server.Server
	served atomic.Int64 // answers
	cancel context.CancelFunc
	done   chan struct{}
	err    error // of Run, once done is closed
}

func (s *site) start(cfg *config.RA) *running {
	s.t.Helper()
	r := &running{done: make(chan struct{})}
	var err error
	r.Server, err = server.New(s.t.Context(), cfg, server.Options{Logger: s.log, Events: func(_ context.Context, e any) {
		if _, ok := e.(est.Answered); ok {
			r.served.Add(1)
		}
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(context.Background())
	go func() {
		defer close(r.done)
		r.err = r.Run(ctx)
	}()
	s.t.Cleanup(func() { r.stop(s.t) })
	return r
}

// stop is SIGTERM, and waits for the end.
func (r *running) stop(t testing.TB) {
	t.Helper()
	r.cancel()
	<-r.done
	if r.err != nil {
		t.Error(r.err)
	}
}

// readiness asks a page of the admin port; false where nobody answers.
func (s *site) readiness(r *running, page string) (ready admin.Readiness, ok bool) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+r.AdminAddr().String()+page, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return ready, false
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&ready); err != nil {
		s.t.Fatal(err)
	}
	if ready.Ready != (resp.StatusCode == http.StatusOK) || !ready.Ready && resp.StatusCode != http.StatusServiceUnavailable {
		s.t.Errorf("%s: %s, and ready is %v", page, resp.Status, ready.Ready)
	}
	return ready, true
}

func TestAnRAThatIsEndedSaysSoBeforeItsPortsClose(t *testing.T) {
	s := newSite(t)
	cfg := s.load("admin: {listen: \"127.0.0.1:0\"}\n")
	cfg.EST.DrainDelay = 2 * time.Second
	r := s.start(cfg)
	await(t, func() bool { ready, _ := s.readiness(r, "/servingz"); return ready.Ready })
	await(t, func() bool { ready, _ := s.readiness(r, "/readyz"); return ready.Ready })
	began := time.Now()
	r.cancel()
	for _, page := range []string{"/servingz", "/readyz"} {
		await(t, func() bool { ready, ok := s.readiness(r, page); return ok && !ready.Ready && ready.Reason != "" })
	}
	if status, _ := s.get("http://" + r.AdminAddr().String() + "/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d: it is alive", status)
	}
	csr, _ := newCSR(t, "phone")
	if status, _, body := s.post("https://"+r.ESTAddr().String()+"/.well-known/est/simpleenroll", csr); status != http.StatusOK {
		t.Errorf("a client that the balancer still sends: %d %s", status, body)
	}
	<-r.done
	if took := time.Since(began); took < cfg.EST.DrainDelay {
		t.Errorf("its ports closed after %v", took)
	}
	if c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.ESTAddr().String()); err == nil {
		c.Close()
		t.Error("its port is open after its end")
	}
}

// Three replicas behind deploy/haproxy.cfg are replaced one after the other, while 50
// clients enroll without a pause worth the name.
func TestARollingRestartBehindHAProxyCostsNoClientAnError(t *testing.T) {
	const clients, replicas = 50, 3
	s := newSite(t)
	database := ledgertest.StartPostgres(t)
	all := make([]*running, replicas)
	configs := make([]*config.RA, replicas)
	for i := range all {
		cfg := s.load("profile: modern\nadmin: {listen: \"127.0.0.1:0\"}\nledger: {dsn: \"" + database.DSN + "\"}\nlogs: {files: {nginx: \"\", ciscora: \"\"}}\n")
		cfg.EST.ProxyProtocol, cfg.EST.DrainDelay = []string{"127.0.0.1/32"}, 5*time.Second
		// A port of its own that stays the same over a restart: each process of this
		// test has other addresses, and each replica one.
		address := fmt.Sprintf("127.%d.%d.%d", 100+os.Getpid()%100, os.Getpid()/100%250, i+1)
		cfg.EST.Listen, cfg.Admin.Listen = net.JoinHostPort(address, "18084"), net.JoinHostPort(address, "18085")
		configs[i] = cfg
		all[i] = s.start(cfg)
		await(t, func() bool { ready, _ := s.readiness(all[i], "/servingz"); return ready.Ready })
	}
	address := haproxy(t, s, all[0].Server, all[1].Server, all[2].Server)

	ctx, stop := context.WithCancel(t.Context())
	var done sync.WaitGroup
	var enrolled atomic.Int64
	for i := range clients {
		done.Go(func() {
			phone := s.phone(address)
			for n := 0; ctx.Err() == nil; n++ {
				csr, _ := newCSR(t, fmt.Sprintf("SEP%06X%06X", i, n))
				// Not ctx: what was begun is a client's business, whenever the test ends.
				if result := phone.Enroll(t.Context(), "phone", csr); result.RV != capf.StatusNone {
					t.Errorf("client %d: %v %v", i, result.RV, result.Err)
					return
				}
				enrolled.Add(1)
				select {
				case <-time.After(500 * time.Millisecond): // a client's own work
				case <-ctx.Done():
				}
			}
		})
	}
	began := time.Now()
	for i := range all {
		all[i].stop(t)
		all[i] = s.start(configs[i])
		// The next one goes when the balancer has this one back.
		await(t, func() bool { return all[i].served.Load() > 0 || t.Failed() })
	}
	t.Logf("%d enrollments by %d clients in %v, three replicas replaced", enrolled.Load(), clients, time.Since(began).Round(time.Second/10))
	stop()
	done.Wait()
}
