package explain_test

import (
	"slices"
	"strings"
	"testing"

	"ciscora/ra/explain"
	"ciscora/ra/explain/explaintest"
)

// What other tools and this product's own log say of the same failures.
func TestWhatToolsAndPagesSayIsExplained(t *testing.T) {
	c := catalog(t)
	for _, test := range []struct{ text, want string }{
		{"curl: (60) SSL certificate problem: unable to get local issuer certificate", "f1-unknown-root"},
		{"verify error:num=20:unable to get local issuer certificate", "f1-unknown-root"},
		{"* SSL: no alternative certificate subject name matches target host name 'ca.example.com'", "wrong-name-san"},
		{"curl: (6) Could not resolve host: ca.example.con", "f4-unknown-host"},
		{`{"level":"warn","ts":"2026-11-28T08:03:22Z","msg":"not authenticated","enrollment":"a1","account":"LAB\\ciscora","error":"CA template: template-not-listed at https://localhost/certsrv/certrqxt.asp: template \"X\" is not among the 0"}`, "f6-template-typo"},
		{`{"level":"warn","ts":1.7e9,"msg":"ca leg","phase":"login","kind":"auth-rejected","error":"x"}`, "wrong-password"},
		{`<P ID=locInfoReqIDandReason>Your Request Id is 7. The disposition message is "Denied by Policy Module  0x80094800, The request was for a certificate template that is not supported</P>`, "page-template-not-supported"},
		{"<pre>Denied by Policy Module 0x80094811</pre>", "key-too-short"},
		{"curl: (7) Failed to connect to ca.example.com port 443 after 3 ms: Could not connect to server", "curl-cannot-connect"},
		{"910: ERR 10:19:28.266471 VPNC: issuer certificate not found and leaf not trusted", "vpn-leaf-not-trusted"},
		{"911: NOT 20:59:50.053221 VPNC: login code: 302 (redirected)", "vpn-load-balancing"},
	} {
		report := read(t, c, explaintest.Input("mail", []byte("> Hello,\n>\n> "+test.text+"\n")))
		if len(report.Findings) != 1 {
			t.Errorf("%s: %d findings, not understood: %+v", test.text, len(report.Findings), report.NotUnderstood)
			continue
		}
		f := report.Findings[0]
		names := []string{f.Name}
		for _, o := range f.Others {
			names = append(names, o.Name)
		}
		if !slices.Contains(names, test.want) {
			t.Errorf("%s: taken for %v", test.text, names)
		}
	}
}

// A line that stands beside those that tell is nothing wrong only where these were found.
func TestALineThatStandsInLogsOfAFailureAloneIsTold(t *testing.T) {
	c := catalog(t)
	for _, line := range []string{"VPNC: alert_err: SSL write alert: code 48, unknown CA", "VPNC: notify code: 37 [SslAlertSrvrCert]"} {
		report := read(t, c, explaintest.Input("phone.log", []byte(line+"\n")))
		if len(report.NotUnderstood) != 1 || !slices.Contains(report.NotUnderstood[0].Of, "vpn-leaf-not-trusted") || !report.Failed() {
			t.Errorf("%s: %s", line, printed(t, report))
		}
		report = read(t, c, explaintest.Input("phone.log", []byte("VPNC: VPN cert chain verification failed, issuer certificate not found and leaf not trusted\n"+line+"\n")))
		if len(report.NotUnderstood) != 0 || len(report.Findings) != 1 {
			t.Errorf("%s, with the line that tells: %s", line, printed(t, report))
		}
	}
}

func TestWhatOpenSSLSaysOfASessionIsToldFromASecret(t *testing.T) {
	key := strings.Repeat("00112233", 12)
	for line, want := range map[string]string{
		"    Extended master secret: yes":                                   "",
		"    Master-Key: " + key:                                            "a key of a TLS session",
		"    Resumption PSK: " + key:                                        "a key of a TLS session",
		"CLIENT_RANDOM " + key[:64] + " " + key:                             "a key of a TLS session",
		"SERVER_HANDSHAKE_TRAFFIC_SECRET " + key[:64] + " " + key[:64]:      "a key of a TLS session",
		"CLIENT_TRAFFIC_SECRET_0 " + key[:64] + " " + key[:64]:              "a key of a TLS session",
		"verify error:num=20:unable to get local issuer certificate " + key: "",
	} {
		report := read(t, catalog(t), explaintest.Input("s_client.txt", []byte(line+"\n")))
		told := ""
		for _, s := range report.Secrets {
			told += s.What
		}
		if told != want {
			t.Errorf("%s: told as %q", line, told)
		}
	}
}

// Names of phones are cut out of what goes into a ticket.
func TestALineOfCAPFWithoutItsPhoneTellsTheSame(t *testing.T) {
	c := catalog(t)
	for _, head := range []string{
		"14:05:05.236 | debug 2:SEP001122334455:", "14:05:05.236 | debug ", "debug 2:SEP001122334455:", "debug ", "", "> ", "`", "The trace says: ",
	} {
		for says, failed := range map[string]bool{
			"22 (EST_ERR_AUTH_FAIL) with pkcs7 length = 0": true, "99 () with pkcs7 length = 0": true,
			"0 (EST_ERR_NONE) with pkcs7 length = 0":    true, // there is no certificate
			"0 (EST_ERR_NONE) with pkcs7 length = 1963": false,
		} {
			report := read(t, c, explaintest.Input("capf.log", []byte(head+"Enrollment rv = "+says+"\n")))
			if report.Failed() != failed || !report.Readable() {
				t.Errorf("%q, rv %s: %s", head, says, printed(t, report))
			}
		}
	}
}

func TestAGoodEnrollmentWhoseEndIsNotInTheTraceIsNoFailure(t *testing.T) {
	const line = "14:05:05.236 | debug 2:SEP001122334455:Enrollment rv = 0 (EST_ERR_NONE) with pkcs7 length = 1963\n"
	if report := read(t, catalog(t), explaintest.Input("capf.log", []byte(line+line))); report.Failed() {
		t.Errorf("%s", printed(t, report))
	}
}

// Who mails a log cuts out the line that frightens him: libest's lines are not there.
func TestOneLineOfCESIsEnough(t *testing.T) {
	c := catalog(t)
	const said = "login_to_certsrv_ca: Curl call for MS CA login failed with return code 60 (SSL certificate problem: unable to get local issuer certificate)"
	for name, line := range map[string]string{
		"of its start":      "nginx: [warn] " + said,
		"of an enrollment":  "2019/03/05 10:11:12 [warn] 31067#0: *17 " + said + " while SSL EST handshaking, client: 192.0.2.1, server: 0.0.0.0:8084",
		"cut in the middle": "2019/03/05 10:11:12 [warn] 31067#0: *17 " + said,
	} {
		t.Run(name, func(t *testing.T) {
			report := read(t, c, explaintest.Input("mail", []byte(line+"\n")))
			if out := printed(t, report); !strings.Contains(out, "f1-missing-intermediate") || !strings.Contains(out, "f1-unknown-root") {
				t.Errorf("%s", out)
			}
		})
	}
}

// F7 within an enrollment ends as a wrong password does; what CES says of the log-in, no
// other failure does.
func TestALineThatOneFailureAloneTellsCountsForMore(t *testing.T) {
	const lines = `2026/11/26 23:04:21 [warn] 22767#0: *2 login_to_certsrv_ca: Curl call for MS CA login failed with return code 28 (Operation timed out after 10001 milliseconds with 0 bytes received) while SSL EST handshaking, client: 127.0.0.1, server: 127.0.0.1:43105
2026/11/26 23:04:21 [warn] 22767#0: *2 login_to_certsrv_ca: URL used: https://localhost:40003/certsrv while SSL EST handshaking, client: 127.0.0.1, server: 127.0.0.1:43105
***EST [WARNING][est_enroll_auth:394]--> HTTP authentication failed. Auth type=1
***EST [WARNING][est_http_request:1435]--> Enrollment failed with rc=22 (EST_ERR_AUTH_FAIL)
***EST [INFO][mg_send_http_error:389]--> [Error 401: Unauthorized The server was unable to authorize the request. ]
***EST [ERROR][est_mg_handler:1234]--> EST error response code: 22 (EST_ERR_AUTH_FAIL)
***EST [WARNING][handle_request:1267]--> Incoming request failed rv=22 (EST_ERR_AUTH_FAIL)
***EST [INFO][log_access:1298]--> 127.0.0.1 [26/Nov/2026:23:04:21 +0000] "POST /.well-known/est/simpleenroll HTTP/1.1" 401 0
`
	report := read(t, catalog(t), explaintest.Input("nginx-error.log", []byte(lines)))
	if len(report.Findings) != 1 || report.Findings[0].Name != "f7-slow-login" {
		t.Errorf("%s", printed(t, report))
	}
}

// One log alone never makes one of several causes certain.
func TestNoCauseIsCertainWhereOthersLeaveTheSameLines(t *testing.T) {
	c := catalog(t)
	for card, logs := range recorded(t) {
		for log, data := range logs {
			for _, f := range read(t, c, explaintest.Input(log, data)).Findings {
				for _, o := range f.Others {
					if !o.Lab && f.Sure != explain.Possible {
						t.Errorf("%s, %s: %s is called %s although it could be %s", card, log, f.Name, f.Sure, o.Name)
					}
				}
			}
		}
	}
}
