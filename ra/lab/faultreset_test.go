package lab_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"ciscora/config"
	"ciscora/ra/lab"
)

// A client tells a reset from an end (curl: 56 from 52), and so do the logs of CES. The
// profile modern keeps the connections of EST's clients.
func TestAConnectionThatIsToBeResetIsResetAndOneThatIsToBeClosedIsClosed(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *lab.Lab{
		"TCP, with a CA that makes its own keys": func(t *testing.T) *lab.Lab {
			t.Helper()
			return startAsUsers(t, lab.Options{Profile: config.ProfileModern})
		},
		"TCP": func(t *testing.T) *lab.Lab { t.Helper(); return start(t, lab.Options{Profile: config.ProfileModern}) },
		"in memory": func(t *testing.T) *lab.Lab {
			t.Helper()
			return start(t, lab.Options{Profile: config.ProfileModern, Network: &lab.Memory{}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := start(t)
			const form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 8\r\n\r\nMode=new"
			const p10 = "Content-Type: application/pkcs10\r\nContent-Length: 8\r\n\r\nbm9uZQ=="
			for place, request := range map[string]string{
				"certsrv.login":      "GET /certsrv/ HTTP/1.1\r\nAuthorization: Basic eDp5\r\n\r\n",
				"certsrv.template":   "GET /certsrv/certrqxt.asp HTTP/1.1\r\n\r\n",
				"certsrv.submit":     "POST /certsrv/certfnsh.asp HTTP/1.1\r\n" + form,
				"certsrv.fetch":      "GET /certsrv/certnew.cer?ReqID=1&Enc=b64 HTTP/1.1\r\n\r\n",
				"certsrv.chain":      "GET /certsrv/certnew.p7b?ReqID=CACert&Renewal=0&Enc=bin HTTP/1.1\r\n\r\n",
				"certsrv.any":        "GET /certsrv/ HTTP/1.1\r\n\r\n",
				"est.cacerts":        "GET /.well-known/est/cacerts HTTP/1.1\r\n\r\n",
				"est.csrattrs":       "GET /.well-known/est/csrattrs HTTP/1.1\r\n\r\n",
				"est.simpleenroll":   "POST /.well-known/est/simpleenroll HTTP/1.1\r\n" + p10,
				"est.simplereenroll": "POST /.well-known/est/simplereenroll HTTP/1.1\r\n" + p10,
				"est.serverkeygen":   "POST /.well-known/est/serverkeygen HTTP/1.1\r\n" + p10,
				"est.any":            "GET /.well-known/est/cacerts HTTP/1.1\r\n\r\n",
			} {
				server, other := l.ESTURL, "/.well-known/est/cacerts"
				if strings.HasPrefix(place, "certsrv.") {
					server, other = l.CertsrvURL, "/certsrv/"
				}
				request = strings.Replace(request, " HTTP/1.1\r\n", " HTTP/1.1\r\nHost: localhost\r\n", 1)
				for kind, want := range map[string]error{"reset": syscall.ECONNRESET, "close": io.EOF} {
					for connection, before := range map[string]string{
						"a new connection":           "",
						"a connection that was kept": "GET " + other + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
					} {
						t.Run(place+":"+kind+" on "+connection, func(t *testing.T) {
							conn := connect(t, l, server)
							answers := bufio.NewReader(conn)
							if before != "" {
								passOver(t, conn, answers, before)
							}
							id, err := l.Faults.Order(place + ":" + kind)
							if err != nil {
								t.Fatal(err)
							}
							defer l.Faults.Remove(id)
							if _, err := io.WriteString(conn, request); err != nil {
								t.Fatal(err)
							}
							if got, err := answers.ReadByte(); !errors.Is(err, want) {
								t.Errorf("byte %#x, %v: want no byte, and %v", got, err, want)
							}
						})
					}
				}
			}
		})
	}
}

// connect opens a TLS connection to a server of the lab.
func connect(t *testing.T, l *lab.Lab, server string) net.Conn {
	t.Helper()
	at, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	beneath, err := l.DialContext(ctx, "tcp", at.Host)
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(beneath, &tls.Config{RootCAs: l.Roots, ServerName: at.Hostname()})
	t.Cleanup(func() { _ = conn.Close() }) // one that was reset has nothing to say
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		t.Fatal(err)
	}
	return conn
}

// passOver has a request answered on a connection, and the connection kept.
func passOver(t *testing.T, conn io.Writer, answers *bufio.Reader, request string) {
	t.Helper()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil || response.Close {
		t.Fatalf("%v; the server closes: %v", err, response.Close)
	}
}
