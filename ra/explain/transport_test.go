package explain_test

import (
	"slices"
	"strings"
	"testing"

	"ciscora/ra/explain"
	"ciscora/ra/explain/explaintest"
)

// What a lab's certsrv.login:reset has left: the connection ends within the log-in, and
// libest calls that 22, as it calls a wrong password.
const (
	tornNGINX = `***EST [INFO][est_enroll_auth:356]--> TLS: no peer certificate
2026/11/27 10:47:40 [warn] 6450#0: *4 login_to_certsrv_ca: Curl call for MS CA login failed with return code 52 (Empty reply from server) while SSL EST handshaking, client: 127.0.0.1, server: 127.0.0.1:8084
2026/11/27 10:47:40 [warn] 6450#0: *4 login_to_certsrv_ca: URL used: https://localhost:8443/certsrv while SSL EST handshaking, client: 127.0.0.1, server: 127.0.0.1:8084
***EST [WARNING][est_enroll_auth:394]--> HTTP authentication failed. Auth type=1
***EST [WARNING][est_http_request:1435]--> Enrollment failed with rc=22 (EST_ERR_AUTH_FAIL)
***EST [INFO][mg_send_http_error:389]--> [Error 401: Unauthorized The server was unable to authorize the request. ]
***EST [ERROR][est_mg_handler:1234]--> EST error response code: 22 (EST_ERR_AUTH_FAIL)
***EST [WARNING][handle_request:1267]--> Incoming request failed rv=22 (EST_ERR_AUTH_FAIL)
***EST [INFO][log_access:1298]--> 127.0.0.1 [27/Nov/2026:10:47:40 +0000] "POST /.well-known/est/simpleenroll HTTP/1.1" 401 0
`
	tornIIS = `2026-11-27 10:47:40 127.0.0.1 GET /certsrv - 8443 - 127.0.0.1 CiscoRA+1.0 - 401 1 2148074254 0
2026-11-27 10:47:40 127.0.0.1 GET /certsrv - 8443 - 127.0.0.1 CiscoRA+1.0 - 0 0 64 0
`
	tornCAPF = `10:47:40.691 | debug 1:SEPFF9B5D10EF82:CA Mode is OnlineCA, Initiating Automatic Certificate Enrollment
10:47:40.691 | debug 1:SEPFF9B5D10EF82:Calling enrollCertUsingEST() csr_file=/tmp/capf/csr/SEPFF9B5D10EF82.csr
10:47:40.691 | debug 1:SEPFF9B5D10EF82:Inside X509_REQ *read_csr()
10:47:40.691 | debug 1:SEPFF9B5D10EF82:Completed action in X509_REQ *read_csr()
10:47:40.713 | debug 1:SEPFF9B5D10EF82:Enrollment rv = 22 (EST_ERR_AUTH_FAIL) with pkcs7 length = 0
10:47:40.713 | debug 1:SEPFF9B5D10EF82:est_client_enroll_csr() Failed! Could not obtain new certificate. Aborting.
10:47:40.713 | debug 1:SEPFF9B5D10EF82:Return value from enrollCertUsingEST() : 22
10:47:40.713 | debug 1:SEPFF9B5D10EF82:Online Cert Signing Failed
10:47:40.713 | debug addded 6 to readset
`
)

func tornLogIn(nginx string) []explain.Input {
	return []explain.Input{
		explaintest.Input("nginx-error.log", []byte(nginx)),
		explaintest.Input("u_ex261127.log", []byte(iisFields+tornIIS)),
		explaintest.Input("capf.log", []byte(tornCAPF)),
	}
}

func TestALogInThatIsCutOffIsNoRefusedPassword(t *testing.T) {
	c := catalog(t)
	for said, want := range map[string]string{
		"52 (Empty reply from server)":                "login-no-answer",
		"56 (Recv failure: Connection reset by peer)": "login-reset",
	} {
		nginx := strings.Replace(tornNGINX, "52 (Empty reply from server)", said, 1)
		report := read(t, c, tornLogIn(nginx)...)
		if len(report.Findings) != 1 || report.Findings[0].Name != want || report.Findings[0].Sure != explain.Certain || len(report.NotUnderstood) != 0 {
			t.Errorf("%s: %s", said, printed(t, report))
		}
	}
}

// Whatever curl says: what came of it belongs to it, and is no failure of its own.
func TestWhatCameOfAConnectionThatNoCardKnowsIsOneFindingThatSaysSo(t *testing.T) {
	nginx := strings.Replace(tornNGINX, "52 (Empty reply from server)", "55 (Send failure: Broken pipe)", 1)
	report := read(t, catalog(t), tornLogIn(nginx)...)
	if len(report.Findings) != 1 {
		t.Fatalf("%s", printed(t, report))
	}
	f := report.Findings[0]
	if f.Sure != explain.Unknown || !strings.Contains(f.Title, "55 (Send failure: Broken pipe)") || !strings.Contains(f.Fix, "ra check ca") || len(f.Logs) != 3 {
		t.Errorf("%s", printed(t, report))
	}
}

func TestATimeOutAtIISNeedsItsTime(t *testing.T) {
	c := catalog(t)
	for taken, want := range map[string]string{" 0\n": "login-no-answer", " 4100\n": "login-no-answer", " 10012\n": "f7-slow-login"} {
		line := "2026-11-27 10:47:40 127.0.0.1 GET /certsrv - 8443 - 127.0.0.1 CiscoRA+1.0 - 0 0 64"
		report := read(t, c, explaintest.Input("u_ex261127.log", []byte(iisFields+line+taken)))
		if len(report.Findings) != 1 || report.Findings[0].Name != want {
			t.Errorf("%q: %s", taken, printed(t, report))
		}
	}
	// A log without time-taken tells neither from the other.
	fields := strings.Replace(iisFields, " time-taken", "", 1)
	report := read(t, c, explaintest.Input("u_ex261127.log", []byte(fields+"2026-11-27 10:47:40 127.0.0.1 GET /certsrv - 8443 - 127.0.0.1 CiscoRA+1.0 - 0 0 64\n")))
	var names []string
	for _, f := range report.Findings {
		names = append(names, f.Name)
		for _, o := range f.Others {
			names = append(names, o.Name)
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"f7-slow-login", "login-no-answer", "login-reset"}) {
		t.Errorf("without time-taken: %v", names)
	}
}

// The connection was cut while the certificate was fetched, and CES asked again.
func TestACertificateThatIsFetchedAgainIsNoFailure(t *testing.T) {
	const lines = `2026-11-27 10:47:41 127.0.0.1 GET /certsrv - 8443 - 127.0.0.1 CiscoRA+1.0 - 401 1 2148074254 0
2026-11-27 10:47:41 127.0.0.1 GET /certsrv - 8443 LAB\ciscora 127.0.0.1 CiscoRA+1.0 - 301 0 0 0
2026-11-27 10:47:41 127.0.0.1 GET /certsrv/certrqxt.asp - 8443 LAB\ciscora 127.0.0.1 CiscoRA+1.0 - 200 0 0 0
2026-11-27 10:47:41 127.0.0.1 GET /certsrv - 8443 - 127.0.0.1 CiscoRA+1.0 - 401 1 2148074254 0
2026-11-27 10:47:41 127.0.0.1 GET /certsrv - 8443 LAB\ciscora 127.0.0.1 CiscoRA+1.0 - 301 0 0 0
2026-11-27 10:47:41 127.0.0.1 POST /certsrv/certfnsh.asp - 8443 LAB\ciscora 127.0.0.1 CiscoRA+1.0 https://localhost:8443/certsrv/certrqxt.asp 200 0 0 12
2026-11-27 10:47:41 127.0.0.1 GET /certsrv/certnew.cer ReqID=10&ENC=b64 8443 - 127.0.0.1 CiscoRA+1.0 - 0 0 64 5
2026-11-27 10:47:41 127.0.0.1 GET /certsrv/certnew.cer ReqID=10&ENC=b64 8443 - 127.0.0.1 CiscoRA+1.0 - 401 1 2148074254 0
2026-11-27 10:47:41 127.0.0.1 GET /certsrv/certnew.cer ReqID=10&ENC=b64 8443 LAB\ciscora 127.0.0.1 CiscoRA+1.0 - 200 0 0 0
`
	c := catalog(t)
	if report := read(t, c, explaintest.Input("u_ex261127.log", []byte(iisFields+lines))); report.Failed() {
		t.Errorf("%s", printed(t, report))
	}
	at := strings.Index(lines, " - 0 0 64 ")
	end := at + strings.IndexByte(lines[at:], '\n') + 1
	if report := read(t, c, explaintest.Input("u_ex261127.log", []byte(iisFields+lines[:end]))); !report.Failed() {
		t.Error("it was never fetched, and nothing is said of it")
	}
}

func TestWhatNobodyKnowsIsToldOnceAndWithAdvice(t *testing.T) {
	const lines = `2026/11/27 10:34:33 [info] 8325#0: *12 ra_certsrv_auth_curl_data_cb: Rcvd data len: 154 while SSL EST handshaking, client: 127.0.0.1, server: 127.0.0.1:8084
2026/11/27 10:34:33 [info] 8325#0: *12 login_to_certsrv_ca: Secure connection to MS CertServ completed successfully using the following URL https://localhost:8443/certsrv while SSL EST handshaking, client: 127.0.0.1, server: 127.0.0.1:8084
***EST [INFO][log_access:1298]--> 127.0.0.1 [27/Nov/2026:10:34:33 +0000] "POST /.well-known/est/simpleenroll HTTP/1.1" 418 0
`
	f := read(t, catalog(t), explaintest.Input("nginx-error.log", []byte(lines))).Findings[0]
	if f.Sure != explain.Unknown || len(f.Evidence) != 1 || !strings.Contains(f.Evidence[0].Text, " 418 0") || !strings.Contains(f.Fix, "CAPF trace, IIS log") {
		t.Errorf("%+v", f)
	}
}

// NGINX and IIS write whole seconds, CAPF has milliseconds.
func TestTheStoryHasCausesBeforeEffectsWithinASecond(t *testing.T) {
	f := read(t, catalog(t), tornLogIn(tornNGINX)...).Findings[0]
	var order []string
	for _, e := range f.Story {
		if n := len(order); n == 0 || order[n-1] != string(e.Log) {
			order = append(order, string(e.Log))
		}
	}
	if !slices.Equal(order, []string{"capf", "iis", "nginx", "capf"}) || !strings.Contains(f.Story[0].Text, "CA Mode is OnlineCA") {
		t.Errorf("%v: %+v", order, f.Story)
	}
}

func TestALineOfAChatIsNotTakenIntoTheLineBeforeIt(t *testing.T) {
	const chat = "Hans: look\nHans: 10:36:40.831 | debug 1:SEPAABBCCDDEEFF:Enrollment rv = 13 (EST_ERR_HTTP_BAD_REQ) with pkcs7 length = 0\nAnna: hm\n"
	f := read(t, catalog(t), explaintest.Input("chat.txt", []byte(chat))).Findings[0]
	if len(f.Evidence) != 1 || strings.Contains(f.Evidence[0].Text, "Anna") {
		t.Errorf("%+v", f.Evidence)
	}
}

func TestWhatWasMendedAsItHappenedIsNothingWrong(t *testing.T) {
	// CES's logs don't say that it was: CES keeps nothing for a retry.
	for log, mended := range map[string]bool{"ra": true, "nginx": false} {
		report := read(t, catalog(t), explaintest.Input(log, recorded(t)["retry-is-recovered"][log]))
		if len(report.Findings) != 1 || report.Findings[0].Harmless != mended || report.Failed() == mended {
			t.Errorf("%s: %s", log, printed(t, report))
		}
	}
}

// A certificate that could not be fetched is one failure, and no denial.
func TestAFetchThatFailsIsOneFailure(t *testing.T) {
	const at, tail = "2026/11/28 10:21:37 ", " while SSL EST handshaking, client: 127.0.0.1, server: 127.0.0.1:40359\n"
	nginx := at + "[info] 20593#0: *4 login_to_certsrv_ca: Secure connection to MS CertServ completed successfully using the following URL https://dc/certsrv" + tail +
		at + "[info] 20593#0: *4 navigate_to_certsrv_page: Secure connection to MS CertServ completed successfully using the following URL https://dc/certsrv/certrqxt.asp" + tail +
		at + "[info] 20593#0: *4 submit_cert_request: Secure connection to MS CertServ completed successfully using the following URL https://dc/certsrv/certfnsh.asp" + tail +
		at + "[warn] 20593#0: *4 retrieve_cert: Curl request failed with return code 56 (Recv failure: Connection reset by peer)" + tail +
		at + "[warn] 20593#0: *4 retrieve_cert: URL used: https://dc/certsrv/certnew.cer?ReqID=2&ENC=b64" + tail +
		"***EST [WARNING][est_http_request:1435]--> Enrollment failed with rc=25 (EST_ERR_CA_ENROLL_FAIL)\n" +
		`***EST [INFO][log_access:1298]--> 127.0.0.1 [28/Nov/2026:10:21:37 +0000] "POST /.well-known/est/simpleenroll HTTP/1.1" 400 0` + "\n"
	capf := "10:21:37.026 | debug 1:SEP9B09B2D8C8FC:Calling enrollCertUsingEST() csr_file=/tmp/capf/csr/SEP9B09B2D8C8FC.csr\n" +
		"10:21:37.069 | debug 1:SEP9B09B2D8C8FC:Enrollment rv = 13 (EST_ERR_HTTP_BAD_REQ) with pkcs7 length = 0\n"
	iis := "2026-11-28 10:21:37 10.0.0.1 GET /certsrv/certrqxt.asp - 443 LAB\\ciscora 127.0.0.1 CiscoRA+1.0 - 200 0 0 0\n" +
		"2026-11-28 10:21:37 10.0.0.1 POST /certsrv/certfnsh.asp - 443 LAB\\ciscora 127.0.0.1 CiscoRA+1.0 https://dc/certsrv/certrqxt.asp 200 0 0 4\n" +
		"2026-11-28 10:21:37 10.0.0.1 GET /certsrv/certnew.cer ReqID=2&ENC=b64 443 - 127.0.0.1 CiscoRA+1.0 - 0 0 64 2\n"
	report := read(t, catalog(t), explaintest.Input("nginx", []byte(nginx)), explaintest.Input("capf", []byte(capf)), explaintest.Input("iis", []byte(iis)))
	if len(report.Findings) != 1 || len(report.Findings[0].Logs) != 3 || !strings.Contains(report.Findings[0].Title, "return code 56") || !strings.Contains(report.Findings[0].Fix, "revoke the one that nobody has") {
		t.Error(printed(t, report))
	}
}
