package capf_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"io"
	"maps"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ciscora/est/capf"
)

// issueEach is a server without authentication that signs each CSR.
func issueEach(t *testing.T, w *world, seen func(csr []byte)) script {
	return func(_ int, r request, conn *tls.Conn) {
		der, err := base64.StdEncoding.DecodeString(r.body)
		if err != nil {
			t.Error(err)
			return
		}
		seen(der)
		_, _ = io.WriteString(conn, ok(enrollType, certsOnly(t, 64, "\n", w.issue(t, der))))
	}
}

func TestASwarmEnrollsEveryPhone(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	distinct := map[string]bool{}
	url, _ := serve(t, w.tls, issueEach(t, w, func(csr []byte) {
		mu.Lock()
		defer mu.Unlock()
		distinct[string(csr)] = true
	}))
	var calls [][3]int
	summary := capf.Swarm(t.Context(), capf.SwarmOptions{
		Client: w.client(t, url, func(o *capf.Options) { o.Now = time.Now }), Count: 20, Concurrency: 4, Key: newKey(t),
		Progress: func(done, failed, total int) { calls = append(calls, [3]int{done, failed, total}) },
	})
	if summary.OK != 20 || summary.Failed != 0 || summary.Count != 20 || len(summary.Errors) != 0 {
		t.Errorf("summary %+v", summary)
	}
	if len(distinct) != 20 {
		t.Errorf("%d distinct CSRs of 20", len(distinct))
	}
	for i, call := range calls {
		if call != [3]int{i + 1, 0, 20} {
			t.Errorf("progress %d: %v", i, call)
		}
	}
	if len(calls) != 20 {
		t.Errorf("%d calls of progress", len(calls))
	}
	if summary.Rate <= 0 || summary.P50 <= 0 || summary.P95 < summary.P50 || summary.P95 > summary.Elapsed {
		t.Errorf("summary %+v", summary)
	}
}

func TestASwarmCountsItsErrorsByKind(t *testing.T) {
	w := newWorld(t)
	answers := []string{
		"HTTP/1.1 503 Service Unavailable\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n",
		"HTTP/1.1 400 Bad Request\r\n\r\n", "", ok(enrollType, certsOnly(t, 64, "\n", w.cert)),
	}
	url, _ := serve(t, w.tls, inTurn(answers...))
	summary := capf.Swarm(t.Context(), capf.SwarmOptions{Client: w.client(t, url), Count: len(answers), KeyType: "ec256"})
	want := map[string]int{"EST_ERR_UNKNOWN": 1, "EST_ERR_HTTP_BAD_REQ": 2, "EST_ERR_HTTP_NOT_FOUND": 1, "certificate": 1}
	if !maps.Equal(summary.Errors, want) || summary.Failed != 5 || summary.OK != 0 || summary.P95 != 0 {
		t.Errorf("summary %+v, want errors %v", summary, want)
	}
}

func TestASwarmCannotMakeAnUnknownKey(t *testing.T) {
	w := newWorld(t)
	summary := capf.Swarm(t.Context(), capf.SwarmOptions{Client: w.client(t, "https://127.0.0.1:1"), Count: 3, Concurrency: 2, KeyType: "dsa"})
	if !reflect.DeepEqual(summary.Errors, map[string]int{"key": 3}) {
		t.Errorf("errors %v", summary.Errors)
	}
}

func TestASwarmEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var answered atomic.Int32
	url, _ := serve(t, w.tls, func(_ int, r request, conn *tls.Conn) {
		if answered.Add(1) > 5 {
			cancel()
			_, _ = io.Copy(io.Discard, conn) // until the client has gone
			return
		}
		issueEach(t, w, func([]byte) {})(0, r, conn)
	})
	summary := capf.Swarm(ctx, capf.SwarmOptions{
		Client: w.client(t, url, func(o *capf.Options) { o.Now = time.Now }), Count: 1000, Key: newKey(t),
	})
	if summary.OK != 5 || summary.Errors["canceled"] != summary.Failed || summary.Failed < 1 || summary.Failed > 2 {
		t.Errorf("summary %+v", summary)
	}
}

func TestAnEmptySwarm(t *testing.T) {
	w := newWorld(t)
	for _, count := range []int{0, -1} {
		summary := capf.Swarm(t.Context(), capf.SwarmOptions{Client: w.client(t, "https://127.0.0.1:1"), Count: count})
		if summary.Count != 0 || summary.OK+summary.Failed != 0 || summary.Rate != 0 {
			t.Errorf("count %d: %+v", count, summary)
		}
	}
}

func TestASummaryIsOneLine(t *testing.T) {
	summary := capf.Summary{Count: 100, OK: 98, Failed: 2, Elapsed: 2500 * time.Millisecond, Rate: 39.2, P50: 81 * time.Millisecond, P95: 1200 * time.Millisecond}
	if got, want := summary.String(), "98 of 100 enrolled, 2 failed, in 2.5s (39.2/s, p50 81ms, p95 1.2s)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestPhonesComeAgainUntilTheyHaveTheirCertificate(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	asked := map[string]int{}
	url, _ := serve(t, w.tls, func(n int, r request, conn *tls.Conn) {
		mu.Lock()
		asked[r.body]++
		first := asked[r.body] == 1
		mu.Unlock()
		if first {
			_, _ = io.WriteString(conn, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			return
		}
		issueEach(t, w, func([]byte) {})(n, r, conn)
	})
	var live []capf.Live
	options := capf.SwarmOptions{
		Client: w.client(t, url, func(o *capf.Options) { o.Now = time.Now }), Count: 10, Concurrency: 3, Key: newKey(t),
		Over: 20 * time.Millisecond, Arrival: capf.Peak, Retry: capf.Retry{Times: 2, Wait: time.Millisecond},
		Watch: func(l capf.Live) { live = append(live, l) },
	}
	s := capf.Swarm(t.Context(), options)
	if s.OK != 10 || s.Failed != 0 || s.Retries != 10 || len(s.Samples) != 10 {
		t.Errorf("%+v", s)
	}
	for body, n := range asked {
		if n != 2 {
			t.Errorf("%d requests with %.20s", n, body)
		}
	}
	last := live[len(live)-1]
	if last.Done != 10 || last.Asking != 0 || last.Waiting != 0 || last.Total != 10 {
		t.Errorf("in the end %+v", last)
	}
	for _, l := range live {
		if l.Asking < 0 || l.Waiting < 0 || l.Asking > 10 {
			t.Errorf("%+v", l)
		}
	}
	options.Retry = capf.Retry{}
	if s := capf.Swarm(t.Context(), options); s.Failed != 10 || s.Retries != 0 {
		t.Errorf("without another try: %+v", s)
	}
}

func TestASwarmDoublesRequestsAndTriesWrongPasswords(t *testing.T) {
	w := newWorld(t)
	var requests atomic.Int32
	url, _ := serve(t, w.tls, issueEach(t, w, func([]byte) { requests.Add(1) }))
	client := w.client(t, url, func(o *capf.Options) { o.Now = time.Now })
	s := capf.Swarm(t.Context(), capf.SwarmOptions{Client: client, Count: 6, Concurrency: 2, Key: newKey(t), Duplicates: 1, Wrong: client, WrongPasswords: 1})
	// The server asks nobody for a password: it takes each, and gives each request a
	// certificate of its own.
	if s.OK != 6 || s.Doubled != 6 || s.DoubledApart != 6 || s.WrongTaken != 6 || s.Wrong != 0 || requests.Load() != 18 {
		t.Errorf("%+v, %d requests", s, requests.Load())
	}
}

func TestTheSameSeedDrawsTheSamePhones(t *testing.T) {
	w := newWorld(t)
	url, _ := serve(t, w.tls, issueEach(t, w, func([]byte) {}))
	kinds := func(seed uint64) map[string]int {
		s := capf.Swarm(t.Context(), capf.SwarmOptions{
			Client: w.client(t, url, func(o *capf.Options) { o.Now = time.Now }), Count: 20, Concurrency: 4, Seed: seed,
			KeyTypes: []capf.KeyShare{{KeyType: "ec256", Weight: 3}, {KeyType: "ec384", Weight: 1}},
		})
		if s.OK != 20 {
			t.Errorf("%+v", s)
		}
		return map[string]int{"ec256": s.ByKey["ec256"].OK, "ec384": s.ByKey["ec384"].OK}
	}
	if a, b := kinds(1), kinds(1); !maps.Equal(a, b) || a["ec256"] == 0 || a["ec384"] == 0 || a["ec256"] < a["ec384"] {
		t.Errorf("%v and %v", a, b)
	}
}
