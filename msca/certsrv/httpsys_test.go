package certsrv_test

import (
	"net/http"
	"strings"
	"testing"

	"ciscora/msca/certsrv"
)

// docs/reference/certsrv.md 1.3: a Kerberos ticket of somebody in many groups is that long.
func TestAHeadOver16KiBIsHTTPSysBadRequest(t *testing.T) {
	log := &accessLog{}
	srv := start(t, log.option)
	// What the transport itself puts in the head.
	head := func(ticket string) int {
		host := strings.TrimSuffix(strings.TrimPrefix(srv.URL, "https://"), "/certsrv")
		return len("GET /certsrv/ HTTP/1.1\r\nHost: "+host+"\r\nUser-Agent: CiscoRA 1.0\r\nAccept-Encoding: gzip\r\n\r\n") +
			len("X-Ticket: "+ticket+"\r\n")
	}
	fill := strings.Repeat("x", 16384-head(""))
	for _, c := range []struct {
		name    string
		headers []string
		status  int
	}{
		{"16 KiB", []string{"X-Ticket", fill}, 401},
		{"a byte more", []string{"X-Ticket", fill + "x"}, 400},
		{"a ticket of 64 KiB", []string{"Authorization", "Negotiate " + strings.Repeat("A", 65536/3*4)}, 400},
		{"many headers that are small each", []string{"A", fill[:6000], "B", fill[:6000], "C", fill[:6000]}, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(log.all())
			got := newBrowser(t, srv).do(http.MethodGet, "/", "", c.headers...)
			if got.status != c.status {
				t.Fatalf("status %d, want %d", got.status, c.status)
			}
			if c.status != http.StatusBadRequest {
				return
			}
			if len(log.all()) != before {
				t.Error("it stands in IIS's log")
			}
			if len(got.body) != 346 || !strings.Contains(got.body, "Bad Request - Request Too Long") ||
				got.header.Get("Server") != "Microsoft-HTTPAPI/2.0" || !got.closes {
				t.Errorf("%d bytes, %v:\n%s", len(got.body), got.header, got.body)
			}
		})
	}
}

// IIS knows who asks before a page of it runs: what takes the page's place does not
// take the log-in's.
func TestAPageThatFailsComesAfterTheLogIn(t *testing.T) {
	for _, c := range []struct {
		kind   string
		status int
	}{{"service-stopped", 200}, {"asp-timeout", 500}} {
		t.Run(c.kind, func(t *testing.T) {
			log := &accessLog{}
			var srv *certsrv.TestServer
			broken := true
			srv = start(t, log.option, func(o *certsrv.Options) {
				o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if !broken || !srv.Server.AnswerAs(w, r, c.kind) {
							next.ServeHTTP(w, r)
						}
					})
				})
			})
			stranger := newBrowser(t, srv)
			if got := stranger.get("/").status; got != 401 {
				t.Errorf("without a log-in: %d, want 401", got)
			}
			if got := newBrowser(t, srv).logIn(srv.User, "wrong", nil).status; got != 401 {
				t.Errorf("with a wrong password: %d, want 401", got)
			}
			b := newBrowser(t, srv)
			if got := b.logIn(srv.User, srv.Password, nil).status; got != c.status || log.last(t).User != srv.User {
				t.Fatalf("the log-in's last leg: %d as %q, want %d as %q", got, log.last(t).User, c.status, srv.User)
			}
			if got := b.get("/").status; got != c.status {
				t.Errorf("the next request on the connection: %d, want %d", got, c.status)
			}
			broken = false
			if got := b.get("/").status; got != 200 {
				t.Errorf("once the page is there: %d, want 200", got)
			}
			if got := stranger.get("/").status; got != 401 {
				t.Errorf("the stranger: %d, want 401", got)
			}
		})
	}
}
