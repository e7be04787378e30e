package lab_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"ciscora/est/capf"
	"ciscora/ra/admin"
	"ciscora/ra/lab"
)

func TestALabForATestIsOneLine(t *testing.T) {
	l := lab.NewTest(t)
	enroll := func(name string) capf.Result {
		t.Helper()
		phone, err := capf.NewPhone(rand.Reader, name, "ec256")
		if err != nil {
			t.Fatal(err)
		}
		// A client of its own: nothing but what the test is given.
		client, err := capf.New(capf.Options{URL: l.URL, Roots: l.Roots, User: l.User, Password: l.Password, Timeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		return client.Enroll(t.Context(), phone.Name, phone.CSR)
	}
	for i := range 3 { // each is told of once, in their order
		name := fmt.Sprint("device-", i)
		if r := enroll(name); r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	for i := range 3 {
		e, err := l.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if e.CN != fmt.Sprint("device-", i) || e.State != admin.Issued || e.ESTStatus != http.StatusOK {
			t.Errorf("%+v", e)
		}
	}
	if _, err := l.Faults.Order("est.simpleenroll:status=503,count=2"); err != nil {
		t.Fatal(err)
	}
	if r := enroll("device-4"); r.Err == nil {
		t.Error("the fault did not bite")
	}
	if e, err := l.Next(t.Context()); err != nil || e.ESTStatus != http.StatusServiceUnavailable {
		t.Errorf("%+v %v", e, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if e, err := l.Next(ctx); err == nil {
		t.Errorf("there was none: %+v", e)
	}
}

func TestALabForATestLivesInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.NewTest(t, lab.VirtualTime)
		if _, err := l.Faults.Order("est.cacerts:delay=10m"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		resp, err := l.HTTPClient().Get(l.URL + "/.well-known/est/cacerts")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if took := time.Since(began); took != 10*time.Minute || resp.StatusCode != http.StatusOK {
			t.Errorf("%s after %s", resp.Status, took)
		}
	})
}

// bench is a test for each turn of a benchmark.
type bench struct {
	testing.TB
	ends []func()
}

func (b *bench) Cleanup(f func()) { b.ends = append(b.ends, f) }

func (b *bench) TempDir() string {
	dir, err := os.MkdirTemp("", "lab-bench-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// BenchmarkNewTest is a lab that is ready, from one line to the next; its end is beside it.
func BenchmarkNewTest(b *testing.B) {
	for _, c := range []struct {
		name    string
		options []func(*lab.Options)
	}{{"ports", nil}, {"memory", []func(*lab.Options){lab.VirtualTime}}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				turn := &bench{TB: b}
				lab.NewTest(turn, c.options...)
				b.StopTimer()
				for i := range turn.ends {
					turn.ends[len(turn.ends)-1-i]()
				}
				b.StartTimer()
			}
		})
	}
}
