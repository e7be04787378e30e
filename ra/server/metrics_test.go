package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"html"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ciscora/internal/peertest"
	"ciscora/msca/certsrv"
	"ciscora/ra/server"
)

// withAdmin is an RA with its admin port.
type withAdmin struct {
	*site
	est   string // the address of its EST service, a slash at its end
	admin string // of its admin port, without one
}

func (s *site) show(lines string) *withAdmin {
	s.t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(s.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	srv, err := server.New(s.t.Context(), s.load(lines), server.Options{Logger: s.log, Admin: listener, Version: "v1"})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
	settled(s.t, srv) // it has its chain, or says why not
	return &withAdmin{s, "https://" + srv.ESTAddr().String() + "/.well-known/est/", "http://" + listener.Addr().String()}
}

func (s *withAdmin) page(path string) string {
	s.t.Helper()
	resp, err := http.Get(s.admin + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %d %v: %s", path, resp.StatusCode, err, text)
	}
	return string(text)
}

// scraped are the figures of an RA that has enrolled, refused and challenged.
func scraped(t *testing.T) string {
	t.Helper()
	s := newSite(t).show("")
	if b := s.behaviour(s.est); !b.Joins {
		t.Fatalf("%+v", b)
	}
	var text string
	await(t, func() bool { // the last answer is counted once it is written
		text = s.page("/metrics")
		return strings.Contains(text, "\nra_est_requests_in_flight 0\n")
	})
	return text
}

func TestTheConsoleSaysWhatNeedsAPerson(t *testing.T) {
	s := newSite(t, func(o *certsrv.Options) {
		o.Templates = []certsrv.Template{{Name: "CiscoRA", SubjectFromRequest: true, ManagerApproval: true}}
	}).show("")
	says := func(words ...string) {
		t.Helper()
		text := html.UnescapeString(s.page("/"))
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Errorf("no %q in %s", w, text)
			}
		}
	}
	says("Ready: an enrollment would work now.", "<p>Nothing.</p>")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "SEP001122334455"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	if status, _, body := s.post(s.est+"simpleenroll", csr); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, body)
	}
	says("1 request waits for a manager since ", "/console/requests?state=pending", "Approve or deny it at the CA.", "EST server (")
	right := s.ca.Password
	for i := range 3 {
		s.ca.Password = "wrong" + strconv.Itoa(i)
		if status, _, _ := s.post(s.est+"simpleenroll", csr); status != http.StatusUnauthorized {
			t.Fatalf("a wrong password: %d", status)
		}
	}
	s.ca.Password = right
	says("1 door is closed after wrong passwords: account ciscora", "DELETE /lockouts/NAME")
	if text := s.page("/"); strings.Contains(text, `method="post"`) || strings.Contains(text, "/console/lab") {
		t.Error("an RA's console offers to change something")
	}
}

func TestTheMetricsCountWhatClientsGot(t *testing.T) {
	text := scraped(t)
	for _, line := range []string{
		`ra_enrollments_total{operation="simpleenroll",outcome="issued"} 2`, // the second time from the ledger
		`ra_enrollments_total{operation="simpleenroll",outcome="bad_request"} 1`,
		`ra_enrollments_total{operation="simpleenroll",outcome="refused"} 1`,
		`ra_enrollments_total{operation="simplereenroll",outcome="issued"} 0`,
		`ra_enrollment_duration_seconds_count{operation="simpleenroll",outcome="issued"} 2`,
		`ra_ca_leg_duration_seconds_count{leg="submit",result="ok"} 1`,
		`ra_ca_failures_total{kind="auth-rejected",leg="login"} 1`,
		`ra_ca_logins_total{result="refused"} 1`,
		`ra_ready 1`, `ra_serving 1`, `ra_ca_down 0`, `ra_own_account_refused 0`,
		`ra_ca_requests_in_flight 0`, `ra_est_requests_in_flight 0`,
		`ra_ledger_up 1`, `ra_ledger_possible_orphans 0`, `ra_ledger_pending 0`,
		`ra_build_info{version="v1"} 1`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	for _, start := range []string{
		`ra_certificate_not_after_timestamp_seconds{certificate="est"} 1.`,
		`ra_certificate_not_after_timestamp_seconds{certificate="issuing_ca"} `,
		`ra_certificate_not_after_timestamp_seconds{certificate="root_ca"} `,
		`ra_ledger_duration_seconds_count{operation="write"} `,
	} {
		if !strings.Contains(text, "\n"+start) {
			t.Errorf("no line %s...", start)
		}
	}
	if t.Failed() {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "ra_") && !strings.Contains(line, "_bucket") {
				t.Log(strings.TrimSpace(line))
			}
		}
	}
	for _, secret := range []string{"alice", "SEP0011"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is among the metrics: a client makes series", secret)
		}
	}
}

func TestPrometheusTakesTheMetricsAndTheAlerts(t *testing.T) {
	promtool := peertest.Program(t, "promtool")
	check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	check.Stdin = strings.NewReader(scraped(t))
	if out, err := check.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", "../../deploy/alerts.yaml").CombinedOutput(); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
}

var metricName = regexp.MustCompile(`\bra_[a-z_]+`)

func TestTheDashboardAndTheAlertsNameMetricsThatExist(t *testing.T) {
	exist := metricName.FindAllString(scraped(t), -1)
	var queries []string
	dashboard, err := os.ReadFile("../../deploy/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(dashboard, &d); err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			queries = append(queries, target.Expr)
		}
	}
	alerts, err := os.ReadFile("../../deploy/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(queries) < 10 {
		t.Errorf("only %d queries: %q", len(queries), queries)
	}
	for _, query := range append(queries, string(alerts)) {
		for _, name := range metricName.FindAllString(query, -1) {
			if !slices.Contains(exist, name) {
				t.Errorf("no metric %s: %s", name, query)
			}
		}
	}
}
