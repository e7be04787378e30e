package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ciscora/msca/certsrv"
	"ciscora/ra/admin"
	"ciscora/ra/ledger/ledgertest"
)

// rig is replicas, each a process, between clients, a CA and a database; all but the
// clients' connections go through relays.
type rig struct {
	*site
	pg     *ledgertest.Postgres // nil: SQLite
	admin  *sql.DB              // of the database, past the relays
	relays []*ledgertest.Relay  // to the database, one a replica
	caLink *ledgertest.Relay

	read      string // the DSN by which the test reads the ledger
	configs   []string
	program   string // what the replicas are; this test
	successor string // the build of it that plays the next version
	disk      string // what rigOptions say
	balancer  *balancer
	front     string // the balancer that clients go through; "" = they choose a replica
	serial    atomic.Int64

	mu  sync.Mutex // guards all
	all []*replica
}

// rigOptions is what differs from three replicas on one PostgreSQL.
type rigOptions struct {
	dsns   []string // of each replica; nil: by a relay of its own to a new PostgreSQL
	read   string   // the DSN by which the test reads the ledger
	change func(i int, config string) string
	disk   string // the file system that the ledger is on; "" = the usual one
}

const rigReplicas = 3

func newRig(t *testing.T, o rigOptions) *rig {
	t.Helper()
	x := &rig{program: os.Args[0], read: o.read, disk: o.disk, site: newSite(t, func(o *certsrv.Options) {
		o.Templates = append(o.Templates, certsrv.Template{Name: "Another", SubjectFromRequest: true})
	})}
	x.caLink = ledgertest.NewRelay(t, "tcp", strings.TrimSuffix(strings.TrimPrefix(x.ca.URL, "https://"), "/certsrv"))
	x.ca.URL = "https://" + x.caLink.Address + "/certsrv"
	if o.dsns == nil {
		x.pg = ledgertest.StartPostgresIn(t, o.disk)
		x.read = x.usual(t)
		for range rigReplicas {
			relay := x.pg.Relay(t)
			x.relays = append(x.relays, relay)
			o.dsns = append(o.dsns, throughAsRA(relay))
		}
	}
	for i, dsn := range o.dsns {
		x.configs = append(x.configs, x.config(fmt.Sprintf("ra-%d.yaml", i), dsn, ""))
	}
	if o.change != nil {
		for i, path := range x.configs {
			x.rewrite(path, func(text string) string { return o.change(i, text) })
		}
	}
	x.all = make([]*replica, len(x.configs))
	x.each(x.start)
	return x
}

// usual makes the account and the database that the RA has, and returns their DSN.
func (x *rig) usual(t *testing.T) string {
	t.Helper()
	var err error
	if x.admin, err = sql.Open("pgx", x.pg.DSN); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.admin.Close() })
	x.sql(t, `CREATE ROLE ra LOGIN`)
	x.sql(t, `CREATE DATABASE ra OWNER ra`)
	return strings.ReplaceAll(x.pg.DSN, "postgres:///postgres", "postgres:///ra")
}

// throughAsRA is the DSN by relays, for the account of the RA.
func throughAsRA(relays ...*ledgertest.Relay) string {
	dsn := strings.Replace(ledgertest.Through(relays...), "postgres://ledger@", "postgres://ra@", 1)
	return strings.Replace(dsn, "/postgres?", "/ra?", 1)
}

// config writes a replica's ra.yaml.
func (x *rig) config(name, dsn, more string) string {
	x.t.Helper()
	x.load("profile: modern\nadmin: {listen: \"127.0.0.1:0\"}\nlogs: {files: {nginx: \"\", ciscora: \"\"}}\nledger: {dsn: \"" + dsn + "\"}\n" + more)
	path := filepath.Join(x.dir, name)
	if err := os.Rename(filepath.Join(x.dir, "ra.yaml"), path); err != nil {
		x.t.Fatal(err)
	}
	return path
}

// rewrite changes a replica's ra.yaml.
func (x *rig) rewrite(path string, change func(string) string) {
	x.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		x.t.Fatal(err)
	}
	changed := change(string(text))
	if changed == string(text) {
		x.t.Fatalf("%s is as it was", path)
	}
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		x.t.Fatal(err)
	}
}

// each does something with all replicas at once.
func (x *rig) each(what func(int)) {
	var all sync.WaitGroup
	for i := range x.configs {
		all.Go(func() { what(i) })
	}
	all.Wait()
}

// start starts a replica, which is ready then.
func (x *rig) start(i int) { x.startAs(i, x.configs[i]) }

func (x *rig) startAs(i int, config string, environment ...string) {
	r := startReplicaOf(x.t, x.program, config, "", environment...)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.all[i] = r
}

// targets is where clients go.
func (x *rig) targets() (addresses []string) {
	if x.front != "" {
		return []string{x.front}
	}
	for _, r := range x.replicas() {
		addresses = append(addresses, r.address)
	}
	return addresses
}

func (x *rig) replicas() []*replica {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.all)
}

// kill is kill -9.
func (x *rig) kill(i int) { x.replicas()[i].kill() }

// term is SIGTERM, and waits for the end.
func (x *rig) term(i int) {
	x.signal(i, syscall.SIGTERM)
	_ = x.replicas()[i].cmd.Wait()
}

func (x *rig) signal(i int, s syscall.Signal) { _ = x.replicas()[i].cmd.Process.Signal(s) }

func (x *rig) sql(t *testing.T, text string) {
	t.Helper()
	if _, err := x.admin.ExecContext(t.Context(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// endConnections ends those of all replicas.
func (x *rig) endConnections(t *testing.T) {
	t.Helper()
	x.sql(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'ra' AND usename = 'ra'`)
}

// inTransaction runs statements in one of the RA's database, and leaves it open.
func (x *rig) inTransaction(t *testing.T, statements ...string) (end func()) {
	t.Helper()
	db, err := sql.Open("pgx", x.read)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range statements {
		if _, err := tx.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	end = sync.OnceFunc(func() {
		_ = tx.Rollback()
		db.Close()
	})
	t.Cleanup(end)
	return end
}

// warned tells whether a replica's /readyz?verbose says such a thing.
func (x *rig) warned(i int, what string) bool { return x.says(i, "/readyz?verbose", what) }

// says tells whether a page of a replica's admin port says such a thing.
func (x *rig) says(i int, page, what string) bool {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+x.replicas()[i].admin+page, nil)
	if err != nil {
		return false
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	var ready admin.Readiness
	body, err := io.ReadAll(resp.Body)
	if err != nil || json.Unmarshal(body, &ready) != nil {
		return false
	}
	return strings.Contains(ready.Reason+" "+strings.Join(ready.Warnings, " "), what)
}

// issued are the certificates that the CA has issued, by key.
func (x *rig) issued(t *testing.T) map[string][]*x509.Certificate {
	t.Helper()
	all := map[string][]*x509.Certificate{}
	for _, request := range x.ca.Server.Requests() {
		if request.Disposition != certsrv.DispositionIssued {
			continue
		}
		c, err := x509.ParseCertificate(request.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		all[string(c.RawSubjectPublicKeyInfo)] = append(all[string(c.RawSubjectPublicKeyInfo)], c)
	}
	return all
}

func keyOf(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(der)
}

// beingFoundOut are the common names whose POST was lost.
func (x *rig) beingFoundOut(t *testing.T) map[string]bool {
	t.Helper()
	driver, address := "pgx", x.read
	if path, ok := strings.CutPrefix(x.read, "sqlite:"); ok {
		driver, address = "sqlite", path
	}
	// Not by the package ledger: a later version may have been here.
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), `SELECT cn FROM requests WHERE state = 'submitted' AND req_id = 0`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	found := map[string]bool{}
	for rows.Next() {
		var cn string
		if err := rows.Scan(&cn); err != nil {
			t.Fatal(err)
		}
		found[cn] = true
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

// outcome is one line of the table.
type outcome struct {
	name                                           string
	csrs, certificates, heldBack, told, errors, by int // by: twice
	gap, recovery                                  time.Duration
}

func (o outcome) String() string {
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %.1f s | %.1f s |", o.name, o.csrs, o.certificates, o.heldBack, o.told, o.errors, o.gap.Seconds(), o.recovery.Seconds())
}

// disaster is one line of the table before it has happened.
type disaster struct {
	name string
	// act lets it happen, and ends it; it returns the moment from which on the replicas
	// are to recover.
	act func(*testing.T, *rig) time.Time
	// within is how long that may take.
	within time.Duration
	// twice: the replicas do not know one request as one, and say so.
	twice bool
	// noErrors: no client meets one; noneTold: nor is told to come back.
	noErrors, noneTold bool
	// alone: its bound is a promise (docs/scale.md), and nothing else runs beside it.
	alone bool
}

const drainPatience = 45 * time.Second // for clients whose CSR is on the way, on a loaded machine

// play lets it happen under load, and checks what is promised.
func (x *rig) play(t *testing.T, d disaster) outcome {
	t.Helper()
	l := x.enrolling()
	stopped := false
	defer func() {
		if !stopped {
			l.stop(t, 0)
		}
	}()
	l.recovered(t, time.Now()) // it is in its stride
	began := time.Now()
	mended := d.act(t, x)
	last := l.recovered(t, mended)
	l.stop(t, drainPatience)
	stopped = true

	o := outcome{
		name: d.name, csrs: len(l.phones), told: l.count(toldToComeBack), errors: l.count(gotError),
		gap: l.gap(began), recovery: last.Sub(mended),
	}
	if d.noErrors && o.errors > 0 || d.noneTold && o.told > 0 {
		t.Errorf("%d client errors, %d clients told to come back", o.errors, o.told)
	}
	if o.recovery > d.within {
		t.Errorf("all replicas served %v after it was over, want %v", o.recovery.Round(time.Second/10), d.within)
	}
	issued, lost := x.issued(t), x.beingFoundOut(t)
	for _, p := range l.phones {
		certificates := issued[keyOf(t, p.key)]
		switch {
		case len(certificates) > 1:
			o.by++
			if !d.twice {
				t.Errorf("%s: the CA has issued %d certificates", p.cn, len(certificates))
			}
		case p.certificate != nil:
			if len(certificates) != 1 || !certificates[0].Equal(p.certificate) {
				t.Errorf("%s: its client has another certificate than the CA issued", p.cn)
			}
			o.certificates++
		case lost[p.cn] && p.told:
			o.heldBack++
		case len(certificates) == 1:
			t.Errorf("%s: its certificate is lost: it is issued, and its client has not got it", p.cn)
		default:
			t.Errorf("%s: its client was not served, and the ledger does not know why", p.cn)
		}
	}
	t.Logf("%d CSRs, %d certificates, %d being found out, %d twice; %d answers to come back, %d client errors; none served for %.1f s, recovered in %.1f s",
		o.csrs, o.certificates, o.heldBack, o.by, o.told, o.errors, o.gap.Seconds(), o.recovery.Seconds())
	return o
}

// caCertificates tells whether a replica serves the chain.
func (x *rig) caCertificates(i int) bool {
	return x.cacerts("127.0.0.1", x.replicas()[i].address) == nil
}
