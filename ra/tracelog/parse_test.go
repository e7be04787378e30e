package tracelog_test

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"ciscora/ra/tracelog"
)

// random makes values as they come from outside, bad ones among them.
type random struct{ *rand.Rand }

func newRandom(t *testing.T) random {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return random{rand.New(rand.NewPCG(seed, 0))}
}

var pieces = []string{
	"LAB-DC", " ", "\n", "(60)", "client: 1.2.3.4", ", server: x", " while SSL EST handshaking, client: ", "]--> ", "\"", "\\", "é", "\x00", "\xff", "日本",
	"***EST [INFO]", ": ", "#0: ", "*7 ", "|-->debug", "12:31:03.354", "-", "+", "'", "\u202e", "%s", "[warn]",
}

func (r random) text() string {
	var b strings.Builder
	for range r.IntN(6) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

func (r random) word() string { return fmt.Sprintf("w%d", r.IntN(1000)) }

func (r random) moment() time.Time {
	return time.Unix(r.Int64N(4_000_000_000), r.Int64N(1000)*1_000_000)
}

// Every line that a writer writes is read, and written again as it was.
func TestParsingIsTheInverseOfWriting(t *testing.T) {
	zone := time.FixedZone("EST", -5*3600)
	t.Run("NGINX, libest and CiscoRA", func(t *testing.T) {
		r := newRandom(t)
		for range 300 {
			var out bytes.Buffer
			o := tracelog.Options{PID: r.IntN(100000), Location: zone, Now: r.moment}
			n, c := tracelog.NewNGINX(&out, o), tracelog.NewCiscoRA(&out)
			conn := []*tracelog.Connection{nil, {}, {Number: r.Int64N(1e9) + 1, Client: r.word(), Server: r.word()}}[r.IntN(3)]
			f := tracelog.Failure{Code: r.IntN(100), Text: r.text(), URL: r.text()}
			refusal := tracelog.Refusal{RC: r.IntN(100), Name: "EST_ERR_BAD_PKCS10", Status: 400, Reason: r.text(), Text: r.text()}
			start := tracelog.StartUp{Web: []string{r.text()}, EST: []string{r.text(), r.text()}}
			access := tracelog.Access{Client: r.word(), Method: r.text(), Path: r.text(), Status: r.IntN(600), Bytes: r.IntN(1e6), Referer: r.text(), UserAgent: r.text()}
			for _, write := range []func(){
				func() { n.StartUp(start) }, n.ChainRequested, func() { n.WebTrustStore(conn, start.EST) }, func() { n.ReceivedData(conn, r.IntN(1e6)) },
				func() { n.LoginSucceeded(conn, f.URL) }, func() { n.NavigatedToPage(conn, f.URL) }, func() { n.Submitted(conn, f.URL) },
				func() { n.Fetched(conn, f.URL) }, func() { n.ChainRetrieved(conn, f.URL) }, func() { n.ChainPassed(conn) },
				func() { n.LoginFailed(conn, f) }, func() { n.ChainFailed(conn, f) }, func() { n.PageFailed(conn, f) }, func() { n.SubmitFailed(conn, f) },
				func() { n.FetchFailed(conn, f) }, func() { n.Warn(conn, r.text(), r.text()) },
				n.Libest().NoPeerCertificate, n.Libest().Challenged, n.Libest().AuthenticationFailed, n.Libest().WriteFailed, n.Libest().ShutdownFailed,
				func() { n.Libest().Refused(refusal) }, func() { n.Libest().Access(access) },
				func() { c.StartUp(start) }, c.ChainRequested, func() { c.ServerPID(r.IntN(1e6)) }, func() { c.LoginFailed(f) }, func() { c.ChainFailed(f) },
			} {
				out.Reset()
				write()
				for line := range strings.Lines(out.String()) {
					line = strings.TrimSuffix(line, "\n")
					read, ok := tracelog.ParseNGINX(line, zone)
					if !ok || read.String() != line {
						t.Fatalf("not read as it was written: %q: %v, %q", line, ok, read)
					}
				}
			}
		}
	})
	t.Run("a line that is made up, NGINX", func(t *testing.T) {
		r := newRandom(t)
		for range 2000 {
			text := strings.ReplaceAll(strings.ReplaceAll(r.text(), "\n", ""), " while SSL EST handshaking, client: ", "")
			want := []tracelog.NGINXLine{
				{Form: tracelog.FormStartUp, Level: "warn", Text: text},
				{Form: tracelog.FormService, Text: text},
				{Form: tracelog.FormLibest, Level: "INFO", Function: r.word(), Line: r.IntN(10000), Text: text},
				{Form: tracelog.FormStarted, Time: r.moment().Truncate(time.Second).In(zone), Level: "info", PID: r.IntN(1e6), Text: "f: " + text},
				{Form: tracelog.FormRunning, Time: r.moment().Truncate(time.Second).In(zone), Level: "error", PID: 7, Connection: r.Int64N(1e9), Text: "f: " + text, Client: r.word(), Server: r.word()},
			}[r.IntN(5)]
			got, ok := tracelog.ParseNGINX(want.String(), zone)
			if !ok || !reflect.DeepEqual(got, want) {
				t.Fatalf("%q\nread    %+v, %v\nwritten %+v", want, got, ok, want)
			}
		}
	})
	t.Run("CAPF", func(t *testing.T) {
		r := newRandom(t)
		for range 300 {
			var out bytes.Buffer
			c := tracelog.NewCAPF(&out, tracelog.Options{Location: zone, Now: r.moment})
			d := tracelog.Device{Index: r.Int64N(1000), Name: "SEP74A02FC0A675"}
			if r.IntN(3) == 0 {
				d.Name = r.text()
			}
			c.ServiceStarted(r.text(), r.IntN(65536), r.text())
			c.ESTClientReady(r.IntN(10000))
			c.EnrollmentStarted(d)
			c.CSRRead(d)
			c.EnrollmentFinished(d, r.IntN(100), "EST_ERR_NONE", r.IntN(5000))
			c.CertificateWritten(d)
			c.SigningSucceeded(d)
			c.SigningFailed(d, r.IntN(100))
			c.AddedToReadSet(r.IntN(100))
			c.CertificateDelivered(d)
			c.OperationSucceeded(d)
			c.PublicKeyStored(d, &rsa.PublicKey{N: new(big.Int).SetUint64(r.Uint64()), E: r.IntN(1 << 30)})
			c.RecordSelected(d, tracelog.Record{FinishBy: r.moment()})
			c.SessionEnded()
			for line := range strings.Lines(out.String()) {
				line = strings.TrimSuffix(line, "\n")
				if read, ok := tracelog.ParseCAPF(line); !ok || read.String() != line {
					t.Fatalf("not read as it was written: %q: %v, %q", line, ok, read)
				}
			}
		}
	})
	t.Run("W3C", func(t *testing.T) {
		r := newRandom(t)
		for range 2000 {
			field := func() string { // as IIS writes it: no blank in it, and no lone hyphen
				return strings.ReplaceAll(strings.ReplaceAll(r.text()+r.word(), " ", "+"), "\n", "")
			}
			var out bytes.Buffer
			want := tracelog.W3CEntry{
				Time: r.moment().Truncate(time.Second).UTC(), ServerIP: r.word(), Method: "GET", URIStem: "/certsrv/" + r.word(), Port: r.IntN(65536),
				ClientIP: r.word(), UserAgent: r.word(), Status: r.IntN(600), SubStatus: r.IntN(20), Win32: r.Uint32(), Taken: time.Duration(r.IntN(1e6)) * time.Millisecond,
			}
			if r.IntN(2) == 0 {
				want.User, want.URIQuery, want.Referer = r.word(), r.word(), r.word()
			}
			tracelog.NewW3C(&out).Log(want)
			var p tracelog.W3CParser
			found := 0
			for line := range strings.Lines(out.String()) {
				if got, ok := p.Parse(strings.TrimSuffix(line, "\n")); ok {
					found++
					if got != want {
						t.Fatalf("read    %+v\nwritten %+v", got, want)
					}
				}
			}
			if found != 1 {
				t.Fatalf("%d entries in %q", found, out.String())
			}
			// Whatever the client sends, the line stays one entry.
			want.UserAgent = field()
			if got, ok := p.Parse(want.String()); !ok || got.String() != want.String() {
				t.Fatalf("%q is read as %q, %v", want, got, ok)
			}
		}
	})
}

func TestTheDocumentsLinesAreUnderstood(t *testing.T) {
	zone := time.UTC
	names, err := filepath.Glob(documents + "/*.log")
	if err != nil || len(names) < 10 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var p tracelog.W3CParser
		for line := range strings.Lines(string(data)) {
			line = strings.TrimRight(line, "\r\n")
			var again string
			var ok bool
			switch base := filepath.Base(name); {
			case strings.HasPrefix(base, "capf"):
				var l tracelog.CAPFLine
				l, ok = tracelog.ParseCAPF(line)
				again = l.String()
			case strings.HasPrefix(base, "iis"):
				var e tracelog.W3CEntry
				e, ok = p.Parse(line)
				again = e.String()
				if strings.HasPrefix(line, "#") {
					continue
				}
			default:
				var l tracelog.NGINXLine
				l, ok = tracelog.ParseNGINX(line, zone)
				again = l.String()
			}
			if !ok || again != line {
				t.Errorf("%s: %q: %v, %q", name, line, ok, again)
			}
		}
	}
}

func TestALineTellsWhatStandsInIt(t *testing.T) {
	parse := func(line string) tracelog.NGINXLine {
		l, ok := tracelog.ParseNGINX(line, time.UTC)
		if !ok {
			t.Fatalf("not read: %s", line)
		}
		return l
	}
	f, code, text, ok := parse("nginx: [warn] login_to_certsrv_ca: Curl call for MS CA login failed with return code 6 (Could not resolve: lab-dcc.michamen.com (Domain name not found))").Failure()
	if !ok || f != "login_to_certsrv_ca" || code != 6 || text != "Could not resolve: lab-dcc.michamen.com (Domain name not found)" {
		t.Errorf("a failure: %s %d %q %v", f, code, text, ok)
	}
	f, url, failed, ok := parse("2019/03/05 12:31:21 [info] 31067#0: retrieve_cacerts: Secure connection to MS CertServ completed successfully using the following URL https://h:443/certsrv/certnew.p7b?ReqID=CACert").URL()
	if !ok || failed || f != "retrieve_cacerts" || url != "https://h:443/certsrv/certnew.p7b?ReqID=CACert" {
		t.Errorf("a URL: %s %s %v %v", f, url, failed, ok)
	}
	l := parse("2019/02/27 16:53:28 [warn] 3187#0: *2 login_to_certsrv_ca: URL used: https://h/certsrv while SSL EST handshaking, client: 14.48.31.128, server: 0.0.0.0:8084")
	if _, url, failed, ok := l.URL(); !ok || !failed || url != "https://h/certsrv" || l.Connection != 2 || l.Client != "14.48.31.128" || l.Server != "0.0.0.0:8084" || l.PID != 3187 {
		t.Errorf("a running line: %+v", l)
	}
	if rc, name, ok := parse("***EST [WARNING][est_http_request:1435]--> Enrollment failed with rc=22 (EST_ERR_AUTH_FAIL)").Code(); !ok || rc != 22 || name != "EST_ERR_AUTH_FAIL" {
		t.Errorf("a code: %d %s %v", rc, name, ok)
	}
	a, at, ok := parse(`***EST [INFO][log_access:1298]--> 14.48.31.128 [27/Feb/2019:16:53:28 -0500] "POST /.well-known/est/simpleenroll HTTP/1.1" 401 0`).Access()
	if !ok || a.Client != "14.48.31.128" || a.Path != "/.well-known/est/simpleenroll" || a.Status != 401 || at.UTC().Format(time.RFC3339) != "2019-02-27T21:53:28Z" {
		t.Errorf("an access line: %+v %s %v", a, at, ok)
	}
	c, ok := tracelog.ParseCAPF("14:05:05.236 | debug 2:SEP74A02FC0A675:Enrollment rv = 35 (EST_ERR_SSL_READ) with pkcs7 length = 0")
	if d, rv, name, n, found := c.Enrollment(); !ok || !found || d.Name != "SEP74A02FC0A675" || d.Index != 2 || rv != 35 || name != "EST_ERR_SSL_READ" || n != 0 {
		t.Errorf("an enrollment: %v %d %s %d %v", d, rv, name, n, found)
	}
	c, _ = tracelog.ParseCAPF("14:05:05.289 | debug 2:SEP74A02FC0A675:Return value from enrollCertUsingEST() : 35")
	if _, rv, ok := c.ReturnValue(); !ok || rv != 35 {
		t.Errorf("a return value: %d %v", rv, ok)
	}
}

func TestW3CFieldsMayComeInAnyOrder(t *testing.T) {
	var p tracelog.W3CParser
	p.Parse("#Fields: time sc-status cs-username cs-uri-stem date")
	e, ok := p.Parse(`12:00:01 401 - /certsrv 2026-11-20`)
	if !ok || e.Status != 401 || e.User != "" || e.URIStem != "/certsrv" || !e.Time.Equal(time.Date(2026, 11, 20, 12, 0, 1, 0, time.UTC)) {
		t.Errorf("%+v, %v", e, ok)
	}
	for _, line := range []string{"", "a b c", "12:00:01 x - /certsrv 2026-11-20", "25:00:01 401 - /certsrv 2026-11-20", "#Software: IIS"} {
		if e, ok := p.Parse(line); ok {
			t.Errorf("%q was read: %+v", line, e)
		}
	}
}

func TestLinesThatAreNotKnownArePassedOverAndCounted(t *testing.T) {
	text := "nginx: [warn] one\nJava heap space\n\n" + strings.Repeat("x", 200_000) + "\nnginx: [error] two\r\nnginx: [warn] no end"
	var got []string
	unknown, err := tracelog.Scan(strings.NewReader(text), func(line string) (tracelog.NGINXLine, bool) { return tracelog.ParseNGINX(line, time.UTC) },
		func(n int, l tracelog.NGINXLine) error {
			got = append(got, fmt.Sprint(n, " ", l.Text))
			return nil
		})
	if err != nil || unknown != 3 || strings.Join(got, "|") != "1 one|5 two|6 no end" {
		t.Errorf("%v, %d unknown, %v", got, unknown, err)
	}
	enough := errors.New("enough")
	if _, err := tracelog.Scan(strings.NewReader(text), func(line string) (string, bool) { return line, true }, func(int, string) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the end that each asks for: %v", err)
	}
}

// seeds are lines of the document, for the fuzz tests.
func seeds(f *testing.F, pattern string) {
	f.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		f.Fatalf("%s: no files, %v", pattern, err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			f.Add(strings.TrimRight(line, "\n"))
		}
	}
}

func FuzzParseNGINX(f *testing.F) {
	seeds(f, documents+"/nginx-*.log")
	f.Fuzz(func(t *testing.T, line string) {
		l, ok := tracelog.ParseNGINX(line, time.UTC)
		if ok && l.String() != line {
			t.Errorf("%q is written %q", line, l)
		}
		_, _, _, _ = l.Failure()
		_, _, _, _ = l.URL()
		_, _, _ = l.Code()
		_, _, _ = l.Access()
	})
}

func FuzzParseCiscoRA(f *testing.F) {
	seeds(f, documents+"/ciscora-*.log")
	f.Fuzz(func(t *testing.T, text string) {
		lines := 0
		unknown, err := tracelog.Scan(strings.NewReader(text), func(line string) (tracelog.NGINXLine, bool) { return tracelog.ParseNGINX(line, time.UTC) },
			func(int, tracelog.NGINXLine) error { lines++; return nil })
		if err != nil || unknown+lines < strings.Count(text, "\n") {
			t.Errorf("%d known, %d unknown, %v of %q", lines, unknown, err, text)
		}
	})
}

func FuzzParseCAPF(f *testing.F) {
	seeds(f, documents+"/capf-*.log")
	f.Fuzz(func(t *testing.T, line string) {
		l, ok := tracelog.ParseCAPF(line)
		if ok && l.String() != line {
			t.Errorf("%q is written %q", line, l)
		}
		_, _, _, _, _ = l.Enrollment()
		_, _, _ = l.ReturnValue()
	})
}

func FuzzParseW3C(f *testing.F) {
	seeds(f, documents+"/iis-*.log")
	f.Fuzz(func(t *testing.T, text string) {
		var p tracelog.W3CParser
		for line := range strings.Lines(text) {
			if e, ok := p.Parse(strings.TrimRight(line, "\n")); ok {
				var again tracelog.W3CParser
				if _, ok := again.Parse(e.String()); !ok && !strings.ContainsAny(e.String(), "\n") && !e.Time.IsZero() {
					t.Errorf("%q is written %q, which is not read", line, e)
				}
			}
		}
	})
}
