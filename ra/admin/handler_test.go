package admin_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"ciscora/ra/admin"
)

func TestHealthIsOKWhileTheProcessServes(t *testing.T) {
	w := request(t, admin.New(admin.Options{}), http.MethodGet, "/healthz")
	equal(t, http.StatusOK, w.Code)
	equal(t, "ok\n", w.Body.String())
	equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
	equal(t, "no-store", w.Header().Get("Cache-Control"))
	equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
}

func TestReadinessSaysWhyNot(t *testing.T) {
	var ready admin.Readiness
	h := admin.New(admin.Options{Ready: func() admin.Readiness { return ready }})

	ready.Reason = "login: https://ca.example/certsrv: timeout"
	status, body := get(t, h, "/readyz")
	equal(t, http.StatusServiceUnavailable, status)
	equal(t, map[string]any{"ready": false, "reason": ready.Reason}, body)

	ready = admin.Readiness{Ready: true, Since: time.Unix(1e9, 0).UTC()}
	status, body = get(t, h, "/readyz")
	equal(t, http.StatusOK, status)
	equal(t, map[string]any{"ready": true, "since": "2001-09-09T01:46:40Z"}, body)
}

func TestRootsArePEM(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(7)}, &x509.Certificate{}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	var roots []*x509.Certificate
	h := admin.New(admin.Options{Roots: func() []*x509.Certificate { return roots }})

	status, body := get(t, h, "/roots")
	equal(t, http.StatusServiceUnavailable, status)
	equal(t, map[string]any{"error": "no root is known yet: see /readyz for the reason"}, body)

	roots = []*x509.Certificate{cert, cert}
	w := request(t, h, http.MethodGet, "/roots")
	equal(t, http.StatusOK, w.Code)
	equal(t, "application/x-pem-file", w.Header().Get("Content-Type"))
	block, rest := pem.Decode(w.Body.Bytes())
	equal(t, der, block.Bytes)
	block, rest = pem.Decode(rest)
	equal(t, der, block.Bytes)
	equal(t, 0, len(rest))
}

func TestMethodsAndPaths(t *testing.T) {
	full := admin.Options{
		Ready:       func() admin.Readiness { return admin.Readiness{Ready: true} },
		Roots:       func() []*x509.Certificate { return nil },
		Enrollments: admin.NewEnrollments(0, nil),
		Certsrv:     &queue{},
	}
	for _, c := range []struct {
		method, target string
		options        admin.Options
		status         int
		allow          string
	}{
		{"HEAD", "/healthz", full, 200, ""},
		{"HEAD", "/readyz", full, 200, ""},
		{"HEAD", "/enrollments", full, 200, ""},
		{"POST", "/healthz", full, 405, "GET, HEAD"},
		{"DELETE", "/enrollments", full, 405, "GET, HEAD"},
		{"PUT", "/enrollments/1", full, 405, "GET, HEAD"},
		{"GET", "/certsrv/requests/1/approve", full, 405, "POST"},
		{"POST", "/certsrv/requests", full, 405, "GET, HEAD"},
		{"GET", "/", full, 404, ""},
		{"GET", "/metrics", full, 404, ""},
		{"GET", "/enrollments/", full, 404, ""},
		{"GET", "/readyz", admin.Options{}, 404, ""},
		{"GET", "/roots", admin.Options{}, 404, ""},
		{"GET", "/enrollments", admin.Options{}, 404, ""},
		{"GET", "/certsrv/requests", admin.Options{}, 404, ""},
		{"POST", "/certsrv/requests/1/approve", admin.Options{}, 404, ""},
	} {
		t.Run(c.method+c.target, func(t *testing.T) {
			w := request(t, admin.New(c.options), c.method, c.target)
			equal(t, c.status, w.Code)
			equal(t, c.allow, w.Header().Get("Allow"))
			if c.status >= 400 && !strings.Contains(w.Body.String(), `"error": `) {
				t.Errorf("no JSON: %s", w.Body)
			}
		})
	}
}

func TestWhatIsElsewhereIsSaid(t *testing.T) {
	srv := httptest.NewServer(admin.New(admin.Options{}))
	defer srv.Close()
	for path, want := range map[string]string{
		"/certsrv/requests": "admin.listen in certsrv.yaml",
		"/faults":           "ra serve with --allow-faults",
		"/fault":            "no such page: /fault",
	} {
		resp, err := http.Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusNotFound || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s %s %v, want %s", path, resp.Status, body, err, want)
		}
	}
}

func TestAHEADHasNoBody(t *testing.T) {
	server := httptest.NewServer(admin.New(admin.Options{}))
	defer server.Close()
	defer server.Client().CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodHead, server.URL+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	equal(t, http.StatusOK, response.StatusCode)
	equal(t, int64(3), response.ContentLength)
}

func TestOnLoopbackOnlyItsOwnNamesAreServed(t *testing.T) {
	h := admin.New(admin.Options{Hosts: []string{"ra.lab.example", "192.0.2.7"}})
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8085}
	outside := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 8085}
	for _, c := range []struct {
		host   string
		local  net.Addr
		status int
	}{
		{"localhost", loopback, 200},
		{"LocalHost:8085", loopback, 200},
		{"127.0.0.1:8085", loopback, 200},
		{"127.9.9.9", loopback, 200},
		{"[::1]:8085", loopback, 200},
		{"[::1]", loopback, 200},
		{"RA.lab.example:8085", loopback, 200},
		{"192.0.2.7:8085", loopback, 200},
		{"evil.example", loopback, 403},
		{"localhost.evil.example:8085", loopback, 403},
		{"192.0.2.8:8085", loopback, 403},
		{"", loopback, 403},
		{"evil.example", nil, 403},
		{"evil.example", &net.TCPAddr{IP: net.ParseIP("::ffff:127.0.0.1")}, 403},
		{"other.example", outside, 200},
	} {
		t.Run(fmt.Sprint(c.host, " at ", c.local), func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
			r.Host = c.host
			if c.local != nil {
				r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, c.local))
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			equal(t, c.status, w.Code)
		})
	}
}

// queue is a CA with request 1 pending and request 2 decided; 3 cannot be
// decided.
type queue struct {
	decided []string
	more    []admin.Request
}

func (q *queue) List() []admin.Request {
	return append([]admin.Request{{ID: 1, Requester: `LAB\alice`, Template: "Supervised", Subject: "CN=SEP1", Disposition: 5}, {ID: 2, Certificate: []byte{0x30}}}, q.more...)
}

func (q *queue) decide(verdict string, id int) error {
	switch id {
	case 1:
		q.decided = append(q.decided, verdict)
		return nil
	case 2:
		return fmt.Errorf("request 2: %w", admin.ErrNotPending)
	case 3:
		return errors.New("the disk is full")
	}
	return fmt.Errorf("request %d: %w", id, admin.ErrUnknownRequest)
}

func (q *queue) Approve(id int) error { return q.decide("approve", id) }
func (q *queue) Deny(id int) error    { return q.decide("deny", id) }

func TestTheManagerSeesAndDecidesRequests(t *testing.T) {
	q := &queue{}
	core, logs := observer.New(zap.InfoLevel)
	h := admin.New(admin.Options{Certsrv: q, Logger: zap.New(core)})

	status, body := get(t, h, "/certsrv/requests")
	equal(t, http.StatusOK, status)
	requests := body["requests"].([]any)
	equal(t, 2, len(requests))
	equal(t, map[string]any{
		"id": 1.0, "requester": `LAB\alice`, "template": "Supervised", "subject": "CN=SEP1", "disposition": 5.0,
		"hresult": 0.0, "message": "", "submitted": "0001-01-01T00:00:00Z",
	}, requests[1].(map[string]any))

	for target, want := range map[string]int{
		"/certsrv/requests/1/approve":                            200,
		"/certsrv/requests/1/deny":                               200,
		"/certsrv/requests/2/approve":                            409,
		"/certsrv/requests/3/approve":                            500,
		"/certsrv/requests/4/deny":                               404,
		"/certsrv/requests/x/deny":                               404,
		"/certsrv/requests/99999999999999999999999/deny":         404,
		"/certsrv/requests/" + strings.Repeat("9", 18) + "/deny": 404,
	} {
		equal(t, want, request(t, h, http.MethodPost, target).Code)
	}
	if len(q.decided) != 2 || q.decided[0] == q.decided[1] {
		t.Errorf("decided %v, want approve and deny", q.decided)
	}
	equal(t, 1, logs.FilterMessage("request approved").Len())
	equal(t, 1, logs.FilterMessage("request denied").Len())
	equal(t, 1, logs.FilterMessage("request not approved").Len())
}

func TestAPageFromElsewhereDecidesNothing(t *testing.T) {
	q := &queue{}
	h := admin.New(admin.Options{Certsrv: q})
	for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
		r := httptest.NewRequest(http.MethodPost, "/certsrv/requests/1/approve", nil)
		r.Host = "localhost:8085"
		r.Header.Set(name, value)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		equal(t, http.StatusForbidden, w.Code)
	}
	equal(t, 0, len(q.decided))
}
