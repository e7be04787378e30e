package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ciscora/ra/server"
)

// scraped is an RA that has enrolled, refused and challenged, and its figures.
func scraped(t *testing.T) string {
	t.Helper()
	s := newSite(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(t.Context(), s.load(""), server.Options{Logger: s.log, Admin: listener, Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-srv.Ready().Changed // it has its chain, or says why not
	base := "https://" + srv.ESTAddr().String() + "/.well-known/est/"
	if b := s.behaviour(base); !b.Joins {
		t.Fatalf("%+v", b)
	}
	resp, err := http.Get("http://" + listener.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %v: %s", resp.StatusCode, err, text)
	}
	return string(text)
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
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("RA_PEERS") == "required" {
			t.Fatalf("promtool: %v, and RA_PEERS=required", err)
		}
		t.Skipf("promtool: %v", err)
	}
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
