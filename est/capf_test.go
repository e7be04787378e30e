package est_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"testing"
	"time"

	"ciscora/est"
	"ciscora/est/capf"
)

// libestClient is a client with libest's habits for a server that listens.
func (on *listening) libestClient(tb testing.TB, label string) *capf.Client {
	tb.Helper()
	return must(capf.New(capf.Options{
		URL: "https://" + on.addr, Label: label, Roots: roots(), ServerName: "localhost", User: "estuser", Password: "estpwd",
	}))
}

// RFC 7030 §3.5 with a client that makes its proof as libest does (docs/reference/libest.md, "PoP
// only with -z"): one for each of its two connections, the second of which resumes
// the first one's session. tls-unique is good there, since both ends have the
// extended master secret (RFC 7627 §5.4).
func TestALibestClientProvesPossessionOnAResumedSessionToo(t *testing.T) {
	for _, d := range bothDialects {
		t.Run(d.String(), func(t *testing.T) {
			on := listen(t, newServer(t, dialect(d), func(o *est.Options) {
				o.Label = func(label string) bool { return label == "bound" || label == "free" }
				o.ProofOfPossession = func(label string) bool { return label == "bound" }
			}))
			for _, kind := range []string{"ec256", "ec384", "rsa2048"} {
				phone := must(capf.NewPhone(rand.Reader, "SEP001122334455", kind))
				r := on.libestClient(t, "bound").EnrollProving(t.Context(), phone)
				if r.Err != nil || !r.Challenged || !r.Resumed {
					t.Errorf("%s: %v, challenged %v, resumed %v", kind, r.Err, r.Challenged, r.Resumed)
				}
			}
			plain := must(capf.NewPhone(rand.Reader, "SEP001122334455", "ec256"))
			if r := on.libestClient(t, "bound").Enroll(t.Context(), plain.Name, plain.CSR); r.RV != capf.StatusHTTPBadRequest {
				t.Errorf("without a proof, under the label that demands one: %v", r.RV)
			}
			if r := on.libestClient(t, "free").Enroll(t.Context(), plain.Name, plain.CSR); r.RV != capf.StatusNone {
				t.Errorf("without a proof, under another label: %v, %v", r.RV, r.Err)
			}
		})
	}
}

// docs/reference/libest.md, "patience": libest's 10 s count per read, so it waits 25 s for
// its CA where the server is patient, and gives up where it is not.
func TestPatienceOutlastsALibestClientsTimer(t *testing.T) {
	for name, test := range map[string]struct {
		patience time.Duration
		want     capf.Status
	}{
		"patient":     {time.Minute, capf.StatusNone},
		"not patient": {0, capf.StatusSSLRead},
		"patience that ends before the CA's answer": {9 * time.Second, capf.StatusSSLRead},
	} {
		t.Run(name, func(t *testing.T) {
			phone := must(capf.NewPhone(rand.Reader, "SEP001122334455", "ec256"))
			virtual(t, func(o *est.Options) {
				o.Patience = test.patience
				// Who is challenged with its body unread stands still: a pipe has no buffer.
				o.Authenticator = est.AuthenticatorFunc(func(r *http.Request) (context.Context, error) { return r.Context(), nil })
				o.CA = &ca{enroll: func(_ context.Context, csr *x509.CertificateRequest) (*x509.Certificate, error) {
					time.Sleep(25 * time.Second) // virtual
					return issue(csr)
				}}
			}, func(t *testing.T, p *pipes, _ func() error) {
				client := must(capf.New(capf.Options{
					URL: "https://localhost:8084", Roots: roots(),
					Dial: func(context.Context, string, string) (net.Conn, error) { return p.dial(), nil },
				}))
				r := client.Enroll(t.Context(), phone.Name, phone.CSR)
				if r.RV != test.want || (r.Err == nil) != (test.want == capf.StatusNone) {
					t.Errorf("%v, %v, want %v", r.RV, r.Err, test.want)
				}
				time.Sleep(time.Minute) // virtual: what the server still does ends
			})
		})
	}
}

// A client that is not patient itself sees an ordinary answer from a patient server:
// strongSwan's and curl's are in peer_test.go.
func TestAPatientServersAnswerIsOrdinaryOnALoopbackSocket(t *testing.T) {
	on := listen(t, newServer(t, patient), func(c *tls.Config) { c.MaxVersion = tls.VersionTLS13 })
	csr, _ := phone(t, "SEP001122334455")
	got := on.ask(t, post(enrollPath, lines(csr), credentials))
	if got.status() != 200 || got.get("Connection") != "" || len(certificates(t, got.body)) != 1 {
		t.Errorf("%s %q", got.line, got.header)
	}
}
