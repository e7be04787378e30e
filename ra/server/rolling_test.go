package server_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"ciscora/config"
	"ciscora/est"
	"ciscora/ra/admin"
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
	t.Parallel()
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
