package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ciscora/msca/certsrv"
)

// The RA of these benchmarks is a process of its own, as `ra serve` with the defaults
// of its profile (SQLite on disk, both emulated logs, the admin port); clients and CA
// are in this one. What counts is what the RA's process takes.

// BenchmarkEnrollment reports the CPU time that the RA takes for an enrollment, user
// and system. The wall time is mostly the clients' and the CA's.
func BenchmarkEnrollment(b *testing.B) {
	for _, test := range []struct {
		profile string
		fresh   bool // TLS connections, one for each enrollment
	}{{"modern", false}, {"modern", true}, {"cucm-12.5", true}} {
		for _, clients := range []int{1, 16} {
			connection := "kept"
			if test.fresh {
				connection = "fresh TLS"
			}
			b.Run(fmt.Sprintf("%s/%s/clients=%d", test.profile, connection, clients), func(b *testing.B) {
				s := newSite(b)
				s.load("profile: " + test.profile + "\nadmin: {listen: \"127.0.0.1:0\"}\n")
				ra := startReplica(b, filepath.Join(s.dir, "ra.yaml"), "")
				front := s.clients(ra, clients, test.fresh)
				for range clients { // the log-in, and the connections that are kept
					front.enroll(b, newBody(b))
				}
				bodies := make([][]byte, b.N)
				for i := range bodies {
					bodies[i] = newBody(b)
				}
				turns := make(chan []byte)
				var all sync.WaitGroup
				before := ra.cpu(b)
				b.ResetTimer()
				for range clients {
					all.Go(func() {
						for body := range turns {
							front.enroll(b, body)
						}
					})
				}
				for _, body := range bodies {
					turns <- body
				}
				close(turns)
				all.Wait()
				b.ReportMetric(float64((ra.cpu(b)-before).Microseconds())/float64(b.N), "us-CPU/op")
				ra.stop() // the profile, where there is one, is written at the end
			})
		}
	}
}

// BenchmarkDetail reports the CPU time that the RA takes for an enrollment with and without
// admin.detail.
func BenchmarkDetail(b *testing.B) {
	for _, detail := range []bool{false, true} {
		b.Run(fmt.Sprintf("detail=%v", detail), func(b *testing.B) {
			s := newSite(b)
			s.load(fmt.Sprintf("profile: modern\nadmin: {listen: \"127.0.0.1:0\", detail: %v}\n", detail))
			ra := startReplica(b, filepath.Join(s.dir, "ra.yaml"), "")
			front := s.clients(ra, 1, false)
			front.enroll(b, newBody(b)) // the log-in, and the connection that is kept
			bodies := make([][]byte, b.N)
			for i := range bodies {
				bodies[i] = newBody(b)
			}
			before := ra.cpu(b)
			b.ResetTimer()
			for _, body := range bodies {
				front.enroll(b, body)
			}
			b.ReportMetric(float64((ra.cpu(b)-before).Microseconds())/float64(b.N), "us-CPU/op")
			ra.stop()
		})
	}
}

// BenchmarkAtOnce reports what ten thousand clients that come at once cost the RA in
// memory while the CA does not answer, each on a TLS connection of its own: what is in
// use, and the growth of the resident set, garbage included. Meanwhile somebody asks
// for /cacerts on new connections, one after the other, TLS handshake included: first
// while the clients' handshakes take all the processors that there are, then while all
// wait. Both processes need some 10,100 file descriptors each (ulimit -n).
func BenchmarkAtOnce(b *testing.B) {
	waiting := 10000
	if testing.Short() {
		waiting = 200
	}
	for b.Loop() {
		measureAtOnce(b, waiting)
	}
	b.ReportMetric(0, "ns/op") // how long the clients take to come says nothing
}

func measureAtOnce(b *testing.B, waiting int) {
	ctx, cancel := context.WithCancel(b.Context())
	s := newSite(b, func(o *certsrv.Options) {
		o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "certfnsh.asp") {
					<-ctx.Done()
					panic(http.ErrAbortHandler)
				}
				next.ServeHTTP(w, r)
			})
		})
	})
	s.load("profile: modern\nadmin: {listen: \"127.0.0.1:0\"}\n")
	ra := startReplica(b, filepath.Join(s.dir, "ra.yaml"), "")
	front := s.clients(ra, 1, true)
	front.get(b, "cacerts")
	_, idle := ra.ask(b)
	idleResident := ra.resident(b)

	arriving := s.probe(ra)
	var all sync.WaitGroup
	for range waiting {
		body := newBody(b)
		all.Go(func() {
			if err := front.post(ctx, body); ctx.Err() == nil {
				b.Errorf("a client that should wait: %v", err)
			}
		})
	}
	deadline := time.Now().Add(50 * time.Second) // within which nobody is told to come back
	pause := func(d time.Duration) {
		if time.Now().After(deadline) {
			b.Fatalf("%d clients did not come within 50 s: is the machine busy?", waiting)
		}
		time.Sleep(d)
	}
	for n := 0; n < waiting; n, _ = ra.ask(b) {
		pause(100 * time.Millisecond)
	}
	median, slowest := arriving()
	b.ReportMetric(median, "ms/cacerts-arriving-p50")
	b.ReportMetric(slowest, "ms/cacerts-arriving-max")
	// The last ones are on their way into the line.
	for busy := ra.cpu(b); ; {
		pause(500 * time.Millisecond)
		now := ra.cpu(b)
		if now-busy < 50*time.Millisecond {
			break
		}
		busy = now
	}
	whileAllWait := s.probe(ra)
	time.Sleep(3 * time.Second)
	_, slowest = whileAllWait()
	b.ReportMetric(slowest, "ms/cacerts-waiting-max")
	resident := ra.resident(b)
	_, inUse := ra.ask(b)
	each := func(now, before uint64) float64 { return float64(now-before) / float64(waiting) }
	b.ReportMetric(each(inUse, idle), "B/waiting")
	b.ReportMetric(each(resident, idleResident), "B-resident/waiting")
	cancel()
	all.Wait()
	ra.kill()
}

// The probe is this test binary, run again: where the clients are ten thousand
// goroutines it would wait for its own turn among them.
const (
	probeURL  = "RA_TEST_PROBE_URL"
	probeRoot = "RA_TEST_PROBE_ROOT"
)

// probe asks for /cacerts again and again, until the function that it returns is
// called, which tells how many milliseconds the answers took, the middle one and the
// slowest.
func (s *site) probe(ra *replica) (end func() (median, slowest float64)) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), probeURL+"=https://"+ra.address+"/.well-known/est/cacerts", probeRoot+"="+filepath.Join(s.dir, "root.pem"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return func() (median, slowest float64) {
		s.t.Helper()
		in.Close()
		if err := cmd.Wait(); err != nil {
			s.t.Fatalf("the probe: %v", err)
		}
		if _, err := fmt.Fscan(&out, &median, &slowest); err != nil {
			s.t.Fatal(err)
		}
		return median, slowest
	}
}

func probeMain() error {
	root, err := os.ReadFile(os.Getenv(probeRoot))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	c := &clients{Client: http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}}}
	end := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(end)
	}()
	var took []float64 // ms
	for {
		began := time.Now()
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, os.Getenv(probeURL), nil)
		if err == nil {
			err = c.do(req)
		}
		if err != nil {
			return err
		}
		took = append(took, float64(time.Since(began))/float64(time.Millisecond))
		select {
		case <-end:
			slices.Sort(took)
			fmt.Println(took[len(took)/2], took[len(took)-1])
			return nil
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// clients are clients of one RA.
type clients struct {
	url, user, password string
	http.Client
}

func (s *site) clients(ra *replica, atOnce int, fresh bool) *clients {
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: s.ca.Roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: fresh, MaxIdleConnsPerHost: atOnce,
	}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &clients{url: "https://" + ra.address + "/.well-known/est/", user: s.ca.User, password: s.ca.Password, Client: http.Client{Transport: transport}}
}

func (c *clients) post(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"simpleenroll", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.SetBasicAuth(c.user, c.password)
	req.Header.Set("Content-Type", "application/pkcs10")
	return c.do(req)
}

func (c *clients) do(req *http.Request) error {
	resp, err := c.Do(req)
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

func (c *clients) enroll(b *testing.B, body []byte) {
	if err := c.post(b.Context(), body); err != nil {
		b.Error(err)
	}
}

func (c *clients) get(b *testing.B, operation string) {
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, c.url+operation, nil)
	if err == nil {
		err = c.do(req)
	}
	if err != nil {
		b.Error(err)
	}
}

func newBody(b *testing.B) []byte {
	csr, _ := newCSR(b, "SEP001122334455")
	return []byte(base64.StdEncoding.EncodeToString(csr))
}

// cpu is the CPU time that the replica's process has taken (proc_pid_stat(5)).
func (r *replica) cpu(b *testing.B) time.Duration {
	b.Helper()
	_, stat, _ := strings.Cut(r.proc(b, "stat"), ") ")
	fields := strings.Fields(stat)
	var ticks int
	for _, field := range fields[11:13] { // utime and stime
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ
}

// resident is the replica's resident set in bytes (proc_pid_status(5)).
func (r *replica) resident(b *testing.B) uint64 {
	b.Helper()
	_, line, _ := strings.Cut(r.proc(b, "status"), "VmRSS:")
	var kilobytes uint64
	if _, err := fmt.Sscan(line, &kilobytes); err != nil {
		b.Fatal(err)
	}
	return kilobytes << 10
}

func (r *replica) proc(b *testing.B, file string) string {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", r.cmd.Process.Pid, file))
	if err != nil {
		b.Fatal(err)
	}
	return string(text)
}
