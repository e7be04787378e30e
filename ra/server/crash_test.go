package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"ciscora/config"
	"ciscora/est"
	"ciscora/est/capf"
	"ciscora/msca/certsrv"
	"ciscora/ra"
	"ciscora/ra/ledger"
	"ciscora/ra/server"
)

// The RA that is killed is this test binary, run again.
const (
	replicaConfig = "RA_TEST_REPLICA_CONFIG" // its ra.yaml
	replicaCrash  = "RA_TEST_REPLICA_CRASH"  // the step at which it kills itself; "" = never
	replicaClock  = "RA_TEST_REPLICA_CLOCK"  // how far its clock is ahead
	replicaEarly  = "RA_TEST_REPLICA_EARLY"  // it says where it listens before it is ready
	// A file for a CPU profile, for the benchmarks: RA_TEST_REPLICA_PROFILE=/tmp/cpu go test -bench ...
	replicaProfile = "RA_TEST_REPLICA_PROFILE"
)

// replicaMain serves until its standard input ends, a SIGTERM comes, or it kills itself.
func replicaMain() error {
	cfg, err := config.LoadRA(os.Getenv(replicaConfig), nil)
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	var ahead time.Duration
	if text := os.Getenv(replicaClock); text != "" {
		if ahead, err = time.ParseDuration(text); err != nil {
			return err
		}
	}
	// What logging costs is part of the benchmarks.
	encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	log := zap.New(zapcore.NewTee(
		zapcore.NewCore(encoder, zapcore.AddSync(io.Discard), zap.InfoLevel),
		zapcore.NewCore(encoder, zapcore.Lock(os.Stderr), zap.WarnLevel))) // shown where the test fails
	if os.Getenv("RA_TEST_REPLICA_LOG") != "" {
		log = zap.Must(zap.NewDevelopment())
	}
	crash := os.Getenv(replicaCrash)
	var enrolling atomic.Int64
	srv, err := server.New(ctx, cfg, server.Options{
		Logger: log,
		Now:    func() time.Time { return time.Now().Add(ahead) },
		Events: func(_ context.Context, e any) {
			if _, ok := e.(ra.Enrolling); ok {
				enrolling.Add(1)
			}
			if crash != "" && stepOf(e) == crash {
				die()
			}
		},
	})
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	for state := srv.Ready(); !state.Ready && os.Getenv(replicaEarly) == ""; state = srv.Ready() {
		<-state.Changed
	}
	if srv.AdminAddr() != nil {
		fmt.Println(srv.ESTAddr(), srv.AdminAddr())
	} else {
		fmt.Println(srv.ESTAddr())
	}
	if name := os.Getenv(replicaProfile); name != "" {
		profile, err := os.Create(name)
		if err != nil {
			return err
		}
		defer profile.Close()
		if err := pprof.StartCPUProfile(profile); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	go func() {
		defer cancel()
		for asked := bufio.NewScanner(os.Stdin); asked.Scan(); {
			fmt.Println(enrolling.Load(), liveMemory())
		}
	}()
	return <-done
}

// liveMemory is what the heap and the stacks hold, garbage apart.
func liveMemory() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// die is what the kernel does at kill -9: nothing of this process runs after it.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// stepOf names the step of an enrollment that an event stands for.
func stepOf(e any) string {
	switch e := e.(type) {
	case est.CSRRead:
		return "the CSR is read"
	case ra.Enrolling:
		return "before the claim"
	case ra.Leg:
		if e.Attempt == 0 {
			return string(e.Phase) + " answered, not yet recorded"
		}
	case ra.Submitted:
		return "the ReqID is recorded"
	case ra.Issued:
		return "the certificate is recorded"
	case est.Answered:
		if e.Status == http.StatusOK {
			return "the answer is written"
		}
	}
	return ""
}

// replica is an RA in a process of its own.
type replica struct {
	cmd     *exec.Cmd
	address string
	admin   string // "" where that is off
	in      io.Writer
	out     *bufio.Reader
	stop    func()
}

func startReplica(t testing.TB, config, crash string, environment ...string) *replica {
	t.Helper()
	return startReplicaOf(t, os.Args[0], config, crash, environment...)
}

// startReplicaOf is startReplica of another build of this test.
func startReplicaOf(t testing.TB, program, config, crash string, environment ...string) *replica {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^$")
	cmd.Env = append(os.Environ(), replicaConfig+"="+config, replicaCrash+"="+crash)
	cmd.Env = append(cmd.Env, environment...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		in.Close()
		_ = cmd.Wait() // killed, in most tests
		said.Close()
		if t.Failed() {
			t.Logf("replica %d:\n%s", cmd.Process.Pid, firstLines(said.Name(), 40))
		}
	})
	t.Cleanup(stop)
	lines := bufio.NewReader(out)
	listens, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("the replica did not say where it listens: %v", err)
	}
	address, admin, _ := strings.Cut(strings.TrimSpace(listens), " ")
	return &replica{cmd: cmd, address: address, admin: admin, in: in, out: lines, stop: stop}
}

// firstLines are the first lines of a file, for people to read.
func firstLines(name string, most int) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	lines := strings.SplitAfterN(string(text), "\n", most+1)
	return strings.Join(lines[:min(len(lines), most)], "")
}

// ask returns how many enrollments have begun in the replica, and the memory that is
// in use there.
func (r *replica) ask(t testing.TB) (enrolling int, memory uint64) {
	t.Helper()
	if _, err := fmt.Fprintln(r.in); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscanln(r.out, &enrolling, &memory); err != nil {
		t.Fatal(err)
	}
	return enrolling, memory
}

func (r *replica) kill() {
	_ = r.cmd.Process.Kill()
	r.stop()
}

// gate lets a test act when a page of the CA is asked for the first time.
type gate struct {
	mu   sync.Mutex
	page string
	act  func()
}

func (g *gate) arm(page string, act func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.page, g.act = page, act
}

func (g *gate) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var act func()
		g.mu.Lock()
		if g.page != "" && strings.HasSuffix(r.URL.Path, g.page) {
			act, g.act, g.page = g.act, nil, ""
		}
		g.mu.Unlock()
		if act != nil {
			act()
		}
		next.ServeHTTP(w, r)
	})
}

// phone is an EST client of a test, with its CSR.
func (s *site) phone(address string) *capf.Client {
	s.t.Helper()
	client, err := capf.New(capf.Options{URL: "https://" + address, Roots: s.ca.Roots, User: s.ca.User, Password: s.ca.Password, Timeout: time.Minute})
	if err != nil {
		s.t.Fatal(err)
	}
	return client
}

func newCSR(t testing.TB, cn string) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: cn}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

// issuedFor returns the certificates that the CA issued for a key.
func (s *site) issuedFor(key *ecdsa.PrivateKey) []*x509.Certificate {
	s.t.Helper()
	var found []*x509.Certificate
	for _, request := range s.ca.Server.Requests() {
		if request.Disposition != certsrv.DispositionIssued {
			continue
		}
		c, err := x509.ParseCertificate(request.Certificate)
		if err != nil {
			s.t.Fatal(err)
		}
		if key.PublicKey.Equal(c.PublicKey) {
			found = append(found, c)
		}
	}
	return found
}

// A kill at any step between the CSR and the certificate, a restart and the
// client's retry: the CA has issued one certificate, and the client holds it.
func TestAKilledRALosesNoCertificateAndIssuesNoneTwice(t *testing.T) {
	for _, test := range []struct {
		step string // at which the RA kills itself
		page string // or the page of the CA that it is killed at
	}{
		{step: "the CSR is read"},
		{step: "before the claim"},
		{step: "login answered, not yet recorded"},
		{step: "template answered, not yet recorded"},
		{page: "certfnsh.asp"},
		{step: "submit answered, not yet recorded"},
		{step: "the ReqID is recorded"},
		{page: "certnew.cer"},
		{step: "fetch answered, not yet recorded"},
		{step: "the certificate is recorded"},
		{step: "the answer is written"},
	} {
		name := test.step
		if test.page != "" {
			name = "the CA has " + test.page
		}
		t.Run("killed when "+name, func(t *testing.T) {
			t.Parallel()
			g := &gate{}
			s := newSite(t, func(o *certsrv.Options) { o.Middleware = append(o.Middleware, g.middleware) })
			s.caKeys = ", template_check: list"
			s.load("profile: modern\nadmin: {listen: \"\"}\n")
			config := filepath.Join(s.dir, "ra.yaml")
			csr, key := newCSR(t, "phone")

			first := startReplica(t, config, test.step)
			if test.page != "" {
				g.arm(test.page, first.kill)
			}
			lost := s.phone(first.address).Enroll(t.Context(), "phone", csr)
			first.stop()
			if lost.RV == capf.StatusNone && test.step != "the answer is written" {
				t.Fatal("the RA was not killed")
			}

			second := startReplica(t, config, "")
			result := s.phone(second.address).Enroll(t.Context(), "phone", csr)
			if result.RV != capf.StatusNone || len(result.Certificates) == 0 {
				t.Fatalf("the retry: %v %v", result.RV, result.Err)
			}
			issued := s.issuedFor(key)
			if len(issued) != 1 {
				t.Fatalf("the CA has issued %d certificates for the key, want one", len(issued))
			}
			if !issued[0].Equal(result.Certificates[0]) {
				t.Error("the client holds another certificate than the CA issued")
			}
			second.stop()
			s.checkLedger(func(rows []ledger.Row) {
				if last := rows[0]; last.State != ledger.StateDelivered || last.ReqID == 0 || !bytes.Equal(last.Certificate, issued[0].Raw) {
					t.Errorf("the ledger's row: %s, ReqID %d", last.State, last.ReqID)
				}
			})
		})
	}
}

// checkLedger reads the ledger of a site whose RA has ended, newest row first.
func (s *site) checkLedger(check func([]ledger.Row)) {
	s.t.Helper()
	book, err := ledger.Open(s.t.Context(), "sqlite:"+filepath.Join(s.dir, "ra.db"), ledger.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	defer book.Close()
	rows, err := book.List(s.t.Context(), ledger.Filter{})
	if err != nil {
		s.t.Fatal(err)
	}
	if len(rows) == 0 {
		s.t.Fatal("the ledger is empty")
	}
	check(rows)
}
