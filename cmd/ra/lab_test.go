package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// labEvent is a line of ra lab --json.
type labEvent struct {
	Event, Time, Admin, User, Password, State, CN, Phone string
	TookMS                                               float64 `json:"took_ms"`
}

// startLab starts ra lab with port 0 everywhere, and returns what reads its events.
func startLab(t *testing.T, env map[string]string, args ...string) (next func() labEvent) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	var complaints bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		args := append([]string{"lab", "--json", "--est", "127.0.0.1:0", "--certsrv", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, args...)
		ended <- Main(ctx, args, Environment{Stdout: in, Stderr: &complaints, LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
		in.Close()
	}()
	t.Cleanup(func() {
		cancel()
		go func() { _, _ = io.Copy(io.Discard, out) }() // what it still says
		if status := <-ended; status != exitDone {
			t.Errorf("status %d: %s", status, complaints.String())
		}
	})
	lines := bufio.NewScanner(out)
	return func() (e labEvent) {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("it says nothing more: %v", lines.Err())
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Event == "" || e.Time == "" {
			t.Fatalf("%v in %s", err, lines.Text())
		}
		return e
	}
}

func TestALabTellsItsAddressesFirstAndThenEachEvent(t *testing.T) {
	next := startLab(t, map[string]string{"RA_LAB_USER": "tester", "RA_LAB_PASSWORD": "s3cret"}, "--host", "est.example.com", "--seed", "7")
	first := next()
	if first.Event != "listening" || first.Admin == "" || first.User != "tester" || first.Password != "s3cret" {
		t.Errorf("%+v", first)
	}
	resp, err := http.Get(first.Admin + "/info")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(text), `"password": "s3cret"`) || !strings.Contains(string(text), "est.example.com") {
		t.Errorf("%v: %s", err, text)
	}
	seen := map[string]labEvent{}
	for len(seen) < len([]string{"listening", "sample", "enrollment", "ready"}) {
		e := first
		if len(seen) > 0 {
			e = next()
		}
		if _, again := seen[e.Event]; again {
			t.Errorf("a second line of %s: %+v", e.Event, e)
		}
		seen[e.Event] = e
	}
	if e := seen["enrollment"]; e.State != "issued" || e.TookMS <= 0 || e.CN != seen["sample"].Phone || e.CN == "" {
		t.Errorf("%+v, the sample is %+v", e, seen["sample"])
	}
}

func TestTheLabsAccountComesFromAFileOrTheEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(file, []byte("of the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"RA_LAB_USER": "tester", "RA_LAB_PASSWORD": "s3cret"}
	for _, c := range []struct {
		env            map[string]string
		args           []string
		user, password string
	}{
		{env, nil, "tester", "s3cret"},
		{env, []string{"--user", "alice"}, "alice", "s3cret"},
		{env, []string{"--user", "alice", "--password-file", file}, "alice", "of the file"},
		{nil, []string{"--password-file", file}, `LAB\ciscora`, "of the file"},
		{nil, nil, `LAB\ciscora`, ""},
	} {
		e := startLab(t, c.env, c.args...)()
		if e.User != c.user || e.Password != c.password && c.password != "" || e.Password == "" {
			t.Errorf("%q: %+v", c.args, e)
		}
	}
	var out bytes.Buffer
	if status := Main(t.Context(), []string{"lab", "--password-file", file + ".none"}, Environment{Stdout: &out, Stderr: &out, LookupEnv: func(string) (string, bool) { return "", false }}); status != exitUsage {
		t.Errorf("%d %s", status, out.String())
	}
}

func TestALabThatIsStoppedWhileItStartsHasNothingToComplainOf(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, complaints bytes.Buffer
	status := Main(ctx, []string{"lab", "--once", "--est", "127.0.0.1:0", "--certsrv", "127.0.0.1:0", "--admin", "127.0.0.1:0"},
		Environment{Stdout: &out, Stderr: &complaints, LookupEnv: func(string) (string, bool) { return "", false }})
	if status != exitDone || complaints.Len() > 0 {
		t.Errorf("status %d: %s", status, complaints.String())
	}
}
