package tracelog

import (
	"fmt"
	"io"
)

// Connection is the EST client's connection that a line of NGINX tells of.
//
// It chooses the form of the line (docs/reference/ces.md, "Four logs, four
// formats"). With a Number it is the running form, with `*2` before the text
// and the client's and the server's addresses behind it. A nil Connection is
// the first attempt to start: `nginx: [warn]` for failures, time and process
// id for successes. A Connection whose Number is 0 is a later attempt to
// start: time and process id for both, no connection.
type Connection struct {
	Number int64
	Client string // address without port, `14.48.31.128`
	Server string // address and port of the listener, `0.0.0.0:8084`
}

// Failure is a request to the CA that failed, in curl's words.
type Failure struct {
	Code int    // curl's return code, 28
	Text string // curl's error text, `Operation timed out after ...`
	URL  string
}

// NGINX writes CES's NGINX error.log. The lines of libest that NGINX's workers
// write to the same file come from [NGINX.Libest].
type NGINX struct {
	sink   *sink
	opts   Options
	libest *Libest
}

// NewNGINX writes to w.
func NewNGINX(w io.Writer, opts Options) *NGINX {
	s := &sink{w: w}
	return &NGINX{sink: s, opts: opts, libest: &Libest{sink: s, opts: opts}}
}

// Libest is the writer of libest's lines in the same file.
func (n *NGINX) Libest() *Libest { return n.libest }

// Err is the error of the last write; nil when it succeeded.
func (n *NGINX) Err() error { return n.sink.lastErr() }

// StartUp writes what CES logs when it starts: both trust stores and libest's
// version.
func (n *NGINX) StartUp(s StartUp) { n.sink.put(s.lines()...) }

// ChainRequested says that the chain is asked for before it is there; it is
// the first that CES logs.
func (n *NGINX) ChainRequested() { n.sink.put(chainRequestedLines()...) }

// WebTrustStore says that a log-in loads the certificates that the CA's web
// server is verified with; CES does that anew for each log-in.
func (n *NGINX) WebTrustStore(conn *Connection, subjects []string) {
	lines := make([]string, len(subjects))
	for i, subject := range subjects {
		lines[i] = n.line(conn, "warn", "ossl_init_cert_store: Adding cert to store (%s)", clean(subject))
	}
	n.sink.put(lines...)
}

// ReceivedData says that the body of an answer to the authenticating log-in
// arrived: length bytes, 163 for the redirect to /certsrv/.
func (n *NGINX) ReceivedData(conn *Connection, length int) {
	n.sink.put(n.line(conn, "info", "ra_certsrv_auth_curl_data_cb: Rcvd data len: %d", length))
}

// LoginSucceeded says that the CA took the log-in at url.
func (n *NGINX) LoginSucceeded(conn *Connection, url string) {
	n.completed(conn, loginFunction, url)
}

// NavigatedToPage says that the page at url was read: certrqxt.asp, whose list
// the template is looked up in.
func (n *NGINX) NavigatedToPage(conn *Connection, url string) {
	n.completed(conn, pageFunction, url)
}

// Submitted says that certfnsh.asp took the CSR. The function's name is
// inferred: Cisco's document shows no log of a good enrollment.
func (n *NGINX) Submitted(conn *Connection, url string) {
	n.completed(conn, submitFunction, url)
}

// Fetched says that certnew.cer gave the certificate. The function's name is
// inferred, as with [NGINX.Submitted].
func (n *NGINX) Fetched(conn *Connection, url string) {
	n.completed(conn, fetchFunction, url)
}

// ChainRetrieved says that certnew.p7b gave the CA's chain.
func (n *NGINX) ChainRetrieved(conn *Connection, url string) {
	n.completed(conn, chainFunction, url)
}

// ChainPassed says that the chain is what /cacerts serves from now on.
func (n *NGINX) ChainPassed(conn *Connection) {
	n.sink.put(n.line(conn, "info", "ra_certsrv_ca_plugin_postconf: CA Cert chain retrieved from CA, will be passed to EST"))
}

// LoginFailed says that a log-in failed (docs/reference/ces.md F1 to F5, F7). At a
// start the two lines follow that say that there is no chain; within an
// enrollment the wording is inferred from the start's.
func (n *NGINX) LoginFailed(conn *Connection, f Failure) {
	n.failed(conn, loginFunction, loginFailure, f)
}

// ChainFailed says that the chain could not be read after a good log-in
// (docs/reference/ces.md F8).
func (n *NGINX) ChainFailed(conn *Connection, f Failure) {
	n.failed(conn, chainFunction, requestFailure, f)
}

// PageFailed says that certrqxt.asp could not be read. Inferred from
// [NGINX.ChainFailed], as are [NGINX.SubmitFailed] and [NGINX.FetchFailed].
func (n *NGINX) PageFailed(conn *Connection, f Failure) {
	n.failed(conn, pageFunction, requestFailure, f)
}

// SubmitFailed says that certfnsh.asp did not answer.
func (n *NGINX) SubmitFailed(conn *Connection, f Failure) {
	n.failed(conn, submitFunction, requestFailure, f)
}

// FetchFailed says that certnew.cer did not answer.
func (n *NGINX) FetchFailed(conn *Connection, f Failure) {
	n.failed(conn, fetchFunction, requestFailure, f)
}

// Warn writes a line for which this package has no method: function is the one
// that would have logged it.
func (n *NGINX) Warn(conn *Connection, function, text string) {
	n.sink.put(n.line(conn, "warn", "%s: %s", clean(function), clean(text)))
}

func (n *NGINX) completed(conn *Connection, function, url string) {
	n.sink.put(n.line(conn, "info",
		"%s: Secure connection to MS CertServ completed successfully using the following URL %s", function, clean(url)))
}

func (n *NGINX) failed(conn *Connection, function, what string, f Failure) {
	n.sink.put(failureLines(func(level, format string, args ...any) string {
		return n.line(conn, level, format, args...)
	}, function, what, f, conn == nil || conn.Number == 0)...)
}

func (n *NGINX) line(conn *Connection, level, format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	if conn == nil && level != "info" {
		return startUpLine(level, text)
	}
	head := fmt.Sprintf("%s [%s] %d#0: ", n.opts.now().Format("2006/01/02 15:04:05"), level, n.opts.PID)
	if conn == nil || conn.Number == 0 {
		return head + text
	}
	// CES does its work for a client inside NGINX's handler of the TLS
	// handshake, so the tail says handshaking at whatever stage.
	return fmt.Sprintf("%s*%d %s while SSL EST handshaking, client: %s, server: %s",
		head, conn.Number, text, clean(conn.Client), clean(conn.Server))
}
