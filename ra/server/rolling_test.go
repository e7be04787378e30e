package server_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
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

// A PostgreSQL whose packets are dropped at the start, as behind a firewall: the chain is
// served from the first second, one line says what is wrong, and it heals by itself.
func TestAnRAWhoseLedgerIsSilentAtTheStartServesTheChainAtOnce(t *testing.T) {
	s := newSite(t)
	database := ledgertest.StartPostgres(t)
	dsn, err := url.Parse(database.DSN)
	if err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // nobody accepts, the kernel does
	if err != nil {
		t.Fatal(err)
	}
	var relayed sync.WaitGroup
	t.Cleanup(relayed.Wait)
	t.Cleanup(func() { l.Close() })
	cfg := s.load("profile: modern\nadmin: {listen: \"127.0.0.1:0\"}\nledger: {dsn: \"postgres://ledger@" + l.Addr().String() + "/postgres?sslmode=disable\"}\n")
	began := time.Now()
	r := s.start(cfg)
	await(t, func() bool {
		status, _ := s.get("https://" + r.ESTAddr().String() + "/.well-known/est/cacerts")
		return status == http.StatusOK
	})
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("/cacerts came after %v", took)
	}
	await(t, func() bool {
		ready, _ := s.readiness(r, "/readyz")
		return strings.Contains(ready.Reason, "the ledger cannot be used")
	})
	if ready, _ := s.readiness(r, "/servingz"); !ready.Ready {
		t.Errorf("/servingz: %s: it can serve the chain, and say 503", ready.Reason)
	}
	await(t, func() bool { // two more looks
		return s.logs.FilterMessageSnippet("could not reach the ledger").Len() > 0 && time.Since(began) > 10*time.Second
	})
	if n := s.logs.FilterMessageSnippet("could not reach the ledger").Len(); n != 1 {
		t.Errorf("%d lines say that the ledger is away", n)
	}
	relayed.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			server, err := (&net.Dialer{}).DialContext(context.Background(), "unix", filepath.Join(dsn.Query().Get("host"), ".s.PGSQL.5432"))
			if err != nil {
				c.Close()
				continue
			}
			relayed.Go(func() { _, _ = io.Copy(server, c); server.Close() })
			relayed.Go(func() { _, _ = io.Copy(c, server); c.Close() })
		}
	})
	await(t, func() bool { ready, _ := s.readiness(r, "/readyz"); return ready.Ready })
	csr, _ := newCSR(t, "phone")
	if status, _, body := s.post("https://"+r.ESTAddr().String()+"/.well-known/est/simpleenroll", csr); status != http.StatusOK {
		t.Errorf("once it is back: %d %s", status, body)
	}
	r.stop(t)
}

func TestALedgerOfANewerVersionEndsTheRAWithTheReason(t *testing.T) {
	s := newSite(t)
	database := ledgertest.StartPostgres(t)
	db, err := sql.Open("pgx", database.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE ledger_version (version INTEGER NOT NULL); INSERT INTO ledger_version VALUES (99)`); err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(t.Context(), s.load("admin: {listen: \"\"}\nledger:\n  dsn: \""+database.DSN+"\"\n"), server.Options{Logger: s.log})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "ra.yaml:5:3: ledger.dsn: ") || !strings.Contains(err.Error(), "schema 99, this one knows 4") {
		t.Errorf("Run = %v", err)
	}
}

// Two replicas whose configurations differ in what decides about certificates say so both.
func TestReplicasThatAreNotAlikeSayIt(t *testing.T) {
	s := newSite(t)
	database := ledgertest.StartPostgres(t)
	text := "profile: modern\nadmin: {listen: \"127.0.0.1:0\"}\nledger: {dsn: \"" + database.DSN + "\"}\n"
	one, other := s.load(text), s.load(text)
	other.CA.Template = "Another"
	for _, r := range []*running{s.start(one), s.start(other)} {
		await(t, func() bool {
			ready, _ := s.readiness(r, "/readyz?verbose")
			return len(ready.Warnings) == 1 && strings.Contains(ready.Warnings[0], " have not the same ca.template: ")
		})
		if ready, _ := s.readiness(r, "/readyz"); len(ready.Warnings) != 0 {
			t.Error("/readyz tells warnings that nobody asked for")
		}
	}
	if n := s.logs.FilterMessageSnippet("have not the same ca.template").Len(); n != 2 {
		t.Errorf("%d lines in the log, want one of each", n)
	}
}
