package tracelog

import "fmt"

// curlPeerFailedVerification is CURLE_PEER_FAILED_VERIFICATION, which curl before 7.62
// returns for a name that is not the certificate's, and for nothing else.
const curlPeerFailedVerification = 51

// What CES says of a failed request.
const (
	loginFailure   = "Curl call for MS CA login failed"
	requestFailure = "Curl request failed"
)

// Functions of CES that log both a success and a failure.
const (
	loginFunction  = "login_to_certsrv_ca"
	chainFunction  = "retrieve_cacerts"
	pageFunction   = "navigate_to_certsrv_page"
	submitFunction = "submit_cert_request" // inferred
	fetchFunction  = "retrieve_cert"       // inferred
)

// StartUp is what CES logs of its configuration when it starts. Subjects are
// OpenSSL's one-line form, as [OneLineSubject] gives it.
type StartUp struct {
	Web []string // subjects of the trust store for the CA's web server
	EST []string // subjects of the trust store for EST clients
	// ProofOfPossession is whether EST clients must link the CSR to their TLS
	// session; CES logs a line only where it is off.
	ProofOfPossession bool
}

// lines is the block in Cisco's order: web store, libest's version, EST store,
// TLS options.
func (s StartUp) lines() []string {
	lines := chainRequestedLines()
	for _, subject := range s.Web {
		lines = append(lines, startUpLine("warn", addingCert("ossl_init_cert_store: ", subject)))
	}
	lines = append(lines, libestVersionLines()...)
	for _, subject := range s.EST {
		lines = append(lines, libestLine("INFO", "ossl_init_cert_store_from_raw", 182, addingCert("", subject)))
	}
	if !s.ProofOfPossession {
		lines = append(lines, startUpLine("warn", "pop_enabled off in nginx.conf. Disabling EST Proof of Possession"))
	}
	return append(lines, libestTLSLines()...)
}

func addingCert(function, subject string) string {
	return fmt.Sprintf("%sAdding cert to store (%s)", function, clean(subject))
}

func chainRequestedLines() []string {
	return []string{
		startUpLine("warn", "CA Chain requested but this value has not yet been set"),
		startUpLine("warn", "CA Cert response requested but this value has not yet been set"),
	}
}

// startUpLine is the form of NGINX before its workers run: no time.
func startUpLine(level, text string) string { return fmt.Sprintf("nginx: [%s] %s", level, text) }

// failureLines words a failed request in one form, given by line. At a start
// a failure means that there is no chain, which CES says as well; the third
// line is there only where the log-in that retrieve_cacerts needs has failed.
func failureLines(line func(level, format string, args ...any) string, function, what string, f Failure, starting bool) []string {
	lines := []string{
		line("warn", "%s: %s with return code %d (%s)", function, what, f.Code, clean(f.Text)),
		line("warn", "%s: URL used: %s", function, clean(f.URL)),
	}
	if !starting {
		return lines
	}
	if function == loginFunction {
		lines = append(lines, line("error", "retrieve_cacerts: Unable to execute login to certsrv with curl"))
	}
	if f.Code == curlPeerFailedVerification {
		return lines // the document shows no more for a wrong name
	}
	return append(lines, line("warn", "ra_certsrv_ca_plugin_postconf: Unable to retrieve CA Cert chain from CA"))
}
