package explain_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ciscora/internal/peertest"
	"ciscora/ra/explain"
	"ciscora/ra/explain/explaintest"
)

var healthyBegan = time.Date(2026, 3, 5, 8, 0, 0, 0, time.UTC)

// writeHealthy writes what good enrollments leave, each a second after the last one
// and eight under way at a time; every bad one of CES's fails as in wrong-password.
func writeHealthy(log string, enrollments, bad int) []byte {
	var out bytes.Buffer
	const at, host = 8, "https://ca.example.com:443/certsrv"
	type part struct {
		after int // seconds
		line  string
	}
	var running []part
	if log == "iis" {
		out.WriteString("#Software: Microsoft Internet Information Services 10.0\n#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status sc-substatus sc-win32-status time-taken\n")
	}
	queue := map[int][]string{}
	for n := range enrollments {
		failing := bad > 0 && n%bad == bad-1
		phone := fmt.Sprintf("SEP%012X", n)
		running = running[:0]
		add := func(after int, format string, args ...any) {
			running = append(running, part{after, fmt.Sprintf(format, args...)})
		}
		clock := func(after int) time.Time { return healthyBegan.Add(time.Duration(n+after) * time.Second) }
		switch log {
		case "capf":
			head := func(after int) string { return clock(after).Format("15:04:05.000") }
			say := func(after int, text string) {
				add(after, "%s |-->debug", head(after))
				add(after, "%s | debug %d:%s:%s", head(after), n, phone, text)
				add(after, "%s |<--debug", head(after))
			}
			say(0, "CA Mode is OnlineCA, Initiating Automatic Certificate Enrollment")
			say(0, "Calling enrollCertUsingEST() csr_file=/tmp/capf/csr/"+phone+".csr")
			say(0, "Inside X509_REQ *read_csr()")
			if failing {
				say(2, "Enrollment rv = 22 (EST_ERR_AUTH_FAIL) with pkcs7 length = 0")
				say(2, "Return value from enrollCertUsingEST() : 22")
				say(2, "Online Cert Signing Failed")
				break
			}
			say(4, "Enrollment rv = 0 (EST_ERR_NONE) with pkcs7 length = 1963")
			say(4, "Return value from enrollCertUsingEST() : 0")
			say(4, "Online Cert Signing successful")
		case "nginx":
			say := func(after int, text string) {
				add(after, "%s [info] 3187#0: *%d %s while SSL EST handshaking, client: 10.0.0.7, server: 0.0.0.0:8084", clock(after).Format("2006/01/02 15:04:05"), n+1, text)
			}
			libest := func(after int, text string) { add(after, "***EST %s", text) }
			access := func(after, status int) {
				libest(after, fmt.Sprintf(`[INFO][log_access:1298]--> 10.0.0.7 [%s] "POST /.well-known/est/simpleenroll HTTP/1.1" %d 0`, clock(after).Format("02/Jan/2006:15:04:05 -0700"), status))
				libest(after, "[INFO][log_header:1276]--> -")
				libest(after, `[INFO][log_header:1278]--> "Cisco EST client 1.0"`)
			}
			done := " Secure connection to MS CertServ completed successfully using the following URL " + host
			libest(0, "[INFO][est_enroll_auth:356]--> TLS: no peer certificate")
			libest(0, "[INFO][est_enroll_auth:404]--> HTTP auth headers missing, sending HTTP auth request to client.")
			access(0, 401)
			if failing {
				libest(2, "[WARNING][est_enroll_auth:394]--> HTTP authentication failed. Auth type=1")
				libest(2, "[WARNING][est_http_request:1435]--> Enrollment failed with rc=22 (EST_ERR_AUTH_FAIL)")
				libest(2, "[INFO][mg_send_http_error:389]--> [Error 401: Unauthorized The server was unable to authorize the request. ]")
				libest(2, "[ERROR][est_mg_handler:1234]--> EST error response code: 22 (EST_ERR_AUTH_FAIL)")
				libest(2, "[WARNING][handle_request:1267]--> Incoming request failed rv=22 (EST_ERR_AUTH_FAIL)")
				access(2, 401)
				break
			}
			say(1, "login_to_certsrv_ca:"+done)
			say(2, "navigate_to_certsrv_page:"+done+"/certrqxt.asp")
			say(2, "login_to_certsrv_ca:"+done)
			say(4, "submit_cert_request:"+done+"/certfnsh.asp")
			say(4, fmt.Sprintf("retrieve_cert:%s/certnew.cer?ReqID=%d&ENC=b64", done, n+1))
			access(4, -1)
		case "iis":
			say := func(after int, request, user, status string) {
				add(after, "%s 10.0.0.2 %s 443 %s 10.0.0.7 CiscoRA+1.0 - %s 15", clock(after).Format(time.DateTime), request, user, status)
			}
			login := func(after int) {
				say(after, "GET /certsrv -", "-", "401 1 2148074254")
				say(after, "GET /certsrv -", `EXAMPLE\ra`, "301 0 0")
			}
			if failing {
				say(1, "GET /certsrv -", "-", "401 1 2148074254")
				say(1, "GET /certsrv -", "-", "401 1 2148074252")
				break
			}
			login(1)
			say(2, "GET /certsrv/certrqxt.asp -", `EXAMPLE\ra`, "200 0 0")
			login(2)
			say(4, "POST /certsrv/certfnsh.asp -", `EXAMPLE\ra`, "200 0 0")
			say(4, fmt.Sprintf("GET /certsrv/certnew.cer ReqID=%d&ENC=b64", n+1), `EXAMPLE\ra`, "200 0 0")
		}
		for _, p := range running {
			queue[n+p.after] = append(queue[n+p.after], p.line)
		}
		for _, line := range queue[n] {
			out.WriteString(line)
			out.WriteByte('\n')
		}
		delete(queue, n)
	}
	for n := enrollments; n < enrollments+at; n++ {
		for _, line := range queue[n] {
			out.WriteString(line)
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}

var threeLogs = []string{"capf", "nginx", "iis"}

func healthy(enrollments, bad int) (inputs []explain.Input, size int) {
	for _, log := range threeLogs {
		data := writeHealthy(log, enrollments, bad)
		inputs = append(inputs, explaintest.Input(log+".log", data))
		size += len(data)
	}
	return inputs, size
}

func TestNothingIsWrongWithAThousandGoodEnrollments(t *testing.T) {
	c := catalog(t)
	inputs, _ := healthy(1000, 0)
	for _, in := range append([][]explain.Input{inputs}, inputs[:1], inputs[1:2], inputs[2:]) {
		report := read(t, c, in...)
		if report.Failed() || !report.Readable() {
			var out strings.Builder
			_ = report.Print(&out)
			t.Errorf("%s: %.2000s", in[0].Name, out.String())
		}
	}
	report := read(t, c, inputs...)
	for _, l := range report.Read {
		if l.Good != 1000 {
			t.Errorf("%s: %d good enrollments", l.Title, l.Good)
		}
	}
}

// RFC 7030 §4.5.2: who has no attributes to ask for says so by 204.
func TestAnAnswerWithoutContentIsNoFailure(t *testing.T) {
	log := "2026/03/05 08:00:00 [info] 3187#0: *1 client connected while SSL EST handshaking, client: 10.0.0.7, server: 0.0.0.0:8084\n" +
		`***EST [INFO][log_access:1298]--> 10.0.0.7 [05/Mar/2026:08:00:00 +0000] "GET /.well-known/est/csrattrs HTTP/1.1" 204 0` + "\n" +
		"***EST [INFO][log_header:1276]--> -\n" + `***EST [INFO][log_header:1278]--> "curl/8.5.0"` + "\n"
	for status, failed := range map[string]bool{"204": false, "404": true} {
		report := read(t, catalog(t), explaintest.Input("nginx-error.log", []byte(strings.Replace(log, `" 204 0`, `" `+status+" 0", 1))))
		if report.Failed() != failed || !report.Readable() {
			var out strings.Builder
			_ = report.Print(&out)
			t.Errorf("%s: %s", status, out.String())
		}
	}
}

// A failure among many good enrollments is found, and the same ones are counted, with
// the first and the last time.
func TestAFailureAmongManyGoodEnrollmentsIsFoundAndCounted(t *testing.T) {
	peertest.Unraced(t)
	c := catalog(t)
	inputs, _ := healthy(20000, 5000)
	report := read(t, c, inputs...)
	if len(report.Findings) != 1 {
		var out strings.Builder
		_ = report.Print(&out)
		t.Fatalf("%d findings: %.3000s", len(report.Findings), out.String())
	}
	f := report.Findings[0]
	if f.Count != 4 || len(f.Logs) != 3 || f.First != "2026-03-05 09:23:21" || f.Last != "2026-03-05 13:33:21" {
		t.Errorf("%s, %d times, %s to %s, in %v", f.Name, f.Count, f.First, f.Last, f.Logs)
	}
	// A wrong password and a locked account leave the same lines in all three logs.
	both := []string{f.Name}
	for _, o := range f.Others {
		both = append(both, o.Name)
	}
	slices.Sort(both)
	if !slices.Equal(both, []string{"locked-account", "wrong-password"}) || len(f.Apart) == 0 {
		t.Errorf("%v, told apart by %+v", both, f.Apart)
	}
}

func BenchmarkExplain(b *testing.B) {
	c := catalog(b)
	for _, log := range append([]string{"all"}, threeLogs...) {
		b.Run(log, func(b *testing.B) {
			inputs, size := healthy(20000, 5000)
			if log != "all" {
				data := writeHealthy(log, 20000, 5000)
				inputs, size = []explain.Input{explaintest.Input(log, data)}, len(data)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := explain.Explain(context.Background(), c, inputs, explain.Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
