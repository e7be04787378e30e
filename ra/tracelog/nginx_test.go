package tracelog_test

import (
	"strings"
	"testing"
	"time"

	"ciscora/ra/tracelog"
)

const (
	caURL    = "https://lab-dc.michamen.com:443/certsrv"
	iisURL   = "https://lab-dc-iis.michamen.com:443/certsrv"
	chainURL = caURL + "/certnew.p7b?ReqID=CACert&Renewal=0&Enc=bin"
)

func rtp() *time.Location { return time.FixedZone("EST", -5*60*60) }

// ciscosStores are the trust stores of Cisco's lab.
func ciscosStores() []string {
	return []string{
		"/O=Cisco/CN=ACT2 SUDI CA",
		"/C=US/O=cisco/OU=tac/CN=CAPF-eb606ac0/ST=nc/L=rtp",
		"/C=US/O=cisco/OU=tac/CN=CAPF-eb606ac0/ST=nc/L=rtp",
		"/O=Cisco Systems/CN=Cisco Manufacturing CA",
		"/O=Cisco/CN=Cisco Manufacturing CA SHA2",
		"/O=Cisco Systems/CN=Cisco Root CA 2048",
		"/O=Cisco/CN=Cisco Root CA M2",
		"/DC=com/DC=michamen/CN=lab-ca.michamen.com",
	}
}

func TestAGoodStartInTheCiscoRALog(t *testing.T) {
	var out strings.Builder
	log := tracelog.NewCiscoRA(&out)
	log.StartUp(tracelog.StartUp{Web: ciscosStores(), EST: ciscosStores()})
	log.ServerPID(31070)
	same(t, document(t, "ciscora-start.log"), out.String())
}

func TestAGoodStartInTheErrorLog(t *testing.T) {
	var out strings.Builder
	log := tracelog.NewNGINX(&out, tracelog.Options{PID: 31067, Location: rtp(), Now: at("2019-03-05 17:31:21 +0000")})
	log.LoginSucceeded(nil, caURL)
	log.ChainRetrieved(nil, chainURL)
	log.ChainPassed(nil)
	same(t, document(t, "nginx-start.log"), out.String())
}

func TestTheErrorLogHasTheStartUpBlockToo(t *testing.T) {
	var out strings.Builder
	log := tracelog.NewNGINX(&out, tracelog.Options{PID: 31067})
	log.StartUp(tracelog.StartUp{Web: ciscosStores(), EST: ciscosStores()})
	block, _, _ := strings.Cut(document(t, "ciscora-start.log"), "EnrollmentService.sh")
	same(t, block, out.String())
}

func TestWithProofOfPossessionNothingSaysItIsOff(t *testing.T) {
	var out strings.Builder
	tracelog.NewCiscoRA(&out).StartUp(tracelog.StartUp{ProofOfPossession: true})
	if strings.Contains(out.String(), "pop_enabled") || !strings.Contains(out.String(), "TLS SRP not enabled") {
		t.Error(out.String())
	}
}

func TestStartsThatFailInBothLogs(t *testing.T) {
	const untrusted = "SSL certificate problem: unable to get local issuer certificate"
	for name, test := range map[string]struct {
		file    string
		failure tracelog.Failure
	}{
		"F1 and F2: the CA's certificate is not trusted": {"nginx-start-f1-f2.log", tracelog.Failure{Code: 60, Text: untrusted, URL: caURL}},
		"F3: the name is another": {"nginx-start-f3.log", tracelog.Failure{
			Code: 51, Text: "SSL: certificate subject name 'lab-dc' does not match target host name 'lab-dc.michamen.com'", URL: caURL,
		}},
		"F4: the host is unknown": {"nginx-start-f4.log", tracelog.Failure{
			Code: 6, Text: "Could not resolve: lab-dcc.michamen.com (Domain name not found)", URL: "https://lab-dcc.michamen.com:443/certsrv",
		}},
		"F5: the certificate is not yet valid": {"nginx-start-f5.log", tracelog.Failure{Code: 60, Text: "SSL certificate problem: certificate is not yet valid", URL: iisURL}},
		"F7: the CA is slow at log-in":         {"nginx-start-f7.log", tracelog.Failure{Code: 28, Text: "Operation timed out after 10000 milliseconds with 0 bytes received", URL: caURL}},
		"F8: the CA is slow after it":          {"nginx-start-f8.log", tracelog.Failure{Code: 28, Text: "Operation timed out after 10001 milliseconds with 0 bytes received", URL: chainURL}},
	} {
		t.Run(name, func(t *testing.T) {
			want := document(t, test.file)
			var nginx, ciscora strings.Builder
			n, c := tracelog.NewNGINX(&nginx, tracelog.Options{}), tracelog.NewCiscoRA(&ciscora)
			switch name[:2] {
			case "F8":
				n.ChainFailed(nil, test.failure)
				c.ChainFailed(test.failure)
			case "F4":
				n.ChainRequested()
				c.ChainRequested()
				fallthrough
			default:
				n.LoginFailed(nil, test.failure)
				c.LoginFailed(test.failure)
			}
			same(t, want, nginx.String())
			same(t, want, ciscora.String())
		})
	}
}

func TestATemplateMisspelledF6(t *testing.T) {
	var out strings.Builder
	log := tracelog.NewNGINX(&out, tracelog.Options{PID: 3187, Location: rtp(), Now: at("2019-02-27 21:53:28 +0000")})
	conn := &tracelog.Connection{Number: 2, Client: "14.48.31.128", Server: "0.0.0.0:8084"}
	log.Libest().NoPeerCertificate()
	log.WebTrustStore(conn, []string{"/DC=com/DC=michamen/CN=LAB-DC-RTP"})
	log.ReceivedData(conn, 163)
	log.LoginSucceeded(conn, iisURL)
	log.ReceivedData(conn, 11771)
	log.NavigatedToPage(conn, iisURL+"/certrqxt.asp")
	log.Libest().AuthenticationFailed()
	log.Libest().Access(tracelog.Access{
		Client: "14.48.31.128", Method: "POST", Path: "/.well-known/est/simpleenroll", Status: 401, Bytes: 0, UserAgent: "Cisco EST client 1.0",
	})
	log.Libest().ShutdownFailed()
	same(t, document(t, "nginx-f6.log"), out.String())
}

func TestAGoodEnrollment(t *testing.T) {
	var out strings.Builder
	log := tracelog.NewNGINX(&out, tracelog.Options{PID: 3187, Location: rtp(), Now: at("2019-01-16 19:05:02 +0000")})
	access := tracelog.Access{Client: "14.48.31.125", Method: "POST", Path: "/.well-known/est/simpleenroll", UserAgent: "Cisco EST client 1.0"}
	libest := log.Libest()
	libest.NoPeerCertificate()
	libest.Challenged()
	access.Status = 401
	libest.Access(access)

	conn := &tracelog.Connection{Number: 2, Client: "14.48.31.125", Server: "0.0.0.0:8084"}
	libest.NoPeerCertificate()
	log.WebTrustStore(conn, []string{"/DC=com/DC=michamen/CN=LAB-DC-RTP"})
	log.ReceivedData(conn, 163)
	log.LoginSucceeded(conn, caURL)
	log.ReceivedData(conn, 11771)
	log.NavigatedToPage(conn, caURL+"/certrqxt.asp")
	log.LoginSucceeded(conn, caURL)
	log.Submitted(conn, caURL+"/certfnsh.asp")
	log.Fetched(conn, caURL+"/certnew.cer?ReqID=10&ENC=b64")
	access.Status, access.Bytes, access.Referer = 200, 1963, `https://x/"y"`
	libest.Access(access)
	inferred(t, "nginx-enrollment.log", out.String())
}

func TestLaterAttemptsAndEnrollmentsThatFail(t *testing.T) {
	var out strings.Builder
	log := tracelog.NewNGINX(&out, tracelog.Options{PID: 3187, Location: rtp(), Now: at("2019-01-16 19:05:12 +0000")})
	slow := func(url string) tracelog.Failure {
		return tracelog.Failure{Code: 28, Text: "Operation timed out after 10000 milliseconds with 0 bytes received", URL: url}
	}
	again := &tracelog.Connection{}
	log.LoginFailed(again, slow(caURL))
	log.ChainFailed(again, slow(chainURL))
	log.LoginSucceeded(again, caURL)
	log.ChainRetrieved(again, chainURL)
	log.ChainPassed(again)
	conn := &tracelog.Connection{Number: 7, Client: "14.48.31.125", Server: "0.0.0.0:8084"}
	log.LoginFailed(conn, slow(caURL))
	log.PageFailed(conn, slow(caURL+"/certrqxt.asp"))
	log.SubmitFailed(conn, slow(caURL+"/certfnsh.asp"))
	log.FetchFailed(conn, slow(caURL+"/certnew.cer?ReqID=10&ENC=b64"))
	log.Warn(conn, "ra_certsrv_enroll", "certificate request denied")
	log.Libest().Refused(tracelog.Refusal{RC: 9, Name: "EST_ERR_BAD_PKCS10", Status: 400, Reason: "Bad Request", Text: "Invalid or corrupted pkcs10 request."})
	inferred(t, "nginx-failures.log", out.String())
}
