//go:build unix

package lab_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"ciscora/config"
	"ciscora/est/capf"
	"ciscora/ra/lab"
)

// BenchmarkRecording is what a phone's enrollment costs a lab in processor time, phone, RA
// and CA together, with and without what its pages show of the wires: in two labs, in
// turn, so that what else the machine does falls on both.
func BenchmarkRecording(b *testing.B) {
	for _, profile := range []config.Profile{config.ProfileCUCM, config.ProfileModern} {
		b.Run(string(profile), func(b *testing.B) {
			var clients [2]*capf.Client
			for i, unrecorded := range []bool{false, true} {
				l, err := lab.Start(b.Context(), lab.Options{
					Dir: b.TempDir(), Profile: profile, EST: "127.0.0.1:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0", Unrecorded: unrecorded,
				})
				if err != nil {
					b.Fatal(err)
				}
				defer l.Close()
				if err := l.Ready(b.Context()); err != nil {
					b.Fatal(err)
				}
				if clients[i], err = l.Client(nil); err != nil {
					b.Fatal(err)
				}
			}
			var spent [2]time.Duration
			for n := 0; b.Loop(); n++ {
				for k := range clients {
					i := (k + n) % len(clients)
					client := clients[i]
					phone, err := capf.NewPhone(nil, "", "ec256")
					if err != nil {
						b.Fatal(err)
					}
					before := cpu(b)
					if r := client.Enroll(b.Context(), phone.Name, phone.CSR); r.Err != nil {
						b.Fatal(r.Err)
					}
					spent[i] += cpu(b) - before
				}
			}
			us := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(b.N) }
			b.ReportMetric(us(spent[0]), "recorded-us-CPU/op")
			b.ReportMetric(us(spent[1]), "unrecorded-us-CPU/op")
			b.ReportMetric(100*(us(spent[0])/us(spent[1])-1), "%-more")
		})
	}
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkOpenPages is how long a phone waits while so many pages of the console are
// open: half of the phones, and 95 % of them, less.
func BenchmarkOpenPages(b *testing.B) {
	for _, pages := range []int{0, 200} {
		b.Run(fmt.Sprint(pages), func(b *testing.B) {
			l, err := lab.Start(b.Context(), lab.Options{Dir: b.TempDir(), Profile: config.ProfileModern, EST: "127.0.0.1:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0"})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			if err := l.Ready(b.Context()); err != nil {
				b.Fatal(err)
			}
			client, err := l.Client(nil)
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			var all, open sync.WaitGroup
			open.Add(pages)
			for i := range pages {
				all.Go(func() {
					// In turn the overview, the live list, and the ledger's.
					page := []string{"overview", "live", "requests"}[i%3]
					req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.AdminURL+"/console/feed?page="+page, nil)
					if err != nil {
						panic(err) // the address is ours
					}
					resp, err := http.DefaultClient.Do(req)
					open.Done()
					if err != nil {
						return
					}
					defer resp.Body.Close()
					_, _ = io.Copy(io.Discard, resp.Body) // until ctx ends
				})
			}
			open.Wait()
			var took []time.Duration
			for b.Loop() {
				phone, err := capf.NewPhone(nil, "", "ec256")
				if err != nil {
					b.Fatal(err)
				}
				r := client.Enroll(b.Context(), phone.Name, phone.CSR)
				if r.Err != nil {
					b.Fatal(r.Err)
				}
				took = append(took, r.Duration)
				time.Sleep(5 * time.Millisecond) // phones come one after another
			}
			cancel()
			all.Wait()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "half-ms")
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
		})
	}
}
