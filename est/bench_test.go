package est_test

import (
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"ciscora/est"
)

// BenchmarkCACerts is the front end's own work for one /cacerts.
func BenchmarkCACerts(b *testing.B) {
	for _, d := range bothDialects {
		b.Run(d.String(), func(b *testing.B) {
			server := newServer(b, dialect(d))
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, cacertsPath, nil)
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				server.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		})
	}
}

// BenchmarkWaiting reports the bytes that one enrollment takes while the CA does
// not answer, its TLS connection's two ends included.
func BenchmarkWaiting(b *testing.B) {
	const waiting = 500
	der, _ := phone(b, "SEP001122334455")
	request := post(enrollPath, lines(der), credentials)
	for b.Loop() {
		entered := make(chan struct{})
		server := newServer(b, func(o *est.Options) {
			o.CA = &ca{enroll: func(ctx context.Context, _ *x509.CertificateRequest) (*x509.Certificate, error) {
				entered <- struct{}{}
				<-ctx.Done()
				return nil, ctx.Err()
			}}
		})
		on := listen(b, server)
		before := inUse()
		conns := make([]io.Closer, 0, waiting)
		for range waiting {
			c := on.dial(b)
			if _, err := io.WriteString(c, request); err != nil {
				b.Fatal(err)
			}
			conns = append(conns, c)
			<-entered
		}
		b.ReportMetric(float64(inUse()-before)/waiting, "B/waiting")
		for _, c := range conns {
			c.Close()
		}
	}
}

// inUse returns the bytes of live heap and stacks.
func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
