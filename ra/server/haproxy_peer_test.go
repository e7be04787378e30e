package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"ciscora/internal/peertest"
	"ciscora/ra/server"
)

// balancer is HAProxy with deploy/haproxy.cfg.
type balancer struct {
	t       *testing.T
	program string
	config  string
	stop    func()
}

// behind are a replica's ports.
type behind struct{ est, admin string }

// newBalancer writes the configuration, for a balancer at an address and these replicas.
func newBalancer(t *testing.T, s *site, address string, replicas ...behind) *balancer {
	t.Helper()
	program := peertest.Program(t, "haproxy")
	text, err := os.ReadFile("../../deploy/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	replaced := string(text)
	replace := func(old, with string) {
		t.Helper()
		if !strings.Contains(replaced, old) {
			t.Fatalf("deploy/haproxy.cfg has no %q", old)
		}
		replaced = strings.ReplaceAll(replaced, old, with)
	}
	replace("bind :8084", "bind "+address)
	replace("  server ra-1 ra-1:8084 port 8085\n", "")
	servers := ""
	for i, r := range replicas {
		host, port, err := net.SplitHostPort(r.admin)
		if err != nil {
			t.Fatal(err)
		}
		servers += fmt.Sprintf("  server ra-%d %s addr %s port %s\n", i+1, r.est, host, port)
	}
	replace("  server ra-2 ra-2:8084 port 8085\n", servers)
	s.write("haproxy.cfg", []byte(replaced))
	b := &balancer{t: t, program: program, config: filepath.Join(s.dir, "haproxy.cfg"), stop: func() {}}
	t.Cleanup(func() { b.stop() })
	return b
}

// start starts it; inherited are the sockets from fd@3 on. stop kills it.
func (b *balancer) start(inherited ...*os.File) {
	b.t.Helper()
	t := b.t
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, b.program, "-db", "-f", b.config)
	cmd.ExtraFiles = inherited
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b.stop = sync.OnceFunc(func() {
		stop()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("haproxy: %s", said.String())
		}
	})
}

// haproxy runs a balancer in front of one RA.
func haproxy(t *testing.T, s *site, r *server.Server) string {
	t.Helper()
	// It inherits the socket: a port that was merely free may be another's by now.
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	newBalancer(t, s, "fd@3", behind{r.ESTAddr().String(), r.AdminAddr().String()}).start(socket)
	return l.Addr().String()
}

// cacerts asks for the chain from an address of this machine.
func (s *site) cacerts(from, address string) error {
	dial := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: s.ca.Roots, MinVersion: tls.VersionTLS12},
		DialContext: dial.DialContext,
	}
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "https://"+address+"/.well-known/est/cacerts", nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	return err
}

func TestTwoClientsBehindHAProxyAreTwoClients(t *testing.T) {
	s := newSite(t)
	cfg := s.load("admin: {listen: \"127.0.0.1:0\"}\n")
	cfg.EST.ProxyProtocol, cfg.EST.Limits.PerClient = []string{"127.0.0.1/32"}, 1
	srv := s.run(cfg)
	settled(t, srv)
	address := haproxy(t, s, srv)
	clients := func() (all []string) {
		for _, line := range s.logs.FilterMessage("request").All() {
			host, _, _ := net.SplitHostPort(line.ContextMap()["client"].(string))
			all = append(all, host)
		}
		return all
	}
	for _, from := range []string{"127.0.0.2", "127.0.0.3"} {
		if err := s.cacerts(from, address); err != nil {
			t.Fatalf("%s: %v", from, err)
		}
		if all := clients(); len(all) == 0 || all[len(all)-1] != from {
			t.Errorf("the log has %q, want %s last", all, from)
		}
	}
	// What one has too much of, the other still has.
	var busy net.Conn
	defer func() { busy.Close() }()
	await(t, func() bool { // the connection before this one may not have ended so far
		var err error
		if busy, err = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.2")}}).DialContext(t.Context(), "tcp", address); err != nil {
			t.Fatal(err)
		}
		if s.cacerts("127.0.0.2", address) != nil {
			return true
		}
		busy.Close()
		return false
	})
	if err := s.cacerts("127.0.0.3", address); err != nil {
		t.Errorf("127.0.0.3: %v", err)
	}
	// Without the balancer nobody speaks for others; who is not in its network needs not.
	if err := s.cacerts("127.0.0.1", srv.ESTAddr().String()); err == nil {
		t.Error("a connection from the balancer's network without a header was served")
	}
	if err := s.cacerts("127.0.0.4", srv.ESTAddr().String()); err != nil {
		t.Errorf("127.0.0.4: %v", err)
	}
}
