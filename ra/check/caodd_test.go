package check_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"ciscora/config"
	"ciscora/msca"
	"ciscora/msca/certsrv"
	"ciscora/ra/check"
)

// instead answers a page in place of the CA, once somebody is logged in.
func instead(page, contentType string, body func() []byte) func(*certsrv.Options) {
	return func(o *certsrv.Options) {
		o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasSuffix(r.URL.Path, page) || r.Header.Get("Authorization") != "" {
					next.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Content-Type", contentType)
				_, _ = w.Write(body())
			})
		})
	}
}

func oddOptions(ca *certsrv.TestServer) check.CAOptions {
	o := check.CAOptions{CA: config.Default(config.ProfileModern).CA, Trust: []*x509.Certificate{ca.Server.Root()}}
	o.CA.URL, o.CA.Template, o.Timeout = ca.URL, "CiscoRA", 20*time.Second
	o.Credentials = msca.Credentials{User: ca.User, Password: ca.Password}
	return o
}

func wantFinding(t *testing.T, r check.Report, name string, state check.State, text string) {
	t.Helper()
	if !slices.ContainsFunc(r.Findings, func(f check.Finding) bool {
		return f.Name == name && f.State == state && strings.Contains(f.Seen+f.Symptom+f.Reason+f.Fix, text)
	}) {
		t.Errorf("no %s %s with %q; there is:\n%s", state, name, text, findings(r))
	}
}

func TestATemplateThatWantsSignaturesIsTold(t *testing.T) {
	ca := certsrv.NewTestServer(instead("/certrqxt.asp", "text/html", func() []byte {
		return []byte(`<Option Value="O;CiscoRA;1;1;0;16;1;2;CSP;;;;;CiscoRA">CiscoRA`)
	}))
	defer ca.Close()
	wantFinding(t, runCA(t, oddOptions(ca)), "ca.template", check.Fail, "0x80094809")
}

func TestAChainWithoutItsRootIsTold(t *testing.T) {
	var ca *certsrv.TestServer
	ca = certsrv.NewTestServer(instead("/certnew.p7b", "application/x-pkcs7-certificates", func() []byte {
		der, err := pkcs7.DegenerateCertificate(ca.Server.Chain()[0].Raw)
		if err != nil {
			t.Error(err)
		}
		return der
	}))
	defer ca.Close()
	wantFinding(t, runCA(t, oddOptions(ca)), "ca.chain", check.Warn, "EST_ERR_LOAD_CACERTS")
}

// listOf is a revocation list of a CA of its own.
func listOf(t *testing.T, from, to time.Time) []byte {
	t.Helper()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	issuer := &x509.Certificate{SubjectKeyId: []byte{1}, KeyUsage: x509.KeyUsageCRLSign, PublicKey: key.Public()}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: from, NextUpdate: to}, issuer, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestAListOfAnotherCAIsTold(t *testing.T) {
	der := listOf(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	ca := certsrv.NewTestServer(instead("/certcrl.crl", "application/pkix-crl", func() []byte { return der }))
	defer ca.Close()
	wantFinding(t, runCA(t, oddOptions(ca)), "ca.crl", check.Fail, "none of the CA's certificates has signed")
}

func TestAPageThatIsNoListIsTold(t *testing.T) {
	ca := certsrv.NewTestServer(instead("/certcrl.crl", "text/html", func() []byte { return []byte("<html>Welcome</html>") }))
	defer ca.Close()
	wantFinding(t, runCA(t, oddOptions(ca)), "ca.crl", check.Warn, "certutil -CRL")
}

// The distribution points in the CA's certificates are asked as well.
func TestADistributionPointThatIsSilentIsTold(t *testing.T) {
	fresh := listOf(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	stale := listOf(t, time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))
	for _, x := range []struct {
		name    string
		handler http.HandlerFunc
		state   check.State
		text    string
	}{
		{"fresh", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(fresh) }, check.OK, "1 distribution points"},
		{"stale", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(stale) }, check.Warn, "has expired"},
		{"absent", http.NotFound, check.Warn, "answers 404"},
		{"no list", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }, check.Warn, "no revocation list"},
	} {
		point := httptest.NewServer(x.handler)
		var ca *certsrv.TestServer
		ca = certsrv.NewTestServer(instead("/certnew.p7b", "application/x-pkcs7-certificates", func() []byte {
			key, err := newKey()
			if err != nil {
				t.Error(err)
			}
			other := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour), IsCA: true, BasicConstraintsValid: true, CRLDistributionPoints: []string{point.URL + "/ca.crl", "ldap:///CN=ca"}}
			other.Subject.CommonName = "Beside"
			der, err := x509.CreateCertificate(rand.Reader, other, other, key.Public(), key)
			if err != nil {
				t.Error(err)
			}
			all := slices.Clone(der)
			for _, c := range ca.Server.Chain() {
				all = append(all, c.Raw...)
			}
			p7, err := pkcs7.DegenerateCertificate(all)
			if err != nil {
				t.Error(err)
			}
			return p7
		}))
		wantFinding(t, runCA(t, oddOptions(ca)), "ca.crl", x.state, x.text)
		ca.Close()
		point.Close()
	}
}

func TestWhatTheServersTLSIsLikeIsTold(t *testing.T) {
	ca := certsrv.NewTestServer(func(o *certsrv.Options) {
		o.TLS = certsrv.TLSVersions{Min: tls.VersionTLS10, Max: tls.VersionTLS12}
		o.Manner.ClientCertificate = true
	})
	defer ca.Close()
	r := runCA(t, oddOptions(ca))
	wantFinding(t, r, "ca.tls.versions", check.Warn, "TLS 1.0, TLS 1.1: deprecated")
	wantFinding(t, r, "ca.tls.client", check.OK, "not demanded")
	wantFinding(t, r, "ca.login", check.OK, "")
}

// An intermediate that the server leaves out and that happens to be in the trust store
// works for this client, and not for the next.
func TestABorrowedIntermediateIsTold(t *testing.T) {
	ca := certsrv.NewTestServer(func(o *certsrv.Options) {
		o.TLSConfig = func(c *tls.Config) *tls.Config {
			c.Certificates[0].Certificate = c.Certificates[0].Certificate[:1]
			return c
		}
	})
	defer ca.Close()
	o := oddOptions(ca)
	o.Trust = ca.Server.Chain()
	r := runCA(t, o)
	wantFinding(t, r, "ca.tls.chain", check.Warn, "does not send")
	wantFinding(t, r, "ca.login", check.OK, "")
	o.Trust = o.Trust[1:]
	wantFinding(t, runCA(t, o), "ca.tls.chain", check.Fail, "AKI")
}

// The issuing CA alone in the trust store is enough for Go, and not for CES: what is
// missing has a name, and a command that fetches it.
func TestATrustStoreWithoutTheRootIsTold(t *testing.T) {
	ca := certsrv.NewTestServer()
	defer ca.Close()
	o := oddOptions(ca)
	o.Trust = ca.Server.Chain()[:1]
	r := runCA(t, o)
	wantFinding(t, r, "ca.tls.chain", check.Warn, "unable to get issuer certificate")
	wantFinding(t, r, "ca.tls.chain", check.Warn, "its root CN=LAB Root CA,DC=lab,DC=test is not in ca.trust")
	wantFinding(t, r, "ca.tls.chain", check.Warn, "trust.pem")
	wantFinding(t, r, "ca.ces", check.Warn, "see ca.tls.chain")
}

// By a clock that is years ahead all has expired, and the files say so as well.
func TestDatesAreLookedAtByTheClockThatIsHandedIn(t *testing.T) {
	ca := certsrv.NewTestServer()
	defer ca.Close()
	for _, x := range []struct {
		ahead time.Duration
		state check.State
	}{{0, check.OK}, {715 * 24 * time.Hour, check.Warn}, {800 * 24 * time.Hour, check.Fail}} {
		o := oddOptions(ca)
		o.Now = func() time.Time { return time.Now().Add(x.ahead) }
		if got := states(runCA(t, o), "ca.tls.validity"); !slices.Equal(got, []check.State{x.state}) {
			t.Errorf("%s ahead: %v", x.ahead, got)
		}
	}
	l, _ := startLab(t, config.ProfileModern)
	cfg, err := config.LoadRA(l.Path("ra.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		ahead time.Duration
		state check.State
	}{{0, check.OK}, {715 * 24 * time.Hour, check.Warn}, {800 * 24 * time.Hour, check.Fail}} {
		var r check.Report
		if _, ok := check.Files(cfg, time.Now().Add(x.ahead), &r); !ok {
			t.Fatal(findings(r))
		}
		wellFormed(t, r)
		if got := states(r, "files.est"); !slices.Equal(got, []check.State{x.state}) {
			t.Errorf("%s ahead: %v", x.ahead, got)
		}
	}
	cfg.EST.Key, cfg.CA.Trust = "nosuch.key", []string{"nosuch.pem"}
	var r check.Report
	if _, ok := check.Files(cfg, time.Now(), &r); ok || len(states(r, "files")) != 2 {
		t.Error(findings(r))
	}
	for _, f := range r.Findings {
		if !strings.Contains(f.Seen, "nosuch.") || !strings.Contains(f.Reason, "a file that is not there") || !strings.Contains(f.Fix, "ra.yaml's own folder") {
			t.Errorf("%+v", f)
		}
	}
	wellFormed(t, r)
}

// Of a chain that is signed with SHA-1 it depends on the profile.
func TestAChainOfSHA1IsTold(t *testing.T) {
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * 24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, SubjectKeyId: []byte{1}}
	root.Subject.CommonName = "Old Root"
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: root.NotBefore, NotAfter: root.NotAfter, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, SignatureAlgorithm: x509.ECDSAWithSHA1}
	var certs [2]*x509.Certificate
	for i, c := range []*x509.Certificate{root, leaf} {
		der, err := x509.CreateCertificate(rand.Reader, c, root, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		if certs[i], err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
	}
	ca := certsrv.NewTestServer(func(o *certsrv.Options) {
		o.TLSConfig = func(c *tls.Config) *tls.Config {
			c.Certificates = []tls.Certificate{{Certificate: [][]byte{certs[1].Raw}, PrivateKey: key}}
			return c
		}
	})
	defer ca.Close()
	for profile, want := range map[config.Profile]check.State{config.ProfileModern: check.Fail, config.ProfileCUCM: check.Warn} {
		o := oddOptions(ca)
		o.Profile, o.CA, o.Trust = profile, config.Default(profile).CA, certs[:1]
		o.CA.URL, o.CA.Template = ca.URL, "CiscoRA"
		r := runCA(t, o)
		wantFinding(t, r, "ca.tls.chain", want, "SHA-1")
		if got := slices.Contains(states(r, "ca.login"), check.OK); got != (want == check.Warn) {
			t.Errorf("%s: logged in: %v\n%s", profile, got, findings(r))
		}
	}
}

func TestAClientCertificateThatIsDemandedIsTold(t *testing.T) {
	for _, most := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		ca := certsrv.NewTestServer(func(o *certsrv.Options) {
			o.TLSConfig = func(c *tls.Config) *tls.Config {
				c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, most
				return c
			}
		})
		name := "ca.tls.client"
		if most == tls.VersionTLS12 {
			name = "ca.tls.handshake" // there it ends the handshake
		}
		wantFinding(t, runCA(t, oddOptions(ca)), name, check.Fail, "is demanded")
		ca.Close()
	}
}

// Whoever is let in without a log-in is redirected to the pages, or sees them.
func TestPagesThatAskForNoLogInAreTold(t *testing.T) {
	for _, location := range []string{"", "/certsrv/"} {
		ca := certsrv.NewTestServer(func(o *certsrv.Options) {
			o.Middleware = append(o.Middleware, func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					if location != "" {
						w.Header().Set("Location", location)
						w.WriteHeader(http.StatusMovedPermanently)
					}
					fmt.Fprint(w, "Welcome")
				})
			})
		})
		r := runCA(t, oddOptions(ca))
		wantFinding(t, r, "ca.pages", check.Fail, "anonymous access is on")
		wantFinding(t, r, "ca.login", check.Skip, "see ca.pages")
		ca.Close()
	}
}

// What http.sys says by itself, before IIS hears of a request.
func TestWhatHTTPSysSaysIsNoPagesFault(t *testing.T) {
	for status, text := range map[int]string{http.StatusBadRequest: "HTTPERR", http.StatusServiceUnavailable: "the application pool is stopped"} {
		ca := certsrv.NewTestServer(func(o *certsrv.Options) {
			o.Middleware = append(o.Middleware, func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
			})
		})
		wantFinding(t, runCA(t, oddOptions(ca)), "ca.pages", check.Fail, text)
		ca.Close()
	}
}

// countProofs counts the passwords, and what is made of them, that reach a CA.
func countProofs() (*atomic.Int64, func(*certsrv.Options)) {
	proofs := &atomic.Int64{}
	return proofs, func(o *certsrv.Options) {
		o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
				message, err := base64.StdEncoding.DecodeString(token)
				if err == nil && (scheme == "Basic" || bytes.Contains(message, []byte("NTLMSSP\x00\x03"))) {
					proofs.Add(1)
				}
				next.ServeHTTP(w, r)
			})
		})
	}
}

// With Basic the password goes with each request. A CA that takes it once, and then no
// more, is sent it no further time.
func TestARecordingSendsNoPasswordThatWasRefused(t *testing.T) {
	proofs, counts := countProofs()
	ca := certsrv.NewTestServer(counts, func(o *certsrv.Options) {
		o.Basic = true
		o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if proofs.Load() > 1 && r.Header.Get("Authorization") != "" {
					w.Header().Set("WWW-Authenticate", `Basic realm="ca"`)
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				next.ServeHTTP(w, r)
			})
		})
	})
	defer ca.Close()
	o := oddOptions(ca)
	o.CA.Authentication = "basic"
	recording, err := check.Record(t.Context(), o, "v0 test")
	if err != nil {
		t.Fatal(err)
	}
	untried := 0
	for _, s := range recording.Steps {
		if strings.Contains(s.Failed, "not tried again") {
			untried++
		}
	}
	if n := proofs.Load(); n != 2 || untried < 5 {
		t.Errorf("%d passwords, %d pages without one:\n%s", n, untried, text(t, recording))
	}
}

// Neither by a check nor by a recording, whatever the CA does with connections.
func TestAWrongPasswordReachesACAOnceInWhateverManner(t *testing.T) {
	for name, manner := range map[string]certsrv.Manner{"usual": {}, "a log-in for each request": {PerRequest: true}, "closing behind a 401": {CloseOn401: true}} {
		for _, authentication := range []string{"ntlm", "negotiate", "basic"} {
			t.Run(name+", "+authentication, func(t *testing.T) {
				proofs, counts := countProofs()
				ca := certsrv.NewTestServer(counts, func(o *certsrv.Options) { o.Manner, o.Basic = manner, true })
				defer ca.Close()
				o := oddOptions(ca)
				o.CA.Authentication, o.Credentials.Password, o.Enroll = authentication, "not it", true
				r := runCA(t, o)
				want := int64(1)
				if manner.CloseOn401 && authentication == "basic" {
					want = 0 // the question whether Basic is wanted has ended the connection
				}
				if n := proofs.Swap(0); n != want {
					t.Errorf("the check: %d:\n%s", n, findings(r))
				}
				wantFinding(t, r, "ca.login", check.Fail, "")
				wantFinding(t, r, "ca.logins", check.OK, "one log-in was tried")
				recording, err := check.Record(t.Context(), o, "v0 test")
				if err != nil {
					t.Fatal(err)
				}
				if n := proofs.Load(); n != 1 {
					t.Errorf("the recording: %d:\n%s", n, text(t, recording))
				}
			})
		}
	}
}

// The report's number is that of the passwords that reached the CA, whether it keeps a
// log-in for a connection or for one request.
func TestTheLogInsThatAreToldAreThoseThatTheCAGot(t *testing.T) {
	for _, x := range []struct {
		name, authentication string
		change               func(*certsrv.Options)
		says                 string
	}{
		{"a connection", "ntlm", func(*certsrv.Options) {}, "2 log-ins were tried"},
		{"one request", "ntlm", func(o *certsrv.Options) { o.Manner.PerRequest = true }, "authPersistSingleRequest"},
		{"one request, in SPNEGO", "negotiate", func(o *certsrv.Options) { o.Manner.PerRequest = true }, "authPersistSingleRequest"},
	} {
		t.Run(x.name, func(t *testing.T) {
			proofs, counts := countProofs()
			ca := certsrv.NewTestServer(x.change, counts)
			defer ca.Close()
			o := oddOptions(ca)
			o.CA.Authentication = x.authentication
			r := runCA(t, o)
			if bad := wrong(r); len(bad) > 0 {
				t.Errorf("%s", strings.Join(bad, "\n"))
			}
			wantFinding(t, r, "ca.logins", check.OK, fmt.Sprintf("%d log-ins were tried", proofs.Load()))
			wantFinding(t, r, "ca.logins", check.OK, x.says)
		})
	}
}
