package ledger_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ciscora/ra/ledger"
	"ciscora/ra/ledger/ledgertest"
)

// BenchmarkEnrollment is what the ledger adds to one enrollment: claim, mark
// before the POST, ReqID, certificate, delivery. Its median is reported
// besides the mean.
func BenchmarkEnrollment(b *testing.B) {
	for name, dsn := range map[string]func() string{
		"SQLite":     func() string { return "sqlite:" + filepath.Join(b.TempDir(), "ra.db") },
		"PostgreSQL": func() string { return ledgertest.StartPostgres(b).DSN },
	} {
		b.Run(name, func(b *testing.B) {
			l, err := ledger.Open(b.Context(), dsn(), ledger.Options{})
			must(b, err)
			defer l.Close()
			certificate := make([]byte, 1100)
			var took []time.Duration
			i := 0
			before := cpu(b)
			for b.Loop() {
				i++
				began := time.Now()
				enrollment(b, l, fmt.Sprint("phone", i), certificate)
				took = append(took, time.Since(began))
			}
			b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(i), "cpu-us/op")
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

func enrollment(b *testing.B, l *ledger.Ledger, cn string, certificate []byte) {
	ctx := b.Context()
	c := claim(b, l, request(cn, "relay:lab\\ciscora"))
	must(b, l.Update(ctx, &c, func(r *ledger.Row) { r.State, r.Submitted = ledger.StateSubmitted, time.Now() }))
	must(b, l.Update(ctx, &c, func(r *ledger.Row) { r.ReqID = 10 }))
	must(b, l.Finish(ctx, &c, func(r *ledger.Row) {
		r.State, r.Certificate, r.Issued = ledger.StateIssued, certificate, time.Now()
		r.Legs = make([]ledger.Leg, 6)
	}))
	must(b, l.Delivered(ctx, c.Row.ID, time.Now()))
}

// BenchmarkEnrollmentsAtOnce is the same with 32 clients at a time.
func BenchmarkEnrollmentsAtOnce(b *testing.B) {
	l, err := ledger.Open(b.Context(), "sqlite:"+filepath.Join(b.TempDir(), "ra.db"), ledger.Options{})
	must(b, err)
	defer l.Close()
	certificate := make([]byte, 1100)
	var n atomic.Int64
	b.SetParallelism(16)
	before := cpu(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			enrollment(b, l, fmt.Sprint("phone", n.Add(1)), certificate)
		}
	})
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
}

// cpu is what this process has used.
func cpu(b *testing.B) time.Duration {
	var usage syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkRows shows that lists and look-ups stay flat as the ledger grows.
func BenchmarkRows(b *testing.B) {
	sizes := []int{1_000, 100_000, 1_000_000}
	if testing.Short() {
		sizes = sizes[:1]
	}
	// Some fifty seconds lie between two rows, so a million took a year and a half.
	began := time.Now().Add(-600 * 24 * time.Hour)
	var clock atomic.Int64 // seconds since
	l, err := ledger.Open(b.Context(), "sqlite:"+filepath.Join(b.TempDir(), "ra.db"), ledger.Options{Now: func() time.Time {
		return began.Add(time.Duration(clock.Add(10)) * time.Second)
	}})
	must(b, err)
	defer l.Close()
	rows := 0
	for _, size := range sizes {
		for ; rows < size; rows += 1000 {
			l.Fill(b, rows, 1000)
		}
		day := began.Add(time.Duration(clock.Load()/2) * time.Second)
		for name, filter := range map[string]ledger.Filter{
			"newest":                   {},
			"by name":                  {CN: fmt.Sprintf("SEP%012X", rows/2)},
			"by ReqID":                 {ReqID: rows / 2},
			"by state":                 {State: ledger.StatePending},
			"by identity":              {Identity: `relay:lab\user50`},
			"by label":                 {Label: "wifi"},
			"orphans":                  {Orphans: true},
			"in the past":              {Before: int64(rows / 2)},
			"of a day":                 {Since: day, Until: day.Add(24 * time.Hour)},
			"of a day, by name":        {CN: fmt.Sprintf("SEP%012X", rows/2), Since: day.Add(-24 * time.Hour), Until: day.Add(24 * time.Hour)},
			"of a day, one identity's": {Identity: `relay:lab\user50`, Since: day, Until: day.Add(24 * time.Hour)},
			"before a day":             {Until: day},
			"after a day":              {Since: day},
			"of a day, failed":         {State: ledger.StateFailed, Since: day.Add(-48 * time.Hour), Until: day.Add(24 * time.Hour)},
			"delivered before a day":   {State: ledger.StateDelivered, Until: day},
		} {
			b.Run(fmt.Sprintf("list/%s/%d", name, size), func(b *testing.B) {
				for b.Loop() {
					found, err := l.List(b.Context(), filter)
					must(b, err)
					if len(found) == 0 && name != "by state" && name != "orphans" && name != "of a day, failed" {
						b.Fatal("nothing found")
					}
				}
			})
		}
		b.Run(fmt.Sprintf("get/%d", size), func(b *testing.B) {
			for b.Loop() {
				_, err := l.Get(b.Context(), int64(rows/2))
				must(b, err)
			}
		})
		b.Run(fmt.Sprintf("due/%d", size), func(b *testing.B) {
			for b.Loop() {
				_, err := l.Due(b.Context(), time.Now(), 50)
				must(b, err)
			}
		})
		b.Run(fmt.Sprintf("enrollment/%d", size), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				enrollment(b, l, fmt.Sprint("new", size, "-", b.N, "-", i, time.Now()), make([]byte, 1100))
			}
		})
	}
}
