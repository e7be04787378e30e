package server_test

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ciscora/est/capf"
	"ciscora/internal/peertest"
	"ciscora/ra/ledger"
	"ciscora/ra/ledger/ledgertest"
)

// Each CSR goes to all replicas at once; one of them is killed on the way. Whose POST
// died with it before it got to the CA is told to come back: two minutes later it is
// known that nothing comes of it any more (ra/sim plays that).
func TestReplicasIssueOneCertificatePerCSRAndServeEveryClient(t *testing.T) {
	clients := peertest.Many("ReplicasIssue", 100, 500)
	for _, replicas := range []int{2, 3} {
		t.Run(fmt.Sprint(replicas, " replicas"), func(t *testing.T) {
			s := newSite(t)
			database := postgres.Postgres(t)
			s.load("profile: modern\nadmin: {listen: \"\"}\nledger: {dsn: \"" + database.DSN + "\"}\n" +
				"logs: {files: {nginx: \"\", ciscora: \"\"}}\n")
			config := filepath.Join(s.dir, "ra.yaml")
			var all []*replica
			for range replicas {
				all = append(all, startReplica(t, config, ""))
			}
			var asked atomic.Int64
			var killOne sync.Once
			type answer struct {
				replica int
				capf.Result
			}
			answers := make([][]answer, clients)
			keys, csrs := make([]*ecdsa.PrivateKey, clients), make([][]byte, clients)
			const atATime = 25
			slots := make(chan struct{}, atATime)
			var done sync.WaitGroup
			for i := range clients {
				csr, key := newCSR(t, fmt.Sprintf("SEP%012X", i))
				keys[i], csrs[i] = key, csr
				slots <- struct{}{}
				done.Go(func() {
					defer func() { <-slots }()
					got := make([]answer, replicas)
					var each sync.WaitGroup
					for n, r := range all {
						each.Go(func() {
							got[n] = answer{n, s.phone(r.address).Enroll(t.Context(), "phone", csr)}
						})
					}
					if asked.Add(1) == int64(clients/2) {
						killOne.Do(all[0].kill)
					}
					each.Wait()
					answers[i] = got
				})
			}
			done.Wait()

			comeBack := 0
			for i, got := range answers {
				issued := s.issuedFor(keys[i])
				told := func(a answer) bool { return a.RV == capf.StatusEnrollRetry && a.RetryAfter > 0 }
				if len(issued) == 0 && !slices.ContainsFunc(got, func(a answer) bool { return a.replica != 0 && !told(a) }) {
					comeBack++
					continue
				}
				if len(issued) != 1 {
					t.Errorf("client %d: the CA has issued %d certificates, want one", i, len(issued))
					continue
				}
				for _, a := range got {
					if a.replica != 0 && told(a) { // it is found out, within two minutes and a poll (docs/scale.md)
						awaitFor(t, 3*time.Minute, func() bool {
							a.Result = s.phone(all[a.replica].address).Enroll(t.Context(), "phone", csrs[i])
							return a.RV == capf.StatusNone
						})
					}
					if a.RV != capf.StatusNone || len(a.Certificates) == 0 {
						if a.replica != 0 { // that one was killed
							t.Errorf("client %d, replica %d: %v %v", i, a.replica, a.RV, a.Err)
						}
						continue
					}
					if !a.Certificates[0].Equal(issued[0]) {
						t.Errorf("client %d, replica %d: another certificate than the CA issued", i, a.replica)
					}
				}
			}
			if comeBack > atATime {
				t.Errorf("%d clients are told to come back, and %d were under way at the kill", comeBack, atATime)
			}
			for _, r := range all {
				r.stop()
			}
			book, err := ledger.Open(t.Context(), database.DSN, ledger.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer book.Close()
			lost, err := book.Lost(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(lost) != comeBack {
				t.Errorf("%d rows are being found out, and %d clients are told to come back", len(lost), comeBack)
			}
			orphans, err := book.List(t.Context(), ledger.Filter{Orphans: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range orphans {
				if !slices.ContainsFunc(lost, func(l ledger.Row) bool { return l.ID == row.ID }) {
					t.Errorf("row %d of %s: %s, uncertain %v", row.ID, row.CN, row.State, row.Uncertain)
				}
			}
		})
	}
}

// A PostgreSQL that is away: enrollments are answered 503, /cacerts goes on, and
// the RA recovers by itself.
func TestAnRAWhoseLedgerIsAwayServesTheChainAndRecovers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	database := ledgertest.StartPostgres(t)
	database.Stop(t)
	srv := s.run(s.load("profile: modern\nadmin: {listen: \"127.0.0.1:0\"}\nledger: {dsn: \"" + database.DSN + "\"}\n"))
	settled(t, srv)
	url := "https://" + srv.ESTAddr().String() + "/.well-known/est/"
	if status, body := s.get(url + "cacerts"); status != 200 {
		t.Errorf("/cacerts: %d %s", status, body)
	}
	csr, key := newCSR(t, "phone")
	status, header, body := s.post(url+"simpleenroll", csr)
	if status != 503 || header.Get("Retry-After") == "" || body != "the RA cannot record the request now\n" {
		t.Errorf("an enrollment without a ledger: %d, Retry-After %q, %q", status, header.Get("Retry-After"), body)
	}
	if len(s.issuedFor(key)) != 0 {
		t.Error("the CA was asked, and nothing recorded")
	}
	admin := "http://" + srv.AdminAddr().String()
	await(t, func() bool { status, _ := s.get(admin + "/readyz"); return status == 503 })

	database.Start(t)
	await(t, func() bool { status, _ := s.get(admin + "/readyz"); return status == 200 })
	if status, _, body := s.post(url+"simpleenroll", csr); status != 200 {
		t.Errorf("once it is back: %d %s", status, body)
	}

	database.Stop(t)
	database.Start(t) // a restart, with connections that are dead now
	other, otherKey := newCSR(t, "other")
	await(t, func() bool { status, _, _ := s.post(url+"simpleenroll", other); return status == 200 })
	if n := len(s.issuedFor(key)) + len(s.issuedFor(otherKey)); n != 2 {
		t.Errorf("%d certificates for two CSRs", n)
	}
}

// await asks until the answer is yes, or the test's time is up.
func await(t *testing.T, yes func() bool) {
	t.Helper()
	awaitFor(t, time.Minute, yes)
}

func awaitFor(t *testing.T, patience time.Duration, yes func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !yes() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("it does not come")
		}
	}
}
