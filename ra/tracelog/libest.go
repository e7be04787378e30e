package tracelog

import (
	"fmt"
	"io"
	"time"
)

// Libest writes the lines of libest's server, 2.2.0 as CES has it: its function
// names with their line numbers (docs/reference/libest.md, "Log format").
type Libest struct {
	sink *sink
	opts Options
}

// NewLibest writes to w. For the lines inside NGINX's error.log use
// [NGINX.Libest], which shares that file.
func NewLibest(w io.Writer, opts Options) *Libest {
	return &Libest{sink: &sink{w: w}, opts: opts}
}

// Err is the error of the last write; nil when it succeeded.
func (l *Libest) Err() error { return l.sink.lastErr() }

// Access is one request to the EST server with its answer.
type Access struct {
	Client    string // address without port
	Method    string
	Path      string // as the client sent it
	Proto     string // "" is HTTP/1.1
	Status    int
	Bytes     int    // of the body
	Referer   string // "" is logged as -
	UserAgent string
}

// NoPeerCertificate says that the client showed no certificate.
func (l *Libest) NoPeerCertificate() {
	l.sink.put(libestLine("INFO", "est_enroll_auth", 356, "TLS: no peer certificate"))
}

// Challenged says that the client sent no credentials and was asked for some.
// The line's number is inferred from the neighbours'.
func (l *Libest) Challenged() {
	l.sink.put(libestLine("INFO", "est_enroll_auth", 404, "HTTP auth headers missing, sending HTTP auth request to client."))
}

// AuthenticationFailed says that CES's log-in with the client's Basic
// credentials failed, or that its template is not the CA's (docs/reference/ces.md
// F6), and that the client was answered 401.
func (l *Libest) AuthenticationFailed() {
	l.sink.put(append(
		[]string{libestLine("WARNING", "est_enroll_auth", 394, "HTTP authentication failed. Auth type=1")},
		refusalLines(Refusal{
			RC: 22, Name: "EST_ERR_AUTH_FAIL",
			Status: 401, Reason: "Unauthorized", Text: "The server was unable to authorize the request.",
		})...)...)
}

// Refusal is an enrollment that libest's server answered with an error.
type Refusal struct {
	RC     int    // libest's number, 9
	Name   string // and its name, EST_ERR_BAD_PKCS10
	Status int
	Reason string // of the status line
	Text   string // of the body, behind its first line
}

// Refused says that an enrollment ended with an error after the client was
// known. The lines are those of F6 with other values, which is inferred.
func (l *Libest) Refused(r Refusal) { l.sink.put(refusalLines(r)...) }

// WriteFailed says that the client was gone when the answer was there: the other
// end of a race of timers (docs/reference/ces.md, "Timers"). The lines are those of
// [Libest.Refused], which is inferred; the code is the document's.
func (l *Libest) WriteFailed() {
	const rc = "10 (EST_ERR_HTTP_WRITE)"
	l.sink.put(
		libestLine("WARNING", "est_http_request", 1435, "Enrollment failed with rc="+rc),
		libestLine("ERROR", "est_mg_handler", 1234, "EST error response code: "+rc),
		libestLine("WARNING", "handle_request", 1267, "Incoming request failed rv="+rc))
}

func refusalLines(r Refusal) []string {
	rc := fmt.Sprintf("%d (%s)", r.RC, clean(r.Name))
	return []string{
		libestLine("WARNING", "est_http_request", 1435, "Enrollment failed with rc="+rc),
		// libest ends both lines of the body with a line feed, which Cisco's
		// document shows as a blank: one record stays one line.
		libestLine("INFO", "mg_send_http_error", 389,
			fmt.Sprintf("[Error %d: %s %s ]", r.Status, clean(r.Reason), clean(r.Text))),
		libestLine("ERROR", "est_mg_handler", 1234, "EST error response code: "+rc),
		libestLine("WARNING", "handle_request", 1267, "Incoming request failed rv="+rc),
	}
}

// Access writes the access line with the Referer's and the User-Agent's. A
// success is logged as `-1 0`: libest sets its status only for errors.
func (l *Libest) Access(a Access) {
	now := l.opts.now()
	status, size := a.Status, a.Bytes
	if status == 200 {
		status, size = -1, 0
	}
	proto := a.Proto
	if proto == "" {
		proto = "HTTP/1.1"
	}
	l.sink.put(
		libestLine("INFO", "log_access", 1298, fmt.Sprintf(`%s [%s] "%s %s %s" %d %d`,
			clean(a.Client), accessTime(now), cleanQuoted(a.Method), cleanQuoted(a.Path), cleanQuoted(proto), status, size)),
		libestLine("INFO", "log_header", 1276, headerValue(a.Referer)),
		libestLine("INFO", "log_header", 1278, headerValue(a.UserAgent)))
}

// ShutdownFailed says that the client was gone before TLS could be ended.
func (l *Libest) ShutdownFailed() {
	l.sink.put(libestLine("WARNING", "est_server_handle_request", 1716, "SSL_shutdown failed"))
}

func accessTime(t time.Time) string { return t.Format("02/Jan/2006:15:04:05 -0700") }

func headerValue(value string) string {
	if value == "" {
		return "-"
	}
	return `"` + cleanQuoted(value) + `"`
}

func libestLine(level, function string, line int, text string) string {
	return fmt.Sprintf("***EST [%s][%s:%d]--> %s", level, function, line, text)
}

func libestVersionLines() []string {
	return []string{
		libestLine("INFO", "est_log_version", 216, "libest 2.2.0 (API level 4)"),
		libestLine("INFO", "est_log_version", 220, "Compiled against CiscoSSL 1.0.2n.6.2.194-fips"),
		libestLine("INFO", "est_log_version", 221, "Linking to CiscoSSL 1.0.2n.6.2.194-fips"),
	}
}

func libestTLSLines() []string {
	return []string{
		libestLine("INFO", "set_ssl_option", 1378, "Using non-default ECDHE curve (nid=415)"),
		libestLine("INFO", "set_ssl_option", 1432, "TLS SRP not enabled"),
	}
}
