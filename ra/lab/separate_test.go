package lab_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ciscora/config"
	"ciscora/est/capf"
	"ciscora/ra/admin"
	"ciscora/ra/fault"
	"ciscora/ra/lab"
	"ciscora/ra/server"
)

// A CA and an RA that know nothing of each other, as `ra certsrv` and `ra serve` run: a
// fault that is ordered at the CA's own admin port bites the next enrollment, although
// the RA keeps connections that pass it by.
func TestAFaultOrderedAtASeparateCABitesTheNextEnrollment(t *testing.T) {
	l := start(t, lab.Options{Profile: config.ProfileModern})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	caConfig, err := config.LoadCertsrv(l.Path("certsrv.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := lab.OpenCA(caConfig, lab.CAOptions{Faults: fault.NewRegistry(fault.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ca.Close(); err != nil {
			t.Error(err)
		}
	})
	raConfig, err := config.LoadRA(l.Path("ra.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	raConfig.Admin.Listen = ""
	caListener, err := server.Listen(t.Context(), hostOf(t, l.CertsrvURL))
	if err != nil {
		t.Fatal(err)
	}
	running := func(run func(context.Context) error) {
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- run(ctx) }()
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	running(func(ctx context.Context) error { return ca.Serve(ctx, caListener) })
	srv, err := server.New(t.Context(), raConfig, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	running(srv.Run)

	port := httptest.NewServer(admin.New(admin.Options{Faults: ca.AdminFaults()}))
	defer port.Close()
	send := func(method, path, body string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, port.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode >= 300 {
			t.Fatalf("%s %s %s: %s", method, path, body, resp.Status)
		}
	}
	for _, spec := range []string{"certsrv.login:wrong-password", "certsrv.login:no-dc", "certsrv.tls:expired", "certsrv.tls:refuse"} {
		for range 2 { // the second one on a connection that is kept
			if got := enrollAs(t, l, "", "", 20*time.Second); got.RV != capf.StatusNone {
				t.Fatalf("before %s: %v (%v)", spec, got.RV, got.Err)
			}
		}
		send(http.MethodPost, "/faults", spec)
		if got := enrollAs(t, l, "", "", 20*time.Second); got.RV == capf.StatusNone {
			t.Errorf("%s: the next enrollment succeeds", spec)
		}
		send(http.MethodDelete, "/faults", "")
	}
}
