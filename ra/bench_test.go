package ra_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"ciscora/est"
	"ciscora/ra"
)

// frontEnd serves an RA to EST clients on a loopback port.
type frontEnd struct {
	url    string
	client *tls.Config
}

func newFrontEnd(tb testing.TB, f *fixture, dialect est.Dialect) *frontEnd {
	tb.Helper()
	cert, err := f.ca.Server.IssueServerCertificate([]string{"127.0.0.1"})
	if err != nil {
		tb.Fatal(err)
	}
	s := serveEST(tb, f.RA, dialect, cert)
	s.client = &tls.Config{RootCAs: f.ca.Roots, MinVersion: tls.VersionTLS12}
	return s
}

func serveEST(tb testing.TB, r *ra.RA, dialect est.Dialect, cert tls.Certificate) *frontEnd {
	tb.Helper()
	s, err := est.New(est.Options{
		Limits: est.Limits{PerClient: waitingEnrollments + 1}, // all come from one address
		CA:     r, Dialect: dialect, Label: r.HasLabel,
		Authenticator: est.AuthenticatorFunc(func(req *http.Request) (context.Context, error) {
			return r.Authenticate(req, est.Label(req.Context()))
		}),
	})
	if err != nil {
		tb.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- s.Serve(ctx, l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	}()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	return &frontEnd{url: "https://" + l.Addr().String() + "/.well-known/est/"}
}

// post sends one CSR and reads the answer.
func (s *frontEnd) post(client *http.Client, user, password string, body []byte) error {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.url+"simpleenroll", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.SetBasicAuth(user, password)
	req.Header.Set("Content-Type", "application/pkcs10")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return err
}

// BenchmarkEnrollment is one enrollment, from the client's request to its
// certificate, through front end, core, certsrv client and built-in CA, all in
// this process. "fresh TLS" makes a new connection to the RA for each one, as
// CAPF does; "kept" uses one connection.
func BenchmarkEnrollment(b *testing.B) {
	for _, profile := range []struct {
		name    string
		p       profile
		dialect est.Dialect
	}{
		{"cucm-12.5", cucm, est.DialectLibest},
		{"modern", modern, est.DialectRFC8951},
	} {
		for _, connection := range []struct {
			name  string
			fresh bool
		}{{"fresh TLS", true}, {"kept", false}} {
			b.Run(profile.name+"/"+connection.name, func(b *testing.B) {
				f := newFixture(b, profile.p)
				s := newFrontEnd(b, f, profile.dialect)
				// A CSR of its own each time: the same one would join the first.
				var bodies [][]byte
				transport := &http.Transport{TLSClientConfig: s.client, DisableKeepAlives: connection.fresh}
				defer transport.CloseIdleConnections()
				client := &http.Client{Transport: transport}
				b.ReportAllocs()
				for b.Loop() {
					if len(bodies) == 0 {
						b.StopTimer()
						for range 500 {
							bodies = append(bodies, []byte(base64.StdEncoding.EncodeToString(makeCSR("SEP001122334455"))))
						}
						b.StartTimer()
					}
					body := bodies[0]
					bodies = bodies[1:]
					if err := s.post(client, f.ca.User, f.ca.Password, body); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
