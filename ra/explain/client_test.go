package explain_test

import (
	"slices"
	"strings"
	"testing"

	"ciscora/ra/explain"
	"ciscora/ra/explain/explaintest"
)

const iisFields = "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status sc-substatus sc-win32-status time-taken\n"

const unusableCSR = `***EST [INFO][est_enroll_auth:356]--> TLS: no peer certificate
2026/11/27 00:25:33 [info] 21663#0: *24 login_to_certsrv_ca: Secure connection to MS CertServ completed successfully using the following URL https://localhost:21443/certsrv while SSL EST handshaking, client: 127.0.0.1, server: 127.0.0.1:21084
2026/11/27 00:25:33 [info] 21663#0: *24 navigate_to_certsrv_page: Secure connection to MS CertServ completed successfully using the following URL https://localhost:21443/certsrv/certrqxt.asp while SSL EST handshaking, client: 127.0.0.1, server: 127.0.0.1:21084
***EST [WARNING][est_http_request:1435]--> Enrollment failed with rc=9 (EST_ERR_BAD_PKCS10)
***EST [INFO][mg_send_http_error:389]--> [Error 400: Bad Request Invalid or corrupted pkcs10 request. ]
***EST [ERROR][est_mg_handler:1234]--> EST error response code: 9 (EST_ERR_BAD_PKCS10)
***EST [WARNING][handle_request:1267]--> Incoming request failed rv=9 (EST_ERR_BAD_PKCS10)
***EST [INFO][log_access:1298]--> 127.0.0.1 [27/Nov/2026:00:25:33 +0000] "POST /.well-known/est/simpleenroll HTTP/1.1" 400 0
`

// IIS's half of it, a list that is read and no POST, is what a misspelled template leaves.
func TestABadCSRIsNoMisspelledTemplate(t *testing.T) {
	c := catalog(t)
	read1 := iisFields + "2026-11-27 00:25:33 192.0.2.1 GET /certsrv - 443 - 127.0.0.1 CiscoRA+1.0 - 401 1 2148074254 0\n" +
		`2026-11-27 00:25:33 192.0.2.1 GET /certsrv - 443 LAB\ciscora 127.0.0.1 CiscoRA+1.0 - 301 0 0 0` + "\n" +
		`2026-11-27 00:25:33 192.0.2.1 GET /certsrv/certrqxt.asp - 443 LAB\ciscora 127.0.0.1 CiscoRA+1.0 - 200 0 0 0` + "\n"
	nginx := explaintest.Input("nginx-error.log", []byte(unusableCSR))
	own := explaintest.Input("ra.log", []byte(ownLine("400", "the body is no PKCS #10 request, or cut off: send one whole CSR")))
	for name, inputs := range map[string][]explain.Input{
		"both":              {nginx, explaintest.Input("u_ex261127.log", []byte(read1))},
		"NGINX's log alone": {nginx},
		"the RA's own log":  {own},
	} {
		t.Run(name, func(t *testing.T) {
			report := read(t, c, inputs...)
			if len(report.Findings) != 1 || report.Findings[0].Name != "csr-unusable" || len(report.Findings[0].Others) != 0 || len(report.NotUnderstood) != 0 {
				t.Errorf("%s", printed(t, report))
			}
		})
	}
}

// goodAtIIS is one enrollment, at each of the times.
func goodAtIIS(times ...string) string {
	var out strings.Builder
	out.WriteString(iisFields)
	for _, at := range times {
		for _, line := range []string{
			"GET /certsrv - 443 - 127.0.0.1 CiscoRA+1.0 - 401 1 2148074254 0",
			`GET /certsrv - 443 LAB\ciscora 127.0.0.1 CiscoRA+1.0 - 301 0 0 0`,
			`GET /certsrv/certrqxt.asp - 443 LAB\ciscora 127.0.0.1 CiscoRA+1.0 - 200 0 0 0`,
			`POST /certsrv/certfnsh.asp - 443 LAB\ciscora 127.0.0.1 CiscoRA+1.0 - 200 0 0 0`,
			`GET /certsrv/certnew.cer ReqID=7&ENC=b64 443 LAB\ciscora 127.0.0.1 CiscoRA+1.0 - 200 0 0 0`,
		} {
			out.WriteString("2026-11-27 " + at + " 192.0.2.1 " + line + "\n")
		}
	}
	return out.String()
}

const unusableLogin = `***EST [INFO][est_enroll_auth:356]--> TLS: no peer certificate
***EST [WARNING][est_enroll_auth:394]--> HTTP authentication failed. Auth type=1
***EST [WARNING][est_http_request:1435]--> Enrollment failed with rc=22 (EST_ERR_AUTH_FAIL)
***EST [INFO][mg_send_http_error:389]--> [Error 401: Unauthorized The server was unable to authorize the request. ]
***EST [ERROR][est_mg_handler:1234]--> EST error response code: 22 (EST_ERR_AUTH_FAIL)
***EST [WARNING][handle_request:1267]--> Incoming request failed rv=22 (EST_ERR_AUTH_FAIL)
***EST [INFO][log_access:1298]--> 127.0.0.1 [27/Nov/2026:00:25:29 +0000] "POST /.well-known/est/simpleenroll HTTP/1.1" 401 0
`

// Where IIS's log has nothing of that time, the client is the cause, or http.sys, whose 503 is
// in no IIS log.
func TestALogInThatNeverCameToTheCAIsTheClients(t *testing.T) {
	c := catalog(t)
	at := explaintest.Input("u_ex261127.log", []byte(goodAtIIS("00:20:00", "00:30:00")))
	report := read(t, c, explaintest.Input("nginx-error.log", []byte(unusableLogin)), at)
	if len(report.Findings) != 1 || report.Findings[0].Name != "pool-stopped" || report.Findings[0].Sure != explain.Possible || report.Findings[0].Others[0].Name != "login-unusable" {
		t.Errorf("with IIS's log: %s", printed(t, report))
	}
	alone := read(t, c, explaintest.Input("nginx-error.log", []byte(unusableLogin)))
	if len(alone.Findings) != 1 || alone.Findings[0].Sure != explain.Possible || !slices.ContainsFunc(alone.Findings[0].Others, func(o explain.Other) bool { return o.Name == "login-unusable" }) {
		t.Errorf("NGINX's log alone: %s", printed(t, alone))
	}
	// The CA's refusal in IIS's log keeps its name.
	refused := goodAtIIS("00:20:00") + "2026-11-27 00:25:29 192.0.2.1 GET /certsrv - 443 - 127.0.0.1 CiscoRA+1.0 - 401 1 2148074254 0\n" +
		"2026-11-27 00:25:29 192.0.2.1 GET /certsrv - 443 - 127.0.0.1 CiscoRA+1.0 - 401 1 2148074252 0\n"
	report = read(t, c, explaintest.Input("nginx-error.log", []byte(unusableLogin)), explaintest.Input("u_ex261127.log", []byte(refused)))
	if len(report.Findings) != 1 || report.Findings[0].Name != "wrong-password" || len(report.Findings[0].Others) != 1 || report.Findings[0].Others[0].Name != "locked-account" {
		t.Errorf("with a refusal at IIS: %s", printed(t, report))
	}
	report = read(t, c, explaintest.Input("ra.log", []byte(ownLine("401", "the Authorization header cannot be used: send the CA account's user name and password with HTTP Basic"))))
	if len(report.Findings) != 1 || report.Findings[0].Name != "login-unusable" || len(report.NotUnderstood) != 0 {
		t.Errorf("the RA's own log: %s", printed(t, report))
	}
}

// F7 in an enrollment ends in the same 22. CES writes there that its call of the CA failed:
// that it called speaks against a log-in that it never tried, and that it got no answer
// against one that was refused. IIS writes its line later, and may not have it yet.
func TestATimeOutAtTheLogInIsNoUnusableLogIn(t *testing.T) {
	c := catalog(t)
	const called = "2026/11/27 00:25:29 [warn] 22767#0: *2 login_to_certsrv_ca: Curl call for MS CA login failed with return code 28 (Operation timed out after 10001 milliseconds with 0 bytes received) while SSL EST handshaking, client: 127.0.0.1, server: 127.0.0.1:43105\n" +
		"2026/11/27 00:25:29 [warn] 22767#0: *2 login_to_certsrv_ca: URL used: https://localhost:40003/certsrv while SSL EST handshaking, client: 127.0.0.1, server: 127.0.0.1:43105\n"
	nginx := explaintest.Input("nginx-error.log", []byte(called+unusableLogin))
	for name, test := range map[string]struct {
		inputs []explain.Input
		sure   explain.Sure
	}{
		"NGINX's log alone":                 {[]explain.Input{nginx}, explain.Certain},
		"IIS's log has it not yet":          {[]explain.Input{nginx, explaintest.Input("u_ex261127.log", []byte(goodAtIIS("00:20:00", "00:26:30")))}, explain.Certain},
		"IIS's log is of another day":       {[]explain.Input{nginx, explaintest.Input("u_ex261127.log", []byte(strings.ReplaceAll(goodAtIIS("00:20:00", "00:30:00"), "11-27", "11-28")))}, explain.Certain},
		"IIS's log goes on and has nothing": {[]explain.Input{nginx, explaintest.Input("u_ex261127.log", []byte(goodAtIIS("00:20:00", "00:30:00")))}, explain.Likely},
	} {
		t.Run(name, func(t *testing.T) {
			report := read(t, c, test.inputs...)
			if len(report.Findings) != 1 || report.Findings[0].Name != "f7-slow-login" || report.Findings[0].Sure != test.sure {
				t.Errorf("%s", printed(t, report))
			}
		})
	}
}

func TestALineOfOneFailureAloneOutweighsALineThatIsMissing(t *testing.T) {
	const shared, own, iis = "Enrollment failed with rc=22 (EST_ERR_AUTH_FAIL)", "HTTP authentication failed. Auth type=1", "{date} {address} GET /certsrv - {port} - {client} CiscoRA+1.0 - 401 1 2148074252 {ms}"
	c, err := explain.NewCatalog([]explain.Failure{
		{Name: "silent", Document: "a", Tells: map[explain.Log]explain.Tells{explain.NGINX: {Has: []string{shared}}}},
		{Name: "silent, too", Document: "a", Tells: map[explain.Log]explain.Tells{explain.NGINX: {Has: []string{shared}}}},
		{Name: "own", Tells: map[explain.Log]explain.Tells{explain.NGINX: {Has: []string{own}}, explain.IIS: {Has: []string{iis}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	report := read(t, c, explaintest.Input("nginx-error.log", []byte(unusableLogin)), explaintest.Input("u_ex261127.log", []byte(goodAtIIS("00:20:00", "00:30:00"))))
	if len(report.Findings) != 1 || report.Findings[0].Name != "own" || report.Findings[0].Sure != explain.Possible {
		t.Errorf("%s", printed(t, report))
	}
}

// Who waits for the RA asks it for the chain until it is there.
func TestAnAnswerBeforeTheStartIsOverDoesNotEndIt(t *testing.T) {
	const begins = "nginx: [warn] CA Chain requested but this value has not yet been set\n***EST [INFO][set_ssl_option:1432]--> TLS SRP not enabled\n"
	const asked = `***EST [INFO][log_access:1298]--> 127.0.0.1 [27/Nov/2026:10:32:15 +0000] "GET /.well-known/est/cacerts HTTP/1.1" 500 0` + "\n"
	const good = "2026/11/27 10:32:15 [info] 4057#0: ra_certsrv_ca_plugin_postconf: CA Cert chain retrieved from CA, will be passed to EST\n"
	const client = "***EST [INFO][est_enroll_auth:356]--> TLS: no peer certificate\n"
	for text, failed := range map[string]bool{begins + asked + asked + good + client: false, begins + asked + client: true} {
		if report := read(t, catalog(t), explaintest.Input("nginx-error.log", []byte(text))); report.Failed() != failed {
			t.Errorf("%s", printed(t, report))
		}
	}
}
