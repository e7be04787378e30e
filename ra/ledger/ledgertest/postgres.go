// Package ledgertest starts a PostgreSQL for tests, on a socket of its own.
package ledgertest

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
)

// Postgres is a PostgreSQL server of one test.
type Postgres struct {
	// DSN is the ledger's.
	DSN string

	t    testing.TB
	bin  string
	dir  string
	user *syscall.Credential // nil: this process's own
}

// StartPostgres starts a server with an empty database; it ends with the test.
// Where PostgreSQL is not installed the test is skipped, or fails with
// RA_PEERS=required.
func StartPostgres(t testing.TB) *Postgres {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		if path, err := exec.LookPath("initdb"); err == nil {
			found = []string{path}
		}
	}
	if len(found) == 0 {
		if os.Getenv("RA_PEERS") == "required" {
			t.Fatal("PostgreSQL is not installed")
		}
		t.Skip("PostgreSQL is not installed")
	}
	slices.Sort(found)
	dir, err := os.MkdirTemp("", "pg") //nolint:usetesting // a socket's path may have 107 bytes, and t.TempDir's is long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &Postgres{t: t, bin: filepath.Dir(found[len(found)-1]), dir: dir}
	name := "ledger"
	if os.Geteuid() == 0 { // PostgreSQL does not run as root
		p.user = account(t)
		if err := os.Chown(dir, int(p.user.Uid), int(p.user.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	p.run("initdb", "-D", p.data(), "-U", name, "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
	query := url.Values{"host": {dir}, "user": {name}}
	p.DSN = "postgres:///postgres?" + query.Encode()
	p.Start()
	t.Cleanup(func() { _ = p.stop("immediate") }) // it may be stopped already
	return p
}

func account(t testing.TB) *syscall.Credential {
	t.Helper()
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
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	t.Fatal("there is no account to run PostgreSQL under")
	return nil
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// Start starts the server, and returns when it answers.
func (p *Postgres) Start() {
	p.t.Helper()
	options := fmt.Sprintf("-c listen_addresses='' -c unix_socket_directories='%s' -c fsync=off -c max_connections=100", p.dir)
	p.run("pg_ctl", "-D", p.data(), "-w", "-l", filepath.Join(p.dir, "log"), "-o", options, "start")
}

// Stop ends the server and all its connections at once, as a crash does.
func (p *Postgres) Stop() {
	p.t.Helper()
	if err := p.stop("immediate"); err != nil {
		p.t.Fatal(err)
	}
}

func (p *Postgres) stop(mode string) error {
	return p.command("pg_ctl", "-D", p.data(), "-w", "-m", mode, "stop")
}

func (p *Postgres) run(name string, args ...string) {
	p.t.Helper()
	if err := p.command(name, args...); err != nil {
		p.t.Fatal(err)
	}
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
