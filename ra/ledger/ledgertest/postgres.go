// Package ledgertest starts a PostgreSQL for tests, on a socket of its own.
package ledgertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"ciscora/internal/peertest"
)

// Postgres is a PostgreSQL server of a test, or of many.
type Postgres struct {
	// DSN is the ledger's.
	DSN string

	bin       string
	dir       string
	database  string              // "" = postgres
	user      *syscall.Credential // nil: this process's own
	databases atomic.Int64
}

// ErrNotInstalled says that this machine has no PostgreSQL.
var ErrNotInstalled = errors.New("PostgreSQL is not installed")

// StartPostgres starts a server with an empty database; it ends with the test.
// Where PostgreSQL is not installed the test is skipped, or fails with
// RA_PEERS=required.
func StartPostgres(t testing.TB) *Postgres { t.Helper(); return StartPostgresIn(t, "") }

// StartPostgresIn has its folder in another one than that for temporary files.
func StartPostgresIn(t testing.TB, parent string) *Postgres {
	t.Helper()
	peertest.Wanted(t)
	p, err := newIn(parent)
	need(t, err)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func need(t testing.TB, err error) {
	t.Helper()
	switch {
	case errors.Is(err, ErrNotInstalled):
		peertest.Missing(t, "%v", err)
	case err != nil:
		t.Fatal(err)
	}
}

// Server is one server for all tests of a process: to start it takes longer than
// most of them. Its zero value has not been started.
type Server struct {
	once sync.Once
	p    *Postgres
	err  error
}

// Database returns the DSN of a new empty database; see [StartPostgres] for where
// there is none.
func (s *Server) Database(t testing.TB) string { t.Helper(); return s.Postgres(t).DSN }

// Postgres returns the server with a new empty database, for a test that leaves the server
// itself alone; see [StartPostgres] for where there is none.
func (s *Server) Postgres(t testing.TB) *Postgres {
	t.Helper()
	peertest.Wanted(t)
	s.once.Do(func() { s.p, s.err = New() })
	need(t, s.err)
	name := fmt.Sprintf("test%d", s.p.databases.Add(1))
	if err := s.p.command("createdb", "-h", s.p.dir, "-U", userName, name); err != nil {
		t.Fatal(err)
	}
	return &Postgres{DSN: s.p.dsn(name), bin: s.p.bin, dir: s.p.dir, user: s.p.user, database: name}
}

// Close ends the server, if there is one.
func (s *Server) Close() error {
	if s.p == nil {
		return nil
	}
	return s.p.Close()
}

const userName = "ledger"

// New starts a server, which is the caller's to close.
func New() (*Postgres, error) { return newIn("") }

func newIn(parent string) (_ *Postgres, err error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		if path, err := exec.LookPath("initdb"); err == nil {
			found = []string{path}
		}
	}
	if len(found) == 0 {
		return nil, ErrNotInstalled
	}
	slices.Sort(found)
	p := &Postgres{bin: filepath.Dir(found[len(found)-1])}
	if os.Geteuid() == 0 { // PostgreSQL does not run as root
		if p.user, err = account(); err != nil {
			return nil, err
		}
	}
	if err := p.makeDir(parent); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(p.dir))
		}
	}()
	if err := p.command("initdb", "-D", p.data(), "-U", userName, "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"); err != nil {
		return nil, err
	}
	p.DSN = p.dsn("postgres")
	if err := p.start(); err != nil {
		return nil, err
	}
	return p, nil
}

// StartStandby starts a server that follows this one; it ends with the test.
func (p *Postgres) StartStandby(t testing.TB) *Postgres {
	t.Helper()
	standby, err := p.standby()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := standby.Close(); err != nil {
			t.Error(err)
		}
	})
	return standby
}

func (p *Postgres) standby() (_ *Postgres, err error) {
	s := &Postgres{bin: p.bin, user: p.user}
	if err := s.makeDir(""); err != nil {
		return nil, err
	}
	s.DSN = s.dsn("postgres")
	err = p.command("pg_basebackup", "-h", p.dir, "-U", userName, "-D", s.data(), "-R", "-c", "fast", "--no-sync")
	if err == nil {
		err = s.start()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	return s, nil
}

// Promote makes a standby the one that is written.
func (p *Postgres) Promote(t testing.TB) {
	t.Helper()
	if err := p.command("pg_ctl", "-D", p.data(), "-w", "promote"); err != nil {
		t.Fatal(err)
	}
}

// makeDir makes the server's folder.
func (p *Postgres) makeDir(parent string) (err error) {
	if p.dir, err = os.MkdirTemp(parent, "pg"); err != nil { // a socket's path may have 107 bytes, and a test's folder has a long one
		return err
	}
	if p.user != nil {
		return os.Chown(p.dir, int(p.user.Uid), int(p.user.Gid))
	}
	return nil
}

func (p *Postgres) dsn(database string) string {
	return "postgres:///" + database + "?" + url.Values{"host": {p.dir}, "user": {userName}}.Encode()
}

// Close ends the server and removes all of it.
func (p *Postgres) Close() error {
	_ = p.stop("immediate") // it may be stopped already
	return os.RemoveAll(p.dir)
}

func account() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			continue
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("there is no account to run PostgreSQL under")
}

// Socket is where it listens.
func (p *Postgres) Socket() string { return filepath.Join(p.dir, ".s.PGSQL.5432") }

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// Start starts the server again, and returns when it answers.
func (p *Postgres) Start(t testing.TB) {
	t.Helper()
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
}

func (p *Postgres) start() error {
	options := fmt.Sprintf("-c listen_addresses='' -c unix_socket_directories='%s' -c fsync=off -c max_connections=100", p.dir)
	return p.command("pg_ctl", "-D", p.data(), "-w", "-l", filepath.Join(p.dir, "log"), "-o", options, "start")
}

// Stop ends the server and all its connections at once, as a crash does.
func (p *Postgres) Stop(t testing.TB) {
	t.Helper()
	if err := p.stop("immediate"); err != nil {
		t.Fatal(err)
	}
}

// Restart is an orderly one, which does not wait for clients.
func (p *Postgres) Restart(t testing.TB) {
	t.Helper()
	if err := p.stop("fast"); err != nil {
		t.Fatal(err)
	}
	p.Start(t)
}

// Running tells whether there is a server now: one whose disk was full may have ended.
func (p *Postgres) Running() bool { return p.command("pg_ctl", "-D", p.data(), "status") == nil }

// Signal sends a signal to the server and all its processes (Linux).
func (p *Postgres) Signal(t testing.TB, signal syscall.Signal) {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(p.data(), "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(file), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(pid, signal)
	for _, text := range strings.Fields(string(children)) {
		child, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		_ = syscall.Kill(child, signal) // one of them may have ended just now
	}
}

func (p *Postgres) stop(mode string) error {
	return p.command("pg_ctl", "-D", p.data(), "-w", "-m", mode, "stop")
}

func (p *Postgres) command(name string, args ...string) error {
	// Not the test's context: the server is stopped after that has ended.
	cmd := exec.CommandContext(context.Background(), filepath.Join(p.bin, name), args...) //nolint:gosec // the test's own
	cmd.Dir = p.dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if name == "pg_ctl" {
		// The server inherits them, and would keep a pipe open.
		cmd.Stdout, cmd.Stderr = nil, nil
	}
	if p.user != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.user}
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", name, args, err, out.String())
	}
	return nil
}
