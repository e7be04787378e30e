package server_test

import (
	"crypto/ecdsa"
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"ciscora/ra/ledger/ledgertest"
	"ciscora/ra/server"
)

// A PostgreSQL whose packets are dropped at the start, as behind a firewall: the chain is
// served from the first second, one line says what is wrong, and it heals by itself.
func TestAnRAWhoseLedgerIsSilentAtTheStartServesTheChainAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	database := postgres.Postgres(t)
	relay := database.Relay(t)
	relay.SetSilent(true)
	cfg := s.load("profile: modern\nadmin: {listen: \"127.0.0.1:0\"}\nledger: {dsn: \"" + relay.DSN + "\"}\n")
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
	relay.SetSilent(false)
	await(t, func() bool { ready, _ := s.readiness(r, "/readyz"); return ready.Ready })
	csr, _ := newCSR(t, "phone")
	if status, _, body := s.post("https://"+r.ESTAddr().String()+"/.well-known/est/simpleenroll", csr); status != http.StatusOK {
		t.Errorf("once it is back: %d %s", status, body)
	}
}

// The first host's link goes down, the standby is promoted: clients are told to come back,
// and served by the standby.
func TestAfterAFailoverOfPostgreSQLClientsAreServedAgain(t *testing.T) {
	s := newSite(t)
	primary := ledgertest.StartPostgres(t)
	standby := primary.StartStandby(t)
	first := primary.Relay(t)
	r := s.start(s.load("profile: modern\nadmin: {listen: \"127.0.0.1:0\"}\nledger: {dsn: \"" + ledgertest.Through(first, standby.Relay(t)) + "\"}\n"))
	url := "https://" + r.ESTAddr().String() + "/.well-known/est/simpleenroll"
	var keys []*ecdsa.PrivateKey
	enroll := func(csr []byte) bool {
		status, header, body := s.post(url, csr)
		if status != http.StatusOK && (status != http.StatusServiceUnavailable && status != http.StatusAccepted || header.Get("Retry-After") == "") {
			t.Errorf("%d %q", status, body)
		}
		return status == http.StatusOK
	}
	for i := range 10 {
		csr, key := newCSR(t, fmt.Sprint("before", i))
		keys = append(keys, key)
		await(t, func() bool { return enroll(csr) })
	}
	first.SetSilent(true)
	standby.Promote(t)
	promoted := time.Now()
	asked := 0
	await(t, func() bool { // a client each: one whose row hangs between two servers may be told 202 for two minutes
		csr, key := newCSR(t, fmt.Sprint("after", asked))
		keys = append(keys, key)
		asked++
		return enroll(csr)
	})
	took := time.Since(promoted)
	t.Logf("served %v after the promotion, at try %d", took.Round(time.Second/10), asked)
	if took > 5*time.Second {
		t.Errorf("served %v after the promotion", took)
	}
	for i, key := range keys {
		if n, served := len(s.issuedFor(key)), i < 10 || i == len(keys)-1; n > 1 || served && n == 0 {
			t.Errorf("client %d: %d certificates", i, n)
		}
	}
}

// startNewer is a PostgreSQL with a ledger of a version that nobody has written yet.
func startNewer(t *testing.T) *ledgertest.Postgres {
	t.Helper()
	database := ledgertest.StartPostgres(t)
	db, err := sql.Open("pgx", database.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE ledger_version (version INTEGER NOT NULL); INSERT INTO ledger_version VALUES (99)`); err != nil {
		t.Fatal(err)
	}
	return database
}

func TestALedgerOfANewerVersionEndsTheRAWithTheReason(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	database := startNewer(t)
	srv, err := server.New(t.Context(), s.load("admin: {listen: \"\"}\nledger:\n  dsn: \""+database.DSN+"\"\n"), server.Options{Logger: s.log})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "ra.yaml:5:3: ledger.dsn: ") || !strings.Contains(err.Error(), "schema 99, this one knows 5") {
		t.Errorf("Run = %v", err)
	}
}

// What is wrong may change while the RA waits: the later reason is told, too.
func TestALedgerOfANewerVersionIsToldAfterARefusal(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	database := startNewer(t)
	database.Stop(t)
	r := s.start(s.load("profile: modern\nadmin: {listen: \"127.0.0.1:0\"}\nledger: {dsn: \"" + database.DSN + "\"}\n"))
	const line = "could not reach the ledger"
	lines := func(what string) (n int) {
		for _, l := range s.logs.FilterMessageSnippet(line).All() {
			if strings.Contains(fmt.Sprint(l.ContextMap()), what) {
				n++
			}
		}
		return n
	}
	await(t, func() bool { return s.logs.FilterMessageSnippet(line).Len() == 1 })
	if n := lines("schema 99"); n != 0 {
		t.Errorf("%d lines of a version before there is a server", n)
	}
	database.Start(t)
	const want = "was written by a newer version of ra (schema 99, this one knows 5): use that version, or another ledger"
	await(t, func() bool {
		ready, _ := s.readiness(r, "/readyz")
		return !ready.Ready && strings.Contains(ready.Reason, want)
	})
	await(t, func() bool { return lines(want) == 1 })
	if ready, _ := s.readiness(r, "/servingz"); ready.Ready {
		t.Error("/servingz: no client is served here, whatever comes")
	}
}

// Two replicas whose configurations differ in what decides about certificates say so both.
func TestReplicasThatAreNotAlikeSayIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	database := postgres.Postgres(t)
	text := "profile: modern\nadmin: {listen: \"127.0.0.1:0\"}\nledger: {dsn: \"" + database.DSN + "\"}\n"
	one, other := s.load(text), s.load(text)
	other.CA.Template, other.CA.TemplateCheck = "Another", "list"
	for _, r := range []*running{s.start(one), s.start(other)} {
		await(t, func() bool {
			ready, _ := s.readiness(r, "/readyz?verbose")
			return len(ready.Warnings) == 1 && strings.Contains(ready.Warnings[0], " have not the same ca.template, ca.template_check: ")
		})
		if ready, _ := s.readiness(r, "/readyz"); len(ready.Warnings) != 0 {
			t.Error("/readyz tells warnings that nobody asked for")
		}
	}
	if n := s.logs.FilterMessageSnippet("have not the same ca.template").Len(); n != 2 {
		t.Errorf("%d lines in the log, want one of each", n)
	}
}
