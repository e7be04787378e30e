package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"ciscora/ra/ledger"
	"ciscora/ra/ledger/ledgertest"
)

func TestTheLedgersReplicasAreListedAndWhatIsNotAlikeFails(t *testing.T) {
	dsn := ledgertest.StartPostgres(t).DSN
	open := func(name, template string) {
		l, err := ledger.Open(t.Context(), dsn, ledger.Options{
			Replica: name, About: ledger.About{Version: "v1.2.3", Agree: map[string]string{"ca.template": template}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		if err := l.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	open("host/1/a", "11")
	if out := ran(t, "ledger", "replicas", "--dsn", dsn); !strings.Contains(out, "host/1/a") || !strings.Contains(out, "yes") || !strings.Contains(out, "v1.2.3") {
		t.Errorf("one replica:\n%s", out)
	}
	open("host/2/b", "22")
	var out, errs bytes.Buffer
	status := Main(t.Context(), []string{"ledger", "replicas", "--json", "--dsn", dsn}, Environment{Stdout: &out, Stderr: &errs, LookupEnv: func(string) (string, bool) { return "", false }})
	if want := "replicas host/1/a and host/2/b have not the same ca.template: "; status != exitFailed || !strings.HasPrefix(errs.String(), want) || strings.Count(errs.String(), "\n") != 1 {
		t.Errorf("status %d, %q, want %q", status, errs.String(), want)
	}
	var rows []replicaRow
	if err := json.Unmarshal(out.Bytes(), &rows); err != nil || len(rows) != 2 || !rows[1].Live {
		t.Errorf("%v: %s", err, out.String())
	}
}
