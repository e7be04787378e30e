package certsrv_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"ciscora/msca/certsrv"

	"github.com/google/go-cmp/cmp"
)

// docs/reference/certsrv.md 0 fact 3: 163 bytes for the document's host.
func TestTheRedirectRepeatsTheHostHeader(t *testing.T) {
	srv := start(t)
	b := loggedIn(t, srv)
	for host, size := range map[string]int{"lab-dc-iis.michamen.com": 163, "lab-dc-iis.michamen.com:443": 167} {
		got := b.do(http.MethodGet, "", "", "Host", host)
		want := "https://" + host + "/certsrv/"
		if got.status != 301 || got.header.Get("Location") != want {
			t.Errorf("%s: %d to %q, want 301 to %q", host, got.status, got.header.Get("Location"), want)
		}
		if len(got.body) != size || !strings.Contains(got.body, want) {
			t.Errorf("%s: body of %d bytes, want %d with the URL: %q", host, len(got.body), size, got.body)
		}
		if ct := got.header.Get("Content-Type"); ct != "text/html; charset=UTF-8" {
			t.Errorf("Content-Type %q", ct)
		}
	}
}

// docs/reference/certsrv.md 1.5.
func TestHeadersAreIIS(t *testing.T) {
	srv := start(t)
	b := loggedIn(t, srv)
	page := b.get("/certrqxt.asp")
	for name, want := range map[string]string{
		"Cache-Control":     `private`,
		"Content-Length":    strconv.Itoa(len(page.body)),
		"Content-Type":      `text/html`,
		"Server":            `Microsoft-IIS/10\.0`,
		"Set-Cookie":        `ASPSESSIONID[A-Z]{8}=[A-Z]{24}; secure; path=/`,
		"X-Powered-By":      `ASP\.NET`,
		"Transfer-Encoding": ``,
	} {
		if got := page.header.Get(name); !regexp.MustCompile("^" + want + "$").MatchString(got) {
			t.Errorf("%s: %q, want %s", name, got, want)
		}
	}
	cookie, _, _ := strings.Cut(page.header.Get("Set-Cookie"), ";")
	if again := b.do(http.MethodGet, "/certrqxt.asp", "", "Cookie", cookie).header.Get("Set-Cookie"); again != "" {
		t.Errorf("a client with a session gets another: %q", again)
	}
	head := b.do(http.MethodHead, "/certrqxt.asp", "", "Cookie", cookie)
	if head.status != 200 || head.body != "" || head.header.Get("Content-Length") != strconv.Itoa(len(page.body)) {
		t.Errorf("HEAD: %d, %d bytes, Content-Length %s", head.status, len(head.body), head.header.Get("Content-Length"))
	}
}

func TestTheType1LegIsAnsweredByHTTPSys(t *testing.T) {
	srv := start(t)
	got := newBrowser(t, srv).do(http.MethodPost, "/certfnsh.asp", "", "Authorization", "NTLM TlRMTVNTUAABAAAABoIIAAAAAAAAAAAAAAAAAAAAAAA=")
	if got.status != 401 || len(got.body) != 341 || got.header.Get("Server") != "Microsoft-HTTPAPI/2.0" || got.header.Get("X-Powered-By") != "" {
		t.Errorf("%d with %d bytes of %q, want 401 with 341 of http.sys", got.status, len(got.body), got.header.Get("Server"))
	}
	if h := got.header.Values("WWW-Authenticate"); len(h) != 1 || !strings.HasPrefix(h[0], "NTLM TlRMTVNTUAACAAAA") {
		t.Errorf("challenges %q, want the type 2 message alone", h)
	}
}

func TestWhatIISRefuses(t *testing.T) {
	log := &accessLog{}
	srv := start(t, log.option)
	for _, c := range []struct {
		name, method, path, body string
		status, sub              int
	}{
		{"a page that is not there", http.MethodGet, "/nothing.asp", "", 404, 0},
		{"a folder beside certsrv", http.MethodGet, "x", "", 404, 0},
		{"a URL that is too long", http.MethodGet, "/" + strings.Repeat("a", 4096), "", 404, 14},
		{"a query that is too long", http.MethodGet, "/certnew.cer?" + strings.Repeat("a", 2049), "", 404, 15},
		{"a method of WebDAV", "PROPFIND", "/certrqxt.asp", "", 405, 0},
		{"a form beyond ASP's limit", http.MethodPost, "/certfnsh.asp", strings.Repeat("a", 200_001), 500, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := loggedIn(t, srv).do(c.method, c.path, c.body)
			if e := log.last(t); got.status != c.status || e.Status != c.status || e.SubStatus != c.sub {
				t.Errorf("answered %d, logged %d.%d, want %d.%d", got.status, e.Status, e.SubStatus, c.status, c.sub)
			}
		})
	}
}

func TestPathsAndQueryKeysAreComparedWithoutCase(t *testing.T) {
	srv := start(t)
	b := loggedIn(t, srv)
	want := b.get("/certnew.cer?ReqID=CACert&Renewal=0&Enc=b64").body
	if !strings.HasPrefix(want, "-----BEGIN CERTIFICATE-----\r\n") {
		t.Fatalf("no certificate: %q", want)
	}
	for _, path := range []string{"/CERTNEW.CER?reqid=cacert&renewal=0&enc=b64", "/CertNew.cer?REQID=CACERT&RENEWAL=-1&ENC=B64", "/certnew.cer?ReqId=CACert&Renewal=0"} {
		if got := b.get(path).body; got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
}

// brief is an entry as docs/reference/certsrv.md 1.4 shows the golden sequences.
func brief(e certsrv.AccessEntry) string {
	return fmt.Sprintf("%s %s %s %s %s %d %d %d", e.Method, e.URIStem, e.URIQuery, e.User, e.Referer, e.Status, e.SubStatus, e.Win32)
}

// docs/reference/certsrv.md 1.4, docs/reference/ces.md: the document's three sequences.
func TestGoldenSequences(t *testing.T) {
	const first, second = `GET /certsrv    401 1 2148074254`, `GET /certsrv  LAB\ciscora  301 0 0`
	referer := "https://lab-dc.michamen.com:443/certsrv/certrqxt.asp"
	log := &accessLog{}
	srv := start(t, log.option, func(o *certsrv.Options) { o.FirstReqID = 10 })

	loggedIn(t, srv).get("/certnew.p7b?ReqID=CACert&Renewal=0&Enc=bin")
	loggedIn(t, srv).get("/certrqxt.asp")
	b := loggedIn(t, srv)
	b.do(http.MethodPost, "/certfnsh.asp", "Mode=newreq&CertAttrib=CertificateTemplate%3ACiscoRA%0d%0a&CertRequest="+url.QueryEscape(phoneCSR(t)), "Referer", referer)
	b.get("/certnew.cer?ReqID=10&ENC=b64")

	var got []string
	for _, e := range log.all() {
		got = append(got, brief(e))
		if e.ServerIP != "127.0.0.1" || e.ClientIP != "127.0.0.1" || !strings.Contains(srv.URL, fmt.Sprintf(":%d/", e.Port)) || e.UserAgent != "CiscoRA 1.0" {
			t.Errorf("addresses or agent of %+v", e)
		}
	}
	want := []string{
		first, second, `GET /certsrv/certnew.p7b ReqID=CACert&Renewal=0&Enc=bin LAB\ciscora  200 0 0`,
		first, second, `GET /certsrv/certrqxt.asp  LAB\ciscora  200 0 0`,
		first, second, `POST /certsrv/certfnsh.asp  LAB\ciscora ` + referer + ` 200 0 0`,
		`GET /certsrv/certnew.cer ReqID=10&ENC=b64 LAB\ciscora  200 0 0`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("access log (-want +got):\n%s", d)
	}
}

func TestAClientThatGivesUpIsLoggedWith64(t *testing.T) {
	entries := make(chan certsrv.AccessEntry, 1)
	reached := make(chan struct{})
	srv := start(t, func(o *certsrv.Options) {
		o.AccessLog = func(e certsrv.AccessEntry) { entries <- e }
		o.Middleware = append(o.Middleware, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(reached)
				<-r.Context().Done()
				next.ServeHTTP(w, r)
			})
		})
	})
	// By hand: http.Transport may still take an answer that comes while it gives up.
	address := strings.TrimSuffix(strings.TrimPrefix(srv.URL, "https://"), "/certsrv")
	c, err := (&tls.Dialer{Config: &tls.Config{RootCAs: srv.Roots}}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET /certsrv HTTP/1.1\r\nHost: "+address+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = soon(t, reached)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if e := soon(t, entries); e.Win32 != 64 || e.Taken < 0 || e.Time.IsZero() {
		t.Errorf("logged %+v, want win32 64", e)
	}
}

// Who streams an answer learns of a client that left by the flush that fails.
func TestAFlushTellsThatTheClientLeft(t *testing.T) {
	told := make(chan error, 1)
	entries := make(chan certsrv.AccessEntry, 1)
	srv := start(t, func(o *certsrv.Options) {
		o.AccessLog = func(e certsrv.AccessEntry) { entries <- e }
		o.Middleware = append(o.Middleware, func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
				for range 10_000 { // the system takes what it can
					if _, err := w.Write([]byte("line\n")); err != nil {
						told <- fmt.Errorf("the flush before said nothing: %w", err)
						return
					}
					if err := http.NewResponseController(w).Flush(); err != nil {
						told <- nil
						return
					}
				}
				told <- errors.New("no flush has failed")
			})
		})
	})
	address := strings.TrimSuffix(strings.TrimPrefix(srv.URL, "https://"), "/certsrv")
	c, err := (&tls.Dialer{Config: &tls.Config{RootCAs: srv.Roots}}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET /certsrv HTTP/1.1\r\nHost: "+address+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := soon(t, told); err != nil {
		t.Error(err)
	}
	if e := soon(t, entries); e.Win32 != 64 {
		t.Errorf("logged %+v, want win32 64", e)
	}
}

func TestAnAnswerThatBreaksOffIsLoggedWith64(t *testing.T) {
	log := &accessLog{}
	srv := start(t, log.option, func(o *certsrv.Options) {
		o.Middleware = append(o.Middleware, func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "100")
				if n, err := w.Write([]byte("half")); err != nil || n != 4 {
					t.Errorf("%d bytes written, %v", n, err)
				}
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
				panic(http.ErrAbortHandler)
			})
		})
	})
	b := newBrowser(t, srv)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := b.transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil || string(body) != "half" {
		t.Errorf("read %q, %v, want half and an error", body, err)
	}
	if e := log.last(t); e.Status != 200 || e.Win32 != 64 {
		t.Errorf("logged %d win32 %d, want 200 64", e.Status, e.Win32)
	}
}

func TestMiddlewareWrapsTheLogInAndIsLogged(t *testing.T) {
	log := &accessLog{}
	var order []string
	note := func(name string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				order = append(order, name)
				if name == "inner" {
					http.Error(w, "not now", http.StatusServiceUnavailable)
					return
				}
				next.ServeHTTP(w, r)
			})
		}
	}
	srv := start(t, log.option, func(o *certsrv.Options) {
		o.Middleware = append(o.Middleware, note("outer"), note("inner"))
	})
	got := newBrowser(t, srv).get("/")
	if got.status != 503 || got.body != "not now\n" || log.last(t).Status != 503 {
		t.Errorf("%d %q, logged %d", got.status, got.body, log.last(t).Status)
	}
	if strings.Join(order, " ") != "outer inner" {
		t.Errorf("order %q", order)
	}
}

func TestTimesComeFromTheClockHandedIn(t *testing.T) {
	log := &accessLog{}
	now := time.Date(2019, 1, 16, 14, 5, 2, 0, time.UTC)
	srv := start(t, log.option, func(o *certsrv.Options) { o.Now = func() time.Time { return now } })
	b := newBrowser(t, srv)
	b.transport.TLSClientConfig.Time = func() time.Time { return now }
	b.get("")
	if e := log.last(t); !e.Time.Equal(now) || e.Taken != 0 {
		t.Errorf("logged at %s, took %s", e.Time, e.Taken)
	}
	if c := srv.Server.Root(); c.NotBefore.After(now) || c.NotAfter.Year() != 2039 {
		t.Errorf("root is valid from %s to %s", c.NotBefore, c.NotAfter)
	}
}
