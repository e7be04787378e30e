package explain_test

import (
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
