package ledger_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ciscora/ra/ledger"
)

// certificate makes one, and returns its public key, too.
func certificate(t *testing.T) (der, publicKey []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(0x1234), Subject: pkix.Name{CommonName: "somebody"}, NotAfter: time.Now().Add(time.Hour)}
	der, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	publicKey, err = x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	return der, publicKey
}

func TestALostRequestIsBoundByHand(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]func(*testing.T) string{
		"SQLite":     func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "ra.db") },
		"PostgreSQL": func(t *testing.T) string { return postgres.Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, dsn := t.Context(), dsn(t)
			now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
			options := ledger.Options{Replica: "the RA", Now: func() time.Time { return now }}
			l, err := ledger.Open(ctx, dsn, options)
			must(t, err)
			closed := false
			defer func() {
				if !closed {
					l.Close()
				}
			}()
			foreign, _ := certificate(t)
			own, ownKey := certificate(t)
			must(t, l.See(ctx, ledger.Seen{ReqID: 20, What: ledger.SeenCertificate, Certificate: foreign}, ledger.Seen{ReqID: 21, What: ledger.SeenCertificate, Certificate: own},
				ledger.Seen{ReqID: 22, What: ledger.SeenPending}))
			row := func(name string, change func(*ledger.Row)) ledger.Claim {
				t.Helper()
				r := request(name, "x")
				r.PublicKey = ownKey
				c := claim(t, l, r)
				must(t, l.Update(ctx, &c, change))
				return c
			}
			lost := func(r *ledger.Row) { r.State, r.Uncertain, r.Lost = ledger.StateSubmitted, true, now }
			finished := func(name string, change func(*ledger.Row)) int64 {
				t.Helper()
				c := row(name, change)
				must(t, l.Release(ctx, c))
				return c.Row.ID
			}
			submitted := finished("lost", lost)
			held := row("at work", lost)
			for _, test := range []struct {
				name  string
				row   int64
				reqID int
				want  string
			}{
				{"no such row", 999, 21, "no such row"},
				{"no ReqID", submitted, 0, "0 is no ReqID"},
				{"it has its certificate", finished("issued", func(r *ledger.Row) { r.State, r.ReqID, r.Certificate = ledger.StateIssued, 5, own }), 21, "has its certificate already (ReqID 5)"},
				{"it has a ReqID", finished("pending", func(r *ledger.Row) { r.State, r.ReqID = ledger.StatePending, 6 }), 21, "has ReqID 6 already"},
				{"the CA never had it", finished("failed", func(r *ledger.Row) { r.State, r.Open = ledger.StateFailed, false }), 21, "the CA never had the request of row"},
				{"another row has the ReqID", submitted, 6, "ReqID 6 belongs to row"},
				{"another key's certificate", submitted, 20, "a certificate of another key under ReqID 20 (CN=somebody, serial number 1234)"},
				{"it is at work", held.Row.ID, 21, "the RA (the RA) is at work on row"},
			} {
				if _, err := ledger.Resolve(ctx, dsn, test.row, test.reqID, options); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%s: %v, want %s", test.name, err, test.want)
				}
			}

			got, err := ledger.Resolve(ctx, dsn, submitted, 21, options)
			must(t, err)
			if got.State != ledger.StateSubmitted || got.ReqID != 21 || !got.NextPoll.Equal(now) || !got.Open || got.Uncertain || !got.ByHand() {
				t.Errorf("resolved: %+v", got)
			}
			due, err := l.Due(ctx, now, 10)
			must(t, err)
			if len(due) != 1 || due[0] != submitted {
				t.Errorf("due: %v, want %d", due, submitted)
			}

			// One that is given up, with candidates.
			given := finished("given up", func(r *ledger.Row) {
				r.State, r.Open, r.Candidates = ledger.StateFailed, false, []int{22, 25}
			})
			got, err = ledger.Resolve(ctx, dsn, given, 22, options)
			must(t, err)
			if !got.ByHand() || !slices.Equal(got.Candidates, []int{22, 25}) {
				t.Errorf("resolved to one of its candidates: %+v", got)
			}
			full := make([]int, 1000)
			for i := range full {
				full[i] = 100 + i
			}
			given = finished("given up, with all candidates that there is room for", func(r *ledger.Row) {
				r.State, r.Open, r.Candidates = ledger.StateFailed, false, full
			})
			got, err = ledger.Resolve(ctx, dsn, given, 26, options)
			must(t, err)
			if !got.ByHand() || len(got.Candidates) != len(full) {
				t.Errorf("resolved to none of its candidates: by hand %v, %d candidates", got.ByHand(), len(got.Candidates))
			}

			if strings.HasPrefix(dsn, "sqlite:") {
				// A claim that has not written yet cannot be seen from outside: it is lost.
				silent, err := l.Take(ctx, finished("silent", lost))
				must(t, err)
				_, err = ledger.Resolve(ctx, dsn, silent.Row.ID, 23, options)
				must(t, err)
				if err := l.Update(ctx, &silent, func(r *ledger.Row) { r.Uncertain = false }); !errors.Is(err, ledger.ErrLost) {
					t.Errorf("its holder writes: %v, want ErrLost", err)
				}
				again, err := l.Take(ctx, silent.Row.ID)
				must(t, err)
				if !again.Mine || again.Row.ReqID != 23 {
					t.Errorf("its holder looks again: %+v", again)
				}
			}
			must(t, l.Close())
			closed = true
			// Without an RA nobody is at work.
			_, err = ledger.Resolve(ctx, dsn, held.Row.ID, 24, options)
			must(t, err)
		})
	}
	if _, err := ledger.Resolve(context.Background(), "sqlite:"+filepath.Join(t.TempDir(), "nothing.db"), 1, 1, ledger.Options{}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("no file: %v", err)
	}
}
