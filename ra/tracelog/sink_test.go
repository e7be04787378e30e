package tracelog_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"ciscora/ra/tracelog"
)

var errFull = errors.New("disk full")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFull }

// everyLine writes text into each place of each format that takes a value from
// outside, and gives what came out and how many lines it should be.
func everyLine(text string) (out string, lines int) {
	var b strings.Builder
	opts := tracelog.Options{Location: time.UTC, Now: at("2026-11-20 21:42:00 +0000")}
	n, c, w := tracelog.NewNGINX(&b, opts), tracelog.NewCAPF(&b, opts), tracelog.NewW3C(&b)
	conn := &tracelog.Connection{Number: 1, Client: text, Server: text}
	d := tracelog.Device{Index: 1, Name: text}
	failure := tracelog.Failure{Code: 1, Text: text, URL: text}
	n.LoginSucceeded(conn, text)                                                                                            // 1
	n.WebTrustStore(conn, []string{text})                                                                                   // 2
	n.LoginFailed(conn, failure)                                                                                            // 4
	n.Warn(conn, text, text)                                                                                                // 5
	n.Libest().Access(tracelog.Access{Client: text, Method: text, Path: text, Proto: text, Referer: text, UserAgent: text}) // 8
	n.Libest().Refused(tracelog.Refusal{Name: text, Reason: text, Text: text})                                              // 12
	c.EnrollmentFinished(d, 0, text, 0)                                                                                     // 15
	w.Log(tracelog.W3CEntry{
		ServerIP: text, Method: text, URIStem: text, URIQuery: text, User: text, ClientIP: text, UserAgent: text, Referer: text,
	}) // and 4 of the header: 20
	return b.String(), 20
}

func TestAValueFromOutsideCannotForgeALine(t *testing.T) {
	for _, text := range []string{
		"a\nb", "a\r\nb", "a\x00b", "a\x1b[31mb", "a\u2028b", "a\u202eb", "a\xffb", "\u0085", strings.Repeat("x", 100_000) + "\n",
	} {
		out, lines := everyLine(text)
		if n := strings.Count(out, "\n"); n != lines {
			t.Errorf("%.20q: %d lines, want %d", text, n, lines)
		}
		if i := strings.IndexAny(out, "\r\x00\x1b\u2028\u202e\u0085"); i >= 0 {
			t.Errorf("%.20q: %q in the log", text, out[i:i+1])
		}
		if len(out) > 20*3000*lines {
			t.Errorf("%.20q: %d bytes", text, len(out))
		}
	}
}

func TestAQuotedValueCannotEndItsQuotes(t *testing.T) {
	var out strings.Builder
	tracelog.NewLibest(&out, tracelog.Options{Location: time.UTC, Now: at("2026-11-20 21:42:00 +0000")}).Access(tracelog.Access{
		Client: "192.0.2.1", Method: "GET", Path: `/x" 200 5 "`, Status: 404, Bytes: 7, UserAgent: `curl" "x`,
	})
	same(t, `***EST [INFO][log_access:1298]--> 192.0.2.1 [20/Nov/2026:21:42:00 +0000] "GET /x\x22 200 5 \x22 HTTP/1.1" 404 7
***EST [INFO][log_header:1276]--> -
***EST [INFO][log_header:1278]--> "curl\x22 \x22x"
`, out.String())
}

func TestABlankCannotStartAnotherFieldOfTheIISLog(t *testing.T) {
	var out strings.Builder
	tracelog.NewW3C(&out).Log(tracelog.W3CEntry{URIStem: "/a b", URIQuery: "c d", User: `LAB\an admin`, UserAgent: "a  b", Referer: " "})
	line := strings.Split(out.String(), "\n")[4]
	if fields := strings.Split(line, " "); len(fields) != 15 {
		t.Errorf("%d fields in %q", len(fields), line)
	}
}

func FuzzLinesStayLines(f *testing.F) {
	f.Add("CiscoRA 1.0")
	f.Add("a\r\nb\x00\"")
	f.Fuzz(func(t *testing.T, text string) {
		if out, lines := everyLine(text); strings.Count(out, "\n") != lines || strings.Contains(out, "\r") {
			t.Fatalf("%q: %q", text, out)
		}
	})
}

func TestSequencesOfManyWritersDoNotMix(t *testing.T) {
	var out strings.Builder
	log := tracelog.NewNGINX(&out, tracelog.Options{Location: time.UTC})
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			log.LoginFailed(nil, tracelog.Failure{Code: i, Text: "x", URL: fmt.Sprint("https://ca/", i)})
			log.Libest().Access(tracelog.Access{Client: fmt.Sprint(i), UserAgent: fmt.Sprint(i)})
		})
	}
	all.Wait()
	lines := strings.Split(out.String(), "\n")
	for n := 0; n < len(lines)-1; {
		switch {
		case strings.Contains(lines[n], "login_to_certsrv_ca: Curl"):
			var i int
			if _, err := fmt.Sscanf(lines[n], "nginx: [warn] login_to_certsrv_ca: Curl call for MS CA login failed with return code %d", &i); err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(lines[n+1], fmt.Sprint("URL used: https://ca/", i)) || !strings.Contains(lines[n+3], "postconf") {
				t.Fatalf("mixed: %q", lines[n:n+4])
			}
			n += 4
		case strings.Contains(lines[n], "log_access"):
			if !strings.Contains(lines[n+1], "1276") || !strings.Contains(lines[n+2], "1278") {
				t.Fatalf("mixed: %q", lines[n:n+3])
			}
			n += 3
		default:
			t.Fatalf("line of its own: %q", lines[n])
		}
	}
}

func TestAWriteThatFailsIsTold(t *testing.T) {
	nginx := tracelog.NewNGINX(failing{}, tracelog.Options{})
	if err := nginx.Err(); err != nil {
		t.Errorf("before the first line: %v", err)
	}
	nginx.ChainPassed(nil)
	ciscora, capf, libest := tracelog.NewCiscoRA(failing{}), tracelog.NewCAPF(failing{}, tracelog.Options{}), tracelog.NewLibest(failing{}, tracelog.Options{})
	ciscora.ServerPID(1)
	capf.SessionEnded()
	libest.ShutdownFailed()
	for _, log := range []interface{ Err() error }{nginx, ciscora, capf, libest, nginx.Libest()} {
		if err := log.Err(); !errors.Is(err, errFull) {
			t.Errorf("%T: %v", log, err)
		}
	}
}

func TestAnEmptySequenceWritesNothing(t *testing.T) {
	log := tracelog.NewNGINX(failing{}, tracelog.Options{})
	log.WebTrustStore(nil, nil)
	if err := log.Err(); err != nil {
		t.Errorf("something was written: %v", err)
	}
}
