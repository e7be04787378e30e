package endpoint_test

import (
	"context"
	"crypto/rand"
	"io"
	"log"
	"net"
	"strings"
	"testing"
	"time"

	"ciscora/ra/check"
	"ciscora/ra/check/endpoint"
	"ciscora/ra/check/hello"
)

func discarded() *log.Logger { return log.New(io.Discard, "", 0) }

// send connects, says something and waits until it is closed.
func send(t testing.TB, address string, data []byte) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	if _, err := conn.Write(data); err != nil {
		t.Error(err)
	}
	_, _ = io.Copy(io.Discard, conn) // closed, or reset
}

func helloOf(t testing.TB, c hello.Client) []byte {
	t.Helper()
	data, err := c.Marshal(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestWhoConnectsIsToldByItsHello(t *testing.T) {
	phone := hello.Offer(hello.TLS10, nil, "")
	phone.Suites, phone.Groups = ids(t, "AES256-SHA", "AES128-SHA"), nil
	fallback := hello.Offer(hello.TLS11, hello.SuitesOf(hello.TLS11, hello.RSA), "")
	fallback.Fallback = true
	sent := [][]byte{
		helloOf(t, hello.Offer(hello.TLS10, hello.SuitesOf(hello.TLS10), "endpoint.example.com")),
		helloOf(t, hello.Offer(hello.TLS10, hello.SuitesOf(hello.TLS10), "endpoint.example.com")),
		helloOf(t, hello.Offer(hello.TLS13, hello.SuitesOf(hello.TLS13), "a.example.com")),
		helloOf(t, phone), helloOf(t, fallback),
		[]byte("GET /tcs/systemunit.xml HTTP/1.1\r\nHost: x\r\n\r\n"),
		[]byte("\x16\x03\x01\x00\x04\x01\x00\x00\x00"),
	}
	l := loopback(t)
	var r check.Report
	ended := make(chan error, 1)
	told := 0
	go func() {
		ended <- endpoint.Listen(t.Context(), endpoint.ListenOptions{Listener: l, Timeout: 20 * time.Second, Most: len(sent), Heard: func(check.Finding) { told++ }}, &r)
	}()
	for _, data := range sent {
		send(t, l.Addr().String(), data)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	wantFindings(t, r,
		"listen.hello FAIL: 127.0.0.1 offers TLS 1.0 at the most, asks for endpoint.example.com; | ECDHE-ECDSA-AES256-SHA | (2 times) | no HTTPS response | DisabledByDefault",
		"listen.hello ok: 127.0.0.1 offers TLS 1.3, asks for a.example.com; ciphers, 5: TLS_AES_256_GCM_SHA384",
		"listen.hello ok: ciphers, 2: AES256-SHA, AES128-SHA; it is as a VPN phone",
		"listen.hello warn: offers TLS 1.1 at the most, as a second try (fallback)",
		"listen.hello warn: sent no Client Hello, but \"GET /tcs/systemunit.xml HTTP/1.1 | fallen back after a Client Hello that was refused",
		"listen.hello skip: what it sent cannot be read")
	if len(r.Findings) != 6 || told != 6 {
		t.Errorf("%d findings, %d told: %+v", len(r.Findings), told, r)
	}
}

func TestListeningEndsWithItsContext(t *testing.T) {
	l := loopback(t)
	ctx, cancel := context.WithCancel(t.Context())
	var r check.Report
	ended := make(chan error, 1)
	go func() { ended <- endpoint.Listen(ctx, endpoint.ListenOptions{Listener: l, Timeout: time.Hour}, &r) }()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() // it says nothing
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	wantFindings(t, r, "listen.hello skip: nobody connected to 127.0.0.1:")
}

// What a stranger sends does not reach the terminal as it is.
func TestAHostileHelloIsOnePrintableLine(t *testing.T) {
	c := hello.Offer(hello.TLS12, hello.SuitesOf(hello.TLS12), "\x1b[2J\nok    everything is fine")
	c.ALPN = []string{"\x1b]0;x\x07"}
	l := loopback(t)
	var r check.Report
	ended := make(chan error, 1)
	go func() {
		ended <- endpoint.Listen(t.Context(), endpoint.ListenOptions{Listener: l, Timeout: 20 * time.Second, Most: 1}, &r)
	}()
	send(t, l.Addr().String(), helloOf(t, c))
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	wantFindings(t, r, "listen.hello ok: offers TLS 1.2 at the most")
	if strings.Contains(r.Findings[0].Seen, "\x07") {
		t.Errorf("%q", r.Findings[0].Seen)
	}
}
