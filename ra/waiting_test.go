package ra_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ciscora/est"
	"ciscora/msca/certsrv"
)

// waitingEnrollments is how many clients wait on a CA that does not answer.
const waitingEnrollments = 2000

// The peers of BenchmarkWaitingEnrollments, CA and clients, are another process
// (this test binary, run again), so that what is measured here is the RA alone:
// its connections to both sides with their TLS states, its goroutines and what
// it holds for each enrollment.
const peersVariable = "RA_BENCH_PEERS"

// peersHello is what the peers tell the RA about their CA.
type peersHello struct {
	URL, User, Password string
	Root                []byte // DER
	Certificate         []byte // PEM: the RA's server certificate and its key
}

// peersMain starts a CA that takes CSRs and does not answer, tells where it is,
// reads the RA's URL, and sends the CSRs. It says "waiting" once all wait, and
// ends with its standard input.
func peersMain() error {
	var posts atomic.Int64
	all := make(chan struct{})
	end := make(chan struct{})
	ca := certsrv.NewTestServer(func(o *certsrv.Options) {
		o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasSuffix(r.URL.Path, "certfnsh.asp") {
					next.ServeHTTP(w, r)
					return
				}
				if posts.Add(1) == waitingEnrollments {
					close(all)
				}
				<-end
				panic(http.ErrAbortHandler)
			})
		})
	})
	defer ca.Close()
	defer close(end)
	cert, err := ca.Server.IssueServerCertificate([]string{"127.0.0.1"})
	if err != nil {
		return err
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return err
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	for _, der := range cert.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	hello := peersHello{ca.URL, ca.User, ca.Password, ca.Server.Root().Raw, chain}
	if err := json.NewEncoder(os.Stdout).Encode(hello); err != nil {
		return err
	}
	in := bufio.NewReader(os.Stdin)
	url, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	send(strings.TrimSpace(url), ca)
	<-all
	fmt.Println("waiting")
	_, err = io.Copy(io.Discard, in)
	return err
}

// send starts the clients; they end with the process.
func send(url string, ca *certsrv.TestServer) {
	front := &frontEnd{url: url}
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: ca.Roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
	}
	client := &http.Client{Transport: transport}
	turns := make(chan struct{}, 50) // at a time in the handshake: a phone cluster's worth
	for i := range waitingEnrollments {
		turns <- struct{}{}
		body := []byte(base64.StdEncoding.EncodeToString(makeCSR(fmt.Sprintf("SEP%012X", i))))
		go func() {
			time.AfterFunc(20*time.Millisecond, func() { <-turns })
			_ = front.post(client, ca.User, ca.Password, body) // it ends when the benchmark does
		}()
	}
}

// BenchmarkWaitingEnrollments reports what one enrollment costs the RA in memory
// while it waits on the CA, and how long /cacerts takes meanwhile.
func BenchmarkWaitingEnrollments(b *testing.B) {
	var perEnrollment, cacerts float64
	for b.Loop() {
		perEnrollment, cacerts = measureWaiting(b)
	}
	b.ReportMetric(perEnrollment, "B/waiting")
	b.ReportMetric(cacerts, "ms/cacerts")
	b.ReportMetric(0, "ns/op") // how long the peers take to come says nothing
}

func measureWaiting(b *testing.B) (bytesEach, cacertsMillis float64) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	peers := exec.CommandContext(ctx, os.Args[0])
	peers.Env = append(os.Environ(), peersVariable+"=1")
	peers.Stderr = os.Stderr
	stdin, err := peers.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := peers.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := peers.Start(); err != nil {
		b.Fatal(err)
	}
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			_ = peers.Wait() // killed
		})
	}
	defer stop()
	lines := bufio.NewReader(stdout)
	var hello peersHello
	line, err := lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &hello)
	}
	if err != nil {
		b.Fatal(err)
	}
	root, err := x509.ParseCertificate(hello.Root)
	if err != nil {
		b.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	cert, err := tls.X509KeyPair(hello.Certificate, hello.Certificate)
	if err != nil {
		b.Fatal(err)
	}
	r := newRA(b, hello.URL, roots, hello.User, hello.Password, &recorder{}, modern)
	runCtx, endRun := context.WithCancel(ctx)
	defer endRun()
	before := r.Ready()
	done := make(chan struct{})
	go func() { defer close(done); _ = r.Run(runCtx) }()
	<-before.Changed
	s := serveEST(b, r, est.DialectRFC8951, cert)

	idle := memory()
	if _, err := fmt.Fprintln(stdin, s.url); err != nil {
		b.Fatal(err)
	}
	if word, err := lines.ReadString('\n'); err != nil || word != "waiting\n" {
		b.Fatalf("the peers said %q: %v", word, err)
	}
	bytesEach = float64(memory()-idle) / waitingEnrollments

	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}}
	began := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"cacerts", nil)
	if err != nil {
		b.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		b.Fatalf("/cacerts while %d wait: %s, %v", waitingEnrollments, resp.Status, err)
	}
	cacertsMillis = float64(time.Since(began)) / float64(time.Millisecond)
	stop() // both ends of every enrollment go: the RA's goroutines end
	endRun()
	<-done
	return bytesEach, cacertsMillis
}

// memory is what the heap and the stacks hold, garbage apart.
func memory() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
