package check

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"ciscora/msca"
	"ciscora/ra/tracelog"
)

// The kinds of server.
const (
	kindCA  = "ca"
	kindEST = "est"
)

// How an EST client's failed log-in looks at CES: it does all that it does at the CA
// within its own authentication (docs/reference/ces.md F6).
const (
	cesRefuses = "***EST [WARNING][est_enroll_auth:394]--> HTTP authentication failed. Auth type=1"
	capfAuth   = "Enrollment rv = 22 (EST_ERR_AUTH_FAIL)"
	cesNoChain = "nginx: [warn] ra_certsrv_ca_plugin_postconf: Unable to retrieve CA Cert chain from CA"
	// Inferred: libest 2.1.0 answers so where its CA fails (docs/reference/libest.md).
	capfBadRequest = "CAPF: Enrollment rv = 13 (EST_ERR_HTTP_BAD_REQ)"
)

// cesLogIn is CES's line for a log-in that failed, with curl's return code.
func cesLogIn(code int, text, url string) string {
	return cesLine(func(n *tracelog.NGINX) {
		n.LoginFailed(nil, tracelog.Failure{Code: code, Text: text, URL: url})
	})
}

// cesLine is the first line that NGINX's log of CES gets.
func cesLine(write func(*tracelog.NGINX)) string {
	var b bytes.Buffer
	write(tracelog.NewNGINX(&b, tracelog.Options{}))
	line, _, _ := strings.Cut(b.String(), "\n")
	return line
}

// cesSays is what CES logs of a failure at a phase; "" where it has no word for it.
func cesSays(e *msca.Error) string {
	failure := tracelog.Failure{Code: e.CurlCode, Text: cesWaits.ReplaceAllString(e.CurlText, "after 10000 milliseconds"), URL: e.URL}
	switch {
	case e.Kind == msca.KindPending:
		return "CAPF: Enrollment rv = 26 (EST_ERR_CA_ENROLL_RETRY)"
	case e.CurlCode == 0 && e.Phase == msca.PhaseChain:
		return cesNoChain
	case e.CurlCode == 0 && (e.Phase == msca.PhaseSubmit || e.Phase == msca.PhaseFetch):
		return capfBadRequest
	case e.CurlCode == 0:
		return cesRefuses + "; CAPF: " + capfAuth
	case e.Phase == msca.PhaseChain:
		return cesLine(func(n *tracelog.NGINX) { n.ChainFailed(nil, failure) })
	case e.Phase == msca.PhaseTemplate:
		return cesLine(func(n *tracelog.NGINX) { n.PageFailed(nil, failure) }) + "; CAPF: " + capfAuth
	case e.Phase == msca.PhaseSubmit:
		return cesLine(func(n *tracelog.NGINX) { n.SubmitFailed(nil, failure) })
	case e.Phase == msca.PhaseFetch:
		return cesLine(func(n *tracelog.NGINX) { n.FetchFailed(nil, failure) })
	}
	return cesLogIn(e.CurlCode, failure.Text, e.URL)
}

// cesWaits is where curl says how long it waited: CES gives each call ten seconds
// (docs/reference/ces.md), whatever was given it here.
var cesWaits = regexp.MustCompile(`after \d+ milliseconds`)

// remedy is why something failed, and what helps.
type remedy struct{ reason, fix string }

// remedyOf is that of a failure: http.sys says 503 in place of an application pool that is
// stopped, certsrv's pages say in their own words that the CA's service is.
func remedyOf(e *msca.Error) remedy {
	switch {
	case e.Kind == msca.KindServiceDown && e.Status == http.StatusServiceUnavailable:
		return poolStopped
	case e.Kind == msca.KindNotFound && e.Phase != msca.PhaseLogin:
		return remedy{"this page is not there, and others are", "see whether the folder of Web Enrollment (C:\\Windows\\System32\\certsrv) has the file, and whether IIS, or a proxy before it, filters its name"}
	}
	return remedies[e.Kind]
}

var poolStopped = remedy{"the application pool is stopped", "start it in IIS Manager; event 5002 or 5057 of WAS tells why it stopped (often the password of its account)"}

// remedies are those of failures that mean the same on whatever leg they come.
var remedies = map[msca.Kind]remedy{
	msca.KindResolve:           {"the name has no address", "correct the host in the URL, or DNS"},
	msca.KindConnect:           {"nothing listens there, or a firewall is in the way", "start IIS, open the port"},
	msca.KindTLSUntrusted:      {"the server's certificate is not taken", "see ca.tls.chain"},
	msca.KindTLSName:           {"the server's certificate has another name than the URL", "see ca.tls.name"},
	msca.KindTLSValidity:       {"a certificate has expired or is not valid yet, or a clock is wrong", "see ca.tls.validity and ca.clock"},
	msca.KindTLSHandshake:      {"TLS cannot be agreed on", "see ca.tls.handshake and ca.tls.versions"},
	msca.KindTimeout:           {"the CA, its IIS or a domain controller answers too slowly: CES waits 10 s, and then leaves", "look at IIS's time-taken of this request, at the CA's load and at its way to a domain controller"},
	msca.KindAuthRejected:      {"user name or password is wrong, the account is locked, disabled or expired, or IIS reaches no domain controller; Extended Protection refuses the same way where a proxy ends TLS", "the CA's Security log (event 4625) tells which: look before you try again, each try counts towards the account's lock-out. Write the user as DOMAIN\\user"},
	msca.KindAuthScheme:        {"IIS does not offer this authentication", "IIS Manager, CertSrv, Authentication, Windows Authentication, Providers: enable NTLM, or set ca.authentication to what is offered"},
	msca.KindForbidden:         {"IIS lets this account, or this machine, not in", "look at the sub-status in IIS's log: 403.4 wants TLS, 403.6 an address, 403.7 a client certificate, 401.3 rights on the folder"},
	msca.KindNotFound:          {"there is no such page: Web Enrollment is not installed, or in another folder", "install the role service Certification Authority Web Enrollment, or correct the path in the URL"},
	msca.KindHTTP:              {"IIS fails to run the page", "look at IIS's log for the sub-status: 500.0 and 500.100 are ASP's (enable ASP, restart the application pool); what is not in that log is a proxy's, such as 502"},
	msca.KindServiceDown:       {"IIS answers, the CA behind it does not: the service is stopped, on another machine, or the application pool is", "start Active Directory Certificate Services (net start certsvc), or the application pool; where the CA is another machine, delegation is needed"},
	msca.KindTemplateNotListed: {"CES enrolls for nothing that certrqxt.asp does not list", "see ca.template"},
	msca.KindDenied:            {"the CA's policy refuses the request", "the CA's event 53 has the reason; give the account Read and Enroll on the template"},
	msca.KindPending:           {"a manager has to approve", "approve it in certsrv.msc, Pending Requests, or take the approval off the template"},
	msca.KindBadCSR:            {"the CA cannot use the CSR", "see the CA's words; key size and kind must be the template's"},
	msca.KindParse:             {"what came is not what this page answers", "see whether a proxy, a log-on page or another application answers in place of Web Enrollment"},
	msca.KindRedirect:          {"the pages are elsewhere: credentials are not sent there", "name the server itself in the URL, not a balancer or an older name"},
	msca.KindClosed:            {"the connection ended in the midst: a proxy, a balancer or an inspecting firewall", "try from a machine without them in between; NTLM needs one connection for all of its messages"},
	msca.KindWrongCertificate:  {"the CA certified another key", "do not use the certificate; look for what stands between RA and CA"},
	msca.KindUnknownRequest:    {"the CA does not know the number that it has just given", "look whether several CAs answer behind one name"},
	msca.KindUnclear:           {"the CA's page failed in the midst of the request", "see the CA's event log"},
}

// failed adds a finding for a failure towards the CA.
func failed(r *Report, name string, err error) { failedBy(r, name, err, remedyOf(asError(err))) }

// failedBy is failed with another remedy than that of the failure's kind.
func failedBy(r *Report, name string, err error, m remedy) {
	f := Finding{Name: name, State: Fail, Seen: oneLine(err)}
	var e *msca.Error
	if errors.As(err, &e) {
		if e.Kind == msca.KindFenced {
			r.Skip(name, oneLine(e.Err))
			return
		}
		f.Seen = seenOf(e)
		f.Symptom = cesSays(e)
		f.Reason, f.Fix = m.reason, m.fix
		if e.Kind == msca.KindTimeout && r.hasty > 0 {
			f.Symptom, f.Reason, f.Fix = "none by this alone: CES waits ten seconds", fmt.Sprintf("nothing came in the %s of --timeout", r.hasty), "ask again without --timeout"
		}
	}
	r.Add(f)
}

// seenOf is what was there, without the reason that stands in the finding.
func seenOf(e *msca.Error) string {
	short := *e
	if short.Kind == msca.KindAuthRejected {
		short.Err = nil
	}
	return short.Error()
}

// quoted is a foreign name as it may be printed.
func quoted(s string) string { return fmt.Sprintf("%q", short(s)) }
