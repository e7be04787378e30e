package lab_test

import (
	"runtime"
	"syscall"
	"testing"
	"time"

	"ciscora/config"
	"ciscora/est/capf"
	"ciscora/ra/lab"
)

// BenchmarkRecording is what a phone's enrollment costs a lab in processor time, phone, RA
// and CA together, with and without what its pages show of the wires.
func BenchmarkRecording(b *testing.B) {
	for _, profile := range []config.Profile{config.ProfileCUCM, config.ProfileModern} {
		for name, unrecorded := range map[string]bool{"recorded": false, "unrecorded": true} {
			b.Run(string(profile)+"/"+name, func(b *testing.B) {
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
				client, err := l.Client(nil)
				if err != nil {
					b.Fatal(err)
				}
				phones := make([]*capf.Phone, b.N)
				for i := range phones {
					if phones[i], err = capf.NewPhone(nil, "", "ec256"); err != nil {
						b.Fatal(err)
					}
				}
				runtime.GC()
				before := cpu(b)
				b.ResetTimer()
				for _, p := range phones {
					if r := client.Enroll(b.Context(), p.Name, p.CSR); r.Err != nil {
						b.Fatal(r.Err)
					}
				}
				b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "us-CPU/op")
			})
		}
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
