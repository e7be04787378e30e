package est_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"ciscora/est"
)

func TestOptionsThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*est.Options)
		says   string
	}{
		{"no CA", func(o *est.Options) { o.CA = nil }, "Options.CA"},
		{"no authenticator", func(o *est.Options) { o.Authenticator = nil }, "Options.Authenticator"},
		{"a dialect that is none", func(o *est.Options) { o.Dialect = 7 }, "dialect 7"},
		{"a base64 form that is none", func(o *est.Options) { o.Base64 = -1 }, "base64 -1"},
		{"a negative limit", func(o *est.Options) { o.Limits.Body = -1 }, "negative"},
		{"a realm with a line end", func(o *est.Options) { o.Realm = "a\r\nb" }, "realm"},
	} {
		o := est.Options{CA: &ca{}, Authenticator: basic}
		c.change(&o)
		if _, err := est.New(o); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestServeNeedsATLSConfigurationWithACertificate(t *testing.T) {
	for _, config := range []*tls.Config{nil, {}} {
		if err := newServer(t).Serve(t.Context(), newPipes(), config); err == nil || !strings.Contains(err.Error(), "TLS") {
			t.Errorf("%v", err)
		}
	}
}

func TestServeReportsAListenerThatFails(t *testing.T) {
	p := newPipes()
	p.Close()
	err := newServer(t).Serve(t.Context(), p, &tls.Config{Certificates: []tls.Certificate{lab().server}})
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}

func TestRealmIsQuoted(t *testing.T) {
	csr, _ := phone(t, "SEP001122334455")
	on := listen(t, newServer(t, func(o *est.Options) { o.Realm = `the "lab" \o/` }))
	if got := on.ask(t, post(enrollPath, lines(csr))).get("WWW-Authenticate"); got != `Basic realm="the \"lab\" \\o/"` {
		t.Error(got)
	}
}

func TestConnectionsStayOpenUnlessTheClientOrAnErrorSaysOtherwise(t *testing.T) {
	csr, _ := phone(t, "SEP001122334455")
	for _, c := range []struct {
		name    string
		dialect est.Dialect
		request string
		closes  bool
	}{
		// docs/reference/libest.md L6: this client says close, and reads to the end.
		{"close from the client, rfc8951", est.DialectRFC8951, get(cacertsPath, "Connection: close\r\n"), true},
		{"close from the client, libest", est.DialectLibest, get(cacertsPath, "Connection: close\r\n"), true},
		{"close from the client, challenge", est.DialectLibest, post(enrollPath, lines(csr), "Connection: close\r\n"), true},
		{"success, rfc8951", est.DialectRFC8951, get(cacertsPath), false},
		{"success, libest", est.DialectLibest, get(cacertsPath), false},
		{"challenge, libest", est.DialectLibest, post(enrollPath, lines(csr)), false},
		{"error, rfc8951", est.DialectRFC8951, get("/"), false},
		{"error, libest", est.DialectLibest, get("/"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			on := listen(t, newServer(t, dialect(c.dialect)))
			conn := on.dial(t)
			if _, err := io.WriteString(conn, c.request); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(conn)
			if _, err := readWire(r, false); err != nil {
				t.Fatal(err)
			}
			if c.closes {
				if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
					t.Errorf("want the connection to end after the answer, got %q, %v", rest, err)
				}
				return
			}
			if _, err := io.WriteString(conn, get(cacertsPath)); err != nil {
				t.Fatal(err)
			}
			if got, err := readWire(r, false); err != nil || got.status() != http.StatusOK {
				t.Errorf("second request on the connection: %q, %v", got.line, err)
			}
		})
	}
}

func TestExpectContinue(t *testing.T) { // L11: no interim answers, but to a client that asks for one
	csr, _ := phone(t, "SEP001122334455")
	on := listen(t, newServer(t))
	if got := on.ask(t, post(enrollPath, lines(csr), credentials)); got.status() != 200 {
		t.Errorf("an interim answer that nobody asked for? %q", got.line)
	}
	head, body, _ := strings.Cut(post(enrollPath, lines(csr), credentials, "Expect: 100-continue\r\n"), "\r\n\r\n")
	c := on.dial(t)
	if _, err := io.WriteString(c, head+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	if got, err := readWire(r, false); err != nil || got.status() != 100 {
		t.Fatalf("%q, %v", got.line, err)
	}
	if _, err := io.WriteString(c, body); err != nil {
		t.Fatal(err)
	}
	if got, err := readWire(r, false); err != nil || got.status() != 200 {
		t.Errorf("%q, %v", got.line, err)
	}
	// Without credentials, or with too long a body, the body need not come.
	for request, want := range map[string]int{
		strings.Replace(head, credentials, "", 1):                                      401,
		strings.Replace(head, "Content-Length: ", "Content-Length: 9999", 1):           413,
		strings.Replace(head, "application/pkcs10", "application/x-www-form", 1):       415,
		strings.Replace(head, "application/pkcs10", "application/pkcs10-evil; x=y", 1): 415,
	} {
		if got := on.ask(t, request+"\r\n\r\n"); got.status() != want {
			t.Errorf("%q, want %d", got.line, want)
		}
	}
}

func TestALPNIsHTTP1(t *testing.T) {
	on := listen(t, newServer(t), func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} })
	for _, test := range []struct {
		offered []string
		want    string
	}{
		{[]string{"h2", "http/1.1"}, "http/1.1"},
		{[]string{"http/1.0", "http/1.1"}, "http/1.1"},
		{[]string{"http/1.0"}, "http/1.0"}, // curl --http1.0
	} {
		d := tls.Dialer{Config: &tls.Config{RootCAs: roots(), ServerName: "localhost", NextProtos: test.offered}}
		c, err := d.DialContext(t.Context(), "tcp", on.addr)
		if err != nil {
			t.Errorf("%q: %v", test.offered, err)
			continue
		}
		defer c.Close()
		if got := c.(*tls.Conn).ConnectionState().NegotiatedProtocol; got != test.want {
			t.Errorf("%q: %q", test.offered, got)
		}
		if _, err := io.WriteString(c, "GET /.well-known/est/cacerts HTTP/1.0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if answer, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("%q: %v, %v", test.offered, answer, err)
		}
	}
	if got := on.dial(t).ConnectionState().NegotiatedProtocol; got != "" {
		t.Errorf("a client without ALPN, as libest, was given %q", got)
	}
}

func TestAPanicIsA500OfOneLineAndLogged(t *testing.T) {
	for _, d := range bothDialects {
		core, logs := observer.New(zapcore.DebugLevel)
		events := newRecorder()
		on := listen(t, newServer(t, dialect(d), func(o *est.Options) {
			o.Logger, o.Events = zap.New(core), events.record
			o.Middleware = []func(http.Handler) http.Handler{func(http.Handler) http.Handler {
				return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("out of cheese") })
			}}
		}))
		got := on.ask(t, get(cacertsPath))
		if got.status() != 500 || strings.Contains(got.body, "cheese") {
			t.Errorf("%v: %q %q", d, got.line, got.body)
		}
		<-events.ended
		if logs.FilterMessage("a handler panicked").Len() != 1 {
			t.Errorf("%v: not logged: %v", d, logs.All())
		}
		if a := of[est.Answered](events); a[0].Status != 500 || a[0].Err == nil {
			t.Errorf("%v: reported as %+v", d, a)
		}
	}
}

func TestMiddlewareRunsInOrderOnceTheLabelIsKnown(t *testing.T) {
	var seen []string
	note := func(name string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				seen = append(seen, name+" "+est.Label(r.Context()))
				if est.Label(r.Context()) == "teapot" {
					w.WriteHeader(http.StatusTeapot)
					return
				}
				next.ServeHTTP(w, r)
			})
		}
	}
	authority := &ca{}
	server := newServer(t, func(o *est.Options) {
		o.CA = authority
		o.Label = func(label string) bool { return label != "nosuch" }
		o.Middleware = []func(http.Handler) http.Handler{note("outer"), note("inner")}
	})
	for path, want := range map[string]int{
		cacertsPath:                        200,
		"/.well-known/est/wifi/cacerts":    200,
		"/.well-known/est/ca:7/cacerts":    200, // as Aruba ClearPass has them
		"/.well-known/est/a%20b/cacerts":   200,
		"/.well-known/est/a%2Fb/cacerts":   404,
		"/.well-known/est/a%0Ab/cacerts":   404,
		"/.well-known/est/nosuch/cacerts":  404,
		"/.well-known/est/teapot/cacerts":  418,
		"/.well-known/est//cacerts":        404,
		"/.well-known/est/csrattrs/x":      404,
		"/.well-known/est/cacerts/cacerts": 404,
	} {
		seen = nil
		w := httptest.NewRecorder()
		server.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
		if want == 404 && len(seen) > 0 {
			t.Errorf("%s: middleware ran: %q", path, seen)
		}
		if path == "/.well-known/est/wifi/cacerts" && !slices.Equal(seen, []string{"outer wifi", "inner wifi"}) {
			t.Errorf("%s: %q", path, seen)
		}
	}
	slices.Sort(authority.labels)
	if want := []string{"", "a b", "ca:7", "wifi"}; !slices.Equal(authority.labels, want) {
		t.Errorf("the CA was given the labels %q, want %q", authority.labels, want)
	}
}

func TestEventsTellTheStory(t *testing.T) {
	csr, _ := phone(t, "SEP001122334455")
	events := newRecorder()
	var id int
	on := listen(t, newServer(t, dialect(est.DialectLibest), func(o *est.Options) {
		o.Events = events.record
		o.NewID = func() string { id++; return []string{"first", "second", "third"}[id-1] }
		o.Now = func() time.Time { return time.Date(2019, 1, 16, 14, 5, 2, 0, time.UTC) }
	}))
	// As CAPF: anonymous first, then with credentials on another connection; and
	// here a third one with wrong ones.
	for _, header := range []string{"", credentials, "Authorization: Basic YTpi\r\n"} {
		on.ask(t, post(enrollPath, lines(csr), "Connection: close\r\n", header))
		<-events.ended
	}
	on.stop()
	if err := <-on.done; err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, e := range events.events {
		got = append(got, strings.TrimSuffix(events.ids[i]+" ", " ")+" "+reflect.TypeOf(e).Name())
		if o := reflect.ValueOf(e).FieldByName("Origin").Interface().(est.Origin); o.ID != events.ids[i] || o.Server.String() != on.addr ||
			o.Client == nil || o.Conn < 1 || o.Conn > 3 || o.Time.Year() != 2019 {
			t.Errorf("%T: %+v", e, o)
		}
	}
	opened := slices.DeleteFunc(slices.Clone(got), func(s string) bool { return !strings.HasPrefix(s, " ") })
	slices.Sort(opened)
	if want := []string{" ConnectionClosed", " ConnectionClosed", " ConnectionClosed", " ConnectionOpened", " ConnectionOpened", " ConnectionOpened"}; !slices.Equal(opened, want) {
		t.Errorf("%q", opened)
	}
	requests := slices.DeleteFunc(got, func(s string) bool { return strings.HasPrefix(s, " ") })
	if want := []string{
		"first Received", "first Challenged", "first Answered",
		"second Received", "second Authenticated", "second CSRRead", "second Answered",
		"third Received", "third AuthenticationFailed", "third Answered",
	}; !slices.Equal(requests, want) {
		t.Errorf("%q", requests)
	}
	received := of[est.Received](events)[0]
	if received.Method != "POST" || received.URI != enrollPath || received.Operation != "simpleenroll" || received.UserAgent != "Cisco EST client 1.0" || received.Proto != "HTTP/1.1" {
		t.Errorf("%+v", received)
	}
	answered := of[est.Answered](events)
	if a := answered[1]; a.Status != 200 || a.Bytes < 500 || a.Err != nil || a.Received.URI != enrollPath {
		t.Errorf("%+v", a)
	}
	if a := answered[2]; a.Status != 401 || !strings.HasPrefix(a.Text, "Error 401: Unauthorized\n") || a.Err == nil {
		t.Errorf("%+v", a)
	}
	if f := of[est.AuthenticationFailed](events)[0]; f.Status != 401 || f.Challenged || f.Err == nil {
		t.Errorf("%+v", f)
	}
}

func TestContextsCarryIdentityIDAndConnection(t *testing.T) {
	csr, _ := phone(t, "SEP001122334455")
	type seen struct {
		who, id, label string
		conn           int64
	}
	var got []seen
	authority := &ca{}
	on := listen(t, newServer(t, func(o *est.Options) {
		o.CA = authority
		o.Label = func(string) bool { return true }
	}))
	authority.enroll = func(ctx context.Context, csr *x509.CertificateRequest) (*x509.Certificate, error) {
		who, _ := ctx.Value(whoKey{}).(string)
		got = append(got, seen{who, est.RequestID(ctx), est.Label(ctx), est.ConnectionNumber(ctx)})
		return issue(csr)
	}
	for range 2 {
		on.ask(t, post("/.well-known/est/wifi/simpleenroll", lines(csr), credentials))
	}
	if len(got) != 2 || got[0].who != "estuser" || got[0].label != "wifi" || got[0].conn != 1 || got[1].conn != 2 ||
		len(got[0].id) != 16 || got[0].id == got[1].id {
		t.Errorf("%+v", got)
	}
	if ctx := t.Context(); est.RequestID(ctx) != "" || est.Label(ctx) != "" || est.ConnectionNumber(ctx) != 0 {
		t.Error("a context of no request has an id, a label or a connection")
	}
}

func TestTheCauseOfAnErrorIsLoggedAndNotShown(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	events := newRecorder()
	on := listen(t, newServer(t, func(o *est.Options) {
		o.Logger, o.Events = zap.New(core), events.record
		o.CA = failing(&est.Error{Status: 502, Text: "the CA's answer could not be used", Cause: io.ErrUnexpectedEOF})
	}))
	if got := on.ask(t, get(cacertsPath)); got.body != "the CA's answer could not be used\n" {
		t.Errorf("%q", got.body)
	}
	<-events.ended
	on.stop()
	if err := <-on.done; err != nil {
		t.Error(err)
	}
	line := logs.FilterMessage("request answered").All()
	if len(line) != 1 || line[0].ContextMap()["cause"] != io.ErrUnexpectedEOF.Error() || line[0].ContextMap()["status"] != int64(502) {
		t.Errorf("%+v", line)
	}
}
