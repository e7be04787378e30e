package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/DeRuina/timberjack"

	"ciscora/config"
	"ciscora/est"
	"ciscora/msca"
	"ciscora/ra"
	"ciscora/ra/tracelog"
)

// traceLogs writes NGINX's error.log, with libest's lines in it, and the CiscoRA
// log: events of the front end and the core, in the words of CES.
type traceLogs struct {
	nginx   *tracelog.NGINX   // nil = not written
	ciscora *tracelog.CiscoRA // nil = not written
	files   []*logFile
	rotate  config.Rotate
	pid     int
	web     []string // subjects of the web trust store
	server  string   // the EST listener's address, as configured: 0.0.0.0:8084

	lines LineFunc // nil = nobody is shown them

	mu    sync.Mutex      // guards about, where lines is set
	about context.Context // of the event that is being written
}

// LineFunc is shown what is written to an emulated log, and the context of the request
// that it is about.
type LineFunc func(ctx context.Context, log string, text []byte)

// shown is a log whose lines somebody is shown.
type shown struct {
	io.Writer
	of   *traceLogs
	name string
}

func (w shown) Write(p []byte) (int, error) {
	w.of.lines(w.of.about, w.name, p)
	return w.Writer.Write(p)
}

func openTraceLogs(cfg *config.RA, lines LineFunc, now func() time.Time) (*traceLogs, error) {
	t := &traceLogs{pid: os.Getpid(), rotate: cfg.Logs.Rotate, lines: lines, about: context.Background()}
	if path := cfg.Logs.Files.NGINX; path != "" {
		f, err := t.append("nginx", path)
		if err != nil {
			return nil, cfg.Problem("logs.files.nginx", err)
		}
		t.nginx = tracelog.NewNGINX(f, tracelog.Options{PID: t.pid, Now: now})
	}
	if path := cfg.Logs.Files.CiscoRA; path != "" {
		f, err := t.append("ciscora", path)
		if err != nil {
			t.close()
			return nil, cfg.Problem("logs.files.ciscora", err)
		}
		t.ciscora = tracelog.NewCiscoRA(f)
	}
	return t, nil
}

// append opens a log to write at its end. At logs.rotate.size a new file is begun,
// and logs.rotate.keep old ones stay, with the time in their names.
func (t *traceLogs) append(name, path string) (io.Writer, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("make the log's folder: %w", err)
	}
	if err := touch(path); err != nil {
		return nil, err
	}
	const mebibyte = 1 << 20
	open := func() *timberjack.Logger {
		return &timberjack.Logger{
			Filename: path, FileMode: 0o640, LocalTime: true,
			MaxSize: int((t.rotate.Size + mebibyte - 1) / mebibyte), MaxBackups: t.rotate.Keep,
		}
	}
	log := &logFile{open: open, log: open()}
	t.files = append(t.files, log)
	if t.lines != nil {
		return shown{log, t, name}, nil
	}
	return log, nil
}

// touch opens a log for a moment: that it can be written is known now, and not at the
// first line.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640) //nolint:gosec // an administrator's group reads logs
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	return nil
}

func (t *traceLogs) close() {
	for _, f := range t.files {
		_ = f.Close() // each line was written, or told
	}
}

// reopen opens the logs anew at their names.
func (t *traceLogs) reopen() error {
	var problems []error
	for _, f := range t.files {
		problems = append(problems, f.reopen())
	}
	return errors.Join(problems...)
}

// logFile is a log whose file may be moved away while it is written.
type logFile struct {
	open func() *timberjack.Logger

	mu  sync.Mutex // guards log
	log *timberjack.Logger
}

func (f *logFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.Write(p)
}

func (f *logFile) reopen() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = f.log.Close() // what it had is written
	f.log = f.open()
	return touch(f.log.Filename)
}

func (f *logFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.Close()
}

// scriptPID is how far the process that EnrollmentService.sh names is from the one that
// writes NGINX's lines: the document has 31070 and 31067.
const scriptPID = 3

// startUp writes the block with which CES starts (docs/reference/ces.md, "Start-up").
func (t *traceLogs) startUp(files config.Files, server string) {
	t.server = server
	t.web = oneLineSubjects(files.CATrust)
	block := tracelog.StartUp{Web: t.web, EST: oneLineSubjects(files.EST.Trust)}
	if t.nginx != nil {
		t.nginx.StartUp(block)
	}
	if t.ciscora != nil {
		t.ciscora.StartUp(block)
		t.ciscora.ServerPID(t.pid + scriptPID)
	}
}

func (t *traceLogs) event(ctx context.Context, event any) {
	if t.nginx == nil && t.ciscora == nil {
		return
	}
	if t.lines != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.about = ctx
		defer func() { t.about = context.Background() }()
	}
	switch e := event.(type) {
	case ra.Leg:
		t.leg(ctx, e)
	case ra.Started:
		if t.nginx != nil {
			t.nginx.ChainPassed(nil)
		}
	case est.Received:
		if t.nginx != nil && !e.Certificate && slices.Contains(enrollOperations, e.Operation) {
			t.nginx.Libest().NoPeerCertificate()
		}
	case est.Challenged:
		if t.nginx != nil {
			t.nginx.Libest().Challenged()
		}
	case est.AuthenticationFailed:
		if t.nginx != nil {
			t.nginx.Libest().AuthenticationFailed()
		}
	case est.Answered:
		if t.nginx != nil {
			t.ended(ctx, e)
			t.nginx.Libest().Access(tracelog.Access{
				Client: host(e.Client), Method: e.Received.Method, Path: e.Received.URI, Proto: e.Received.Proto,
				Status: e.Status, Bytes: 0, Referer: e.Received.Referer, UserAgent: e.Received.UserAgent,
			})
			if e.Status >= http.StatusBadRequest && e.Bytes > 0 && !asksAgain(e.Err) {
				// After an error libest ends the connection, and its client is
				// gone by then (docs/reference/ces.md F6).
				t.nginx.Libest().ShutdownFailed()
			}
		}
	}
}

// asksAgain tells whether an answer asks the client to come again with
// credentials.
func asksAgain(err error) bool {
	var asked interface{ Challenge() bool }
	return errors.As(err, &asked) && asked.Challenge()
}

// ended words an enrollment that got no certificate after its client was known; a
// 401 has been told by then. The numbers are those of libest 2.1.0 (docs/reference/libest.md,
// "Error codes"): 25 is whatever the CA did, 9 a CSR that cannot be used.
func (t *traceLogs) ended(ctx context.Context, e est.Answered) {
	var failed *ra.Error
	_, text, dialect := strings.Cut(e.Text, "\n")
	if !dialect {
		text = e.Text // one line, outside libest's dialect
	}
	r := tracelog.Refusal{RC: 9, Name: "EST_ERR_BAD_PKCS10", Status: e.Status, Reason: http.StatusText(e.Status), Text: strings.TrimSpace(text)}
	switch {
	case !slices.Contains(enrollOperations, e.Received.Operation), e.Status == http.StatusUnauthorized:
		return
	case e.Delivered:
		return // and may have gone right behind it
	case ctx.Err() != nil:
		t.nginx.Libest().WriteFailed()
		return
	case e.Status < http.StatusBadRequest:
		return
	case errors.As(e.Err, &failed):
		r.RC, r.Name = 25, "EST_ERR_CA_ENROLL_FAIL"
	}
	t.nginx.Libest().Refused(r)
}

// leg words one exchange with the CA. A refusal by the CA is no failure to curl
// (docs/reference/certsrv.md 0, fact 4), so it leaves no line but libest's.
func (t *traceLogs) leg(ctx context.Context, e ra.Leg) {
	if e.For != "" {
		return // libcurl's own affair: CES tells how the page's request ended
	}
	conn := t.connection(ctx, e)
	if e.Err != nil {
		t.failedLeg(conn, e)
		return
	}
	if t.nginx == nil {
		return
	}
	n := t.nginx
	switch e.Phase {
	case msca.PhaseLogin:
		if conn != nil && conn.Number != 0 {
			n.WebTrustStore(conn, t.web)
			n.ReceivedData(conn, e.Bytes)
		}
		n.LoginSucceeded(conn, e.URL)
	case msca.PhaseTemplate:
		n.ReceivedData(conn, e.Bytes)
		n.NavigatedToPage(conn, e.URL)
	case msca.PhaseChain:
		n.ChainRetrieved(conn, e.URL)
	case msca.PhaseSubmit:
		n.Submitted(conn, e.URL)
	case msca.PhaseFetch:
		n.Fetched(conn, e.URL)
	}
}

func (t *traceLogs) failedLeg(conn *tracelog.Connection, e ra.Leg) {
	var ca *msca.Error
	if !errors.As(e.Err, &ca) {
		return
	}
	if ca.CurlCode == 0 {
		if t.nginx != nil && e.Phase == msca.PhaseTemplate && e.Status == http.StatusOK {
			// A page without a list was read all the same: what it lacks shows in
			// libest's lines alone, as in docs/reference/ces.md F6.
			t.nginx.ReceivedData(conn, e.Bytes)
			t.nginx.NavigatedToPage(conn, e.URL)
		}
		return
	}
	failure := tracelog.Failure{Code: ca.CurlCode, Text: ca.CurlText, URL: e.URL}
	if t.ciscora != nil && e.Attempt > 0 {
		if e.Phase == msca.PhaseChain {
			t.ciscora.ChainFailed(failure)
		} else {
			t.ciscora.LoginFailed(failure)
		}
	}
	if t.nginx == nil {
		return
	}
	switch e.Phase {
	case msca.PhaseChain:
		t.nginx.ChainFailed(conn, failure)
	case msca.PhaseTemplate:
		t.nginx.PageFailed(conn, failure)
	case msca.PhaseSubmit:
		t.nginx.SubmitFailed(conn, failure)
	case msca.PhaseFetch:
		t.nginx.FetchFailed(conn, failure)
	default:
		t.nginx.LoginFailed(conn, failure)
	}
}

// connection is the EST client's, as NGINX numbers it. nil stands for the first
// attempt of a start, number 0 for later ones.
func (t *traceLogs) connection(ctx context.Context, e ra.Leg) *tracelog.Connection {
	switch {
	case e.Attempt == 1:
		return nil
	case e.Attempt > 1:
		return &tracelog.Connection{}
	}
	return &tracelog.Connection{Number: est.ConnectionNumber(ctx), Client: host(est.ClientAddr(ctx)), Server: t.server}
}

// address is an address that may be missing.
func address(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// host is an address without its port.
func host(a net.Addr) string {
	if a == nil {
		return ""
	}
	h, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return h
}

func oneLineSubjects(certificates []*x509.Certificate) []string {
	out := make([]string, len(certificates))
	for i, c := range certificates {
		out[i] = tracelog.OneLineSubject(c)
	}
	return out
}
